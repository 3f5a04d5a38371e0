"""The Python interface of demucs 4.1: put `unbraid.compat.demucs` where a script says `demucs`.

Models, weights, arguments and numbers are those of demucs; what runs is the engine of this library. Each
module is named as there and says where it differs.
"""

from __future__ import annotations

from unbraid.compat.demucs.api import LoadAudioError, LoadModelError, Separator
from unbraid.compat.demucs.apply import BagOfModels, apply_model
from unbraid.compat.demucs.audio import AudioFile, convert_audio, convert_audio_channels, save_audio
from unbraid.compat.demucs.pretrained import get_model, list_models

__all__ = [
    "AudioFile",
    "BagOfModels",
    "LoadAudioError",
    "LoadModelError",
    "Separator",
    "apply_model",
    "convert_audio",
    "convert_audio_channels",
    "get_model",
    "list_models",
    "save_audio",
]
