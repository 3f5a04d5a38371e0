"""Delivery: stems into files, all of them whole or none at all.

Stems are written as they come, beside the networks. Whether an integer or lossy stem clips is known at the
end of the track only, and then all get one common gain: so these are kept aside as floats, too, and from the
first sample that would clip on nothing is written until the gain is known.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from unbraid.engine.finish import linked_gain, round_together
from unbraid.engine.pipeline import Behind
from unbraid.errors import MachineError
from unbraid.io.disk import Draft
from unbraid.io.spool import Spool
from unbraid.io.write import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor
    from typing_extensions import Self

    from unbraid.io.formats import OutputFormat
    from unbraid.io.source import Source

_BLOCK = 65536  # samples that are rounded and encoded at once
_LOSSY_BITS = 16  # lossy formats are decoded to 16 bits by most players; their peaks are kept within that


@dataclass(frozen=True, slots=True)
class Levels:
    """What became of the level on the way to the files.

    Args:
        gain_db: Common gain of all stems; 0 unless an integer or lossy stem would have clipped.
        residual_db: Energy of the mixture minus all estimates, as written, relative to the mixture's; None
            where there is none at all, or not all sources were estimated.
        peaks: Of each stem as written, in full scale.
    """

    gain_db: float
    residual_db: float | None
    peaks: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Separation:
    """What became of one file.

    Args:
        track: Its name.
        input: The file that was separated.
        stems: Where each stem is.
        sidecar: Where the JSON file about them is.
        skipped: True: everything was there already, nothing was done, and the rest of this is empty.
        sample_rate: Of the recording and the stems, in Hz.
        length: Samples of each.
        elapsed_seconds: How long it took, from opening the file to the last stem in place.
        gain_db: Common gain of all stems; below 0 where an integer or lossy stem would have clipped.
        residual_db: Energy of the mixture minus all estimates, as written, relative to the mixture's; None
            where there is none at all, or not all sources were estimated.
        peaks: Of each stem as written, in full scale.
    """

    track: str
    input: Path
    stems: Mapping[str, Path]
    sidecar: Path
    skipped: bool = False
    sample_rate: int = 0
    length: int = 0
    elapsed_seconds: float = 0.0
    gain_db: float = 0.0
    residual_db: float | None = None
    peaks: Mapping[str, float] = field(default_factory=dict)

    @property
    def audio_seconds(self) -> float:
        """Length of the recording; 0 where nothing was done."""
        return self.length / self.sample_rate if self.sample_rate else 0.0

    @property
    def rtf(self) -> float | None:
        """Processing time by audio time, lower is better; None where nothing was processed."""
        return self.elapsed_seconds / self.audio_seconds if self.audio_seconds else None

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the command line prints them."""
        return {
            "track": self.track,
            "input": str(self.input),
            "stems": {stem: str(path) for stem, path in self.stems.items()},
            "sidecar": str(self.sidecar),
            "skipped": self.skipped,
            "sample_rate": self.sample_rate,
            "length": self.length,
            "audio_seconds": self.audio_seconds,
            "elapsed_seconds": self.elapsed_seconds,
            "rtf": self.rtf,
            "gain_db": self.gain_db,
            "residual_db": self.residual_db,
            "peaks": dict(self.peaks),
        }


class Delivery:
    """Writes the stems of one track; leaving it with an exception leaves no file behind.

    Args:
        paths: Where each stem goes.
        source: The recording: rate, layout, tags.
        length: Samples of every stem.
        format: Of the files, bits included.
        together: Whether the stems are rounded so that integer samples add up, too.

    Raises:
        MachineError: If the disk has too little room, or a folder cannot be written to.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        source: Source,
        *,
        length: int,
        format: OutputFormat,  # noqa: A002 - the option's name everywhere
        together: bool,
    ) -> None:
        self._paths, self._format, self._together = dict(paths), format, together
        self._channels, self._length = len(source.layout), length
        self._integer_bits = format.integer_bits or (_LOSSY_BITS if format.is_lossy else None)
        self._require_room(_nearest_folder(next(iter(self._paths.values()))))
        self._mixture_energy = 0.0
        self._residual_energy = 0.0
        self._estimated = torch.zeros(len(self._paths), dtype=torch.float64)  # peaks before any gain
        self._peaks = self._estimated.clone()  # as written
        self._placed: list[Path] = []
        self._spool: Spool | None = None
        self._writers: list[Writer] = []
        self._write_anew = partial(_writer, source=source, length=length, format=format)
        self._threads = ThreadPoolExecutor(min(len(self._paths), os.cpu_count() or 1), "encode")
        try:
            self._open()
            if self._integer_bits:
                self._spool = Spool(next(iter(self._paths.values())).parent)
        except BaseException:
            self._abort()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._threads.shutdown()
        if kind is not None:
            self._abort()
        elif self._spool:
            self._spool.close()

    def push(self, stems: Tensor, mixture: Tensor, residual: Tensor | None) -> None:
        """Take the next samples of every stem.

        Args:
            stems: `(stems, channels, n)` in float32, `n > 0`.
            mixture: `(channels, n)`.
            residual: Mixture minus the sum of all estimates, `(channels, n)`, float64; None where not all
                sources were estimated.
        """
        left = torch.zeros_like(mixture) if residual is None else residual
        blocks = (torch.split(samples, _BLOCK, -1) for samples in (stems, mixture, left))
        for block in zip(*blocks, strict=True):
            self._push_block(*block, known=residual is not None)

    def _push_block(self, stems: Tensor, mixture: Tensor, left: Tensor, *, known: bool) -> None:
        """Take a few samples; what is left of the mixture may be unknown."""
        # Then the mixture's energy stays 0, and so the ratio of both unknown.
        if known:
            self._mixture_energy += mixture.double().square().sum().item()
        self._estimated = torch.maximum(self._estimated, stems.abs().amax((1, 2)).double())
        kept = torch.cat([stems.flatten(0, 1), left.float()])
        if self._spool:
            self._spool.append(kept)
        if self._gain() == 1:
            self._write(self._rounded(kept, 1.0))
        elif self._writers:
            self._withdraw()

    def finish(self, advance: Callable[[int], None]) -> Levels:
        """Write what waits for its gain and move every stem into place.

        Args:
            advance: Told how many samples have been written.

        Returns:
            Gain, residual and peaks of what was written.
        """
        gain = self._gain()
        if gain == 1:
            advance(self._length)
        elif self._spool:
            self._open()
            with Behind(self._write) as write:
                for kept in self._spool.blocks(_BLOCK):
                    write(self._rounded(kept, gain))
                    advance(kept.shape[-1])
        for writer in self._writers:
            self._placed.append(writer.close())
        return Levels(
            gain_db=20 * math.log10(gain),
            residual_db=_ratio_db(self._residual_energy, gain**2 * self._mixture_energy),
            peaks=dict(zip(self._paths, self._peaks.tolist(), strict=True)),
        )

    def write_sidecar(self, path: Path, content: Mapping[str, Any]) -> None:
        """Write what is known about the stems beside them, as JSON."""
        draft = Draft(path)
        try:
            text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
            draft.write(text.encode("utf-8", "backslashreplace"))  # a file's name may be no Unicode
            draft.place()
        except BaseException:
            draft.discard()
            raise

    def _gain(self) -> float:
        """The one gain of all stems, as far as they are known."""
        return linked_gain(self._estimated.max().item(), self._integer_bits) if self._integer_bits else 1.0

    def _open(self) -> None:
        for path in self._paths.values():
            self._writers.append(self._write_anew(path))

    def _withdraw(self) -> None:
        """Take back what was written before a stem was known to clip."""
        for writer in reversed(self._writers):  # the first made the folders and can remove them once empty
            writer.abort()
        self._writers.clear()
        self._residual_energy = 0.0
        self._peaks.zero_()

    def _rounded(self, kept: Tensor, gain: float) -> Tensor:
        """Stems and residual of one block, with their gain: the stems `(stems, channels, n)` as written."""
        count = len(self._paths) * self._channels
        wanted = kept[:count].double().reshape(len(self._paths), self._channels, kept.shape[-1]) * gain
        written = wanted
        if self._format.integer_bits:
            bits = self._format.integer_bits
            written = round_together(wanted, bits) if self._together else _round(wanted, bits)
        left = kept[count:].double() * gain + (wanted - written).sum(0)
        self._residual_energy += left.square().sum().item()
        self._peaks = torch.maximum(self._peaks, written.abs().amax((1, 2)))
        return written

    def _write(self, stems: Tensor) -> None:
        # Side by side: an encoder of a lossy format takes longer than all else that happens here.
        for _ in self._threads.map(Writer.write, self._writers, stems.unbind()):
            pass

    def _abort(self) -> None:
        for path in self._placed:
            path.unlink(missing_ok=True)
        self._withdraw()
        if self._spool:
            self._spool.close()

    def _require_room(self, folder: Path) -> None:
        """Refuse before hours of work what the disk cannot hold: floats kept aside, and the stems."""
        samples = self._length * self._channels
        kept = samples * 4 * (len(self._paths) + 1) if self._integer_bits else 0
        bytes_each = 0 if self._format.is_lossy else (self._format.integer_bits or 32) // 8
        need = kept + samples * bytes_each * len(self._paths)
        free = shutil.disk_usage(folder).free
        if need > free:
            raise MachineError(
                f"the stems need {need / 1e9:.1f} GB in {folder} and {free / 1e9:.1f} GB are free; "
                "make room, choose another folder, or write fewer stems"
            )


def _nearest_folder(path: Path) -> Path:
    """The folder of a file, or the nearest one above it that exists."""
    return next(folder for folder in path.absolute().parents if folder.is_dir())


def _writer(path: Path, source: Source, length: int, format: OutputFormat) -> Writer:  # noqa: A002
    return Writer(
        path,
        format,
        sample_rate=source.sample_rate,
        channels=len(source.layout),
        layout=source.layout,
        length=length,
        tags=source.info.tags if source.info else {},
        cover=source.info.cover if source.info else None,
    )


def _round(stems: Tensor, bits: int) -> Tensor:
    """Each stem to its nearest integer samples, in float64."""
    steps = 2.0 ** (bits - 1)
    return (stems * steps).round_().clamp_(-steps, steps - 1).div_(steps)


def _ratio_db(residual: float, mixture: float) -> float | None:
    """A ratio of energies in dB; None where there is no residual or nothing to relate it to."""
    return 10 * math.log10(residual / mixture) if residual > 0 and mixture > 0 else None
