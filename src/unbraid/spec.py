"""ModelSpec: what a network says of itself; all the engine ever knows about it."""

from __future__ import annotations

from dataclasses import dataclass

from unbraid.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Ladder:
    """Lengths that unpadded strided convolutions take without a remainder, and transposed ones give back.

    Args:
        kernel: Of each convolution.
        stride: Of each convolution.
        depth: How many follow each other.
        oversampling: Factor by which the network raises the sample rate first.
        least: Steps that must be left at the bottom.

    Raises:
        ConfigError: If a number is below 1, or the strides would skip samples.

    Source: Défossez et al., "Music source separation in the waveform domain", 2019 (`valid_length` of the
    published code, less its context, which is the spec's own).
    """

    kernel: int
    stride: int
    depth: int
    oversampling: int = 1
    least: int = 1

    def __post_init__(self) -> None:
        if min(self.kernel, self.stride, self.depth, self.oversampling, self.least) < 1:
            raise ConfigError(f"a ladder has a number below 1: {self}")
        if self.stride > self.kernel:
            raise ConfigError(f"a stride of {self.stride} skips samples with a kernel of {self.kernel}")

    def accepted_length(self, length: int) -> int:
        """The shortest length without remainder that is at least `length` samples.

        >>> Ladder(kernel=8, stride=4, depth=6, oversampling=2).accepted_length(441_000)
        441002
        """
        steps = length * self.oversampling
        for _ in range(self.depth):
            steps = max(1, -(-(steps - self.kernel) // self.stride) + 1)
        steps = max(self.least, steps)
        for _ in range(self.depth):
            steps = (steps - 1) * self.stride + self.kernel
        return -(-steps // self.oversampling)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a network says of itself; all the engine ever knows about it.

    Args:
        sources: Names of the sources, in the order of the network's output.
        sample_rate: In Hz; audio of another rate is resampled on the way in and back on the way out.
        channels: How many channels the network takes at once.
        segment: Samples it was trained on, or is usually given at once.
        multiple: Accepted lengths are multiples of this.
        fixed: True: it takes exactly `segment` samples, nothing else.
        context: Samples at each edge that are computed but not trusted.
        lookahead: Future samples needed; None: the whole segment.
        levelled: True: it expects the whole track's mono mean taken off and its mono deviation divided
            out, and gives estimates at that level.
        ladder: Accepted lengths, where they are not the multiples of a number.
        longest: Samples it may be given at once at most; None: `segment`.
        half: Whether bfloat16 in its layers costs at most 0.02 dB of any stem's SDR, in the mean over songs.
        silent: Whether it makes exact silence of exact silence.

    Raises:
        ConfigError: If a number is out of range or a source stands twice.
    """

    sources: tuple[str, ...]
    sample_rate: int
    channels: int
    segment: int
    multiple: int = 1
    fixed: bool = False
    context: int = 0
    lookahead: int | None = None
    levelled: bool = False
    ladder: Ladder | None = None
    longest: int | None = None
    half: bool = False
    silent: bool = False

    def __post_init__(self) -> None:
        if not self.sources or len(set(self.sources)) != len(self.sources):
            raise ConfigError(f"a model's sources are {self.sources}; there must be some, each once")
        for name in ("sample_rate", "channels", "segment", "multiple"):
            if getattr(self, name) < 1:
                raise ConfigError(f"a model's {name} is {getattr(self, name)}; it must be at least 1")
        if self.context < 0 or 2 * self.context >= self.segment:
            raise ConfigError(
                f"a context of {self.context} samples at each edge leaves nothing of a segment "
                f"of {self.segment} samples"
            )
        if self.limit < self.segment or (self.fixed and self.limit > self.segment):
            raise ConfigError(
                f"a model may be given {self.limit} samples at once, but usually is given {self.segment}"
                f"{' and nothing else' if self.fixed else ''}"
            )

    @property
    def limit(self) -> int:
        """Samples it may be given at once at most."""
        return self.segment if self.longest is None else self.longest

    def accepted_length(self, length: int) -> int:
        """The shortest length the network takes that is at least `length` samples.

        >>> ModelSpec(("a",), 44100, 2, segment=1000, multiple=8).accepted_length(13)
        16
        """
        if self.fixed:
            return max(self.segment, length)
        if self.ladder is not None:
            return self.ladder.accepted_length(length)
        return -(-length // self.multiple) * self.multiple
