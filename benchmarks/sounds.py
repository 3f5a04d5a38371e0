"""How methods differ in sound: figures and pictures of an excerpt whose true stems are known.

    python benchmarks/sounds.py FOLDER [START_SECONDS [DURATION_SECONDS]]

FOLDER holds mixture.flac and its true stems; its name is the song's. Writes sounds.json, and the pictures of
docs/how-networks-sound.md.
"""

from __future__ import annotations

import math
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import sound_pictures
import unbraid
from machine import store
from unbraid.audio import Audio
from unbraid.dsp.stft import Stft
from unbraid.dsp.wiener import phase
from unbraid.metrics.ratios import sdr
from unbraid.networks.classical.oracles import ideal_binary_masks, ideal_ratio_masks, multichannel_wiener
from unbraid.networks.htdemucs import HTDemucs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

SOURCES = ("vocals", "drums", "bass", "other")
RATE = 44100
FRAME, SHORT_FRAME = 4096, 512  # 93 ms and 12 ms
EDGES_HZ = (11_025, 16_000, 20_000)  # where Spleeter stops, where its wider kinds and many codecs do
FLOOR = 1e-12
# Remains are looked at where the mixture is loud and the true stem is 30 dB below it.
REMAINS_FRAME, LOUD, QUIET = 2048, 0.3, 10 ** (-30 / 20)
# Attacks: the hits whose energy grows most within two steps, to a twentieth of the loudest at least.
STEP_SECONDS, LEAST, APART_STEPS, HITS = 0.01, 0.05, 20, 12
BEFORE_SECONDS = 0.02


@dataclass(frozen=True)
class Excerpt:
    """A mixture and its true stems."""

    mixture: Tensor  # (C, T)
    stems: dict[str, Tensor]

    @property
    def references(self) -> Tensor:
        """The stems, `(S, C, T)`, in their order."""
        return torch.stack(list(self.stems.values()))


def excerpt(folder: Path, start: float, duration: float) -> Excerpt:
    """What the folder holds of this stretch."""
    files = {name: folder / f"{name}.flac" for name in ("mixture", *SOURCES)}
    heard = {
        name: unbraid.read(file, start_seconds=start, duration_seconds=duration)
        for name, file in files.items()
        if file.exists()
    }
    assert all(audio.sample_rate == RATE for audio in heard.values())
    samples = {name: audio.samples for name, audio in heard.items()}
    return Excerpt(samples.pop("mixture"), samples)


def separated(model: str | torch.nn.Module, mixture: Tensor) -> dict[str, Tensor]:
    """Estimates of a model by name, or of a network."""
    with unbraid.Separator(model) as separator:
        estimates = separator.separate(Audio(mixture, RATE))
    return {name: audio.samples for name, audio in estimates.items()}


@contextmanager
def one_branch(network: HTDemucs, branch: int) -> Iterator[None]:
    """Within it only the spectrogram's branch (0) of HT Demucs is heard, or only the waveform's (1)."""
    core = network.inner

    def half(x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        parts = core(x, xt)
        return parts[0] * (branch == 0), parts[1] * (branch == 1)

    network.inner = half  # type: ignore[method-assign]
    try:
        yield
    finally:
        network.inner = core  # type: ignore[method-assign]


def estimates_of(excerpt: Excerpt) -> dict[str, dict[str, Tensor]]:
    """By the wanted source, then by the method, what each method makes of the excerpt."""
    mixture, stems = excerpt.mixture, excerpt.stems
    network = unbraid.load("htdemucs")
    assert isinstance(network, HTDemucs)
    hybrid = separated(network, mixture)
    with one_branch(network, 0):
        spectral = separated(network, mixture)
    with one_branch(network, 1):
        waveform = separated(network, mixture)
    others = {
        "HT Demucs": hybrid,
        "its spectrogram branch alone": spectral,
        "its waveform branch alone": waveform,
        **ideals(excerpt),
    }
    cut = {f"the true stem, to {edge / 1000:.0f} kHz": below(stems["vocals"], edge) for edge in EDGES_HZ[:2]}
    return {
        "vocals": {
            "the mixture as it is": mixture,
            "centre": separated("centre", mixture)["centre"],
            "REPET-SIM": separated("repet_sim", mixture)["vocals"],
            "Spleeter": separated("spleeter.2stems", mixture)["vocals"],
            "Spleeter, to 16 kHz": separated("spleeter.2stems_16khz", mixture)["vocals"],
            **{name: estimates["vocals"] for name, estimates in others.items()},
            **cut,
        },
        "drums": {
            "the mixture as it is": mixture,
            "HPSS, percussive": separated("hpss", mixture)["percussive"],
            **{name: estimates["drums"] for name, estimates in others.items()},
        },
    }


def ideals(excerpt: Excerpt) -> dict[str, dict[str, Tensor]]:
    """The best that methods of a kind could do, made from the true stems."""
    mixture, references = excerpt.mixture, excerpt.references
    limits = {
        "ideal binary mask": ideal_binary_masks(mixture, references, n_fft=FRAME),
        "ideal ratio mask": ideal_ratio_masks(mixture, references, n_fft=FRAME),
        "ideal ratio mask, frames of 12 ms": ideal_ratio_masks(mixture, references, n_fft=SHORT_FRAME),
        "true magnitude, mixture's phase": borrowed_phase(mixture, references),
        "ideal multichannel Wiener filter": multichannel_wiener(mixture, references, n_fft=FRAME),
    }
    return {name: dict(zip(excerpt.stems, stems, strict=True)) for name, stems in limits.items()}


def borrowed_phase(mixture: Tensor, references: Tensor) -> Tensor:
    """The references' magnitudes at the mixture's phase, `(S, C, T)`."""
    stft = Stft(FRAME, FRAME // 4)
    return stft.inverse(stft(references).abs() * phase(stft(mixture)), mixture.shape[-1])


def below(samples: Tensor, edge_hz: float) -> Tensor:
    """What lies below an edge."""
    stft = Stft(FRAME, FRAME // 4)
    kept = torch.arange(FRAME // 2 + 1) * RATE / FRAME < edge_hz
    return stft.inverse(stft(samples) * kept[:, None], samples.shape[-1])


def level(samples: Tensor, low_hz: float, high_hz: float) -> float:
    """Energy in a band, in dB."""
    spectrum = Stft(FRAME, FRAME // 4)(samples)
    band = slice(round(low_hz * FRAME / RATE), round(high_hz * FRAME / RATE))
    return decibels(spectrum[:, band].abs().square().sum())


def decibels(energy: Tensor) -> float:
    return 10 * math.log10(max(energy.item(), FLOOR))


def phase_error(reference: Tensor, estimate: Tensor) -> float:
    """Mean angle between both spectra where both sound, weighted by their magnitudes, in degrees."""
    stft = Stft(FRAME, FRAME // 4)
    product = stft(estimate) * stft(reference).conj()
    return math.degrees((product.angle().abs() * product.abs()).sum() / product.abs().sum())


def remains(excerpt: Excerpt, source: str, estimate: Tensor) -> tuple[float, float]:
    """What is left where the source is silent and the mixture is not.

    Returns:
        Its energy against the mixture's in dB, and how unevenly it is spread: the mean of the squared gains
        of energy by the square of their mean, 1 if all is turned down alike.
    """
    stft = Stft(REMAINS_FRAME, REMAINS_FRAME // 4)
    mixture, reference = stft(excerpt.mixture).abs(), stft(excerpt.stems[source]).abs()
    where = (mixture > LOUD) & (reference < QUIET * mixture)
    gain = (stft(estimate).abs()[where] / mixture[where]).double().square()
    return decibels(gain.mean()), (gain.square().mean() / gain.mean().square()).item()


def attacks(drums: Tensor) -> list[int]:
    """Samples at which the sharpest hits begin, the sharpest first."""
    step = round(STEP_SECONDS * RATE)
    energy = drums.square().mean(0).unfold(-1, step, step).mean(-1)
    growth = energy[2:] / energy[:-2].clamp_min(FLOOR) * (energy[2:] > LEAST * energy.max())
    found: list[int] = []
    for at in growth.argsort(descending=True).tolist():
        inside = APART_STEPS < at < len(growth) - APART_STEPS
        if inside and all(abs(at - other) > APART_STEPS for other in found):
            found.append(at)
    return [_onset(drums, at * step) for at in found[:HITS]]


def _onset(drums: Tensor, start: int) -> int:
    """The first sample of a hit within the steps that showed it: a third of what is to come."""
    heard = drums[:, start : start + round(4 * STEP_SECONDS * RATE)].abs().amax(0)
    return start + int((heard > heard.max() / 3).nonzero()[0])


def before_attacks(reference: Tensor, estimate: Tensor) -> float:
    """The error's energy in the moment before a hit by the reference's in the moment after, in dB."""
    count = round(BEFORE_SECONDS * RATE)
    hits = attacks(reference)
    early = torch.stack([(estimate - reference)[:, hit - count : hit] for hit in hits]).square().sum()
    return decibels(early) - decibels(torch.stack([reference[:, h : h + count] for h in hits]).square().sum())


def measured(excerpt: Excerpt, source: str, estimate: Tensor) -> dict[str, float]:
    """All figures of one estimate."""
    reference = excerpt.stems[source]
    left, uneven = remains(excerpt, source, estimate)
    figures = {
        "sdr_db": sdr(reference, estimate).item(),
        **{
            f"from_{low // 1000}_khz_db": level(estimate, low, high) - level(reference, low, high)
            for low, high in pairwise(EDGES_HZ)
        },
        "phase_degrees": phase_error(reference, estimate),
        "remains_db": left,
        "unevenness": uneven,
    }
    if source == "drums":
        figures["before_attacks_db"] = before_attacks(reference, estimate)
    return {name: round(value, 2) for name, value in figures.items()}


def main(folder: Path, start: float = 16.0, duration: float = 16.0) -> None:
    """Measure and draw an excerpt."""
    heard = excerpt(folder, start, duration)
    estimates = estimates_of(heard)
    results = {
        source: {name: measured(heard, source, estimate) for name, estimate in methods.items()}
        for source, methods in estimates.items()
    }
    for source, rows in results.items():
        for name, figures in rows.items():
            print(f"{source:7}{name:36}", *figures.values())
    song = {"song": folder.name, "start_seconds": start, "duration_seconds": duration}
    print(store("sounds", {**song, **results}, [folder.name, *sys.argv[2:]]))
    hit = attacks(heard.stems["drums"])[0]
    for picture in sound_pictures.draw(heard.mixture, heard.stems, estimates, hit):
        print(f"{picture.name}: {picture.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(float(argument) for argument in sys.argv[2:]))
