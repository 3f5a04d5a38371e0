"""How Music-Source-Separation-Training runs a network, as our plan says it.

    inference.chunk_size, or audio.chunk_size   the network's segment; its own reader takes it
    inference.num_overlap N                     segments start every chunk_size // N samples
    inference.normalize                         the whole track's level is taken off first, and put back
    inference.batch_size                        speed here, never sound
    inference.dim_t                             of another program, which says the same in frames
    training.target_instrument                  one source; the rest is what it leaves of the mixture

There, weights rise and fall along a tenth of a segment; those of a Demucs are all alike. They are decided
once a batch: what is equalled is the answer at batch size 1, which does not depend on where batches end.

Source: github.com/ZFTurbo/Music-Source-Separation-Training, utils/model_utils.py (demix).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbraid.engine.plan import Window
from unbraid.errors import ConfigError
from unbraid.zoo.foreign.sections import (
    instruments_of,
    known_section,
    require_known,
    section,
    spelt,
    target_of,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECTIONS = frozenset(
    {
        "audio",
        "augmentations",
        "cls",
        "demucs",
        "difference",
        "hdemucs",
        "htdemucs",
        "inference",
        "kwargs",
        "lora",
        "loss_multistft",
        "model",
        "model_type",
        "name",
        "similarity",
        "stft",
        "training",
    }
)
# What decides nothing of a network's answer, beside what its own reader takes.
_AUDIO = frozenset(
    {
        "chunk_size",
        "dim_f",
        "dim_t",
        "hop_length",
        "min_mean_abs",
        "n_fft",
        "num_channels",
        "sample_rate",
        "stereo_prob",
    }
)
_TRAINING = frozenset(
    {
        "augmentation",
        "augmentation_loudness",
        "augmentation_loudness_max",
        "augmentation_loudness_min",
        "augmentation_loudness_type",
        "augmentation_mix",
        "augmentation_type",
        "batch_size",
        "channels",
        "coarse_loss_clip",
        "datasets",
        "ema_momentum",
        "grad_clip",
        "gradient_accumulation_steps",
        "instruments",
        "lr",
        "model_type",
        "normalize",
        "num_epochs",
        "num_steps",
        "optimizer",
        "other_fix",
        "patience",
        "q",
        "read_metadata_procs",
        "reduce_factor",
        "restart_cycle_epochs",
        "samplerate",
        "scheduler",
        "segment",
        "shift",
        "target_instrument",
        "use_amp",
        "use_mp3_compress",
    }
)
_INFERENCE = frozenset({"batch_size", "chunk_size", "dim_t", "instruments", "normalize", "num_overlap"})
_MOST_PASSES = 100  # over each sample; as in a plan


@dataclass(frozen=True, slots=True)
class Settings:
    """How a network is run.

    Args:
        overlap: Of segments, as a fraction of one.
        window: How a segment's samples count where segments overlap.
        levelled: Whether the whole track's level is taken off; None: as the network says of itself.
        rest: Name of what a network of one source leaves of the mixture; None: it is not asked for.
        said: All that as sentences for a person.
    """

    overlap: float = 0.25
    window: Window = Window.TRIANGLE
    levelled: bool | None = None
    rest: str | None = None
    said: tuple[str, ...] = ("segments overlap by a quarter, as no file says otherwise",)


def require_sections(file: Mapping[str, Any]) -> None:
    """Make sure that all keys outside the network's own section are known.

    Raises:
        ConfigError: If one is not; the nearest known ones are offered.
    """
    require_known(file, _SECTIONS, "the file")
    for name, known in (("audio", _AUDIO), ("training", _TRAINING), ("inference", _INFERENCE)):
        known_section(file, name, known)


def settings_of(file: Mapping[str, Any], segment: int, sources: int, *, flat: bool) -> Settings:
    """How a file says that its network is run.

    Args:
        file: The whole file.
        segment: Samples that the network is given at once.
        sources: How many it estimates.
        flat: Whether all samples of a segment count alike, as those of a Demucs do there.

    Raises:
        ConfigError: If a value is none that there can be.
    """
    inference = section(file, "inference")
    passes = whole_number(inference, "num_overlap", 0)
    batch = whole_number(inference, "batch_size", 1)
    normalize = inference.get("normalize") or False
    if not isinstance(normalize, bool):
        raise ConfigError(f"normalize must be true or false, not {normalize!r:.40}")
    if not 0 <= passes <= min(_MOST_PASSES, segment) or ("num_overlap" in inference and not passes):
        raise ConfigError(
            f"num_overlap must be from 1 to {_MOST_PASSES}, and at most a segment's samples, not {passes}"
        )
    rest = rest_of(file) if sources == 1 else None
    window = Window.FLAT if flat else Window.FADE
    said = [
        _of_overlap(passes, segment),
        f"samples of a segment count {'alike' if flat else 'less within a tenth of its ends'}",
        f"the song's level is {'taken off first and put back' if normalize else 'left as it is'}",
        *([f"{rest} is what the mixture has besides"] if rest else []),
        *([f"batch_size {batch} is speed here, never sound"] if batch > 1 else []),
        *_of_frames(file, segment),
        _of_equality(passes, segment, flat=flat),
    ]
    overlap = _overlap(passes, segment) if passes else Settings().overlap
    return Settings(overlap, window, normalize, rest, tuple(said))


def rest_of(file: Mapping[str, Any]) -> str:
    """What is called the mixture less the one source of a network: its only other instrument, or "no_" it."""
    target, instruments = target_of(file), instruments_of(file)
    target = target or (instruments or ["source_1"])[0]
    others = [name for name in map(spelt, instruments) if name != spelt(target)]
    return others[0] if len(others) == 1 else f"no_{spelt(target)}"


def _overlap(passes: int, segment: int) -> float:
    """The share that makes segments start exactly `segment // passes` samples apart."""
    plain, stride = 1 - 1 / passes, segment // passes
    return plain if int((1 - plain) * segment) == stride else max(0.0, 1 - (stride + 0.5) / segment)


def _of_overlap(passes: int, segment: int) -> str:
    if not passes:
        return "segments overlap by a quarter, as the file has no num_overlap"
    return f"num_overlap {passes}: segments of {segment} samples start every {segment // passes}"


def _of_frames(file: Mapping[str, Any], segment: int) -> list[str]:
    """What becomes of a length in frames, which another program reads."""
    frames, hop = section(file, "inference").get("dim_t"), _hop(file)
    if not isinstance(frames, int) or not hop or hop * (frames - 1) == segment:
        return []
    other = f"segments of {hop * (frames - 1)} samples"
    return [f"dim_t {frames}, by which audio-separator would take {other}, is not followed"]


def _hop(file: Mapping[str, Any]) -> int | None:
    """Samples between frames, as the model or else the audio has them."""
    model = file.get("model")
    own = model.get("stft_hop_length") if isinstance(model, dict) else None
    hop = own or section(file, "audio").get("hop_length")
    return hop if isinstance(hop, int) else None


def _of_equality(passes: int, segment: int, *, flat: bool) -> str:
    """Where our answer is that of the published program."""
    if not passes:
        return "the published program asks for num_overlap; so nothing of it is equalled"
    if flat:
        return "equals the published program's answer at batch size 1, but for the last segment"
    if segment % passes:
        return (
            f"the published program starts its segments elsewhere, since {segment} is no multiple of {passes}"
        )
    return (
        "equals the published program's answer at batch size 1, but for the first and the last segment: "
        "there it hears the song mirrored at its ends, and Unbraid silence"
    )
