"""Methods without training beside published implementations, by answers stored in `golden/`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unbraid.networks.classical import hpss, nmf, oracles, repet, repet_sim
from unbraid.networks.classical.median import sliding_median

GOLDEN = np.load(Path(__file__).parents[1] / "golden/classical.npz")


def golden(name):
    return torch.from_numpy(GOLDEN[name])


def close(answer, name, *, within=1e-8):
    expected = golden(name)
    assert answer.shape == expected.shape
    assert (answer - expected).abs().max() < within * expected.abs().max()


@pytest.mark.parametrize("name", ["long", "short"])
def test_a_sliding_median_is_scipys(name):
    assert sliding_median(golden(f"hpss_{name}"), 17).equal(golden(f"median_{name}"))


@pytest.mark.parametrize("margin", [1, 2])
@pytest.mark.parametrize("name", ["long", "short"])
def test_masks_of_tones_and_hits_are_librosas(name, margin):
    masks = hpss.median_masks(golden(f"hpss_{name}"), 17, 13, 2.0, margin)
    close(masks[:2], f"hpss_{name}_{margin}")


@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-8), (torch.float32, 1e-5)])
def test_tones_and_hits_of_a_song_are_librosas(dtype, within):
    config = hpss.Config(audio_channels=1, n_fft=512, hop_length=128, harmonic_frames=17, percussive_bins=13)
    estimates = hpss.Hpss(config)(golden("song").to(dtype)[None, None])
    close(estimates[0, :, 0].double(), "song_hpss", within=within)


def test_the_background_of_nearest_neighbours_is_librosas():
    close(repet_sim.recurring(golden("sim")[None], neighbours=10, distance=6)[0], "sim_background")


def test_the_mask_of_a_background_is_librosas():
    masks = repet.voice_masks(golden("sim")[None], golden("sim_background")[None], power=2.0, low=0)
    close(masks[1, 0], "sim_mask")


def test_spectra_and_levels_are_scikit_learns():
    spectra, levels = nmf.factorised(golden("nmf"), golden("nmf_spectra"), golden("nmf_levels"), 40)
    close(spectra, "nmf_spectra_40")
    close(levels, "nmf_levels_40")


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("ibm", oracles.ideal_binary_masks),
        ("irm1", lambda *given, n_fft: oracles.ideal_ratio_masks(*given, power=1.0, n_fft=n_fft)),
        ("irm2", oracles.ideal_ratio_masks),
        ("mwf", oracles.multichannel_wiener),
    ],
)
def test_oracles_are_those_of_the_campaign(name, oracle):
    references = golden("references")
    close(oracle(references.sum(0), references, n_fft=64), name)
