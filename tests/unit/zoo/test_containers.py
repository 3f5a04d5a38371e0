"""Every form in which Demucs and Wave-U-Net were published, as their own code writes it; hostile twins."""

from __future__ import annotations

import gzip
import importlib
import io
import os
import pickle
import re
import sys
import types
import zlib
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from networks.tiny import HTDEMUCS_ARGUMENTS, lively
from unbraid.errors import WeightsError
from unbraid.zoo.convert import read
from unbraid.zoo.load import load
from unbraid.zoo.package import fingerprint, require_fit, skeleton
from unbraid.zoo.torch_file import read_torch

GOLDEN = Path(__file__).parents[2] / "golden"
PUBLISHED = {
    "htdemucs": ("demucs.htdemucs:HTDemucs", {**HTDEMUCS_ARGUMENTS, "segment": Fraction(1, 2)}),
    "hdemucs": ("demucs.hdemucs:HDemucs", {"channels": 8, "nfft": 1024, "depth": 5, "dconv_attn": 3}),
    "hdemucs, bands": ("demucs.hdemucs:HDemucs", {"channels": 8, "multi_freqs": [0.1, 0.3], "segment": 44}),
    "demucs": ("demucs.demucs:Demucs", {"channels": 8, "depth": 5, "rewrite": False}),
}


@pytest.mark.reference
@pytest.mark.parametrize("halves", [True, False])
@pytest.mark.parametrize("name", PUBLISHED)
@torch.no_grad()
def test_what_demucs_saves_gives_the_estimates_of_demucs(name, halves, tmp_path, monkeypatch, rng):
    from demucs.states import save_with_checksum, serialize_model

    settings = types.SimpleNamespace(to_container=lambda value, **_: value)
    monkeypatch.setitem(sys.modules, "omegaconf", types.SimpleNamespace(OmegaConf=settings))
    place, kwargs = PUBLISHED[name]
    module, klass = place.split(":")
    theirs = getattr(importlib.import_module(module), klass)(**{"sources": ["a", "b"], **kwargs}).eval()
    theirs.load_state_dict({key: value.half() for key, value in lively(theirs.state_dict()).items()})
    save_with_checksum(serialize_model(theirs, {"lr": 3e-4}, half=halves), tmp_path / "955717e8.th")
    (path,) = tmp_path.iterdir()
    assert {value.dtype for value in read(path).tensors.values()} == {torch.float16}
    ours = load(path)
    mixture = 0.1 * torch.randn(1, 2, 9000, generator=rng)
    mixture = torch.nn.functional.pad(mixture, (0, ours.spec.accepted_length(9000) - 9000))
    expected = theirs(mixture)
    assert (ours(mixture) - expected).norm() < 1e-5 * expected.norm()


V2 = {"channels": 8, "depth": 3, "sources": ["a", "b", "c", "d"]}


def old_weights(klass, **changes):
    """A network of Demucs v1 or v2, and its weights by our names."""
    network = klass(**{**V2, **changes})
    weights = lively(network.state_dict())
    network.load_state_dict(weights)
    ours = {re.sub(r"(coder\.\d)\.2\.", r"\1.3.", key): value for key, value in weights.items()}
    return network.state_dict(), ours


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("zip_form", [True, False])
@pytest.mark.parametrize("suffix", [".th", ".th.gz"])
def test_demucs_v1_comes_as_a_tuple(suffix, zip_form, demucs_v2_class, tmp_path):
    state, ours = old_weights(demucs_v2_class, sources=4)
    path = tmp_path / f"light{suffix}"
    with (gzip.open if suffix == ".th.gz" else open)(path, "wb") as file:
        torch.save(
            (demucs_v2_class, (), {"channels": 8, "depth": 3, "sources": 4}, state),
            file,
            _use_new_zipfile_serialization=zip_form,
        )
    package = read(path)
    assert (package.name, package.architecture, package.source) == ("light", "demucs", path.name)
    assert package.fingerprint == fingerprint(ours)
    network = skeleton("demucs", package.config)
    assert network.config.sources == ("drums", "bass", "other", "vocals")
    assert not network.config.oversampled
    require_fit(package.tensors, network, "light")


def test_demucs_v2_comes_with_its_class_or_without(demucs_v2_class, tmp_path):
    state, ours = old_weights(demucs_v2_class)
    package = {"klass": demucs_v2_class, "args": (V2["sources"],), "kwargs": {"channels": 8, "depth": 3}}
    torch.save({**package, "state": state}, tmp_path / "local.th")
    torch.save(state, tmp_path / "hub.th")
    local = read(tmp_path / "local.th")
    hub = read(tmp_path / "hub.th", architecture="demucs", config=V2)
    assert local.fingerprint == hub.fingerprint == fingerprint(ours)
    assert skeleton("demucs", local.config).config == skeleton("demucs", hub.config).config


@pytest.mark.parametrize("kind", ["m3", "m4", "m5", "m6"])
def test_a_tensorflow_checkpoint_is_a_wave_u_net(kind):
    package = read(GOLDEN / f"wave_u_net_tensorflow/{kind}.index")
    assert (package.name, package.architecture) == (kind, "wave_u_net")
    require_fit(package.tensors, skeleton("wave_u_net", package.config), kind)
    asked = {**package.config, "context": False, "sample_rate": 8000}  # what no shape tells
    assert read(GOLDEN / f"wave_u_net_tensorflow/{kind}.index", config=asked).config == asked
    other = read(GOLDEN / f"wave_u_net_tensorflow/{kind}.index", config={**asked, "levels": 3})
    with pytest.raises(WeightsError, match=r"do not fit the network: .* missing: .*down\.2"):
        require_fit(other.tensors, skeleton("wave_u_net", other.config), kind)
    with pytest.raises(WeightsError, match="was to be a demucs"):
        read(GOLDEN / f"wave_u_net_tensorflow/{kind}.index", architecture="demucs")


@pytest.fixture
def lightning(monkeypatch):
    """Lightning's own classes as its files name them; nobody needs the package."""
    for name in ("pytorch_lightning", "pytorch_lightning.utilities"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for name, klass in (("utilities.parsing", "AttributeDict"), ("callbacks", "ModelCheckpoint")):
        module = types.ModuleType(f"pytorch_lightning.{name}")
        setattr(module, klass, type(klass, (dict,), {"__module__": module.__name__}))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return sys.modules["pytorch_lightning.utilities.parsing"], sys.modules["pytorch_lightning.callbacks"]


def test_what_lightning_keeps_besides_weights_does_not_hide_them(
    lightning, tmp_path, tiny, make_card, published
):
    parsing, callbacks = lightning
    torch.save(
        {
            "epoch": 3,
            "pytorch-lightning_version": "1.1.6",
            "callbacks": {callbacks.ModelCheckpoint: {"best_model_score": torch.tensor(0.5), "dirpath": "a"}},
            "optimizer_states": [{"state": {0: {"step": 7}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}],
            "lr_schedulers": [],
            "hyper_parameters": parsing.AttributeDict(channels=8, sources=["drums", "vocals"]),
            "state_dict": {f"model.{name}": value for name, value in tiny.state.items()},
        },
        tmp_path / "last.ckpt",
    )
    package = read(tmp_path / "last.ckpt", architecture="htdemucs", config=make_card(published).config)
    assert package.fingerprint == tiny.fingerprint
    settings = {"channels": 8, "sources": ["drums", "vocals"]}
    assert read_torch(tmp_path / "last.ckpt")["hyper_parameters"] == settings


def compressed(content) -> bytes:
    inner = io.BytesIO()
    torch.save(content, inner)
    return zlib.compress(inner.getvalue())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"compressed": b"no zlib"}, "damaged"),
        ({"compressed": "text"}, "holds more than weights"),
        ({"compressed": zlib.compress(bytes(10**7))}, "unpacks to more than"),
        ({"compressed": compressed({"compressed": compressed({})})}, "holds more than weights"),
        ({"compressed": compressed({"quantized": [1], "others": []})}, "1 quantised weights and 0 others"),
        ({"quantized": [], "others": [], "meta": 3}, "does not say how"),
        ({"w": torch.zeros(1), "n": 3}, "holds more than weights"),
        ({"state": {3: torch.zeros(1)}}, "holds more than weights"),
        (("demucs.model.Demucs", (), {}, {}), "holds a tuple"),
        ((1, 2), "holds a tuple"),
    ],
)
def test_what_are_no_weights_is_refused_whatever_network_was_said(content, words, tmp_path):
    torch.save(content, tmp_path / "a.th")
    with pytest.raises(WeightsError, match=words):
        read(tmp_path / "a.th", architecture="htdemucs")


class Command:
    """Pickles as a call of the shell."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_nothing_in_compressed_weights_is_run(tmp_path):
    sentinel = tmp_path / "sentinel"
    hostile = Command(f"touch {sentinel}")
    inner = zlib.compress(pickle.dumps({"quantized": [hostile], "others": []}, 2))
    zipped = compressed({"quantized": [hostile], "others": []})
    for number, content in enumerate((inner, zipped)):
        path = tmp_path / f"{number}.th"
        torch.save({"compressed": content}, path)
        with pytest.raises(WeightsError):
            read(path, architecture="demucs")
    assert not sentinel.exists()
