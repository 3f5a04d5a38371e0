"""One case, measured in this process: what it takes until the first answer, then each segment, and memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from unbraid.bench.backends import backend_for
from unbraid.bench.excerpt import excerpt
from unbraid.bench.operations import operations
from unbraid.bench.rtf import steady_timing
from unbraid.bench.untrained import untrained
from unbraid.engine.memory import device_peak_bytes, peak_bytes
from unbraid.engine.plan import Plan
from unbraid.engine.runtime import Runtime
from unbraid.metrics.ratios import snr
from unbraid.networks.base import parameter_count
from unbraid.zoo import catalog
from unbraid.zoo.load import network, resolve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from unbraid.bench.cases import Case, Subject
    from unbraid.spec import ModelSpec

REFERENCE_FILE = "reference.pt"  # in the folder that cases of one network share


@dataclass(frozen=True, slots=True)
class Measured:
    """What a case costs.

    Args:
        device: That it ran on.
        parameters: Of the network.
        segment_seconds: Audio that is given to the network at once.
        stride_seconds: Audio between the starts of two segments, with the overlap that the model has when it
            separates.
        load_seconds: Until the network was in memory.
        first_use_seconds: From there to the end of the first segment: what compiling takes is in it.
        run_seconds: The median over further segments.
        run_error: Its standard error, as a share of it.
        runs: How many further segments there were.
        peak_bytes: Of main memory, with Python, PyTorch and weights; None where the system does not tell.
        device_peak_bytes: Of the device's own memory; None if it has none.
        snr_db: How far below the reference's estimate the difference from it lies, of the source that differs
            most; None for the reference itself, and where that failed.
        operations: Of the network's products, for a segment; None where it is not the reference, which has
            counted them.
    """

    device: str
    parameters: int
    segment_seconds: float
    stride_seconds: float
    load_seconds: float
    first_use_seconds: float
    run_seconds: float
    run_error: float
    runs: int
    peak_bytes: int | None
    device_peak_bytes: int | None
    snr_db: float | None
    operations: int | None = None

    @property
    def rtf(self) -> float:
        """Processing time by audio time, overlap included; files and resampling are not."""
        return self.run_seconds / self.stride_seconds

    @property
    def gflop_per_second(self) -> float | None:
        """Billions of operations for a second of audio, overlap included."""
        return None if self.operations is None else self.operations / 1e9 / self.stride_seconds


@torch.inference_mode()
def measure(
    case: Case,
    folder: Path,
    *,
    most_seconds: float,
    on_progress: Callable[[float], None] = lambda _share: None,
) -> Measured:
    """Measure a case.

    Its peak memory is that of this whole process, so a process should measure one case and end.

    Args:
        case: What runs how.
        folder: That cases of one network share: the reference leaves its estimates there for the others.
        most_seconds: For segments after the first.
        on_progress: Told how much of that time is over, at most 1.

    Raises:
        UnbraidError: If the model, the backend or the device cannot do it.
    """
    began = time.perf_counter()
    loaded, overlap = _loaded(case.subject)
    spec: ModelSpec = loaded.spec  # type: ignore[assignment]  # every network of the zoo has one
    parameters, mixture = parameter_count(loaded), excerpt(spec)
    in_memory = time.perf_counter()
    backend = backend_for(loaded, spec, case)
    try:
        estimates = backend.run(mixture)
        first = time.perf_counter()
        found = steady_timing(lambda: backend.run(mixture), most_seconds=most_seconds, on_run=on_progress)
        device = Runtime(case.device).torch_device()
        peaks = peak_bytes(), device_peak_bytes(device)
        counted = operations(loaded, mixture.to(device)) if case.is_reference else None
    finally:
        backend.close()
    return Measured(
        device=str(device),
        parameters=parameters,
        segment_seconds=mixture.shape[-1] / spec.sample_rate,
        stride_seconds=Plan.for_spec(spec, overlap=overlap).stride / spec.sample_rate,
        load_seconds=in_memory - began,
        first_use_seconds=first - in_memory,
        run_seconds=found.seconds,
        run_error=found.error,
        runs=found.runs,
        peak_bytes=peaks[0],
        device_peak_bytes=peaks[1],
        snr_db=_agreement(case, folder / REFERENCE_FILE, estimates),
        operations=counted,
    )


def _loaded(subject: Subject) -> tuple[nn.Module, float]:
    """The network, and the overlap of segments that it separates with."""
    if subject.untrained:
        card = catalog.card(subject.model)
        return untrained(card), card.overlap
    found = resolve(subject.model, offline=True)
    return network(found), found.overlap


def _agreement(case: Case, path: Path, estimates: torch.Tensor) -> float | None:
    """SNR against the reference, once memory has been looked at; the reference leaves its estimates."""
    if not path.exists():
        if case.is_reference:
            torch.save(estimates.clone(), path)
        return None
    ratios = snr(torch.load(path)[0], estimates[0])
    told = ratios[~ratios.isnan()]  # of a silent source there is none
    return float(told.min()) if len(told) else None
