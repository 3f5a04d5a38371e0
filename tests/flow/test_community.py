"""From a checkpoint of the community's and its configuration file to stems, by the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch
import yaml

import unbraid
from networks.tiny import lively
from unbraid.cli.main import main
from unbraid.errors import UsageError
from unbraid.networks.base import build
from unbraid.zoo.foreign import mdx23c

FILE = {
    "audio": {"chunk_size": 4000, "hop_length": 32, "n_fft": 128, "dim_f": 64, "sample_rate": 8000},
    "model": {"num_channels": 8, "growth": 4, "num_scales": 2, "bottleneck_factor": 2, "scale": [1, 2]},
    "training": {"instruments": ["Vocals", "Other"], "target_instrument": "Vocals", "lr": "1e-5"},
    "inference": {"num_overlap": 4, "batch_size": 4},
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a second of sound, a checkpoint and the file that describes it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    network = build("mdx23c", mdx23c.config_of(FILE))
    torch.save({"state_dict": lively(network.state_dict())}, "model.ckpt")
    (tmp_path / "model.yaml").write_text(yaml.dump(FILE))
    sound = np.random.default_rng(3).uniform(-0.3, 0.3, (8000, 2))
    soundfile.write("song.wav", sound, 8000, subtype="PCM_24")
    return tmp_path


def sidecar(place):
    (path,) = (place / "separated").rglob("*.json")
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_checkpoint_and_its_file_make_stems(place, capsys):
    assert main(["-n", "model.ckpt", "--config", "model.yaml", "--bits", "24", "song.wav"]) == 0
    assert "does not say" not in capsys.readouterr().err
    folder = place / "separated/model/song"
    stems = {path.stem: soundfile.read(path)[0] for path in folder.glob("*.wav")}
    assert stems.keys() == {"vocals", "other"}
    said = sidecar(place)
    gain = 10 ** (said["gain_db"] / 20)
    difference = sum(stems.values()) / gain - soundfile.read("song.wav")[0]
    assert np.abs(difference).max() < 1e-4 / gain
    plan = said["networks"][0]["plan"]
    assert (plan["segment"], plan["stride"], plan["window"]) == (4000, 1000, "fade")


def test_what_the_user_says_counts_more_than_the_file(place):
    with unbraid.Separator(
        "model.ckpt", config=place / "model.yaml", overlap=0.5, stems=["vocals"], backend="eager"
    ) as separator:
        separator.to_files("song.wav")
    (network,) = sidecar(place)["networks"]
    assert network["plan"]["stride"] == 2000
    assert network["plan"]["window"] == "fade"


@pytest.mark.usefixtures("place")
def test_without_a_file_the_guess_is_said_and_no_file_is_taken_unasked(capsys):
    assert main(["models", "show", "model.ckpt"]) == 0
    said = capsys.readouterr()
    assert "model.yaml lies beside it: --config model.yaml" in said.err
    assert "by the names of its weights a mdx23c" in said.err
    assert "44,100 Hz" in said.out  # which the file says otherwise


@pytest.mark.usefixtures("place")
def test_all_that_is_known_is_shown(capsys):
    assert main(["models", "show", "model.ckpt", "--config", "model.yaml"]) == 0
    said = capsys.readouterr().out
    for words in (
        "mdx23c",
        "vocals, other",
        "8,000 Hz, 0.50 s at once",
        "num_overlap 4: segments of 4000 samples start every 1000",
        "other is what the mixture has besides",
        "batch_size 4 is speed here, never sound",
        "equals the published program's answer at batch size 1",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--config", "model.yaml", "song.wav"], 2, "describes a checkpoint, and none was given; add -n"),
        (["-n", "hpss", "--config", "model.yaml", "song.wav"], 2, "hpss is a model that needs no config"),
        (["-n", "htdemucs_ft", "--config", "model.yaml", "song.wav"], 2, "htdemucs_ft is no checkpoint"),
        (["-n", "model.ckpt", "--config", "bad.yaml", "song.wav"], 2, "bad.yaml: unknown key 'num_chanels'"),
        (["-n", "model.ckpt", "--config", "none.yaml", "song.wav"], 2, "none.yaml cannot be read"),
        (["models", "show", "a", "b", "--config", "model.yaml"], 2, "describes one checkpoint, and 2 were"),
        (["models", "show", "htdemucs_ft", "--config", "model.yaml"], 2, "is no checkpoint"),
        (["models", "show", "hpss", "--config", "model.yaml"], 2, "needs no configuration file"),
        (["models", "show", "nothing.ckpt"], 4, "no checkpoint is at nothing.ckpt"),
    ],
)
def test_what_does_not_go_together_is_refused(place, arguments, code, words, capsys):
    bad = {**FILE, "model": {**FILE["model"], "num_chanels": 8}}
    (place / "bad.yaml").write_text(yaml.dump(bad))
    assert main(arguments) == code
    assert words in capsys.readouterr().err


def test_a_file_is_not_for_a_network_of_ones_own(place):
    with pytest.raises(UsageError, match="MDX23C is no checkpoint; --config describes the file of one"):
        unbraid.Separator(build("mdx23c", mdx23c.config_of(FILE)), config=place / "model.yaml")


def test_the_library_loads_it_too(place):
    network = unbraid.load("model.ckpt", config="model.yaml")
    assert network.spec.sources == ("vocals", "other")
    assert not network.spec.levelled
    with torch.no_grad():
        assert network(torch.zeros(1, 2, 4000)).shape == (1, 2, 2, 4000)
    with pytest.raises(UsageError, match="needs no configuration file"):
        unbraid.load("hpss", config="model.yaml")
    assert (place / "model.yaml").is_file()
