"""Survey: what must be known of a recording before it is separated, and the passes that find it out.

The first pass hears the recording itself. Where a chain wants its later networks levelled by what they hear,
that has to be made first: then each further pass takes the steps whose levels are known by now, and measures
what the next networks hear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid.dsp.channels import channel_groups, widen
from unbraid.engine.normalize import NO_CHANGE, Level, LevelMeter
from unbraid.engine.order import MIXTURE
from unbraid.io.resample import Resampler

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from unbraid.engine.chain import Chain
    from unbraid.engine.ensemble import Part
    from unbraid.engine.stream import Flow
    from unbraid.spec import ModelSpec

    Hearing = tuple[int, int]


class LevelSurvey:
    """The level of each group of channels of one signal, for a levelled network.

    Args:
        spec: What the network says of itself.
        sample_rate: The signal's, in Hz.
        layout: A speaker's name for each of its channels.
    """

    def __init__(self, spec: ModelSpec, sample_rate: int, layout: Sequence[str]) -> None:
        self._spec = spec
        self._groups = channel_groups(layout, spec.channels)
        self._meters = [LevelMeter() for _ in self._groups]
        self._resamplers = [Resampler(sample_rate, spec.sample_rate, spec.channels) for _ in self._groups]

    def push(self, block: Tensor) -> None:
        """Take in `(channels, n)` of the signal."""
        for group, meter, resampler in zip(self._groups, self._meters, self._resamplers, strict=True):
            meter.push(resampler.push(widen(block[list(group)], self._spec.channels)))

    def levels(self) -> list[Level]:
        """A level for each group; to be asked once, at the end."""
        for meter, resampler in zip(self._meters, self._resamplers, strict=True):
            meter.push(resampler.finish())
        return [meter.level() for meter in self._meters]


class Measurement:
    """One pass over a recording.

    Args:
        flow: Makes the signals that are measured of the recording.
        surveys: What each of these signals goes through, by name, in the flow's order.
    """

    def __init__(self, flow: Flow, surveys: Mapping[str, Mapping[Hearing, LevelSurvey]]) -> None:
        self.length = 0
        self._flow, self._surveys = flow, surveys

    def push(self, block: Tensor) -> None:
        """Take in `(channels, n)` of the recording."""
        self.length += block.shape[-1]
        self._hear(self._flow.push(block))

    def finish(self) -> dict[tuple[str, Hearing], list[Level]]:
        """What was found, by signal and what hears it."""
        self._hear(self._flow.finish())
        return {
            (signal, hearing): survey.levels()
            for signal, surveys in self._surveys.items()
            for hearing, survey in surveys.items()
        }

    def _hear(self, signals: Tensor) -> None:
        for signal, surveys in zip(signals, self._surveys.values(), strict=True):
            for survey in surveys.values():
                survey.push(signal)


class Survey:
    """What is known of a recording, once all passes over it are made.

    Args:
        chain: Whose networks.
        sample_rate: The recording's, in Hz.
        layout: A speaker's name for each of its channels.
    """

    def __init__(self, chain: Chain, sample_rate: int, layout: Sequence[str]) -> None:
        self.sample_rate, self.layout = sample_rate, layout
        self.length = 0  # samples of the recording
        self._chain = chain
        self._levels: dict[tuple[str, Hearing], list[Level]] = {}

    def passes(self, *, batch_size: int = 1) -> Iterator[Measurement]:
        """The passes to make, in order; each takes all blocks of the recording before the next is asked for.

        Args:
            batch_size: Segments given to a backend at once.
        """
        for heard in self._chain.rounds():
            surveys = {
                signal: {
                    _hearing(part): LevelSurvey(part.backend.spec, self.sample_rate, self.layout)
                    for part in parts
                }
                for signal, parts in heard.items()
            }
            flow = self._chain.flow(self, tuple(heard), batch_size=batch_size)
            measurement = Measurement(flow, surveys)
            yield measurement
            self._levels |= measurement.finish()
            self.length = measurement.length

    def levels(self, signal: str, part: Part) -> list[Level]:
        """What a part hears, as a level for each group of channels.

        Args:
            signal: What it hears; measured by itself, or else known by the mixture's level.
            part: Who hears it.
        """
        spec, hearing = part.backend.spec, _hearing(part)
        if not spec.levelled:
            return [NO_CHANGE] * len(channel_groups(self.layout, spec.channels))
        if (signal, hearing) in self._levels:
            return self._levels[signal, hearing]
        # Of the mixture, only how loud it is: its mean is no later signal's.
        return [Level(0.0, level.deviation) for level in self._levels[MIXTURE, hearing]]


def _hearing(part: Part) -> Hearing:
    """All of a network that matters to its level; parts that hear alike share a survey."""
    return part.backend.spec.sample_rate, part.backend.spec.channels
