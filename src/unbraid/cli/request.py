"""Request: what `unbraid separate` was asked for, with contradictions refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from unbraid.errors import UsageError
from unbraid.io.formats import OutputFormat
from unbraid.io.naming import expand

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

T = TypeVar("T")

_DEFAULT = "htdemucs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of `unbraid separate`, named as on the command line.

    Raises:
        UsageError: If two of them contradict each other.
    """

    files: tuple[str, ...]
    model: str | None
    config: Path | None
    preset: str | None
    stems: str | None
    two_stems: str | None
    start: float
    duration: float | None
    out: Path
    filename: str
    format: str | None
    bits: str | None
    bitrate: int | None
    sum: Literal["exact", "off"]
    skip_existing: bool
    overwrite: bool
    overlap: float | None
    shifts: int
    segment: float | None
    seed: int
    fit: bool
    device: str
    threads: int | None
    backend: str
    precision: str
    keep_pages: bool
    memory: int | None
    offline: bool
    weights_folder: Path | None
    json: bool
    quiet: bool
    mp3: bool
    flac: bool
    int24: bool
    float32: bool
    mp3_bitrate: int | None

    def __post_init__(self) -> None:
        if self.model is not None and self.preset is not None:
            raise UsageError(
                "--model and --preset were both given; a preset brings its own models, so keep one of them"
            )
        if self.config is not None and self.model is None:
            raise UsageError(
                f"--config {self.config} describes a checkpoint, and none was given; add -n with its path"
            )
        if self.stems is not None and self.two_stems is not None:
            raise UsageError(
                "--stems and --two-stems were both given; --two-stems vocals is short for "
                "--stems vocals,no_vocals, so keep one of them"
            )
        if self.skip_existing and self.overwrite:
            raise UsageError(
                "--skip-existing keeps stems that exist and --overwrite replaces them; keep one of them"
            )
        # A faulty template is said now, not after the weights have come.
        expand(self.filename, model=self.chosen, track="track", stem="stem", ext="ext")
        if self.sum == "exact" and self.output_format().is_lossy:
            raise UsageError(
                f"--sum exact needs every sample as it is, and {self.output_format().name} is lossy; "
                "use wav or flac, or leave the sum off"
            )

    @property
    def chosen(self) -> str:
        """What to separate with: a preset, a model, an ensemble, a file of one."""
        return self.preset or self.model or _DEFAULT

    def stem_names(self) -> tuple[str, ...] | None:
        """The stems asked for; None: every source of the model."""
        if self.two_stems is not None:
            return (self.two_stems, f"no_{self.two_stems}")
        if self.stems is None:
            return None
        return tuple(name.strip() for name in self.stems.split(","))

    def output_format(self) -> OutputFormat:
        """The format asked for, in our words or in those of demucs.

        Raises:
            UsageError: If two options ask for different things, or the format cannot do it.
        """
        name = _agreed(
            {
                f"--format {self.format}": self.format,
                "--mp3": "mp3" if self.mp3 else None,
                "--flac": "flac" if self.flac else None,
            }
        )
        bits = _agreed(
            {
                f"--bits {self.bits}": self.bits,
                "--int24": "24" if self.int24 else None,
                "--float32": "32f" if self.float32 else None,
            }
        )
        bitrate = _agreed(
            {
                f"--bitrate {self.bitrate}": self.bitrate,
                f"--mp3-bitrate {self.mp3_bitrate}": self.mp3_bitrate,
            }
        )
        return OutputFormat(name or "wav", bits, bitrate)


def _agreed(said: Mapping[str, T | None]) -> T | None:
    """The one value that the given options ask for; None where none was given.

    >>> _agreed({"--format flac": None, "--mp3": "mp3"})
    'mp3'
    """
    given = {option: value for option, value in said.items() if value is not None}
    if len(set(given.values())) > 1:
        raise UsageError(f"{' and '.join(given)} ask for different things; keep one of them")
    return next(iter(given.values()), None)
