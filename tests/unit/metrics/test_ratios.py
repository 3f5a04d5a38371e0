"""The global SDR."""

from __future__ import annotations

import pytest
import torch

from signals import noise, silence, tone
from unbraid.errors import ShapeError
from unbraid.metrics.ratios import sdr


@pytest.mark.parametrize("decibels", [-10.0, 0.0, 20.0, 60.0])
def test_noise_of_a_known_level_gives_a_known_ratio(decibels):
    reference = tone(44100).double()
    error = noise(44100).double()
    error *= (reference.square().sum() / error.square().sum()).sqrt() * 10 ** (-decibels / 20)
    assert sdr(reference, reference + error).item() == pytest.approx(decibels, abs=1e-3)


def test_silence_against_silence_is_zero_not_nan():
    assert sdr(silence(100), silence(100)).item() == 0.0


def test_leading_axes_are_kept_apart():
    reference = torch.stack([tone(1000), noise(1000)])
    ratios = sdr(reference, torch.stack([0.9 * tone(1000), 0.5 * noise(1000)]))
    torch.testing.assert_close(ratios, torch.tensor([20.0, 6.0206], dtype=torch.float64), rtol=0, atol=1e-3)


def test_other_shapes_are_refused_with_both():
    with pytest.raises(ShapeError, match=r"\(2, 10\).*\(2, 11\)"):
        sdr(tone(10), tone(11))
