from __future__ import annotations

import pytest
import torch

from unbraid.networks.classical.median import median, sliding_median


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 13, 16, 31, 50])
def test_the_median_is_that_of_sorting(count, rng):
    planes = torch.randn(count, 7, 5, generator=rng)
    planes[count // 2 :, 0] = 0.5  # several alike
    middle = planes.sort(0).values[(count - 1) // 2 : count // 2 + 1].mean(0)
    torch.testing.assert_close(median(list(planes)), middle, rtol=0, atol=1e-7)


@pytest.mark.parametrize("width", [1, 3, 5, 7, 9, 15, 17, 31, 33])
@pytest.mark.parametrize("length", [1, 2, 6, 40])
def test_a_sliding_median_is_that_of_sorting_each_window(width, length, rng):
    values = torch.randn(3, 2, length, generator=rng)
    mirrored = torch.cat([values, values.flip(-1)], -1).repeat(1, 1, 2 * width + 2)
    start = 2 * length * (width + 1)  # as far from both ends of the mirrored values as any window reaches
    windows = mirrored[..., start - width // 2 : start + length + width // 2].unfold(-1, width, 1)
    assert sliding_median(values, width).equal(windows.sort(-1).values[..., width // 2])


def test_values_in_many_pieces_have_the_medians_of_one(rng):
    values = torch.randn(300, 400, generator=rng)
    rows = torch.stack([sliding_median(row, 9) for row in values])
    assert sliding_median(values, 9).equal(rows)
