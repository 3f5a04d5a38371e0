"""What every test may ask for: a seeded generator, the real songs, a warm torch that is put back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

# They made the files beside them, some with packages that nobody needs for anything else.
collect_ignore_glob = ["golden/make_*.py"]

SONGS = Path(__file__).parents[2] / "shared/audio/everything-is-free"


@pytest.fixture
def rng() -> torch.Generator:
    """A generator with a fixed seed: tests are random, never arbitrary."""
    return torch.Generator().manual_seed(20240229)


@pytest.fixture(scope="session")
def songs() -> Path:
    """The folder of real songs with true stems; the test is skipped where a checkout lacks it."""
    if not SONGS.is_dir():
        pytest.skip("the folder of real songs with true stems is not beside this checkout")
    return SONGS


@pytest.fixture(autouse=True)
def _nothing_is_tried_out(request, monkeypatch):
    """PyTorch runs networks in tests, unless they ask for something else: what is fastest is no matter."""
    if "tunes" not in request.keywords:
        monkeypatch.setattr("unbraid.engine.backends.openvino.missing", lambda: "not in tests")
        # Whatever the processor can: the answers are those of float32.
        monkeypatch.setattr("unbraid.engine.backends.eager.capabilities", dict)


@pytest.fixture(autouse=True)
def _global_state_is_left_alone():
    """A test that changes a global switch of torch's and leaves it so is a bug of ours."""
    before = torch.get_num_threads(), torch.get_default_dtype(), torch.random.get_rng_state()
    yield
    assert torch.get_num_threads() == before[0]
    assert torch.get_default_dtype() == before[1]
