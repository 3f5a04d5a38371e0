"""`demucs.apply`: a model over tensors that are in memory.

Differs  the shifts are drawn from a seed, so that two runs agree, and the first pass is not shifted; a
         batch is worked through track by track; the result is in float32 whatever the mixture is in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from unbraid.cli import console
from unbraid.compat.demucs.models import BagOfModels, segment_of, spec_of
from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.blend import LeadIn
from unbraid.engine.plan import Plan
from unbraid.engine.runtime import Runtime
from unbraid.engine.stream import Stream
from unbraid.errors import ShapeError, UsageError
from unbraid.io.read import require_finite
from unbraid.progress import Reporter, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor, nn

    from unbraid.compat.demucs.models import Seconds
    from unbraid.engine.backends.base import Backend
    from unbraid.engine.stream import Flow
    from unbraid.spec import ModelSpec

    Callback = Callable[[dict[str, Any]], object]

__all__ = ["BagOfModels", "apply_model"]

_BLOCK = 1 << 16  # samples that go into a stream at once


def apply_model(  # noqa: PLR0917 - scripts give demucs' arguments by position, too
    model: nn.Module,
    mix: Tensor,
    shifts: int = 1,
    split: bool = True,
    overlap: float = 0.25,
    transition_power: float = 1.0,
    progress: bool = False,
    device: torch.device | str | None = None,
    num_workers: int = 0,  # noqa: ARG001 - torch's threads use every core already
    segment: Seconds | None = None,
    pool: object = None,  # noqa: ARG001 - as for num_workers
    lock: object = None,  # noqa: ARG001 - callbacks come from the caller's own thread, one at a time
    callback: Callback | None = None,
    callback_arg: Mapping[str, Any] | None = None,
) -> Tensor:
    """Estimates of whole mixtures.

    With `shifts` of 0 or 1 the numbers are those that demucs gives for `shifts=0`.

    Args:
        model: From `get_model`, or any network of this library.
        mix: `(B, C, T)`, or `(C, T)` for a batch of one; at the model's rate and at the level it expects.
        shifts: Passes over shifted segments that are averaged; the first is not shifted, the others by up to
            half a second, by the same amounts in each call.
        split: Cut the mixture into segments; otherwise the model is given all of it at once.
        overlap: Share of a segment that the next one covers again, from 0 to below 1.
        transition_power: Of the weights where segments overlap; there is only 1.
        progress: Show on the terminal how far it is.
        device: Where the model runs; None: where the mixture is.
        num_workers: Changes nothing.
        segment: Seconds given to the model at once; None: the model's own.
        pool: Changes nothing.
        lock: Changes nothing.
        callback: Called before and after each segment of each track with a dictionary of `model_idx_in_bag`,
            `shift_idx`, `segment_offset` (samples), `state` ("start" or "end") and `models` (how many).
            What it raises ends the work.
        callback_arg: More to put into the dictionary.

    Returns:
        `(B, S, C, T)` in float32, on the mixture's device.

    Raises:
        UsageError: If an argument does not fit the model.
        ShapeError: If the mixture has other axes or channels than the model takes.
        NonFiniteAudioError: If the mixture holds NaN or infinity.
        MachineError: If the device is missing, or memory runs out.
    """
    if transition_power != 1:
        raise UsageError(
            f"a transition_power of {transition_power:g} was asked for; here segments fade into each other "
            "in straight lines, which is transition_power=1"
        )
    bag = model if isinstance(model, BagOfModels) else BagOfModels([model])
    tracks = _tracks(mix, bag)
    cut = _Cut(split, overlap, segment, max(1, shifts))
    result = torch.zeros(len(tracks), len(bag.sources), *tracks.shape[1:])
    with console.display(quiet=not progress) as display:
        total = len(bag.models) * cut.passes * tracks.shape[0] * tracks.shape[-1]
        reporter = Reporter(Stage.SEPARATE, "mixture", total, display)
        for index, (part, share) in enumerate(zip(bag.models, bag.shares(), strict=True)):
            home = next(part.parameters(), tracks).device
            facts = {**(callback_arg or {}), "models": len(bag.models), "model_idx_in_bag": index}
            runtime = Runtime(str(mix.device if device is None else device))
            run = _Run(part.eval(), runtime, replace(cut, seed=index), reporter, callback, facts)
            for row, track in enumerate(tracks):
                result[row] += share[:, None, None] * run.over(track)
            part.to(home)
    return result.to(mix.device)


@dataclass(frozen=True, slots=True)
class _Cut:
    """How a mixture is cut, in demucs' terms.

    Args:
        split: Whether at all.
        overlap: Share of a segment.
        segment: Seconds; None: the model's own.
        passes: At least 1.
        seed: Of the shifts.
    """

    split: bool
    overlap: float
    segment: Seconds | None
    passes: int
    seed: int = 0

    def applied(self, model: nn.Module, length: int) -> tuple[ModelSpec, Plan]:
        """The plan under which a model hears what demucs would give it, and the spec that allows for it.

        A segment of demucs is a core of ours: what the network wants around it comes on top. It may be
        longer than those the network was trained on, unless the network takes one length only.
        """
        spec = spec_of(model)
        segment = int(spec.sample_rate * (segment_of(model) if self.segment is None else self.segment))
        max_shift = spec.sample_rate // 2 if self.passes > 1 else 0
        whole = length + max_shift
        if spec.fixed and (segment > spec.segment or (whole > segment and not self.split)):
            asked = segment if self.split else whole
            raise UsageError(
                f"{asked} samples at once were asked for, shifts included; this model takes at most "
                f"{min(segment, spec.segment)}: leave split on, and segment out"
            )
        core = segment if self.split or spec.fixed else whole
        plan = Plan(
            core + 2 * spec.context,
            int((1 - self.overlap) * core) if self.split else core,
            spec.context,
            shifts=self.passes,
            max_shift=max_shift,
            seed=self.seed,
        )
        return replace(spec, segment=plan.segment, longest=None), plan


@dataclass(frozen=True, slots=True)
class _Run:
    """One model over tracks, with all that is told on the way."""

    model: nn.Module
    runtime: Runtime
    cut: _Cut
    reporter: Reporter
    callback: Callback | None
    facts: Mapping[str, Any]

    def over(self, track: Tensor) -> Tensor:
        """Estimates of a track: `(C, T)` in, `(S, C, T)` out, the mean of all passes."""
        total = torch.zeros(len(spec_of(self.model).sources), *track.shape)
        if not track.shape[-1]:
            return total
        spec, plan = self.cut.applied(self.model, track.shape[-1])
        backend = EagerBackend(self.model, spec_of(self.model), self.runtime)
        for index, lead_in in enumerate(plan.lead_ins):
            told = _Told(backend, spec, plan.stride, self.callback, {**self.facts, "shift_idx": index})
            done = 0
            for estimates in _pieces(LeadIn(Stream(told, plan), lead_in), track):
                count = estimates.shape[-1]
                total[..., done : done + count] += estimates
                done += count
                self.reporter.advance(count)
        return total / len(plan.lead_ins)


class _Told:
    """A backend that tells which segment it begins and which it has ended.

    Args:
        backend: Does the work.
        spec: Lengths that it shall be given; where its network takes one length only, silence is put behind.
        stride: Samples between two segments.
        callback: Told.
        facts: What else it is told.
    """

    def __init__(
        self,
        backend: Backend,
        spec: ModelSpec,
        stride: int,
        callback: Callback | None,
        facts: Mapping[str, Any],
    ) -> None:
        self.spec = spec
        self._backend, self._stride, self._callback, self._facts = backend, stride, callback, facts
        self._offset = 0

    def prepare(self) -> None:
        """Prepare the backend."""
        self._backend.prepare()

    def run(self, batch: Tensor, /) -> Tensor:
        """As the backend does; a stream asks for one segment at a time, in order."""
        self._tell("start")
        length = batch.shape[-1]
        silence = self._backend.spec.accepted_length(length) - length
        estimates = self._backend.run(F.pad(batch, (0, silence)))[..., :length]
        self._tell("end")
        self._offset += self._stride
        return estimates

    def close(self) -> None:
        """Close the backend."""
        self._backend.close()

    def _tell(self, state: str) -> None:
        if self._callback:
            self._callback({**self._facts, "segment_offset": self._offset, "state": state})


def _pieces(flow: Flow, track: Tensor) -> Iterator[Tensor]:
    """The estimates of a track as they are finished."""
    for block in torch.split(track, _BLOCK, -1):
        yield flow.push(block)
    yield flow.finish()


def _tracks(mix: Tensor, bag: BagOfModels) -> Tensor:
    """The mixture as `(B, C, T)` on the CPU in float32, seen to be finite."""
    tracks = (mix[None] if mix.ndim == 2 else mix).detach().to("cpu", torch.float32)
    if tracks.ndim != 3 or tracks.shape[1] != bag.audio_channels:
        raise ShapeError(
            f"the mixture is {tuple(mix.shape)}; this model takes (batch, channels, time) with "
            f"{bag.audio_channels} channels"
        )
    for track in tracks:
        require_finite(track, "the mixture", offset=0, sample_rate=bag.samplerate)
    return tracks
