"""X-UMX as asteroid and as NNabla keep it."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from networks.tiny import TINY, lively
from reference.published_unmix import x_umx
from unbraid.errors import WeightsError
from unbraid.networks.base import build
from unbraid.zoo import load
from unbraid.zoo.convert import read
from unbraid.zoo.keymaps.x_umx import ARGUMENTS

SOURCES = ["bass", "drums", "vocals", "other"]
ARGS = {
    "sources": SOURCES,
    "window_length": 64,
    "in_chan": 64,
    "n_hop": 16,
    "hidden_size": 12,
    "nb_channels": 2,
    "sample_rate": 8000.0,
    "nb_layers": 3,
    "max_bin": 25,
    "bidirectional": True,
}
# What asteroid writes besides: training's own, or what ours embodies.
WRITTEN = {"input_mean": None, "input_scale": None, "spec_power": 1, "return_time_signals": False}


@pytest.fixture
def published():
    """The published network, all of whose branches are alive."""
    network = x_umx(**ARGS)
    network.load_state_dict(lively(network.state_dict()))
    return network.eval()


@pytest.fixture
def magnitudes(rng):
    return torch.rand(30, 1, 2, 33, generator=rng)


def saved(path, network, **changes):
    """As asteroid serializes it."""
    content = {
        "model_name": "XUMX",
        "state_dict": network.state_dict(),
        "model_args": {**ARGS, **WRITTEN, **changes},
        "infos": {"software_versions": {"torch_version": "1.7.1"}},
    }
    torch.save(content, path)
    return path


@torch.no_grad()
def test_what_asteroid_saved_is_the_network_it_was(tmp_path, published, magnitudes):
    network = load.load(saved(tmp_path / "model.pth", published))
    assert network.spec.sources == tuple(SOURCES)
    assert (network.spec.sample_rate, network.config.hop_length) == (8000, 16)
    torch.testing.assert_close(
        torch.stack(network.inner(magnitudes)), published.forward_masker(magnitudes.clone())
    )


def test_weights_alone_are_read_for_one_who_knows_what_they_are(tmp_path, published):
    torch.save(published.state_dict(), tmp_path / "weights.pth")
    config = {**TINY["x_umx"], "sources": SOURCES, "layers": 3}
    package = read(tmp_path / "weights.pth", architecture="x_umx", config=config)
    whole = read(saved(tmp_path / "model.pth", published))
    assert package.fingerprint == whole.fingerprint


def test_no_limit_of_bins_means_all_of_them():
    assert ARGUMENTS.configuration((), {**ARGS, "max_bin": None})["max_bin"] == 33


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"window_length": 32}, "window is not as long as its frame"),
        ({"spec_power": 2}, r"spec_power = 2 \(we have 1\)"),
        ({"flavour": "new"}, "flavour"),
        ({"hidden_size": 14}, "do not fit the network"),
        ({"nb_layers": "many"}, "describes no network"),
    ],
)
def test_what_our_network_does_not_do_is_refused(tmp_path, published, changes, words):
    with pytest.raises(WeightsError, match=words):
        load.load(saved(tmp_path / "model.pth", published, **changes))


def written(path, network):
    """The published network's weights as the authors' NNabla program names, shapes and saves them."""
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    layers = {"fc1": ("enc", 0), "fc2": ("dec", 0), "fc3": ("dec", 3)}
    with h5py.File(path, "w") as file:
        for source in SOURCES:
            for vector in ("input_mean", "input_scale", "output_mean", "output_scale"):
                file[f"{vector}_{source}"] = state[f"mean_scale.{vector}_{source}"]
            for layer, (stage, place) in layers.items():
                own = f"layer_{stage}.{source}.{stage}"
                norm = {name: state[f"{own}.{place + 1}.{name}"] for name in ("weight", "bias")}
                stats = {name: state[f"{own}.{place + 1}.running_{name}"] for name in ("mean", "var")}
                file[f"{layer}_{source}/affine/W"] = state[f"{own}.{place}.weight"].T
                for name, value in {"gamma": norm["weight"], "beta": norm["bias"], **stats}.items():
                    file[f"{layer}_{source}/bn/{name}"] = value[None, None]
            weights = recurrent(state, f"layer_lstm.{source}")
            for name, value in weights.items():
                file[f"lstm_{source}/lstm/{name}"] = value
    return path


def recurrent(state, own):
    """Weights of a recurrence in NNabla's shapes."""

    def layer(place):
        rows = [
            np.concatenate([state[f"{own}.weight_{kind}_l{place}{way}"] for kind in ("ih", "hh")], 1)
            for way in ("", "_reverse")
        ]
        return np.stack(rows).reshape(2, 4, 6, -1)  # (direction, gate, out, in + out)

    bias = [
        sum(state[f"{own}.bias_{kind}_l{place}{way}"] for kind in ("ih", "hh")).reshape(4, 6)
        for place in range(3)
        for way in ("", "_reverse")
    ]
    return {
        "weight_l0": layer(0),
        "weight": np.stack([layer(1), layer(2)]),
        "bias": np.stack(bias).reshape(3, 2, 4, 6),
    }


@torch.no_grad()
def test_the_authors_own_file_is_the_same_network(tmp_path, published, magnitudes):
    package = read(written(tmp_path / "x-umx.h5", published))
    assert package.architecture == "x_umx"
    assert package.config == {
        "sources": tuple(SOURCES),
        "audio_channels": 2,
        "n_fft": 64,
        "max_bin": 25,
        "hidden_size": 12,
        "layers": 3,
        "unidirectional": False,
    }
    asked = {"sources": SOURCES, "sample_rate": 8000, "n_fft": 64, "hop_length": 16, "max_bin": 25}
    known = read(tmp_path / "x-umx.h5", architecture="x_umx", config={**asked, "hidden_size": 12})
    network = build("x_umx", known.config)
    network.load_state_dict(known.tensors)
    masks = torch.stack(network.eval().inner(magnitudes))
    torch.testing.assert_close(masks, published.forward_masker(magnitudes.clone()))


def cell(x, h, c, weights, bias):
    """A step of a recurrence as NNabla's documentation has it; gates are input, forget, cell, output."""
    i, f, g, o = (gate @ np.concatenate([x, h]) + shift for gate, shift in zip(weights, bias, strict=True))

    def sigmoid(value):
        return 1 / (1 + np.exp(-value))

    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@torch.no_grad()
def test_a_recurrence_steps_as_nnabla_s_does(tmp_path, published, rng):
    path = written(tmp_path / "x-umx.h5", published)
    package = read(path)
    lstm = torch.nn.LSTM(12, 6, 3, bidirectional=True).double().eval()
    prefix = "targets.2.lstm."
    own = {name: value for name, value in package.tensors.items() if name.startswith(prefix)}
    lstm.load_state_dict({name.removeprefix(prefix): value for name, value in own.items()})
    steps = torch.randn(5, 12, generator=rng, dtype=torch.float64)
    rows = steps.numpy()
    with h5py.File(path) as file:
        scope = file["lstm_vocals/lstm"]
        theirs = {name: scope[name][()].astype(np.float64) for name in ("weight_l0", "weight", "bias")}
    for layer, weights in enumerate([theirs["weight_l0"], *theirs["weight"]]):
        ways = []
        for direction in (0, 1):
            h, c, states = np.zeros(6), np.zeros(6), []
            for x in rows[:: -1 if direction else 1]:
                h, c = cell(x, h, c, weights[direction], theirs["bias"][layer, direction])
                states.append(h)
            ways.append(np.stack(states[:: -1 if direction else 1]))
        rows = np.concatenate(ways, 1)
    assert np.abs(lstm(steps[:, None])[0][:, 0].numpy() - rows).max() < 1e-6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda file: file.create_dataset("fc4_bass/affine/W", data=np.zeros(3)),
            "what no X-UMX has: fc4_bass",
        ),
        (lambda file: file.pop("fc2_other/affine/W"), "damaged.*fc2_other/affine/W"),
        (lambda file: file.pop("lstm_drums/lstm/bias"), "damaged.*lstm_drums/lstm/bias"),
        (lambda file: file.pop("lstm_bass"), "does not say which network its weights belong to"),
    ],
)
def test_a_file_of_another_network_is_refused(tmp_path, published, change, words):
    path = written(tmp_path / "x-umx.h5", published)
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(WeightsError, match=words):
        read(path)
