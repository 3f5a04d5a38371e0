"""The front door: `separate()` for one song, `Separator` for many.

The file is not called `separate`: importing it would put a module where `unbraid.separate` is a function.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from unbraid._version import __version__
from unbraid.config import unstructure
from unbraid.delivery import Delivery, Levels, Separation
from unbraid.dsp.channels import channel_groups
from unbraid.engine.pipeline import Behind
from unbraid.engine.plan import Plan
from unbraid.engine.runtime import Runtime, engine_of, precision_of
from unbraid.engine.two_passes import TwoPasses
from unbraid.errors import UsageError
from unbraid.estimates import Estimates
from unbraid.io.formats import OutputFormat
from unbraid.io.naming import Input, places, track_name
from unbraid.io.source import Source, source_of
from unbraid.lineup import Scored, Scout, groups_of
from unbraid.progress import OutputReady, Stage

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence

    from torch import nn
    from typing_extensions import Self

    from unbraid.audio import Audio
    from unbraid.io.naming import Places
    from unbraid.progress import Listener
    from unbraid.spec import ModelSpec

DEFAULT_MODEL = "htdemucs"
DEFAULT_TEMPLATE = "{model}/{track}/{stem}.{ext}"


class Separator:
    """A loaded model that separates as many recordings as you like.

    Args:
        model: The name of a model, an ensemble or a preset, the path of a checkpoint or of an ensemble's or a
            chain's TOML file, or a network of your own: a module in evaluation mode from `(B, C, T)` to
            `(B, S, C, T)` with a `spec: ModelSpec`.
        config: The file that describes the checkpoint at `model`, if it does not do so itself: a YAML file of
            Music-Source-Separation-Training, or one of UVR's tables; None: none.
        stems: Sources to keep; "rest" is all that is not named, "no_vocals" all but the vocals; of a chain,
            any signal that its steps make; None: each source.
        overlap: Share of a segment that the next one covers again; None: as the model was scored with.
        shifts: Passes over shifted segments that are averaged: better by a little, slower by as many times.
        segment_seconds: Length given to the network at once, up to its spec's limit; None: as suits it.
        seed: Of the shifts.
        fit: Leave out a last segment that reaches nothing new: up to a sixth of the time of a short song,
            and another answer in its last two seconds than the published programs give.
        sum: "exact": the residual is shared out so that the stems add up to the mixture; "off": estimates as
            the network gives them.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        threads: Processor threads; None: torch's own choice.
        backend: What runs the network's layers: "eager", "openvino", "onnx" or "compiled"; "auto": the
            fastest on this machine, which the first use of a model finds out.
        precision: "exact" (float32), "bfloat16", "float16" or "int8"; "auto": the fastest that costs at most
            0.02 dB of SDR.
        keep_pages: On Linux, keep freed memory in the process while the model is loaded: faster; a setting
            of the whole process, undone by `close`.
        memory_bytes: That the process may hold at most while a segment is separated; ways to run the network
            that take more are passed over. On Linux.
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
        model: str | Path | nn.Module = DEFAULT_MODEL,
        *,
        config: str | Path | None = None,
        stems: Sequence[str] | None = None,
        overlap: float | None = None,
        shifts: int = 1,
        segment_seconds: float | None = None,
        seed: int = 0,
        fit: bool = False,
        sum: Literal["exact", "off"] = "off",  # noqa: A002 - the option's name everywhere
        device: str = "auto",
        threads: int | None = None,
        backend: str = "auto",
        precision: str = "auto",
        keep_pages: bool = True,
        memory_bytes: int | None = None,
        offline: bool = False,
        weights_folder: Path | None = None,
        on_event: Listener | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        runtime = Runtime(
            device,
            threads,
            engine=engine_of(backend),
            precision=precision_of(precision),
            keep_pages=keep_pages,
            memory_bytes=memory_bytes,
        )
        runtime.torch_device()  # a missing device is said before weights are fetched
        self._on_event, self._cancel = on_event, cancel
        self._exact = sum == "exact"

        def plan(spec: ModelSpec, scored: Scored, alone: bool) -> Plan:
            return Plan.for_spec(
                spec,
                overlap=scored.overlap if overlap is None else overlap,
                window=scored.window,
                shifts=max(1, shifts),
                seed=seed,
                fit=fit,
                segment=None if segment_seconds is None else _samples(segment_seconds, spec, alone=alone),
            )

        scout = Scout(
            groups=lambda offer: groups_of(offer, stems, addable=self._exact),
            plan=plan,
            runtime=runtime,
            options={
                "offline": offline,
                "folder": weights_folder,
                "listener": on_event,
                "cancel": cancel,
            },
            config=config,
        )
        self._lineup = scout.find(model)
        self._runtime = runtime

    @property
    def name(self) -> str:
        """The model's."""
        return self._lineup.name

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of what comes out."""
        return tuple(self._lineup.groups)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the model."""
        self._lineup.close()

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
        nothing = torch.zeros(len(self.stems), len(source.layout), 0)
        stems = [piece.stems for piece in self._passes(source)]
        return Estimates(torch.cat([nothing, *stems], -1), self.stems, source.sample_rate)

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
        for piece in self._passes(source):
            yield Estimates(piece.stems, self.stems, source.sample_rate)

    def to_files(
        self,
        path: str | Path,
        template: str = DEFAULT_TEMPLATE,
        *,
        out: str | Path = "separated",
        format: OutputFormat | str = "wav",  # noqa: A002 - the option's name everywhere
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
            format: Of the stems: "flac", or an `OutputFormat` with bits or bit rate, too.
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
        wanted = _format(format)
        if self._exact and wanted.is_lossy:
            raise UsageError(
                f"stems in {wanted.name} cannot add up exactly; use wav or flac, or leave the sum off"
            )
        track = Input(path, parent)
        there = places(
            track, template, model=self.name, stems=self.stems, out=Path(out), suffix=wanted.suffix
        )
        if skip_existing and there.are_taken:
            return Separation(track_name(path), path, there.stems, there.sidecar, skipped=True)
        taken = [stem for stem in there.stems.values() if stem.exists()]
        if taken and not overwrite and not skip_existing:
            raise UsageError(f"{taken[0]} is there already; set overwrite or skip_existing to say what to do")
        source = source_of(path, start_seconds=start_seconds, duration_seconds=duration_seconds)
        assert source.info is not None  # noqa: S101 - this source is a file
        length, levels = self._write(source, there, wanted.resolved(source.info))
        for stem, place in there.stems.items():
            if self._on_event:
                self._on_event(OutputReady(source.name, stem, place))
        return Separation(
            source.name,
            path,
            there.stems,
            there.sidecar,
            sample_rate=source.sample_rate,
            length=length,
            elapsed_seconds=time.monotonic() - began,
            gain_db=levels.gain_db,
            residual_db=levels.residual_db,
            peaks=levels.peaks,
        )

    def _write(
        self,
        source: Source,
        there: Places,
        format: OutputFormat,  # noqa: A002
    ) -> tuple[int, Levels]:
        """Separate a source into files; its length and what became of the level are given back."""
        passes = self._passes(source)
        length = passes.survey().length
        with Delivery(there.stems, source, length=length, format=format, together=self._exact) as delivery:
            with Behind(delivery.push) as push:
                for piece in passes:
                    push(piece.stems, piece.mixture, piece.residual)
            levels = delivery.finish(passes.reporter(Stage.FINISH, length).advance)
            files = {stem: os.path.relpath(path, there.sidecar.parent) for stem, path in there.stems.items()}
            delivery.write_sidecar(there.sidecar, self._record(source, length, files, format, levels))
        return length, levels

    def _record(
        self,
        source: Source,
        length: int,
        files: Mapping[str, str],
        format: OutputFormat,  # noqa: A002
        levels: Levels,
    ) -> dict[str, Any]:
        """What the sidecar says: enough to make the same stems again."""
        return {
            "unbraid": __version__,
            "track": source.name,
            "input": source.info.path.name if source.info else None,
            "start_seconds": source.start_seconds,
            "model": self.name,
            **self._lineup.to_json(),
            "sum": "exact" if self._exact else "off",
            "device": str(self._runtime.torch_device()),
            "stems": {
                stem: {"file": files[stem], "sources": list(members), "peak": levels.peaks[stem]}
                for stem, members in self._lineup.groups.items()
            },
            "format": unstructure(format),
            "sample_rate": source.sample_rate,
            "channels": list(source.layout),
            "length": length,
            "gain_db": levels.gain_db,
            "residual_db": levels.residual_db,
        }

    def _passes(self, source: Source) -> TwoPasses:
        return TwoPasses(
            source,
            self._lineup.chain,
            self._lineup.groups,
            exact=self._exact,
            batch_size=self._runtime.batch,
            pace=self._lineup.pace(len(channel_groups(source.layout, 2))),
            listener=self._on_event,
            cancel=self._cancel,
        )


def _samples(segment_seconds: float, spec: ModelSpec, *, alone: bool) -> int:
    """A segment in samples; among several networks, those that take less are given what they take."""
    longest = spec.limit + 1 if alone else spec.limit  # one more is too long, whatever was asked for
    return int(min(segment_seconds * spec.sample_rate, longest))


def _format(wanted: OutputFormat | str) -> OutputFormat:
    """A format by its name, or itself."""
    return OutputFormat(wanted) if isinstance(wanted, str) else wanted


def separate(
    recording: Audio | str | Path,
    model: str | Path = DEFAULT_MODEL,
    *,
    config: str | Path | None = None,
    stems: Sequence[str] | None = None,
    overlap: float | None = None,
    shifts: int = 1,
    segment_seconds: float | None = None,
    seed: int = 0,
    fit: bool = False,
    sum: Literal["exact", "off"] = "off",  # noqa: A002 - the option's name everywhere
    device: str = "auto",
    threads: int | None = None,
    backend: str = "auto",
    precision: str = "auto",
    keep_pages: bool = True,
    memory_bytes: int | None = None,
    offline: bool = False,
    weights_folder: Path | None = None,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Estimates:
    """The stems of one recording; see `Separator` for the options and for separating many.

    Args:
        recording: A file, or samples with their rate; never changed.
        model: A name or a path, as in `Separator`.
        config: Describes the checkpoint at a path, as in `Separator`.
        stems: As in `Separator`, like all that follows.
        overlap: Share of a segment that the next one covers again.
        shifts: Passes that are averaged.
        segment_seconds: Length given to the network at once.
        seed: Of the shifts.
        fit: Whether a last segment that reaches nothing new is left out.
        sum: "exact" or "off".
        device: Where the network runs.
        threads: Processor threads.
        backend: What runs the network's layers.
        precision: In which numbers.
        keep_pages: Whether the process keeps freed memory meanwhile.
        memory_bytes: That the process may hold at most.
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
        config=config,
        stems=stems,
        overlap=overlap,
        shifts=shifts,
        segment_seconds=segment_seconds,
        seed=seed,
        fit=fit,
        sum=sum,
        device=device,
        threads=threads,
        backend=backend,
        precision=precision,
        keep_pages=keep_pages,
        memory_bytes=memory_bytes,
        offline=offline,
        weights_folder=weights_folder,
        on_event=on_event,
        cancel=cancel,
    ) as separator:
        return separator.separate(recording)
