"""The published weights themselves, through our own downloader, in the cache that the user has too."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import pytest
import torch

from unbraid.errors import DownloadError
from unbraid.zoo import cache as caches
from unbraid.zoo import catalog
from unbraid.zoo.download import fetch
from unbraid.zoo.load import network, resolve

pytestmark = pytest.mark.weights


@pytest.fixture(scope="session")
def htdemucs():
    """The model, fetched if need be."""
    try:
        fetch(catalog.card("htdemucs"))
    except DownloadError as error:
        pytest.skip(f"no source of the published weights can be reached: {error}")
    return resolve("htdemucs")


def test_the_weights_are_those_of_the_card(htdemucs):
    card = catalog.card("htdemucs")
    assert htdemucs.fingerprint == card.fingerprint
    assert len(htdemucs.tensors) == 533
    assert sum(value.numel() for value in htdemucs.tensors.values()) == card.parameters == 41_984_456
    assert {value.dtype for value in htdemucs.tensors.values()} == {torch.float16}
    assert abs(htdemucs.path.stat().st_size - card.bytes) < 1000  # the source's name is in the header
    assert caches.verify("htdemucs") == htdemucs.path


def test_the_weights_are_alive(htdemucs):
    for name, value in htdemucs.tensors.items():
        assert value.isfinite().all(), name
        assert value.float().abs().max() > 0, name


@pytest.mark.reference
def test_demucs_itself_takes_the_weights(htdemucs):
    from demucs.htdemucs import HTDemucs

    oracle = HTDemucs(
        ["drums", "bass", "other", "vocals"],
        bottom_channels=512,
        t_layers=5,
        dconv_mode=3,
        segment=Fraction(39, 5),
    )
    oracle.load_state_dict(network(htdemucs).state_dict(), strict=True)


@pytest.mark.skipif(sys.platform == "win32", reason="the peak of a process's memory is asked the POSIX way")
@pytest.mark.usefixtures("htdemucs")
def test_loading_takes_the_files_bytes_and_the_networks_and_hardly_more():
    card = catalog.card("htdemucs")
    code = (
        "import resource, sys\n"
        "from unbraid.zoo.load import load\n"
        "import unbraid.networks.htdemucs\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "load('htdemucs')\n"
        "print(peak() - before, 'sympy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    growth, slow_import = done.stdout.split()
    scale = 1 if sys.platform == "darwin" else 1024
    assert int(growth) * scale < (2 + 4) * card.parameters + 2**25  # float16 mapped, float32 made
    assert slow_import == "False"  # torch's tracing: a second, and 80 MB
