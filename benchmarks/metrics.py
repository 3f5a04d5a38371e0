"""How each number takes to known flaws: one real voice, spoiled on purpose in ways that anyone can hear.

    python benchmarks/metrics.py SONG [SONG ...]

A SONG is a folder with mixture.flac and true stems. The scores are of the first; the symptoms, of all.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import unbraid
from machine import store
from unbraid.metrics import ratios, spectral
from unbraid.metrics.aggregate import median_over_frames
from unbraid.metrics.bsseval import bsseval
from unbraid.metrics.reference_free import examine
from unbraid.networks.classical import oracles

if TYPE_CHECKING:
    from torch import Tensor

RATE = 44100
STEMS = ("vocals", "drums", "bass", "other")
BLEED = 0.1  # -20 dB


def flaws(voice: Tensor, band: Tensor) -> dict[str, Tensor]:
    """The voice, spoiled; each under the words of the table."""
    generator = torch.Generator().manual_seed(0)
    hiss = torch.randn(voice.shape, generator=generator)
    hiss *= 0.1 * voice.norm() / hiss.norm()
    mixture = voice + band
    gap = voice.clone()
    gap[:, : voice.shape[-1] // 4] = 0
    return {
        "half as loud": 0.5 * voice,
        "reversed in sign": -voice,
        "1 ms late": voice.roll(RATE // 1000, -1),
        "channels exchanged": voice.flip(0),
        "nothing above 8 kHz": _low_pass(voice, 8000),
        "nothing below 100 Hz": voice - _low_pass(voice, 100),
        "hiss, 20 dB below": voice + hiss,
        "the band bled in, at -20 dB": voice + BLEED * band,
        "the first quarter missing": gap,
        "ideal ratio mask": oracles.ideal_ratio_masks(mixture, torch.stack([voice, band]))[0],
        "the mixture itself": mixture,
        "silence": torch.zeros_like(voice),
    }


def _low_pass(samples: Tensor, hertz: float) -> Tensor:
    spectrum = torch.fft.rfft(samples.double())
    spectrum[:, round(hertz * samples.shape[-1] / RATE) :] = 0
    low: Tensor = torch.fft.irfft(spectrum, samples.shape[-1])
    return low.float()


def scores(voice: Tensor, band: Tensor, estimate: Tensor) -> dict[str, float | str]:
    """Every number of one estimate of the voice."""
    found = {
        "SDR": ratios.sdr(voice, estimate),
        "SI-SDR": ratios.si_sdr(voice, estimate),
        "SD-SDR": ratios.sd_sdr(voice, estimate),
        **_bsseval(voice, band, estimate),
        "log-WMSE": spectral.log_wmse(voice, estimate, voice + band, RATE),
        "multi-resolution STFT": spectral.multi_resolution_stft(voice, estimate),
        "L1 frequency": spectral.l1_frequency(voice, estimate),
        "bleedless": spectral.bleedless(voice, estimate, RATE),
        "fullness": spectral.fullness(voice, estimate, RATE),
    }
    return {name: _stored(value) for name, value in found.items()}


def _bsseval(voice: Tensor, band: Tensor, estimate: Tensor) -> dict[str, Tensor]:
    """Medians over the frames; a silent estimate has none."""
    names = ("sdr", "isr", "sir", "sar")
    if not estimate.any():
        return {f"BSSEval {name.upper()}": torch.tensor(torch.nan) for name in names}
    frames = bsseval(torch.stack([voice, band]), torch.stack([estimate, band]), RATE)
    return {f"BSSEval {name.upper()}": median_over_frames(getattr(frames, name)[0]) for name in names}


def _stored(value: Tensor) -> float | str:
    """Four digits; JSON has no NaN and no infinity, which become words."""
    return round(value.item(), 4) if value.isfinite() else str(value.item())


def symptoms(mixture: unbraid.Audio, stems: dict[str, Tensor]) -> dict[str, dict[str, float | str]]:
    """What true stems, leaky ones and ideal masks show without a reference."""
    true = torch.stack(list(stems.values()))
    kinds = {
        "true stems": true,
        "each with the others bled in, at -20 dB": true + BLEED * (true.sum(0) - true),
        "ideal ratio masks": oracles.ideal_ratio_masks(mixture.samples, true),
        "true stems, nothing above 8 kHz": torch.stack([_low_pass(stem, 8000) for stem in true]),
    }
    rows = {}
    for kind, samples in kinds.items():
        found = examine(mixture, unbraid.Estimates(samples, tuple(stems), RATE))
        pairs = torch.tensor([value for row in found.leakage.values() for value in row.values()])
        rows[kind] = {
            "what is left, in dB": _stored(torch.tensor(found.residual_db)),
            "leakage, mean of all pairs": _stored(pairs.mean()),
            "the voice reaches, in Hz": found.sources["vocals"].band_edge_hz,
        }
    return rows


def main(songs: list[Path]) -> None:
    """Spoil, score and store."""
    results: dict[str, Any] = {"song": songs[0].name, "symptoms": {}}
    for song in songs:
        files = {stem: song / f"{stem}.flac" for stem in STEMS}
        stems = {stem: unbraid.read(path).samples for stem, path in files.items() if path.exists()}
        mixture = unbraid.read(song / "mixture.flac")
        results["symptoms"][song.name] = symptoms(mixture, stems)
        if song is songs[0]:
            voice = stems.pop("vocals")
            band = torch.stack(list(stems.values())).sum(0)
            table = {flaw: scores(voice, band, estimate) for flaw, estimate in flaws(voice, band).items()}
            results["scores"] = table
        print(song.name, flush=True)
    print(store("metrics", results, [song.name for song in songs]))


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
