"""Writes what published implementations of spectral metrics and statistics answer on small seeded inputs.

Needs `auraloss` 0.4.0, `torch-log-wmse` 1.1.0, `log-wmse-audio-quality` 0.2.0, `torchaudio` 2.11.0, `librosa`
0.11.0 and `scipy` 1.17.1, in an environment of their own.
Run from the repository's root: python tests/golden/make_metrics.py
"""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import torch
from auraloss.freq import MultiResolutionSTFTLoss
from log_wmse_audio_quality import calculate_log_wmse
from scipy import stats
from torch_log_wmse import LogWMSE
from torchaudio.transforms import AmplitudeToDB

RNG = np.random.default_rng(5)
RATE = 44100
LENGTH = 6000


def signals():
    """Pairs of reference and estimate, each `(2, LENGTH)`, and the mixture; exact in half precision."""
    time = np.arange(LENGTH) / RATE
    tones = sum(np.sin(2 * np.pi * hertz * time) / hertz**0.5 for hertz in (110, 440, 1760, 7040))
    source = np.stack([tones, 0.5 * np.roll(tones, 40)]) * np.exp(-20 * time)
    other = 0.05 * RNG.standard_normal((2, LENGTH))
    found = 0.9 * source + 0.2 * other
    silence = np.zeros_like(source)
    one_sided = np.stack([source[0], silence[0]])
    pairs = {
        "plain": (source, found),
        "silent_reference": (silence, 0.1 * other),
        "silent_estimate": (source, silence),
        "one_silent_channel": (one_sided, 0.9 * one_sided + 0.1 * other),
        "anti_phase": (np.stack([tones, -tones]), np.stack([found[0], -found[1]])),
    }
    return np.array(list(pairs.values())).astype(np.float16), (source + other).astype(np.float16)


def mel_decibels(samples):
    """Mel spectrogram in dB, `(channels, bands, frames)`."""
    window = torch.hann_window(4096)
    spectrum = torch.stft(samples, 4096, 1024, window=window, pad_mode="constant", return_complex=True)
    filters = torch.from_numpy(librosa.filters.mel(sr=RATE, n_fft=4096, n_mels=512))
    return AmplitudeToDB(stype="magnitude", top_db=80)(filters @ spectrum.abs())


def bleed_and_fullness(reference, estimate):
    """Both scores by the published recipe."""
    apart = mel_decibels(estimate) - mel_decibels(reference)
    scores = [over.mean() if len(over) else torch.zeros(()) for over in (apart[apart > 0], -apart[apart < 0])]
    return [100 / (1 + score.item()) for score in scores]


def l1_frequency(reference, estimate):
    """The score by the published recipe; without a window torch warns of none."""
    spectra = [
        torch.stft(samples, 2048, 1024, window=torch.ones(2048), return_complex=True).abs()
        for samples in (reference, estimate)
    ]
    return 100 / (1 + 10 * torch.nn.functional.l1_loss(*spectra).item())


def spectral():
    """Every metric of every pair."""
    pairs, mixture = signals()
    mixed = torch.from_numpy(mixture).float()
    found = {"pairs": pairs, "mixture": mixture, "mel": librosa.filters.mel(sr=RATE, n_fft=4096, n_mels=512)}
    rows = []
    for reference, estimate in torch.from_numpy(pairs).float():
        # Both ports want other axes: batch and channel; batch, channel and stem.
        distance = MultiResolutionSTFTLoss()(estimate[None], reference[None]).item()
        score = LogWMSE()(mixed[None], estimate[None, :, None], reference[None, :, None]).item()
        first = calculate_log_wmse(mixed.numpy(), estimate.numpy(), reference.numpy(), RATE)
        both = bleed_and_fullness(reference, estimate)
        rows.append([distance, l1_frequency(reference, estimate), *both, score, first])
    return {**found, "spectral": np.array(rows)}


def statistics():
    """Intervals and p-values."""
    scores = RNG.normal(6.0, 2.0, 15)
    others = scores + RNG.normal(0.4, 0.7, 15)
    tied = np.round(2 * (others - scores)) / 2
    tied = tied[tied != 0]
    drawn = {"n_resamples": 100_000, "method": "BCa", "rng": np.random.default_rng(0)}
    # Not 95 %: there the median's draws jump from one track to the next, and the seed decides.
    interval = {
        name: stats.bootstrap((scores,), function, confidence_level=0.9, **drawn).confidence_interval
        for name, function in {"mean": np.mean, "median": np.median}.items()
    }
    flips = stats.PermutationMethod(n_resamples=np.inf)
    return {
        "scores": scores,
        "others": others,
        "tied": tied,
        "mean_interval": np.array(interval["mean"]),
        "median_interval": np.array(interval["median"]),
        "p": stats.wilcoxon(others, scores, method="exact").pvalue,
        "p_tied": stats.wilcoxon(tied, method=flips).pvalue,
    }


if __name__ == "__main__":
    path = Path(__file__).with_name("metrics.npz")
    np.savez_compressed(path, **spectral(), **statistics())
