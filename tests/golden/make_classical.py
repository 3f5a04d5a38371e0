"""Writes what published implementations of methods without training answer on small seeded inputs.

Needs `librosa` 0.11.0, `scikit-learn` 1.9.1 and `scipy` 1.17.1, in an environment of their own.
Run from the repository's root: python tests/golden/make_classical.py
"""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
from scipy.ndimage import median_filter
from scipy.signal import istft, stft
from sklearn.decomposition import non_negative_factorization

RNG = np.random.default_rng(0)
N_FFT = 64
EPS = np.finfo(float).eps


def hpss():
    """Medians and masks of spectrograms longer and shorter than the windows, and a song's two halves."""
    found = {}
    for name, shape in {"long": (40, 60), "short": (9, 5)}.items():
        magnitude = RNG.random(shape)
        found[f"hpss_{name}"] = magnitude
        found[f"median_{name}"] = median_filter(magnitude, size=(1, 17), mode="reflect")
        for margin in (1, 2):
            masks = librosa.decompose.hpss(magnitude, kernel_size=(17, 13), margin=margin, mask=True)
            found[f"hpss_{name}_{margin}"] = np.stack(masks)
    song = 0.3 * np.sin(0.05 * np.arange(3072)) + 0.1 * RNG.standard_normal(3072)
    song[::800] += 1
    halves = librosa.effects.hpss(song, n_fft=512, hop_length=128, kernel_size=(17, 13))
    return {**found, "song": song, "song_hpss": np.stack(halves)}


def repet_sim():
    """The median of each frame's nearest neighbours, and the masks of the published recipe."""
    magnitude = RNG.random((30, 80))
    # "affinity" because only then the nearest are kept; the median does not look at the affinities.
    near = librosa.decompose.nn_filter(
        magnitude, aggregate=np.median, metric="cosine", k=10, width=6, mode="affinity"
    )
    background = np.minimum(near, magnitude)
    mask = librosa.util.softmask(background, magnitude - background, power=2)
    return {"sim": magnitude, "sim_background": background, "sim_mask": mask}


def nmf():
    """Factors after some rounds."""
    matrix, spectra, levels = RNG.random((20, 30)), RNG.random((20, 4)), RNG.random((4, 30))
    after = non_negative_factorization(
        matrix,
        spectra.copy(),
        levels.copy(),
        n_components=4,
        init="custom",
        solver="mu",
        beta_loss="kullback-leibler",
        tol=0,
        max_iter=40,
    )
    first = {"nmf": matrix, "nmf_spectra": spectra, "nmf_levels": levels}
    return {**first, "nmf_spectra_40": after[0], "nmf_levels_40": after[1]}


def oracles():
    """Estimates as the campaign's scripts have them, on two stereo sources."""
    references = RNG.standard_normal((2, 2, 500)) * np.array([1, 0.4])[:, None, None]
    references[1, 1] = 0.5 * references[1, 0] + 0.1 * references[1, 1]
    mixture = references.sum(0)
    x = stft(mixture, nperseg=N_FFT)[-1]
    y = stft(references, nperseg=N_FFT)[-1]
    masks = {"ibm": np.abs(y) / np.abs(x) >= 0.5}
    for power in (1, 2):
        masks[f"irm{power}"] = np.abs(y) ** power / (np.abs(y) ** power).sum(0)
    spectra = {**{name: mask * x for name, mask in masks.items()}, "mwf": wiener(x, y)}
    answers = {name: istft(spectrum, nperseg=N_FFT)[1][..., :500] for name, spectrum in spectra.items()}
    return {"references": references, **answers}


def wiener(x, y):
    """The ideal multichannel filter, a frame and a bin at a time."""
    sources, channels, bins, frames = y.shape
    model = np.zeros((sources, bins, frames, channels, channels), complex)
    for s in range(sources):
        for f in range(bins):
            outer = np.stack([np.outer(y[s, :, f, n], y[s, :, f, n].conj()) for n in range(frames)])
            power = (np.abs(y[s, :, f]) ** 2).mean(0)
            place = (outer / (EPS + power[:, None, None])).mean(0)
            for n in range(frames):
                level = np.trace(np.linalg.inv(place) @ outer[n]).real / channels
                model[s, f, n] = level * place
    answer = np.zeros_like(y)
    for s, f, n in np.ndindex(sources, bins, frames):
        gain = model[s, f, n] @ np.linalg.inv(model[:, f, n].sum(0))
        answer[s, :, f, n] = gain @ x[:, f, n]
    return answer


if __name__ == "__main__":
    np.savez_compressed(
        Path(__file__).with_name("classical.npz"), **hpss(), **repet_sim(), **nmf(), **oracles()
    )
