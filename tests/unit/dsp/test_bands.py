"""Mel bands: where they lie and what they weigh."""

from __future__ import annotations

import pytest
import torch

from unbraid.dsp.bands import mel_filters
from unbraid.errors import ConfigError

SHAPES = [(44100, 4096, 512), (44100, 2048, 24), (8000, 512, 40), (48000, 1024, 1)]


@pytest.mark.parametrize(("rate", "n_fft", "bands"), SHAPES)
def test_every_bin_stands_in_two_bands_at_most(rate, n_fft, bands):
    filters = mel_filters(rate, n_fft, bands)
    assert filters.shape == (bands, n_fft // 2 + 1)
    assert (filters > 0).sum(0).max() <= 2
    assert filters.min() == 0


def test_wide_bands_have_the_same_area():
    area = mel_filters(44100, 1 << 16, 24).sum(-1) * 44100 / (1 << 16)
    torch.testing.assert_close(area, torch.ones_like(area), rtol=1e-3, atol=0)


def test_the_scale_is_straight_below_1_khz_and_a_power_above():
    # 4 bands up to 2 · 15 mel: centres at 6, 12, 18, 24 mel
    rate = round(2 * 1000 * 6.4 ** (15 / 27))
    tops = mel_filters(rate, 1 << 15, 4).argmax(-1) * rate / (1 << 15)
    centres = torch.tensor([400.0, 800.0, 1000 * 6.4 ** (3 / 27), 1000 * 6.4 ** (9 / 27)])
    torch.testing.assert_close(tops, centres, rtol=0, atol=0.2)


def test_no_bands_are_refused():
    with pytest.raises(ConfigError, match="at least one"):
        mel_filters(44100, 2048, 0)
