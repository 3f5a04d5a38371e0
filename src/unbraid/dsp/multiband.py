"""One spectrum from several bands, each with its own sample rate and frames, and the signal back from it.

Low bands have a low sample rate and, for it, long frames: fine bins where notes lie close. High bands have
short ones. Hops are equally long in time, so that the bins that are taken from each band can stand above each
other in one picture::

    signal ─┬───────────────────────────── STFT ─ bins ─┐
            └─ resample ─┬──────────────── STFT ─ bins ─┼─ one spectrum
                         └─ resample ─ … ─ STFT ─ bins ─┘

On the way back each band is cut to where it shall be heard, and from the lowest on is resampled and added to
the next. Cuts of neighbours are slopes that overlap; they do not add up to one everywhere, as published.

Source   the published program of the UVR community's vocal removers, which go back to tsurumeso's
         vocal-remover; there is no paper.
Differs  both ways bands are resampled as the program does it on Apple's processors. On others it brings
         them together with the filter of another library, which is steeper: of white noise, what comes
         back differs 35 to 60 dB below it, all near the edges of bands. What fills no hop at the end of a
         signal is filled with silence, where the program leaves it out.

C channel, two of them · T time · F bin · N frame
"""

from __future__ import annotations

import functools
import itertools
import math
import sys
from dataclasses import dataclass
from enum import Enum
from importlib import resources
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from unbraid.config import structure
from unbraid.dsp.polyphase import resample
from unbraid.dsp.stft import Padding, Stft
from unbraid.errors import ConfigError, did_you_mean

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_MOST_BANDS, _MOST_BINS = 16, 32_768  # far beyond the published ones
_GUARD = 10  # bins below the first cut that a mirror leaves out; as published


class Coding(str, Enum):
    """What two channels become before they are looked at: sums and differences of left and right."""

    STEREO = "stereo"
    MID_SIDE = "mid_side"
    MID_SIDE_B2 = "mid_side_b2"
    MID_SIDE_C = "mid_side_c"
    STEREO_N = "stereo_n"


# Rows of what each channel is made of: (left, right). The way back is the inverse.
_CODES: Mapping[Coding, tuple[tuple[float, float], tuple[float, float]]] = {
    Coding.STEREO: ((1, 0), (0, 1)),
    Coding.MID_SIDE: ((1 / 2, 1 / 2), (1, -1)),
    Coding.MID_SIDE_B2: ((1 / 2, 1), (1, -1 / 2)),
    Coding.MID_SIDE_C: ((1, 1 / 4), (-1 / 4, 1)),
    Coding.STEREO_N: ((16 / 15, 4 / 15), (4 / 15, 16 / 15)),
}


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a spectrum.

    Args:
        sample_rate: In Hz.
        hop_length: Samples between two frames.
        n_fft: Samples of a frame.
        crop: The first bin that is taken, and the one behind the last.
        high_pass: On the way back, the bin below which it falls and the one below which nothing is left;
            empty: none.
        low_pass: Likewise, the bin from which it falls and the one from which nothing is left.
        coding: Of this band's channels.

    Raises:
        ConfigError: If the numbers make no band.
    """

    sample_rate: int
    hop_length: int
    n_fft: int
    crop: tuple[int, ...]
    high_pass: tuple[int, ...] = ()
    low_pass: tuple[int, ...] = ()
    coding: Coding = Coding.STEREO

    def __post_init__(self) -> None:
        bins = self.stft.n_fft // 2 + 1  # the transform knows what it takes
        pairs = [self.crop, self.high_pass[::-1], self.low_pass]
        rising = all(not pair or (len(pair) == 2 and 0 <= pair[0] < pair[1] <= bins) for pair in pairs)
        if not self.crop or not rising or self.sample_rate < 1 or bins > _MOST_BINS:
            raise ConfigError(
                f"{self} is no band: it has {bins} bins, of which at most {_MOST_BINS} are allowed; crop and "
                "low_pass are two of them that rise, high_pass two that fall"
            )

    @property
    def stft(self) -> Stft:
        """The band's transform."""
        return Stft(self.n_fft, self.hop_length, padding=Padding.ZERO, sparse=True)

    @property
    def height(self) -> int:
        """How many bins are taken."""
        return self.crop[1] - self.crop[0]


@dataclass(frozen=True, slots=True)
class Layout:
    """How bands become one spectrum.

    Args:
        bands: From the lowest to the highest, whose sample rate is the signal's.
        bins: Of the spectrum, but for one more at its top, which is empty.
        pre_filter: The bin of the spectrum from which it falls, and the one from which nothing is left;
            empty: it does not fall.
        coding: Of all bands' channels, where networks know of no coding of single bands.
        reverse: Likewise, whether the signal is read backwards.

    Raises:
        ConfigError: If the bands do not fit the spectrum or each other.
    """

    bands: tuple[Band, ...]
    bins: int
    pre_filter: tuple[int, ...] = ()
    coding: Coding = Coding.STEREO
    reverse: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.bands) <= _MOST_BANDS or not 1 <= self.bins <= _MOST_BINS:
            raise ConfigError(
                f"a layout has 1 to {_MOST_BANDS} bands and 1 to {_MOST_BINS} bins, "
                f"not {len(self.bands)} and {self.bins}"
            )
        faults = {
            f"the bands have {self.taken} bins, more than the spectrum's {self.bins}": self.taken > self.bins,
            "hops must be equally long in time in all bands": any(
                lower.hop_length * upper.sample_rate != upper.hop_length * lower.sample_rate
                for lower, upper in itertools.pairwise(self.bands)
            ),
            "sample rates must not fall from band to band": any(
                lower.sample_rate > upper.sample_rate for lower, upper in itertools.pairwise(self.bands)
            ),
            "pre_filter must be two bins of the spectrum": bool(self.pre_filter)
            and not (len(self.pre_filter) == 2 and all(1 <= place <= self.bins for place in self.pre_filter)),
        }
        if found := [rule for rule, broken in faults.items() if broken]:
            raise ConfigError(f"this is no layout of bands: {'; '.join(found)}")

    @property
    def taken(self) -> int:
        """Bins of all bands together."""
        return sum(band.height for band in self.bands)

    @property
    def sample_rate(self) -> int:
        """Of the signal, in Hz."""
        return self.bands[-1].sample_rate

    @property
    def hop_length(self) -> int:
        """Samples of the signal between two frames."""
        return self.bands[-1].hop_length

    @property
    def mirrored(self) -> int:
        """How many bins at the top of the highest band a mirror can fill; 0: there is nothing to mirror."""
        if not self.pre_filter:
            return 0
        top = self.bands[-1]
        above = top.n_fft // 2 - top.crop[1] + self.pre_filter[1] - self.pre_filter[0]
        return above if 0 < above <= self.pre_filter[0] - _GUARD else 0


def layout(name: str) -> Layout:
    """A published layout.

    Args:
        name: As the UVR community knows it.

    Raises:
        ConfigError: If there is none of this name.

    >>> layout("4band_44100").hop_length
    512
    """
    layouts = _layouts()
    if name not in layouts:
        raise ConfigError(
            f"no layout of bands is named {name!r}"
            f"{did_you_mean(name, layouts) or '; there are ' + ', '.join(layouts)}"
        )
    return layouts[name]


@functools.cache
def _layouts() -> Mapping[str, Layout]:
    text = (resources.files("unbraid.dsp") / "multiband.toml").read_text(encoding="utf-8")
    return {
        name: structure(table, Layout, where=f"layout {name}") for name, table in tomllib.loads(text).items()
    }


@dataclass(frozen=True, slots=True)
class MultiBand:
    """Spectra of several bands in one, and the signal back from them.

    Args:
        layout: Of the bands.
        by_band: True: each band has its own coding, and the spectrum's top falls in a line. False: all bands
            have the layout's, may be read backwards, and the top of several falls the faster the higher.

    >>> bands = MultiBand(layout("2band_32000"), by_band=False)
    >>> bands.analyse(torch.zeros(2, 3520))[0].shape
    torch.Size([2, 769, 11])
    """

    layout: Layout
    by_band: bool

    def analyse(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        """The spectrum of a signal.

        Args:
            signal: `(..., C, T)`, float32 or float64; a hop that is not filled is filled with silence.

        Returns:
            The spectrum `(..., C, bins + 1, N)`, complex, and the topmost bins of the highest band as they
            were, `(..., C, mirrored, N)`.
        """
        hop = self.layout.hop_length
        wave = F.pad(signal, (0, -signal.shape[-1] % hop))
        parts: list[Tensor] = []
        above = None
        rate = self.layout.sample_rate
        for band in reversed(self.layout.bands):
            wave, rate = resample(wave, rate, band.sample_rate), band.sample_rate
            coded = _coded(wave, _CODES[self._coding(band)])
            spectrum = band.stft(coded.flip(-1) if self._reverse else coded)
            if above is None:
                top = band.n_fft // 2
                above = spectrum[..., top - self.layout.mirrored : top, :]
            parts.insert(0, spectrum[..., slice(*band.crop), :])
        assert above is not None  # noqa: S101 - a layout has a band
        whole = F.pad(torch.cat(parts, dim=-2), (0, 0, 0, self.layout.bins + 1 - self.layout.taken))
        return whole * self._top(whole), above

    def synthesise(self, spectrum: Tensor, length: int, above: Tensor | None = None) -> Tensor:
        """The signal of a spectrum.

        Args:
            spectrum: `(..., C, bins + 1, N)`, complex.
            length: Samples wanted; at most N − 1 hops.
            above: The topmost bins of the mixture's highest band, `(..., C, mirrored, N)`: they are filled
                with a mirror of what lies below them, in the mixture's phase and nowhere above it. None: as
                much is heard there as the spectrum has.

        Returns:
            `(..., C, length)`.
        """
        hops = spectrum.shape[-1] - 1
        bands = self.layout.bands
        ends = itertools.accumulate(band.height for band in bands)
        wave, rate = spectrum.real.new_zeros(*spectrum.shape[:-2], 0), bands[0].sample_rate
        for band, end in zip(bands, ends, strict=True):
            part = spectrum[..., end - band.height : end, :]
            whole = F.pad(part, (0, 0, band.crop[0], band.n_fft // 2 + 1 - band.crop[1]))
            if band is bands[-1] and above is not None:
                whole = self._with_mirror(whole, spectrum, above)
            whole = whole * _gains(band, like=whole)
            heard = band.stft.inverse(whole, hops * band.hop_length)
            heard = _coded(heard.flip(-1) if self._reverse else heard, _inverse(_CODES[self._coding(band)]))
            lower, rate = resample(wave, rate, band.sample_rate), band.sample_rate
            wave = lower + heard if lower.numel() else heard  # below the lowest there is none
        return wave[..., :length]

    @property
    def _reverse(self) -> bool:
        return self.layout.reverse and not self.by_band

    def _coding(self, band: Band) -> Coding:
        return band.coding if self.by_band else self.layout.coding

    def _top(self, like: Tensor) -> Tensor:
        """What the spectrum's bins are multiplied with, `(bins + 1, 1)`."""
        bins = self.layout.bins + 1
        if not self.layout.pre_filter:
            return like.real.new_ones(bins, 1)
        start, stop = self.layout.pre_filter
        if self.by_band or len(self.layout.bands) == 1:
            return _low_pass(bins, start, stop, like)
        gains = [1.0] * bins
        for place in range(start + 1, stop):  # as published: one gain's decibels hang on the gain below
            gains[place] = 10 ** (-(place - start) * (3.5 - gains[place - 1]) / 20)
        return like.real.new_tensor(gains)[:, None]

    def _with_mirror(self, whole: Tensor, spectrum: Tensor, above: Tensor) -> Tensor:
        """The highest band `(..., F, N)` with what a mirror puts in place of its topmost bins."""
        count, end = above.shape[-2], self.layout.pre_filter[0] - _GUARD
        mirror = spectrum[..., end - count : end, :].abs().flip(-2)
        strength = above.abs()
        louder = strength > mirror
        share = torch.where(louder, mirror / strength.where(louder, torch.ones_like(strength)), 1.0)
        top = whole.shape[-2] - 1
        return torch.cat([whole[..., : top - count, :], above * share, whole[..., top:, :]], -2)


def _gains(band: Band, like: Tensor) -> Tensor:
    """What a band's bins are multiplied with on the way back, `(F, 1)`."""
    bins = band.n_fft // 2 + 1
    gains = like.real.new_ones(bins, 1)
    if band.high_pass:
        start, stop = band.high_pass
        # A low-pass filter seen from the other end.
        gains = gains * _low_pass(bins, bins - 1 - start, bins - stop, like).flip(0)
    if band.low_pass:
        start, stop = band.low_pass
        gains = gains * _low_pass(bins, start, stop, like)
    return gains


def _low_pass(bins: int, start: int, stop: int, like: Tensor) -> Tensor:
    """1 below the bin `start`, from there in a line to 0 at the last bin before `stop`; `(bins, 1)`."""
    place = torch.arange(bins, dtype=torch.float64)
    slope = 1 - (place - start + 1).clamp_min(0) / max(1, stop - start)
    gains = torch.where(place < min(start, stop), 1.0, torch.where(place < stop, slope, 0.0))
    return gains.to(like.real)[:, None]


def _coded(wave: Tensor, code: tuple[tuple[float, float], tuple[float, float]]) -> Tensor:
    """Channels `(..., C, T)` as sums of channels."""
    left, right = wave.unbind(-2)
    # No product of matrices: in automatic half precision it would be one.
    return torch.stack([first * left + second * right for first, second in code], dim=-2)


def _inverse(
    code: tuple[tuple[float, float], tuple[float, float]],
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The code that undoes another."""
    (a, b), (c, d) = code
    scale = math.fsum([a * d, -b * c])
    return (d / scale, -b / scale), (-c / scale, a / scale)
