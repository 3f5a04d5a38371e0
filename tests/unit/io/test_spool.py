from __future__ import annotations

import pytest
import torch

import signals
from unbraid.errors import MachineError
from unbraid.io.spool import Spool


@pytest.mark.parametrize("block", [1, 1000, 65536])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_was_kept_comes_back_as_often_as_wanted(tmp_path, block, channels):
    samples = signals.noise(3001, channels=channels)
    with Spool(tmp_path) as spool:
        for piece in samples.split(777, 1):
            spool.append(piece)
        assert spool.length == 3001
        for _ in range(2):
            pieces = list(spool.blocks(block))
            assert {piece.shape[1] for piece in pieces[:-1]} <= {block}
            assert torch.equal(torch.cat(pieces, 1), samples)


def test_an_empty_spool_gives_nothing(tmp_path):
    with Spool(tmp_path) as spool:
        assert list(spool.blocks()) == []
        spool.append(torch.zeros(2, 0))
        assert list(spool.blocks()) == []


def test_doubles_and_views_are_kept_as_floats(tmp_path):
    samples = signals.noise(100).double()[:, ::2]
    with Spool(tmp_path) as spool:
        spool.append(samples)
        assert torch.equal(next(spool.blocks()), samples.float())


def test_nothing_is_left_in_the_folder(tmp_path):
    with Spool(tmp_path) as spool:
        spool.append(signals.noise(1000))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_is_the_machines_matter(tmp_path):
    with pytest.raises(MachineError, match="cannot be kept"):
        Spool(tmp_path / "none")
