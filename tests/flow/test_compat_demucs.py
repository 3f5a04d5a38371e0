"""One script, on demucs and on this library, with one changed import: the same stems."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest
import soundfile
import torch

import unbraid
from unbraid.audio import Audio

pytestmark = [pytest.mark.weights, pytest.mark.reference, pytest.mark.slow]

SCRIPT = """
from {package}.api import Separator, save_audio, list_models
from {package}.apply import BagOfModels, apply_model
from {package}.audio import convert_audio
from {package}.pretrained import get_model

assert "htdemucs" in list_models(folder)["bag"]
events = []
separator = Separator(
    model="htdemucs", repo=folder, device="cpu", shifts=0, overlap=0.1, callback=events.append
)
assert (separator.samplerate, separator.audio_channels) == (44100, 2)
origin, stems = separator.separate_audio_file(song)
for name, wav in stems.items():
    save_audio(wav, out / f"{{name}}.wav", samplerate=separator.samplerate, clip="rescale")

model = get_model("htdemucs", folder)
assert isinstance(model, BagOfModels)
assert model.sources == list(stems)
mono = convert_audio(origin, separator.samplerate, model.samplerate, 1).mean(0)
short = ((origin - mono.mean()) / mono.std())[None, :, :100_000]
single = get_model("955717e8", folder)
estimates = apply_model(single, short, shifts=0, split=True, segment=5, num_workers=2, device="cpu")[0]
"""


@pytest.fixture
def codecs(monkeypatch):
    """Stand-ins for the two decoders that demucs imports and that are not installed."""
    sphn, lameenc = ModuleType("sphn"), ModuleType("lameenc")

    def read(path):
        frames, rate = soundfile.read(path, dtype="float32")
        return frames.T.copy(), rate

    monkeypatch.setattr(sphn, "read", read, raising=False)
    for module in (sphn, lameenc):
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The published weights as demucs keeps them, from our own zoo."""
    from demucs.htdemucs import HTDemucs

    network = unbraid.load("htdemucs")
    config = network.config
    kwargs = {
        "sources": list(config.sources),
        "segment": config.segment,
        "bottom_channels": 512,
        "t_layers": 5,
        "dconv_mode": 3,
    }
    place = tmp_path_factory.mktemp("repo")
    state = network.state_dict()
    package = {"klass": HTDemucs, "args": (), "kwargs": kwargs, "state": state, "training_args": {}}
    torch.save(package, place / "955717e8.th")
    (place / "htdemucs.yaml").write_text("models: ['955717e8']\n")
    return place


@pytest.fixture
def song(songs, tmp_path):
    """Nine seconds of a real song: two segments."""
    excerpt = unbraid.read(songs / "hydrogen/mixture.flac", start_seconds=20, duration_seconds=9)
    return unbraid.write(Audio(excerpt.samples, excerpt.sample_rate), tmp_path / "song.wav")


def run(package, **names):
    """What the script leaves behind."""
    exec(compile(SCRIPT.format(package=package), package, "exec"), names)  # noqa: S102 - our own script
    return names


@pytest.mark.usefixtures("codecs")
def test_a_script_gives_the_same_stems_with_one_changed_import(folder, song, tmp_path):
    def snr(reference, other):
        difference = (reference - other).double().square().sum()
        return (10 * (reference.double().square().sum() / difference).log10()).item()

    found = {}
    for package in ("demucs", "unbraid.compat.demucs"):
        out = tmp_path / package
        out.mkdir()
        found[package] = run(package, folder=folder, song=song, out=out)
    theirs, ours = found.values()
    assert torch.equal(ours["origin"], theirs["origin"])
    assert list(ours["stems"]) == list(theirs["stems"])
    for name, stem in theirs["stems"].items():
        assert snr(stem, ours["stems"][name]) > 90, name
        files = [unbraid.read(tmp_path / package / f"{name}.wav").samples for package in found]
        assert (files[0] - files[1]).abs().max() <= 2 / 2**15
    assert snr(theirs["estimates"], ours["estimates"]) > 90
    assert ours["events"] == theirs["events"]


def test_a_published_name_gives_the_folders_model(folder):
    get_model = importlib.import_module("unbraid.compat.demucs").get_model
    by_name, by_folder = get_model("htdemucs"), get_model("htdemucs", folder)
    assert by_name.segment == by_folder.segment
    weights = by_folder.models[0].state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in by_name.models[0].state_dict().items())
