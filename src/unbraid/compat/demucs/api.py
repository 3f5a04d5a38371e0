"""`demucs.api`: a model that is loaded once and separates as many recordings as you like.

Differs  shifts, and rates other than the model's, as in `apply` and `audio`; stereo whose sides cancel each
         other is levelled by both sides, not by their vanishing sum; mono is widened for a stereo model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from unbraid.audio import Audio
from unbraid.compat.demucs.apply import apply_model
from unbraid.compat.demucs.audio import convert_audio, convert_audio_channels, save_audio
from unbraid.compat.demucs.models import BagOfModels, spec_of
from unbraid.compat.demucs.pretrained import get_model, list_models
from unbraid.engine.normalize import NO_CHANGE, LevelMeter
from unbraid.errors import AudioError as LoadAudioError
from unbraid.errors import ModelError as LoadModelError
from unbraid.io.read import read, require_finite

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from unbraid.compat.demucs.apply import Callback
    from unbraid.compat.demucs.models import Seconds
    from unbraid.engine.normalize import Level

__all__ = ["LoadAudioError", "LoadModelError", "Separator", "list_models", "save_audio"]

NotProvided: Any = object()  # an option that update_parameter leaves as it is; None is a value of some


@dataclass(frozen=True, slots=True)
class _Options:
    """What update_parameter changes."""

    device: torch.device | str
    shifts: int
    overlap: float
    split: bool
    segment: Seconds | None
    jobs: int
    progress: bool
    callback: Callback | None
    callback_arg: Mapping[str, Any] | None


class Separator:
    """A loaded model that separates tensors and files.

    Args:
        model: A model's name, a published signature, or the path of a checkpoint.
        repo: As for `get_model`.
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the best one there is; None: the GPU if CUDA
            has one, else the CPU.
        shifts: As for `apply_model`, like all that follows.
        overlap: Share of a segment that the next one covers again.
        split: Cut the recording into segments.
        segment: Seconds given to the model at once.
        jobs: Changes nothing.
        progress: Show on the terminal how far it is.
        callback: Told of each segment.
        callback_arg: More to tell; `audio_length` is always told.

    Raises:
        ModelError: If there is no such model, or its weights cannot be had.
    """

    def __init__(  # noqa: PLR0917 - scripts give demucs' arguments by position, too
        self,
        model: str | Path = "htdemucs",
        repo: Path | None = None,
        device: torch.device | str | None = None,
        shifts: int = 1,
        overlap: float = 0.25,
        split: bool = True,
        segment: Seconds | None = None,
        jobs: int = 0,
        progress: bool = False,
        callback: Callback | None = None,
        callback_arg: Mapping[str, Any] | None = None,
    ) -> None:
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self._options = _Options(
            device, shifts, overlap, split, segment, jobs, progress, callback, callback_arg
        )
        self._model: Any = get_model(model, repo)

    @property
    def samplerate(self) -> int:
        """The model's rate in Hz."""
        return int(self._model.samplerate)

    @property
    def audio_channels(self) -> int:
        """Channels that the model takes."""
        return int(self._model.audio_channels)

    @property
    def model(self) -> nn.Module:
        """The model."""
        model: nn.Module = self._model
        return model

    def update_parameter(  # noqa: PLR0917 - as for the class
        self,
        device: torch.device | str = NotProvided,
        shifts: int = NotProvided,
        overlap: float = NotProvided,
        split: bool = NotProvided,
        segment: Seconds | None = NotProvided,
        jobs: int = NotProvided,
        progress: bool = NotProvided,
        callback: Callback | None = NotProvided,
        callback_arg: Mapping[str, Any] | None = NotProvided,
    ) -> None:
        """Change what is given; all else stays as it is.

        Args:
            device: As for the class, like the rest.
            shifts: Passes that are averaged.
            overlap: Of segments.
            split: Whether there are any.
            segment: Their length in seconds.
            jobs: Changes nothing.
            progress: Show how far it is.
            callback: Told of each segment.
            callback_arg: More to tell.
        """
        given: dict[str, Any] = {
            "device": device,
            "shifts": shifts,
            "overlap": overlap,
            "split": split,
            "segment": segment,
            "jobs": jobs,
            "progress": progress,
            "callback": callback,
            "callback_arg": callback_arg,
        }
        changes = {name: value for name, value in given.items() if value is not NotProvided}
        self._options = replace(self._options, **changes)

    def separate_tensor(self, wav: Tensor, sr: int | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The stems of samples in memory.

        Args:
            wav: `(C, T)`, full scale ±1; never changed.
            sr: Its rate in Hz; None: the model's.

        Returns:
            The mixture as the model heard it, at the model's rate and channels, and each stem by its name,
            both `(C, T)` in float32.

        Raises:
            ShapeError: If the samples are not `(C, T)` in floating point, or their channels too few.
            NonFiniteAudioError: If there is NaN or infinity among the samples.
            UsageError: If an option does not fit the model.
        """
        given = Audio(wav.detach(), self.samplerate if sr is None else sr)
        require_finite(given.samples, "the mixture", offset=0, sample_rate=given.sample_rate)
        wav = convert_audio(given.samples.float(), given.sample_rate, self.samplerate, self.audio_channels)
        level = self._level(wav)
        options = self._options
        estimates = apply_model(
            self.model,
            level.apply(wav)[None],
            shifts=options.shifts,
            split=options.split,
            overlap=options.overlap,
            progress=options.progress,
            device=options.device,
            num_workers=options.jobs,
            segment=options.segment,
            callback=options.callback,
            callback_arg={**(options.callback_arg or {}), "audio_length": wav.shape[-1]},
        )
        stems = level.restore(estimates[0])
        return wav, dict(zip(self._model.sources, stems, strict=True))

    def _level(self, wav: Tensor) -> Level:
        """What the model wants taken off and divided out; networks of demucs all want it."""
        models = self._model.models if isinstance(self._model, BagOfModels) else [self._model]
        if not any(spec_of(model).levelled for model in models):
            return NO_CHANGE
        meter = LevelMeter()
        meter.push(wav)
        return meter.level()

    def separate_audio_file(self, file: str | Path) -> tuple[Tensor, dict[str, Tensor]]:
        """The stems of a file.

        Args:
            file: Of any format that libsndfile or FFmpeg reads, video included.

        Returns:
            As `separate_tensor`.

        Raises:
            AudioError: If the file cannot be read; also as `LoadAudioError`.
            UsageError: If an option does not fit the model.
        """
        audio = read(file)
        # Channels first: of a surround file the first two are taken, and only they need resampling.
        wav = convert_audio_channels(audio.samples, self.audio_channels)
        return self.separate_tensor(wav, audio.sample_rate)
