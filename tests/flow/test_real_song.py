"""The published weights on real music: our engine and network against the published ones."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import unbraid
from unbraid.audio import Audio
from unbraid.metrics.ratios import sdr

pytestmark = [pytest.mark.weights, pytest.mark.slow]


@pytest.fixture(scope="module")
def network():
    """The published weights, fetched once through the zoo."""
    return unbraid.load("htdemucs")


@pytest.fixture(scope="module")
def excerpt():
    """Six seconds of a MUSDB18 track: the mixture of a .stem.mp4."""
    spec = importlib.util.find_spec("stempeg")
    if spec is None or spec.origin is None:
        pytest.skip("the package stempeg, which carries the excerpt, is not installed; make venv does it")
    return Path(spec.origin).parent / "data" / "The Easton Ellises - Falcon 69.stem.mp4"


def snr(reference, other):
    return 10 * (reference.double().square().sum() / (reference - other).double().square().sum()).log10()


TWICE = """
level = "{}"

[[steps]]
separate = "mixture"
model = "htdemucs"
into = ["vocals"]

[[steps]]
subtract = "vocals"
from = "mixture"
into = "band"

[[steps]]
separate = "band"
model = "htdemucs"
into = ["drums"]
"""


def test_a_chain_is_its_networks_one_after_the_other_whatever_they_are_levelled_by(excerpt, tmp_path):
    mixture = unbraid.read(excerpt)
    stems = ["vocals", "band", "drums"]
    found = {}
    for level in ("heard", "mixture"):
        path = tmp_path / f"{level}.toml"
        path.write_text(TWICE.format(level))
        found[level] = unbraid.separate(mixture, path, stems=stems)
    vocals = unbraid.separate(mixture, stems=["vocals"])["vocals"].samples
    band = (mixture.samples.double() - vocals.double()).float()
    drums = unbraid.separate(Audio(band, mixture.sample_rate), stems=["drums"])["drums"].samples
    for stem, apart in zip(stems, (vocals, band, drums), strict=True):
        assert found["heard"][stem].samples.equal(apart)
    assert snr(drums, found["mixture"]["drums"].samples) > 60


@pytest.mark.reference
def test_a_song_through_engine_and_network_is_the_published_answer(network, excerpt):
    from demucs.apply import apply_model
    from demucs.htdemucs import HTDemucs

    config = network.config
    published = HTDemucs(
        list(config.sources), segment=config.segment, bottom_channels=512, t_layers=5, depth=4, dconv_mode=3
    )
    published.load_state_dict(network.state_dict())
    # Two copies in a row: three segments, one of them in the middle, and a short last one.
    samples = unbraid.read(excerpt).samples.repeat(1, 2)
    mono = samples.mean(0)
    levelled = (samples - mono.mean()) / (mono.std() + 1e-8)
    wanted = apply_model(published.eval(), levelled[None], shifts=0, overlap=0.25)[0]
    wanted = wanted * (mono.std() + 1e-8) + mono.mean()
    estimates = unbraid.separate(Audio(samples, 44100))
    assert estimates.sources == tuple(published.sources)
    assert snr(wanted, estimates.samples) >= 90


def test_the_stems_of_a_real_song_are_the_right_ones(songs, tmp_path):
    song = songs / "hydrogen"
    command = [
        sys.executable,
        "-m",
        "unbraid",
        str(song / "mixture.flac"),
        "--start",
        "10",
        "--duration",
        "6",
    ]
    finished = subprocess.run(
        [*command, "--stems", "vocals,drums,rest", "--sum", "exact", "--out", str(tmp_path), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(finished.stdout)
    mixture = unbraid.read(song / "mixture.flac", start_seconds=10, duration_seconds=6).samples
    stems = {stem: unbraid.read(path).samples for stem, path in result["stems"].items()}
    for stem in ("vocals", "drums"):
        reference = unbraid.read(song / f"{stem}.flac", start_seconds=10, duration_seconds=6).samples
        assert sdr(reference, stems[stem]) > sdr(reference, mixture) + 5
    assert torch.stack(list(stems.values())).double().sum(0).sub(mixture).abs().max() <= 2.0**-15
    assert result["length"] == 6 * 44100


def test_loading_leaves_torch_as_it_was():
    before = torch.get_num_threads(), torch.random.get_rng_state().clone(), torch.is_grad_enabled()
    unbraid.load("htdemucs")
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])
    assert torch.is_grad_enabled() == before[2]
