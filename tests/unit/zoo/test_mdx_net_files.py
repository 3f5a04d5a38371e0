"""MDX-Nets from files as their publishers write them: ONNX, and torch under three namings."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from networks.tiny import lively
from unbraid.errors import WeightsError
from unbraid.networks.base import build
from unbraid.networks.mdx_net import Config, MDXNet, Target
from unbraid.zoo import catalog, load, uvr_models
from unbraid.zoo.convert import read, read_parts
from unbraid.zoo.keymaps import mdx_net_onnx
from unbraid.zoo.onnx_weights import read_onnx

GOLDEN = Path(__file__).parents[2] / "golden/mdx_net_onnx"
FILES = sorted(path.stem for path in GOLDEN.glob("*.onnx"))
SMALL = Target(n_fft=96, bins=32, frames=32, levels=2, channels=4)


@pytest.fixture
def known(monkeypatch):
    """The small files are models that UVR knows."""
    model = uvr_models.UvrModel(6144, 1.05, ("accompaniment", "vocals"))
    models = {uvr_models.tail_md5(path): model for path in GOLDEN.glob("*.onnx")}
    monkeypatch.setattr(uvr_models, "_models", lambda: models)


@torch.no_grad()
@pytest.mark.parametrize("name", FILES)
@pytest.mark.usefixtures("known")
def test_an_onnx_file_gives_what_onnx_runtime_makes_of_it(name):
    stored = np.load(GOLDEN / f"{name}.npz")
    network = load.load(GOLDEN / f"{name}.onnx")
    estimate = network.targets[0].separate(torch.from_numpy(stored["features"])).numpy()
    assert np.linalg.norm(estimate - stored["estimate"]) < 1e-5 * np.linalg.norm(stored["estimate"])


@pytest.mark.usefixtures("known")
def test_a_known_file_is_used_as_uvr_uses_it():
    network = load.load(GOLDEN / "folded.onnx")
    expected = Target(n_fft=6144, bins=32, frames=8, levels=1, channels=4, convolutions=2)
    assert network.config.targets == (expected,)
    assert network.spec.sources == ("accompaniment", "vocals")
    assert (network.config.low_cut, network.config.compensate) == (3, 1.05)
    mixture = 0.1 * torch.randn(1, 2, network.spec.segment)
    estimates = network(mixture)
    torch.testing.assert_close(1.05 * estimates[:, 0] + estimates[:, 1], mixture)


def test_of_an_unknown_file_the_length_of_frames_is_guessed_and_the_guess_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        network = load.load(GOLDEN / "folded.onnx")
    assert network.config.targets[0].n_fft == 4096
    assert network.spec.sources == ("primary", "secondary")
    assert "frames of 4096 samples are assumed" in caplog.text


@pytest.mark.parametrize(("bins", "n_fft"), [(2048, 4096), (2560, 5120), (3072, 6144), (9000, 18000)])
def test_frames_are_guessed_to_hold_all_bins(bins, n_fft):
    assert uvr_models.configuration(GOLDEN / "folded.onnx", {"bins": bins})["targets"] == [
        {"bins": bins, "n_fft": n_fft}
    ]


def test_norms_that_the_exporter_took_away_change_nothing():
    folded, kept = (read(GOLDEN / f"{name}.onnx").tensors for name in ("folded", "kept"))
    assert folded.keys() == kept.keys()
    norm = torch.nn.BatchNorm2d(4).eval()
    prefix = "targets.0.first_conv.1."
    norm.load_state_dict(
        {name.removeprefix(prefix): value for name, value in folded.items() if prefix in name}
    )
    x = torch.randn(1, 4, 50, 50)
    assert norm(x).equal(x)
    assert not torch.equal(kept[f"{prefix}weight"], folded[f"{prefix}weight"])
    # Those behind full layers cannot be folded, and stay as they are.
    name = "targets.0.bottleneck_block.tdf.1.running_var"
    assert torch.equal(kept[name], folded[name])


@pytest.mark.parametrize("size", [0, 1, 10_239_999, 10_240_000, 10_240_001])
def test_the_hash_is_over_the_end_of_a_file(size, tmp_path):
    content = b"begin" + bytes(size)
    (tmp_path / "model.onnx").write_bytes(content)
    expected = hashlib.md5(content[-10_240_000:], usedforsecurity=False).hexdigest()
    assert uvr_models.tail_md5(tmp_path / "model.onnx") == expected


def test_the_table_of_models_is_whole():
    models = uvr_models._models()
    assert len(models) == 44
    assert all(len(md5) == 32 for md5 in models)
    for model in models.values():
        assert model.n_fft in {4096, 5120, 6144, 7680, 8192, 16384}
        assert 1 <= model.compensate < 2
        assert len(set(model.sources)) == 2
    assert models["55657dd70583b0fedfba5f67df11d711"] == uvr_models.UvrModel(
        6144, 1.022, ("accompaniment", "vocals")
    )


def edited(change, tmp_path):
    """A stored graph with something changed, as it is read."""
    model = onnx.load(GOLDEN / "kept.onnx")
    change(model.graph)
    onnx.save(model, tmp_path / "edited.onnx")
    return read_onnx(tmp_path / "edited.onnx")


def without(kind, *, last=False):
    """Remove one operation of a kind."""

    def change(graph):
        found = [node for node in graph.node if node.op_type == kind]
        graph.node.remove(found[-1 if last else 0])

    return change


def renamed_to(kind):
    def change(graph):
        graph.node[1].op_type = kind

    return change


def without_input(graph):
    del graph.input[:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("MatMul"), "no equal blocks"),
        (without("ConvTranspose"), "no equal blocks"),
        (without("Conv", last=True), "does not begin and end with a convolution"),
        (renamed_to("InstanceNormalization"), "an operation InstanceNormalization"),
        (without_input, "how many bins and frames"),
    ],
)
def test_graphs_that_are_no_mdx_net_are_refused(change, words, tmp_path):
    graph = edited(change, tmp_path)
    with pytest.raises(WeightsError, match=words):
        mdx_net_onnx.configuration(graph)


def test_any_other_onnx_file_is_refused(tmp_path):
    weight = onnx.numpy_helper.from_array(np.zeros((2, 2), np.float32), "w")
    node = onnx.helper.make_node("Gemm", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "main", [], [], initializer=[weight])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "model.onnx")
    with pytest.raises(WeightsError, match="an operation Gemm, which no MDX-Net has"):
        read(tmp_path / "model.onnx")


def weights(**changes):
    """A network of one target, and its weights as the published class names them."""
    network = MDXNet(Config(targets=(SMALL,), hop_length=16, **changes))
    network.load_state_dict(lively(network.state_dict()))
    state = {name.removeprefix("targets.0."): value for name, value in network.state_dict().items()}
    return network.eval(), {**state, "window": torch.ones(96), "freq_pad": torch.zeros(1, 4, 17, 32)}


def first_version(name):
    return name.replace(".tfc.H.", ".H.").replace("bottleneck_block", "mid_dense")


def submission(name):
    return first_version(name).replace("encoding_blocks", "ds_dense").replace("decoding_blocks", "us_dense")


@pytest.mark.parametrize("naming", [str, first_version, submission])
def test_each_naming_of_torch_weights_gives_the_same_network(naming, tmp_path):
    network, state = weights()
    torch.save({naming(name): value for name, value in state.items()}, tmp_path / "vocals.ckpt")
    package = read_parts(
        {"targets.0": tmp_path / "vocals.ckpt"},
        architecture="mdx_net",
        config={
            "hop_length": 16,
            "targets": [{"n_fft": 96, "bins": 32, "frames": 32, "levels": 2, "channels": 4}],
        },
    )
    rebuilt = build("mdx_net", package.config)
    rebuilt.load_state_dict(package.tensors)
    mixture = 0.1 * torch.randn(1, 2, network.spec.segment)
    assert rebuilt.eval()(mixture).equal(network(mixture))


@pytest.mark.parametrize(("optimizer", "norm"), [("rmsprop", "batch"), ("adamw", "group")])
def test_a_lightning_checkpoint_says_what_it_is(optimizer, norm, tmp_path):
    made = {
        "target_name": "vocals",
        "lr": 1e-4,
        "optimizer": optimizer,
        "dim_c": 4,
        "dim_f": 32,
        "dim_t": 32,
        "n_fft": 96,
        "hop_length": 16,
        "num_blocks": 5,
        "l": 3,
        "g": 4,
        "k": 3,
        "bn": 8,
        "bias": False,
        "overlap": 48,
    }
    from unbraid.networks.layers.tfc_tdf import Norm

    network, state = weights(norm=Norm(norm))
    path = tmp_path / "epoch=1.ckpt"
    torch.save({"epoch": 1, "state_dict": state, "hyper_parameters": made}, path)
    loaded = load.load(path)
    assert loaded.config == network.config
    mixture = 0.1 * torch.randn(1, 2, network.spec.segment)
    assert loaded(mixture).equal(network(mixture))


@torch.no_grad()
def test_four_files_and_a_mixer_make_one_network(tmp_path):
    torch.save({"linear.weight": torch.eye(4, 6)}, tmp_path / "mixer.ckpt")
    paths = {f"targets.{number}": GOLDEN / f"{name}.onnx" for number, name in enumerate(("folded", "bias"))}
    sizes = {"n_fft": 4096, "bins": 32, "frames": 8, "levels": 1, "channels": 4, "convolutions": 2}
    config = {"sources": ["a", "b"], "mixer": True, "targets": [sizes, {**sizes, "bias": True}]}
    package = read_parts({**paths, "mixer": tmp_path / "mixer.ckpt"}, architecture="mdx_net", config=config)
    network = build("mdx_net", package.config)
    network.load_state_dict(package.tensors)
    for number, name in enumerate(("folded", "bias")):
        stored = np.load(GOLDEN / f"{name}.npz")
        estimate = network.eval().targets[number].separate(torch.from_numpy(stored["features"])).numpy()
        assert np.linalg.norm(estimate - stored["estimate"]) < 1e-5 * np.linalg.norm(stored["estimate"])


def test_cards_agree_with_what_uvr_says_of_the_same_files():
    models = uvr_models._models().values()
    for card in catalog.cards():
        if card.architecture == "mdx_net" and card.config.get("rest"):
            n_fft = card.config["targets"][0]["n_fft"]
            assert any((model.n_fft, model.sources) == (n_fft, card.sources) for model in models), card.name
