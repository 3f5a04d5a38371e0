"""The front door: `separate()` for one song, `Separator` for many.

The file is not called `separate`: importing it would put a module where `unbraid.separate` is a function.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from unbraid._version import __version__
from unbraid.config import unstructure
from unbraid.delivery import Delivery, Levels
from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.blend import flow_of
from unbraid.engine.chain import Chain, LevelSurvey
from unbraid.engine.finish import distribute_residual, group, is_partition, stem_groups
from unbraid.engine.plan import Plan
from unbraid.engine.runtime import Runtime
from unbraid.errors import AudioError, UsageError
from unbraid.estimates import Estimates
from unbraid.io.formats import OutputFormat
from unbraid.io.naming import expand, track_name
from unbraid.io.source import Source, source_of
from unbraid.progress import OutputReady, Reporter, Stage
from unbraid.spec import ModelSpec
from unbraid.zoo.load import network, resolve

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from torch import Tensor
    from typing_extensions import Self

    from unbraid.audio import Audio
    from unbraid.progress import Listener

DEFAULT_MODEL = "htdemucs"
DEFAULT_TEMPLATE = "{model}/{track}/{stem}.{ext}"
_SIDECAR = "unbraid"  # takes the place of the stem in the name of the JSON file beside the stems


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
            where there is none at all.
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


@dataclass(frozen=True, slots=True)
class _Piece:
    """Finished samples, side by side with the mixture they come from."""

    mixture: Tensor  # (C, n)
    stems: Tensor  # (stems, C, n)
    residual: Tensor  # (C, n): mixture minus all estimates


class Separator:
    """A loaded model that separates as many recordings as you like.

    Args:
        model: A model's name, or the path of a checkpoint.
        stems: Sources to keep; "rest" is all that is not named, "no_vocals" all but the vocals; None: each
            source.
        overlap: Share of a segment that the next one covers again; None: as the model was scored with.
        shifts: Passes over shifted segments that are averaged: better by a little, slower by as many times.
        segment_seconds: Length given to the network at once; None: as long as it was trained on.
        seed: Of the shifts.
        sum: "exact": the residual is shared out so that the stems add up to the mixture; "off": estimates as
            the network gives them.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        threads: Processor threads; None: torch's own choice.
        offline: Never reach for the network: weights must be on this machine.
        weights_folder: A folder that is looked into first for weights.
        on_event: Called with each event: how far a stage is, and which stem is ready.
        cancel: Set it, from any thread, to stop; `Cancelled` is raised and nothing half-written stays.

    Raises:
        ModelError: If there is no such model, or its weights cannot be had.
        UsageError: If an option does not fit the model.
        MachineError: If the device is missing.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        stems: Sequence[str] | None = None,
        overlap: float | None = None,
        shifts: int = 1,
        segment_seconds: float | None = None,
        seed: int = 0,
        sum: Literal["exact", "off"] = "off",  # noqa: A002 - the option's name everywhere
        device: str = "auto",
        threads: int | None = None,
        offline: bool = False,
        weights_folder: Path | None = None,
        on_event: Listener | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        runtime = Runtime(device, threads)
        runtime.torch_device()  # a missing device is said before weights are fetched
        self._on_event, self._cancel = on_event, cancel
        resolved = resolve(model, offline=offline, folder=weights_folder, listener=on_event, cancel=cancel)
        loaded = network(resolved)
        spec = loaded.spec
        assert isinstance(spec, ModelSpec)  # noqa: S101 - what every network of ours states
        self.spec = spec
        self.name = resolved.name
        self.fingerprint = resolved.fingerprint
        self._groups = stem_groups(stems, self.spec.sources)
        self._exact = sum == "exact"
        if self._exact and not is_partition(self._groups, self.spec.sources):
            raise UsageError(
                f"stems that add up exactly must hold every source once; {', '.join(self._groups)} do not: "
                "add 'rest', or leave the sum off"
            )
        self.plan = Plan.for_spec(
            self.spec,
            overlap=resolved.overlap if overlap is None else overlap,
            shifts=max(1, shifts),
            seed=seed,
            segment=None if segment_seconds is None else int(segment_seconds * self.spec.sample_rate),
        )
        self._backend = EagerBackend(loaded, self.spec, runtime)
        self._runtime = runtime

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of what comes out."""
        return tuple(self._groups)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the model."""
        self._backend.close()

    def separate(
        self,
        recording: Audio | str | Path,
        *,
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
    ) -> Estimates:
        """The stems of a recording, whole, in memory.

        Args:
            recording: A file, or samples with their rate; never changed.
            start_seconds: Where to begin.
            duration_seconds: How much to separate; None: to the end.

        Returns:
            Estimates with the recording's own rate, channels and number of samples.

        Raises:
            AudioError: If the recording cannot be read.
            Cancelled: If the caller cancelled.
        """
        source = source_of(recording, start_seconds=start_seconds, duration_seconds=duration_seconds)
        stems = [piece.stems for piece in self._pieces(source)]
        return Estimates(torch.cat(stems, -1), self.stems, source.sample_rate)

    def stream(
        self,
        recording: Audio | str | Path,
        *,
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
    ) -> Iterator[Estimates]:
        """The stems of a recording piece by piece, as they are finished, at constant memory.

        Args:
            recording: A file, or samples with their rate.
            start_seconds: Where to begin.
            duration_seconds: How much to separate; None: to the end.

        Yields:
            Estimates that follow each other without gap or overlap; together as long as the recording.

        Raises:
            AudioError: If the recording cannot be read.
            Cancelled: If the caller cancelled.
        """
        source = source_of(recording, start_seconds=start_seconds, duration_seconds=duration_seconds)
        for piece in self._pieces(source):
            if piece.stems.shape[-1]:
                yield Estimates(piece.stems, self.stems, source.sample_rate)

    def outputs(
        self,
        path: str | Path,
        template: str = DEFAULT_TEMPLATE,
        *,
        out: str | Path = "separated",
        format: OutputFormat = OutputFormat(),  # noqa: A002, B008 - the option's name; a frozen value
        parent: str = "",
    ) -> dict[str, Path]:
        """Where `to_files` would put each stem.

        Raises:
            UsageError: If two stems would get the same name, or the template is faulty.
        """
        folder, track = Path(out) / parent, track_name(Path(path))
        paths = {
            stem: folder / expand(template, model=self.name, track=track, stem=stem, ext=format.suffix[1:])
            for stem in self.stems
        }
        if len(set(paths.values())) < len(paths):
            raise UsageError(f"the template {template!r} gives every stem the same name; put {{stem}} in it")
        return paths

    def to_files(
        self,
        path: str | Path,
        template: str = DEFAULT_TEMPLATE,
        *,
        out: str | Path = "separated",
        format: OutputFormat = OutputFormat(),  # noqa: A002, B008 - the option's name; a frozen value
        parent: str = "",
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
        overwrite: bool = False,
        skip_existing: bool = False,
    ) -> Separation:
        """The stems of a file as files, at constant memory.

        Args:
            path: The file to separate.
            template: Names of the stems, with {model}, {track}, {stem} and {ext}.
            out: Folder that the names start from.
            format: Of the stems.
            parent: Folder between `out` and the names.
            start_seconds: Where to begin.
            duration_seconds: How much to separate; None: to the end.
            overwrite: Replace stems that are there.
            skip_existing: Do nothing where all stems are there.

        Returns:
            What was written and how.

        Raises:
            AudioError: If the file cannot be read.
            UsageError: If stems are there and neither `overwrite` nor `skip_existing` is set.
            MachineError: If the stems cannot be written.
            Cancelled: If the caller cancelled.
        """
        began = time.monotonic()
        path = Path(path)
        paths = self.outputs(path, template, out=out, format=format, parent=parent)
        name = expand(template, model=self.name, track=track_name(path), stem=_SIDECAR, ext="json")
        sidecar = Path(out) / parent / name
        there = [stem for stem in paths.values() if stem.exists()]
        if skip_existing and len(there) == len(paths):
            return Separation(track_name(path), path, paths, sidecar, skipped=True)
        if there and not overwrite and not skip_existing:
            raise UsageError(f"{there[0]} is there already; use --overwrite or --skip-existing")
        source = source_of(path, start_seconds=start_seconds, duration_seconds=duration_seconds)
        length, levels = self._write(source, paths, sidecar, self._resolved(format, source))
        for stem, place in paths.items():
            if self._on_event:
                self._on_event(OutputReady(source.name, stem, place))
        return Separation(
            source.name,
            path,
            paths,
            sidecar,
            sample_rate=source.sample_rate,
            length=length,
            elapsed_seconds=time.monotonic() - began,
            gain_db=levels.gain_db,
            residual_db=levels.residual_db,
            peaks=levels.peaks,
        )

    def _resolved(self, format: OutputFormat, source: Source) -> OutputFormat:  # noqa: A002
        if self._exact and format.is_lossy:
            raise UsageError(
                f"stems in {format.name} cannot add up exactly; use wav or flac, or leave the sum off"
            )
        assert source.info is not None  # noqa: S101 - stems are written for files only
        return format.resolved(source.info)

    def _write(
        self,
        source: Source,
        paths: Mapping[str, Path],
        sidecar: Path,
        format: OutputFormat,  # noqa: A002
    ) -> tuple[int, Levels]:
        """Separate a source into files; its length and what became of the level are given back."""
        survey = self._survey(source)
        with Delivery(paths, source, length=survey.length, format=format, together=self._exact) as delivery:
            for piece in self._separated(source, survey):
                delivery.push(piece.stems, piece.mixture, piece.residual)
            levels = delivery.finish(self._reporter(Stage.FINISH, source, survey.length).advance)
            delivery.write_sidecar(sidecar, self._record(source, survey.length, paths, format, levels))
        return survey.length, levels

    def _record(
        self,
        source: Source,
        length: int,
        paths: Mapping[str, Path],
        format: OutputFormat,  # noqa: A002
        levels: Levels,
    ) -> dict[str, Any]:
        """What the sidecar says: enough to make the same stems again."""
        return {
            "unbraid": __version__,
            "track": source.name,
            "model": self.name,
            "weights": self.fingerprint,
            "plan": unstructure(self.plan),
            "sum": "exact" if self._exact else "off",
            "device": str(self._runtime.torch_device()),
            "stems": {
                stem: {"file": paths[stem].name, "sources": list(members), "peak": levels.peaks[stem]}
                for stem, members in self._groups.items()
            },
            "format": unstructure(format),
            "sample_rate": source.sample_rate,
            "channels": list(source.layout),
            "length": length,
            "gain_db": levels.gain_db,
            "residual_db": levels.residual_db,
        }

    def _pieces(self, source: Source) -> Iterator[_Piece]:
        return self._separated(source, self._survey(source))

    def _survey(self, source: Source) -> LevelSurvey:
        """The first pass: the exact length, the level, and every sample seen to be finite."""
        survey = LevelSurvey(self.spec, source.sample_rate, source.layout)
        reporter = self._reporter(Stage.MEASURE, source, source.length)
        for block in source.read():
            survey.push(block)
            reporter.advance(block.shape[-1])
        return survey

    def _separated(self, source: Source, survey: LevelSurvey) -> Iterator[_Piece]:
        """The second pass: the network runs, pieces come out beside their mixture."""
        chain = Chain(
            self.spec,
            lambda: flow_of(self._backend, self.plan, batch_size=self._runtime.batch_size),
            sample_rate=source.sample_rate,
            layout=source.layout,
            length=survey.length,
            levels=survey.levels(),
        )
        reporter = self._reporter(Stage.SEPARATE, source, survey.length)
        mixture = _Queue(len(source.layout))
        for block in source.read():
            mixture.put(block)
            yield self._piece(chain.push(block), mixture, reporter)
        yield self._piece(chain.finish(), mixture, reporter)
        if mixture.length:
            raise AudioError(
                f"{source.name} gave another length when it was read again; is it being written to?"
            )

    def _piece(self, estimates: Tensor, mixture: _Queue, reporter: Reporter) -> _Piece:
        original = mixture.take(estimates.shape[-1])
        stems = group(estimates, self._groups, self.spec.sources)
        if self._exact:
            stems = distribute_residual(stems, original)
            residual = original.double() - stems.double().sum(0)
        else:
            residual = original.double() - estimates.double().sum(0)
        reporter.advance(estimates.shape[-1])
        return _Piece(original, stems, residual)

    def _reporter(self, stage: Stage, source: Source, total: int | None) -> Reporter:
        return Reporter(stage, source.name, total, self._on_event, self._cancel)


class _Queue:
    """Samples that wait for their estimates."""

    def __init__(self, channels: int) -> None:
        self._blocks: deque[Tensor] = deque()
        self._empty = torch.zeros(channels, 0)
        self.length = 0

    def put(self, block: Tensor) -> None:
        self._blocks.append(block)
        self.length += block.shape[-1]

    def take(self, count: int) -> Tensor:
        taken = [self._empty]
        while count:
            block = self._blocks.popleft()
            if block.shape[-1] > count:
                self._blocks.appendleft(block[:, count:])
                block = block[:, :count]
            taken.append(block)
            count -= block.shape[-1]
            self.length -= block.shape[-1]
        return torch.cat(taken, -1)


def separate(
    recording: Audio | str | Path,
    model: str | Path = DEFAULT_MODEL,
    *,
    stems: Sequence[str] | None = None,
    overlap: float | None = None,
    shifts: int = 1,
    segment_seconds: float | None = None,
    seed: int = 0,
    sum: Literal["exact", "off"] = "off",  # noqa: A002 - the option's name everywhere
    device: str = "auto",
    threads: int | None = None,
    offline: bool = False,
    weights_folder: Path | None = None,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Estimates:
    """The stems of one recording; see `Separator` for the options and for separating many.

    Args:
        recording: A file, or samples with their rate; never changed.
        model: A model's name, or the path of a checkpoint.
        stems: As in `Separator`, like all that follows.
        overlap: Share of a segment that the next one covers again.
        shifts: Passes that are averaged.
        segment_seconds: Length given to the network at once.
        seed: Of the shifts.
        sum: "exact" or "off".
        device: Where the network runs.
        threads: Processor threads.
        offline: Never reach for the network.
        weights_folder: Looked into first for weights.
        on_event: Called with each event.
        cancel: Set it to stop.

    Returns:
        Estimates with the recording's own rate, channels and number of samples.

    Raises:
        UnbraidError: As `Separator` and its `separate` do.
    """
    with Separator(
        model,
        stems=stems,
        overlap=overlap,
        shifts=shifts,
        segment_seconds=segment_seconds,
        seed=seed,
        sum=sum,
        device=device,
        threads=threads,
        offline=offline,
        weights_folder=weights_folder,
        on_event=on_event,
        cancel=cancel,
    ) as separator:
        return separator.separate(recording)
