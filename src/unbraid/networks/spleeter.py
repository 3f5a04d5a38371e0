"""Spleeter: a U-Net for each source, which looks at twelve seconds of magnitudes as at a picture.

Paper    Hennequin, Khlif, Voituret, Moussallam, "Spleeter: a fast and efficient music source separation tool
         with pre-trained models", JOSS 5(50), 2020; the U-Net is that of Jansson et al., "Singing voice
         separation with deep U-Net convolutional networks", ISMIR 2017.
Weights  parameter names are ours; published are TensorFlow's files, of all sources, and one of PyTorch for
         each of two.
Differs  the norm behind the deepest convolution, which the published checkpoints hold and nothing uses, is
         left out; the inverse transform divides by the sum of the squared windows, which is 3/2 wherever a
         sample counts, as the published factor of 2/3 does; in training nothing is dropped.

    mixture ─ STFT ─┬─ |X| ─ U-Nets ─ magnitudes ─ masks, or Wiener filter ─ inverse STFT ─ estimates
                    └──────────────────── X ───────────────┘

    x ─ down ─ down ─ … ─ bottom ─ … ─ up ─ up ─ output        each way down halves frames and bins
         └──── └──── skips ────────────┘    ┘

B batch · S source · C channel · T time · F bin · N frame
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.stft import Stft
from unbraid.dsp.wiener import WienerFilter
from unbraid.errors import ConfigError
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec
from unbraid.split import as_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from unbraid.split import Inner

# What is no property of the weights; the U-Nets are told nothing of it.
FREE_FIELDS = frozenset({"frames", "bins", "exponent", "extension", "wiener_iters"})
# Least and greatest: far beyond the published models, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[float, float]] = {
    "audio_channels": (1, 64),
    "sample_rate": (1, 768_000),
    "n_fft": (4, 65536),
    "hop_length": (1, 32768),
    "frames": (4, 65536),
    "bins": (4, 32768),
    "exponent": (1, 8),
    "wiener_iters": (0, 100),
}
_MOST_LEVELS, _MOST_CHANNELS = 10, 16384
_LOOKS = 2  # of the U-Nets in the core of a segment: four save a fiftieth of the time, and take more memory
_FILTERED_LOOKS = 4  # where a filter takes what it knows from all of a segment's frames
_LONGEST = 3600  # seconds that may be read at once; the published program takes a whole track
_KERNEL, _STRIDE = 5, 2
_EPS = 1e-10  # what keeps silence from dividing by 0; as published
_WIENER_EPS = torch.finfo(
    torch.float32
).eps  # as the published filter finds it in the precision of the mixture
_NORM_EPS = 1e-3  # the default of the published program's library


class Activation(str, Enum):
    """What makes a convolution's answer non-linear."""

    LEAKY = "leaky"  # a fifth below zero
    RELU = "relu"
    ELU = "elu"


class Extension(str, Enum):
    """What a mask is above the bins that the network sees."""

    ZEROS = "zeros"  # nothing passes
    AVERAGE = "average"  # the mean of the mask below


_ACTIVATIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    Activation.LEAKY: partial(F.leaky_relu, negative_slope=0.2),
    Activation.RELU: F.relu,
    Activation.ELU: F.elu,
}


@dataclass(frozen=True, slots=True)
class Config:
    """What a Spleeter is made from; the defaults are the published one of two sources.

    The others have more sources and ELUs both ways, and that of five sources a softmax. Any of them hears up
    to 16 kHz with 1536 bins.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        n_fft: Samples of an STFT frame.
        hop_length: Samples between the starts of two frames.
        frames: That a U-Net looks at together.
        bins: That it looks at, from the lowest.
        widths: Channels of each convolution on the way down, which halves frames and bins.
        encoder: Activation on the way down.
        decoder: Activation on the way up.
        softmax: True: the U-Nets share out each bin among the sources. False: each takes what it hears.
        exponent: Power of the magnitudes that masks are in proportion to.
        extension: What masks are above the bins.
        wiener_iters: Rounds of a Wiener filter over all frames in the place of masks; 0: masks. The filter
            leaves nothing above the bins.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("vocals", "accompaniment")
    audio_channels: int = 2
    sample_rate: int = 44100
    n_fft: int = 4096
    hop_length: int = 1024
    frames: int = 512
    bins: int = 1024
    widths: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    encoder: Activation = Activation.LEAKY
    decoder: Activation = Activation.RELU
    softmax: bool = False
    exponent: float = 2.0
    extension: Extension = Extension.ZEROS
    wiener_iters: int = 0

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._contradictions()
        if found:
            raise ConfigError(f"this makes no Spleeter: {'; '.join(found)}")
        Stft(self.n_fft, self.hop_length)  # which knows what it takes

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        levels = len(self.widths)
        faults = {
            f"widths must be 2 to {_MOST_LEVELS} numbers from 1 to {_MOST_CHANNELS}": not 2
            <= levels
            <= _MOST_LEVELS
            or not 1 <= min(self.widths) <= max(self.widths) <= _MOST_CHANNELS,
            "frames and bins must be halved evenly by each width": self.frames % 2**levels
            or self.bins % 2**levels,
            "bins must be at most n_fft / 2": self.bins > self.n_fft // 2,
            "frames must reach further than a single one": self.frames * self.hop_length <= self.n_fft,
        }
        return [rule for rule, broken in faults.items() if broken]

    @property
    def look(self) -> int:
        """Samples from one look of the U-Nets to the next."""
        return self.frames * self.hop_length


class Norm(nn.Module):
    """Scales and shifts each channel, by learned factors and by stored statistics; in training, too.

    The published program never measured a batch: the statistics of its weights are a mean of 0 and a
    variance of 1.

    Args:
        channels: Of the signal.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Signals `(B, C, N, F)`, same shape."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=_NORM_EPS)


class Down(nn.Module):
    """Halves frames and bins.

    Args:
        source: Channels that come in.
        target: Channels that go out.
        activation: Behind the norm.
    """

    def __init__(self, source: int, target: int, activation: Activation) -> None:
        super().__init__()
        self.conv = _halving(source, target)
        self.norm = Norm(target)
        self.activation = activation

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """From `(B, C, N, F)` what the way up gets, and what the next level does, both halved."""
        skip = _halved(self.conv, x)
        return skip, _ACTIVATIONS[self.activation](self.norm(skip))


class Up(nn.Module):
    """Doubles frames and bins.

    Args:
        source: Channels that come in.
        target: Channels that go out.
        activation: Before the norm.
    """

    def __init__(self, source: int, target: int, activation: Activation) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(source, target, _KERNEL, _STRIDE, padding=1)
        self.norm = Norm(target)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """From `(B, C, N, F)` to `(B, C, 2N, 2F)`."""
        normed: Tensor = self.norm(_ACTIVATIONS[self.activation](self._doubled(x)))
        return normed

    def _doubled(self, x: Tensor) -> Tensor:
        """The transposed convolution; of the 2n + 3 that it reaches, one is dropped before, two behind.

        A single channel comes out at a third of the time from an ordinary convolution with a channel for each
        of the four places that a bin becomes; to an even place come taps 3 and 1, to an odd one 4, 2 and 0::

            x        m − 1   m   m + 1
            place 2m     3   1   none
            2m + 1       4   2   0
        """
        if self.conv.out_channels > 1 or as_graph():
            doubled: Tensor = self.conv(x)[..., :-1, :-1]
            return doubled
        bias = cast("Tensor", self.conv.bias).expand(4)
        taps = torch.tensor([[3, 1, 5], [4, 2, 0]], device=x.device)
        weight = F.pad(self.conv.weight[:, 0], (0, 1, 0, 1))[:, taps][..., taps]  # (C, 2, 3, 2, 3)
        places = weight.permute(1, 3, 0, 2, 4).flatten(0, 1)  # (4, C, 3, 3)
        return F.pixel_shuffle(F.conv2d(x, places, bias, padding=1), 2)


class UNet(nn.Module):
    """How much of each bin one source has, as logits.

    Args:
        config: Sizes and activations.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = config.widths
        self.down = nn.ModuleList(
            Down(source, target, config.encoder)
            for source, target in itertools.pairwise([config.audio_channels, *widths[:-1]])
        )
        self.bottom = _halving(widths[-2], widths[-1])
        rising = [widths[-1], *(2 * width for width in reversed(widths[:-1]))]
        self.up = nn.ModuleList(
            Up(source, target, config.decoder)
            for source, target in zip(rising, [*reversed(widths[:-1]), 1], strict=True)
        )
        self.output = nn.Conv2d(1, config.audio_channels, 4, dilation=2, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """From magnitudes `(B, C, N, F)` to logits of the same shape."""
        skips = []
        for level in self.down:
            skip, x = level(x)
            skips.append(skip)
        x = self.up[0](_halved(self.bottom, x))
        for level in self.up[1:]:
            x = level(torch.cat([skips.pop(), x], dim=1))
        logits: Tensor = self.output(x)
        return logits


class Spleeter(nn.Module):
    """Separates a mixture into its sources, by masks for the lower part of its spectrogram.

    Takes mixtures of any length; the U-Nets look at one piece of it after the other. A segment holds whole
    looks, those at its edges for the sake of their neighbours::

        |   look    |   look    |   look    |   look    |
        |  context  |         core          |  context  |

    So the U-Nets look at the pieces of the track that the published program looks at, and with an overlap of
    0 its answer for the whole track comes out of segments, too.

    Args:
        config: Sizes and sources; None: those of the published model of two sources.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        config = config or Config()
        self.config = config
        segment = ((_FILTERED_LOOKS if config.wiener_iters else _LOOKS) + 2) * config.look
        self.spec = ModelSpec(
            sources=config.sources,
            sample_rate=config.sample_rate,
            channels=config.audio_channels,
            segment=segment,
            context=config.look,
            silent=True,
            half=True,  # benchmarks/precision.json
            longest=max(segment, _LONGEST * config.sample_rate),
        )
        self.stft = Stft(config.n_fft, config.hop_length, centred=False)
        self.stems = nn.ModuleList(UNet(config) for _ in config.sources)
        self._begin()

    def _begin(self) -> None:
        """First weights as the published training draws them."""
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1 and not parameter.is_meta:
                nn.init.kaiming_uniform_(parameter, nonlinearity="relu")
            elif name.endswith("bias") and not parameter.is_meta:
                nn.init.zeros_(parameter)

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of the sources.

        Args:
            mixture: `(B, C, T)`.

        Returns:
            `(B, S, C, T)`.

        Raises:
            ShapeError: If the mixture has another number of axes or channels, or no samples.
        """
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """Estimates, with the U-Nets run by `inner`; spectra and masks are made here."""
        return self._estimates(inner, mixture, edge=0)

    def spared(self, inner: Inner, mixture: Tensor) -> Tensor:
        """As `around`, without looks that only `spec.context` samples at each edge would be heard of."""
        # A Wiener filter takes what it knows from all frames.
        return self._estimates(inner, mixture, edge=0 if self.config.wiener_iters else self.spec.context)

    def _estimates(self, inner: Inner, mixture: Tensor, *, edge: int) -> Tensor:
        hop, n_fft = self.config.hop_length, self.config.n_fft
        require_mixture(mixture, "Spleeter", self.config.audio_channels)
        first, last, looked = self._frames(edge, mixture.shape[-1])
        # Half precision is for the U-Nets' layers; spectra and masks need more.
        precise = mixture.to(torch.promote_types(mixture.dtype, torch.float32))
        spectrum = self._spectrum(precise, first, looked)
        magnitudes = self.magnitudes(spectrum[..., : self.config.bins].abs(), inner)
        separated = self._filtered if self.config.wiener_iters else self._masked
        estimates = mixture.new_zeros(len(mixture), len(self.stems), *mixture.shape[1:])
        heard = estimates[..., first * hop : (last - 1) * hop]
        # One by one: spectra of all sources at once would be the most memory there is.
        for source, spectra in enumerate(
            separated(magnitudes[..., : last - first, :], spectrum[..., : last - first, :])
        ):
            heard[:, source] = self.stft.inverse(spectra.mT, n_fft + heard.shape[-1])[..., n_fft:]
        return estimates

    def _frames(self, edge: int, length: int) -> tuple[int, int, int]:
        """Frames that reach all samples but so many at each edge, from the first of a look on.

        Frame n reaches samples from n · hop − n_fft to n · hop.

        Returns:
            The first, the last plus one, and the last plus one that is looked at with them.
        """
        n_fft, hop, frames = self.config.n_fft, self.config.hop_length, self.config.frames
        first = (edge // hop + 1) // frames * frames if edge else 0
        last = -(-(length - edge + n_fft) // hop)
        return first, last, min(-(-last // frames) * frames, -(-(length + n_fft) // hop))

    def _spectrum(self, mixture: Tensor, first: int, last: int) -> Tensor:
        """Complex, `(B, C, N, F)`: some frames of a frame of silence and then the mixture.

        Frames are not centred, and the last of all is full, with zeros if need be::

        |  silence  |  mixture        |  zeros |
        [  frame 0  ]
           [  frame 1  ]            [ last frame ]
        """
        n_fft, hop = self.config.n_fft, self.config.hop_length
        left, right = first * hop - n_fft, (last - 1) * hop
        heard = mixture[..., max(0, left) : max(0, right)]
        return self.stft(F.pad(heard, (max(0, -left), max(0, right - mixture.shape[-1])))).mT

    def magnitudes(self, mixture: Tensor, inner: Inner | None = None) -> Tensor:
        """Magnitudes of the sources, as the U-Nets hear them: the network without its transforms.

        Args:
            mixture: Magnitudes, `(B, C, N, F)`, of as many bins as the configuration says.
            inner: Runs the U-Nets; None: they run here.

        Returns:
            `(B, S, C, N, F)`, in the precision of the mixture.
        """
        frames, count = self.config.frames, mixture.shape[-2]
        padded = F.pad(mixture, (0, 0, 0, -count % frames))
        heard = [
            self._shares(inner or self.inner, piece) * piece.unsqueeze(1)
            for piece in torch.split(padded, frames, dim=-2)
        ]
        return torch.cat(heard, dim=-2)[..., :count, :]

    def _shares(self, inner: Inner, piece: Tensor) -> Tensor:
        """What part of each bin a source has, `(B, S, C, frames, F)`, in a piece `(B, C, frames, F)`."""
        if not piece.any():  # of nothing any part is nothing
            return piece.unsqueeze(1).expand(-1, len(self.stems), -1, -1, -1)
        logits = inner(piece.to(next(self.parameters()).dtype))[0].to(piece.dtype)
        return logits.softmax(1) if self.config.softmax else logits.sigmoid()

    def inner(self, piece: Tensor) -> tuple[Tensor]:
        """Logits of all sources `(B, S, C, N, F)`, from one look's magnitudes `(B, C, N, F)`."""
        return (torch.stack([stem(piece) for stem in self.stems], dim=1),)

    def _masked(self, magnitudes: Tensor, mixture: Tensor) -> Iterator[Tensor]:
        """For each source `(B, C, N, F)`, from magnitudes of the lower bins and the mixture's spectrum."""
        powers = magnitudes.pow(self.config.exponent)
        total = powers.sum(1) + _EPS
        above = mixture.shape[-1] - magnitudes.shape[-1]
        for power in powers.unbind(1):
            mask = (power + _EPS / len(self.config.sources)) / total
            if self.config.extension is Extension.ZEROS:
                yield F.pad(mask * mixture[..., :-above], (0, above))
            else:
                average = mask.mean(-1, keepdim=True).expand(*mask.shape[:-1], above)
                yield torch.cat([mask, average], -1) * mixture

    def _filtered(self, magnitudes: Tensor, mixture: Tensor) -> Iterator[Tensor]:
        """As `_masked`, by what the channels have in common."""
        wiener = WienerFilter(self.config.wiener_iters, softmask=True, eps=_WIENER_EPS)
        extended = F.pad(magnitudes, (0, mixture.shape[-1] - magnitudes.shape[-1]))
        yield from wiener(extended.mT, mixture.mT).mT.unbind(1)


def _halving(source: int, target: int) -> nn.Conv2d:
    return nn.Conv2d(source, target, _KERNEL, _STRIDE)


def _halved(conv: nn.Module, x: Tensor) -> Tensor:
    """A strided convolution of `(B, C, N, F)`; where its kernel reaches beyond the edges stand zeros.

    They are three: the published library puts one before, two behind.
    """
    halved: Tensor = conv(F.pad(x, (1, 2, 1, 2)))
    return halved
