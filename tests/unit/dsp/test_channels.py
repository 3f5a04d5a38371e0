"""Every channel is separated and comes back in its place."""

from __future__ import annotations

import pytest
import torch

from signals import noise
from unbraid.dsp.channels import assemble, channel_groups, narrow, widen

LAYOUTS = {
    "mono": ("FC",),
    "stereo": ("FL", "FR"),
    "2.1": ("FL", "FR", "LFE"),
    "5.1": ("FL", "FR", "FC", "LFE", "BL", "BR"),
    "7.1": ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
    "vorbis order": ("FL", "FC", "FR", "BL", "BR", "LFE"),
    "lonely left": ("FL", "FC"),
    "unknown": ("0", "1", "2"),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("width", [1, 2])
def test_no_channel_is_lost_doubled_or_moved(layout, width):
    groups = channel_groups(layout, width)
    assert sorted(channel for group in groups for channel in group) == list(range(len(layout)))
    mixture = noise(50, channels=len(layout))
    parts = []
    for group in groups:
        heard = widen(mixture[list(group)], width)
        assert heard.shape[0] == width
        parts.append(narrow(heard.expand(3, -1, -1), len(group)))
    assert torch.equal(assemble(groups, parts), mixture.expand(3, -1, -1))


def test_pairs_are_the_left_and_right_of_a_ring():
    assert channel_groups(LAYOUTS["7.1"], 2) == ((0, 1), (2,), (3,), (4, 5), (6, 7))
    assert channel_groups(LAYOUTS["vorbis order"], 2) == ((0, 2), (1,), (3, 4), (5,))


def test_a_network_of_one_channel_gets_each_alone():
    assert channel_groups(LAYOUTS["stereo"], 1) == ((0,), (1,))
