"""Hybrid Demucs: a spectrogram U-Net and a waveform U-Net that share their deepest levels.

Paper    Défossez, "Hybrid spectrogram and waveform source separation", MDX workshop 2021.
Weights  parameter names are those of the published checkpoints.
Differs  the waveform's stride where the branches meet follows from n_fft, so that frames of 2048 fit, too;
         the first published models have a late spectrogram, which is kept for their weights (`hybrid_old`).

    mixture ─┬─ STFT ── encoder ×4 ──┐                        ┌── decoder ×4 ── inverse STFT ─┐
             │                       ├─ encoder, decoder ×2 ──┤                               ├─ + ─ estimates
             └──────── tencoder ×5 ──┘                        └── tdecoder ×5 ────────────────┘

B batch · S source · C channel · T time · F bin · N frame
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from unbraid.dsp.wiener import WienerFilter
from unbraid.errors import ConfigError
from unbraid.networks.layers.dconv import DConv, rescale_convolutions
from unbraid.networks.layers.frequency_bands import (
    BandedDecoder,
    BandedEncoder,
    decoder_bands,
    encoder_bands,
)
from unbraid.networks.layers.frequency_embedding import FrequencyEmbedding
from unbraid.networks.layers.hybrid_levels import Decoder, Down, Encoder, Level, Up
from unbraid.networks.layers.hybrid_spectrum import HopSpectrum, separate_in_both
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from unbraid.split import Inner

# Least and greatest: far beyond the published models, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[float, float]] = {
    "audio_channels": (1, 64),
    "sample_rate": (1, 768_000),
    "segment": (0, 600),
    "n_fft": (16, 65536),
    "wiener_iters": (-1, 100),
    "end_iters": (-1, 100),
    "channels": (1, 4096),
    "growth": (1, 8),
    "depth": (2, 10),
    "kernel_size": (4, 128),
    "stride": (2, 64),
    "time_stride": (2, 64),
    "multi_freqs_depth": (0, 10),
    "norm_starts": (1, 1000),
    "norm_groups": (1, 4096),
    "dconv_mode": (0, 3),
    "dconv_depth": (0, 16),
    "dconv_comp": (1, 4096),
    "dconv_attn": (0, 1000),
    "dconv_lstm": (0, 1000),
    "dconv_init": (0, 1),
    "freq_emb": (0, 100),
    "rescale": (1e-6, 100),
}
_MOST_CHANNELS = 65536
_MOST_BANDS = 8
_HEADS = 4  # of the local attention
_WINDOW = 300  # frames that the Wiener filter of the published code takes together


@dataclass(frozen=True, slots=True)
class Config:
    """What a Hybrid Demucs is made from; the defaults are the published model trained on most songs.

    Levels are counted from 0, the outermost.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        segment: The longest it should be given, in seconds; exact.
        n_fft: Samples of an STFT frame; the hop is a quarter of it.
        cac: True: the spectrogram is complex, its parts as channels. False: magnitudes, which come back at
            the mixture's phase.
        wiener_iters: In evaluation, rounds of the Wiener filter that follows magnitudes; 0: they only get the
            mixture's phase; -1: the same, but fading out where the mixture is below 1e-8.
        end_iters: The same in training.
        wiener_residual: True: what the magnitudes leave of the mixture is one more source to the filter.
        hybrid_old: True: the spectrogram has zeros beyond its edges and its estimates come late.
        channels: Of the first encoders.
        growth: Factor of the channels from one level to the next.
        depth: Levels, those of the spectrogram and the shared ones.
        kernel_size: Of the strided convolutions; twice the stride.
        stride: By which each level shortens frequency, or time.
        time_stride: By which each shared level below the one where branches meet shortens time.
        multi_freqs: Where frequency is cut into bands with weights of their own, as parts of the whole.
        multi_freqs_depth: How many of the outermost spectral levels have such bands; 0 where there are none.
        norm_starts: First level with norms.
        norm_groups: Of each norm.
        dconv_mode: 1: encoders have residual branches; 2: decoders do; 3: both.
        dconv_depth: Layers of a residual branch.
        dconv_comp: Factor by which the branch narrows its channels.
        dconv_attn: First level whose branches have local attention.
        dconv_lstm: First level whose branches have a recurrence.
        dconv_init: First gain of a branch's layers.
        freq_emb: Gain of the frequency embedding; 0: there is none.
        rescale: Deviation that the first convolution weights are drawn towards.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("drums", "bass", "other", "vocals")
    audio_channels: int = 2
    sample_rate: int = 44100
    segment: Fraction = Fraction(40)
    n_fft: int = 4096
    cac: bool = True
    wiener_iters: int = 0
    end_iters: int = 0
    wiener_residual: bool = False
    hybrid_old: bool = False
    channels: int = 48
    growth: int = 2
    depth: int = 6
    kernel_size: int = 8
    stride: int = 4
    time_stride: int = 2
    multi_freqs: tuple[float, ...] = ()
    multi_freqs_depth: int = 2
    norm_starts: int = 4
    norm_groups: int = 4
    dconv_mode: int = 1
    dconv_depth: int = 2
    dconv_comp: int = 4
    dconv_attn: int = 4
    dconv_lstm: int = 4
    dconv_init: float = 1e-3
    freq_emb: float = 0.2
    rescale: float = 0.1

    def __post_init__(self) -> None:
        # Packages state a depth of no bands, and filters of no magnitudes; equal networks are to have equal
        # configurations.
        if not self.multi_freqs:
            object.__setattr__(self, "multi_freqs_depth", 0)
        if self.cac:
            object.__setattr__(self, "wiener_iters", 0)
            object.__setattr__(self, "end_iters", 0)
        if max(self.wiener_iters, self.end_iters) <= 0:
            object.__setattr__(self, "wiener_residual", False)
        found = out_of_range(self, self.sources, _RANGES) or self._contradictions()
        if found:
            raise ConfigError(f"this makes no Hybrid Demucs: {'; '.join(found)}")

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        faults = {
            "channels must be at least dconv_comp": self.channels < self.dconv_comp,
            f"the deepest level must have at most {_MOST_CHANNELS} channels": self.widths[-1]
            > _MOST_CHANNELS,
            "stride and time_stride must be even and kernel_size twice the stride": self.stride % 2 != 0
            or self.time_stride % 2 != 0
            or self.kernel_size != 2 * self.stride,
            "n_fft must leave more than kernel_size bins at first, and a multiple of 4 of them where the "
            "branches meet": self.meeting == 0
            or self.n_fft % (2 * self.stride**self.meeting) != 0
            or self.bins_at(self.meeting) % 4 != 0,
            f"depth must be more than {self.meeting}, for a single bin is left behind that level": self.depth
            <= self.meeting,
            "channels from one level above the norms on must be multiples of norm_groups": any(
                width % self.norm_groups for width in self._normed_widths
            ),
            f"channels of branches with attention must be multiples of {_HEADS}": any(
                width // self.dconv_comp % _HEADS for width in self.widths[self.dconv_attn :]
            ),
        }
        return [rule for rule, broken in faults.items() if broken] or self._contradictory_bands()

    def _contradictory_bands(self) -> list[str]:
        """Which rules of the bands are broken."""
        if not self.multi_freqs:
            return []
        if len(self.multi_freqs) > _MOST_BANDS or not all(0 < ratio < 1 for ratio in self.multi_freqs):
            return [f"multi_freqs must be at most {_MOST_BANDS} numbers between 0 and 1"]
        if not 1 <= self.multi_freqs_depth <= min(self.meeting, self.norm_starts):
            return ["multi_freqs_depth must be 1 or more and end before norms start and the branches meet"]
        bands = [
            band
            for level in range(self.multi_freqs_depth)
            for band in (
                *encoder_bands(self.multi_freqs, self.bins_at(level), self.stride),
                *decoder_bands(self.multi_freqs, self.bins_at(level + 1)),
            )
        ]
        if any(band.start >= band.stop for band in bands):
            return ["multi_freqs must rise and leave each band at least one bin"]
        return []

    @property
    def widths(self) -> list[int]:
        """Channels of each level."""
        return [self.channels * int(self.growth**level) for level in range(self.depth)]

    @property
    def _normed_widths(self) -> list[int]:
        """Channels that norms see; a decoder's second norm sees those of the level above."""
        return self.widths[self.norm_starts - 1 :] if self.norm_starts < self.depth else []

    @property
    def meeting(self) -> int:
        """The level where a single bin is left and the branches meet."""
        level = 0
        while self.bins_at(level) > self.kernel_size:
            level += 1
        return level

    def bins_at(self, level: int) -> int:
        """Bins that a level's encoder sees."""
        return self.n_fft // 2 // int(self.stride**level)

    @property
    def segment_samples(self) -> int:
        """The longest it should be given, in samples."""
        return int(self.segment * self.sample_rate)


class HDemucs(nn.Module):
    """Separates a stereo mixture into its sources, on its spectrogram and on its waveform at once.

    Takes mixtures of any length; memory grows with it.

    Args:
        config: Sizes and sources; None: those of the published model.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        config = config or Config()
        self.config = config
        self.spec = ModelSpec(
            sources=config.sources,
            sample_rate=config.sample_rate,
            channels=config.audio_channels,
            segment=config.segment_samples,
            levelled=True,
            silent=True,
        )
        self.spectrum = HopSpectrum(config.n_fft, parts=config.cac, late=config.hybrid_old)
        self.encoder, self.tencoder = nn.ModuleList(), nn.ModuleList()
        self.decoder, self.tdecoder = nn.ModuleList(), nn.ModuleList()
        features = config.audio_channels * (2 if config.cac else 1)
        for index in range(config.depth):
            self._build_joint(index, features)
            if index <= config.meeting:
                self._build_temporal(index)
        self.freq_emb = (
            FrequencyEmbedding(config.bins_at(1), config.channels, config.freq_emb)
            if config.freq_emb
            else None
        )
        rescale_convolutions(self, config.rescale)

    def _build_joint(self, index: int, features: int) -> None:
        """A level of the spectrogram, or below it; decoders count from the bottom, as published names do."""
        config = self.config
        down, up = _level(config, index, residual=1), _level(config, index, residual=2)
        width, above = config.widths[index], features if index == 0 else config.widths[index - 1]
        target = features * len(config.sources) if index == 0 else above
        if index < config.multi_freqs_depth:
            self.encoder.append(BandedEncoder(above, width, down, config.multi_freqs))
            self.decoder.insert(0, BandedDecoder(width, target, up, config.multi_freqs, last=index == 0))
        else:
            self.encoder.append(Encoder(above, width, down))
            self.decoder.insert(0, Decoder(width, target, up, last=index == 0))

    def _build_temporal(self, index: int) -> None:
        """A level of the waveform; where the branches meet, only the strided convolutions."""
        config, audio = self.config, self.config.audio_channels
        down, up = (_temporal(_level(config, index, residual=mode)) for mode in (1, 2))
        width, above = config.widths[index], audio if index == 0 else config.widths[index - 1]
        target = audio * len(config.sources) if index == 0 else above
        if index == config.meeting:
            self.tencoder.append(Down(above, width, down))
            self.tdecoder.insert(0, Up(width, target, up, last=False))
        else:
            self.tencoder.append(Encoder(above, width, down))
            self.tdecoder.insert(0, Decoder(width, target, up, last=index == 0))

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
        """Estimates, with the layers run by `inner`; spectra, levels and the filter are here."""
        require_mixture(mixture, "Hybrid Demucs", self.config.audio_channels)
        sources, dtype = len(self.config.sources), next(self.parameters()).dtype
        filtered = self._filtered if self._rounds else None
        estimates = separate_in_both(inner, mixture, self.spectrum, sources, dtype, filtered=filtered)
        return estimates.to(mixture.dtype)

    @property
    def _rounds(self) -> int:
        """Of the Wiener filter, as things stand."""
        return self.config.end_iters if self.training else self.config.wiener_iters

    def _filtered(self, magnitudes: Tensor, mixture: Tensor) -> Tensor:
        """Spectra `(B, S, C, F, N)` from magnitudes of the same shape and the mixture's `(B, C, F, N)`."""
        if self._rounds < 0:
            return magnitudes * (mixture / (mixture.abs() + 1e-8)).unsqueeze(1)
        wiener = WienerFilter(self._rounds, residual=self.config.wiener_residual, window=_WINDOW)
        return wiener(magnitudes, mixture)[:, : len(self.config.sources)]

    def inner(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        """From features of the mixture, `(B, 2C, F, N)` and `(B, C, T)`, to those of all sources."""
        meeting = self.config.meeting
        skips: list[tuple[Tensor, Tensor]] = []
        lengths: list[int] = []
        for level in range(meeting):
            lengths.append(xt.shape[-1])
            x, xt = self.encoder[level](x), self.tencoder[level](xt)
            if level == 0 and self.freq_emb is not None:
                x = self.freq_emb(x)
            skips.append((x, xt))
        lengths.append(xt.shape[-1])
        met = self.encoder[meeting](x, self.tencoder[meeting](xt)[:, :, None])  # (B, C, 1, N)
        parting, parting_t = cast("Decoder", self.decoder[-1 - meeting]), cast("Up", self.tdecoder[0])
        gathered = parting.gathered(self._below(met[:, :, 0])[:, :, None], met)
        x = parting.raised(gathered, gathered.shape[-1])
        xt = parting_t.raised(gathered[:, :, 0], lengths.pop())
        for level in reversed(range(meeting)):
            skip, skip_t = skips.pop()
            x = self.decoder[-1 - level](x, skip, x.shape[-1])
            xt = self.tdecoder[-1 - level](xt, skip_t, lengths.pop())
        return x, xt

    def _below(self, x: Tensor) -> Tensor:
        """What the levels below the meeting make of `(B, C, N)`, same shape; the bottom is silence."""
        skips: list[Tensor] = []
        lengths: list[int] = []
        for encoder in self.encoder[self.config.meeting + 1 :]:
            lengths.append(x.shape[-1])
            x = encoder(x)
            skips.append(x)
        x = torch.zeros_like(x)
        for decoder in self.decoder[: len(skips)]:
            x = decoder(x, skips.pop(), lengths.pop())
        return x


def _level(config: Config, index: int, *, residual: int) -> Level:
    """Sizes of a level of the spectrogram or below; `residual` is the branch's bit in `dconv_mode`."""
    kernel, stride, spectral = config.kernel_size, config.stride, index <= config.meeting
    if index == config.meeting:
        kernel = config.bins_at(index)
        stride = kernel // 2
    elif not spectral:
        kernel, stride = 2 * config.time_stride, config.time_stride
    branch = partial(
        DConv,
        compress=config.dconv_comp,
        depth=config.dconv_depth,
        init=config.dconv_init,
        lstm=index >= config.dconv_lstm,
        attention=index >= config.dconv_attn,
        heads=_HEADS,
    )
    return Level(
        kernel,
        stride,
        0 if index == config.meeting else kernel // 4,
        spectral=spectral,
        groups=config.norm_groups if index >= config.norm_starts else 0,
        residual=branch if config.dconv_mode & residual else None,
    )


def _temporal(level: Level) -> Level:
    """The waveform's level beside a spectral one."""
    return dataclasses.replace(level, spectral=False, margin=level.kernel // 4)
