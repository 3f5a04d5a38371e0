"""UVR's tables of models as configuration files: an entry, or a table in which a file's hash is looked up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from networks.tiny import lively
from reference.published_mdx23c import published_mdx23c
from reference.published_vr import published_network, weights_of
from unbraid.config import structure
from unbraid.errors import ConfigError, WeightsError
from unbraid.networks.mdx23c import Config as MDX23CConfig
from unbraid.networks.vr_net import Config as VRConfig
from unbraid.networks.vr_net import VRNet
from unbraid.zoo import load
from unbraid.zoo.foreign import mdx23c
from unbraid.zoo.uvr_models import tail_md5

pytestmark = pytest.mark.reference

ONNX = Path(__file__).parents[2] / "golden/mdx_net_onnx"


@pytest.fixture
def vr(tmp_path):
    """A VR network that no table of ours knows."""
    config = VRConfig(channels=8, recurrence=16, window=64, layout="4band_v3")
    network = VRNet(config)
    network.load_state_dict(lively(network.state_dict()))
    torch.save(weights_of(network.state_dict(), published_network(config)), tmp_path / "vr.pth")
    return tmp_path / "vr.pth"


VR_ENTRY = {"vr_model_param": "4band_v3", "primary_stem": "Echo", "nout": 8, "nout_lstm": 16}


def written(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("whole", [False, True])
def test_a_vr_network_is_what_its_entry_says(vr, whole, tmp_path, caplog):
    table = {"0" * 32: {"vr_model_param": "4band_44100", "primary_stem": "Vocals"}, tail_md5(vr): VR_ENTRY}
    config = written(tmp_path / "model_data.json", table if whole else VR_ENTRY)
    network = load.load(vr, config=config)
    assert network.spec.sources == ("echo", "no_echo")
    assert network.config.layout == "4band_v3"
    assert not caplog.text


def test_a_table_that_does_not_know_the_file_says_its_hash(vr, tmp_path):
    config = written(tmp_path / "model_data.json", {"0" * 32: VR_ENTRY})
    with pytest.raises(ConfigError, match=f"the table knows no file with the hash of vr.pth, {tail_md5(vr)}"):
        load.load(vr, config=config)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({**VR_ENTRY, "nouts": 3}, "unknown key 'nouts' in UVR's entry of a VR network; did you mean nout"),
        ({"vr_model_param": "4band_v3"}, "has no primary_stem"),
    ],
)
def test_an_entry_that_says_something_else_is_refused_by_name(vr, entry, words, tmp_path):
    with pytest.raises(ConfigError, match=words):
        load.load(vr, config=written(tmp_path / "entry.json", entry))


def test_an_entry_of_another_network_is_refused(tmp_path):
    torch.save({"encoder.0.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth with entry\.json"):
        load.load(tmp_path / "other.pth", config=written(tmp_path / "entry.json", VR_ENTRY))


MDX_ENTRY = {"compensate": 1.04, "mdx_n_fft_scale_set": 4096, "primary_stem": "Instrumental"}


@pytest.fixture
def mdx():
    """An MDX-Net in ONNX, and its numbers of bins and frames."""
    path = min(ONNX.glob("*.onnx"))
    target = load.resolve(path).config["targets"][0]
    return path, target["bins"], target["frames"]


def test_an_mdx_net_is_what_its_entry_says(mdx, tmp_path, caplog):
    path, bins, frames = mdx
    caplog.clear()
    entry = {**MDX_ENTRY, "mdx_dim_f_set": bins, "mdx_dim_t_set": frames.bit_length() - 1}
    config = load.resolve(path, config=written(tmp_path / "table.json", {tail_md5(path): entry})).config
    assert (config["sources"], config["compensate"]) == (["accompaniment", "vocals"], 1.04)
    assert config["targets"][0]["n_fft"] == 4096
    assert not caplog.text
    entry["mdx_dim_f_set"] = bins + 1
    with pytest.raises(ConfigError, match=rf"entry has {bins + 1} bins and 2\^\d+ frames, but the file's"):
        load.resolve(path, config=written(tmp_path / "table.json", entry))
    del entry["mdx_dim_t_set"]
    with pytest.raises(ConfigError, match="entry of an MDX-Net has no mdx_dim_t_set"):
        load.resolve(path, config=written(tmp_path / "table.json", entry))


@pytest.fixture
def described(tmp_path):
    """A checkpoint, and a table that names the file that describes it."""
    file = {
        "audio": {"chunk_size": 480, "hop_length": 32, "n_fft": 128, "dim_f": 64, "num_channels": 2},
        "model": {"num_channels": 8, "growth": 4, "num_scales": 2, "bottleneck_factor": 2},
        "training": {"instruments": ["Vocals", "Instrumental"], "target_instrument": None},
        "inference": {"num_overlap": 8},
    }
    network = published_mdx23c(structure(mdx23c.config_of(file), MDX23CConfig))
    torch.save(network.state_dict(), tmp_path / "model.ckpt")
    entry = {tail_md5(tmp_path / "model.ckpt"): {"config_yaml": "model_2_stem.yaml"}}
    return tmp_path / "model.ckpt", file, written(tmp_path / "model_data.json", entry)


def test_a_table_leads_to_the_file_that_it_names(described):
    checkpoint, file, table = described
    folder = table.parent / "mdx_c_configs"
    folder.mkdir()
    written(folder / "model_2_stem.yaml", file)  # JSON is YAML, too
    found = load.resolve(checkpoint, config=table)
    assert (found.architecture, found.overlap) == ("mdx23c", 0.875)
    assert load.network(found).spec.sources == ("vocals", "instrumental")


def test_a_file_that_a_table_names_and_that_is_not_there_is_asked_for(described):
    checkpoint, _, table = described
    with pytest.raises(ConfigError, match=r"is described by model_2_stem\.yaml; give that file instead"):
        load.resolve(checkpoint, config=table)
