"""What the networks around pictures promise beyond what every network does: Segm, TorchSeg, Swin UperNet."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
import torch

from networks.tiny import TINY, lively
from reference.pictures import KINDS, slow_features
from unbraid.errors import ConfigError, MachineError, ShapeError
from unbraid.networks.base import build
from unbraid.networks.layers.picture import fold, unfold
from unbraid.networks.segm import Config, Decoder, Segm
from unbraid.networks.swin_upernet import Config as SwinConfig

NAMES = ("segm", "torchseg", "swin_upernet")
PACKAGES = {"segm": "segmentation_models_pytorch", "torchseg": "segmentation_models_pytorch"}


@pytest.fixture(params=NAMES)
def network(request, _pictures):
    """A tiny network in float64, all of whose branches are alive."""
    network = build(request.param, TINY[request.param])
    network.load_state_dict(lively(network.state_dict()))
    return network.double().eval()


def noise(network, rng, *, batch=1):
    shape = (batch, network.spec.channels, network.spec.segment)
    return 0.3 * torch.randn(shape, generator=rng, dtype=torch.float64)


def test_they_say_of_themselves_what_the_engine_must_know(network):
    spec = network.spec
    assert spec.fixed
    assert (spec.segment, spec.limit, spec.context) == (31 * 64, 31 * 64, 0)


def test_the_published_segment_is_that_of_the_published_programs():
    assert Config().segment == 261_632
    assert Config().features == 32


def test_the_layers_are_given_the_folded_spectrum(network, rng):
    mixture = noise(network, rng)
    seen = []

    def inner(features):
        seen.append(features)
        return (torch.cat([features, features], 1),)

    estimates = network.around(inner, mixture)
    spectrum = network.config.stft(mixture)[0, :, :128].numpy()
    np.testing.assert_allclose(seen[0][0].numpy(), slow_features(spectrum, 4), rtol=0, atol=1e-12)
    # What comes back as it was is the mixture, but for the bins that nobody looks at: here, the highest.
    kept = torch.nn.functional.pad(torch.from_numpy(spectrum), (0, 0, 0, 1))
    expected = network.config.stft.inverse(kept, mixture.shape[-1])
    torch.testing.assert_close(estimates[0], expected.expand(2, -1, -1))


def test_each_source_has_channels_of_its_own(network, rng):
    mixture = noise(network, rng)
    first, second = network.around(
        lambda features: (torch.cat([features, 0 * features], 1),), mixture
    ).unbind(1)
    assert first.any()
    assert not second.any()


@torch.no_grad()
def test_the_layers_are_the_published_ones(network, rng):
    features = torch.randn(2, 16, 32, 32, generator=rng, dtype=torch.float64)
    first = torch.einsum("oc,bcfn->bofn", network.first_conv.weight[..., 0, 0], features)
    seen = network.picture(first.transpose(2, 3)).transpose(2, 3) * first
    hidden = torch.einsum(
        "oc,bcfn->bofn", network.final_conv[0].weight[..., 0, 0], torch.cat([features, seen], 1)
    )
    activated = torch.nn.functional.elu(hidden) if "TorchSeg" in str(type(network)) else None
    activated = torch.nn.functional.gelu(hidden) if activated is None else activated
    expected = torch.einsum("oc,bcfn->bofn", network.final_conv[2].weight[..., 0, 0], activated)
    torch.testing.assert_close(network.inner(features)[0], expected)


def test_unfolding_undoes_folding(rng):
    features = torch.randn(2, 4, 12, 5, generator=rng)
    assert unfold(fold(features, 3), 3).equal(features)
    assert fold(features, 3)[1, 3 * 2 + 1, 2, 4] == features[1, 2, 4 + 2, 4]


@pytest.mark.usefixtures("_pictures")
@pytest.mark.parametrize(("decoder", "kind"), list(zip(Decoder, KINDS, strict=True)))
def test_each_decoder_is_asked_for_by_its_name_and_without_foreign_weights(decoder, kind):
    made = Segm(Config(encoder="tu-resnet18", decoder=decoder)).unet_model.made_with
    assert made == {"kind": kind, "encoder": "tu-resnet18", "weights": None}


@pytest.mark.usefixtures("_pictures")
def test_an_encoder_of_timm_is_asked_for_as_one():
    made = build("torchseg", {**TINY["torchseg"], "encoder": "resnet18"}).unet_model.made_with
    assert made["encoder"] == "tu-resnet18"


@pytest.mark.usefixtures("_pictures")
def test_the_transformer_is_asked_for_with_its_sizes():
    made = build("swin_upernet", TINY["swin_upernet"]).swin_upernet_model.made_with["config"]
    encoder = made.backbone_config
    assert (encoder.num_channels, encoder.embed_dim, encoder.window_size) == (8, 8, 4)
    assert (encoder.depths, encoder.num_heads) == ([1, 1, 2, 1], [1, 2, 2, 2])
    assert (made.hidden_size, made.num_labels, made.use_auxiliary_head) == (12, 8, False)


@pytest.mark.parametrize("name", NAMES)
def test_without_the_package_the_error_says_how_to_get_it(name, monkeypatch):
    package = PACKAGES.get(name, "transformers")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MachineError, match=rf"needs {package}.*pip install 'unbraid\[backbones\]'"):
        build(name, TINY[name])


def test_a_torchvision_of_another_torch_is_named(monkeypatch):
    def broken(_):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(MachineError, match=r"does not run with this torch.*nms.*torchvision must come from"):
        Segm(Config())


def test_importing_a_network_imports_no_package():
    for name in NAMES:
        module = importlib.import_module(f"unbraid.networks.{name}")
        assert not {"transformers", "timm", "segmentation_models_pytorch"} & vars(module).keys()


@pytest.mark.parametrize("shape", [(2, 1984), (1, 1, 1984), (1, 2, 1983)])
def test_another_shape_is_refused_with_the_one_that_works(network, shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels"):
        network(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bins": 4100}, "bins must be a multiple of bands"),
        ({"bins": 8192}, "and at most 4097"),
        ({"bands": 64, "bins": 64}, "32 bins and frames, or multiples"),
        ({"frames": 500}, "32 bins and frames, or multiples"),
        ({"hop_length": 64, "frames": 64}, "a segment must be longer"),
        ({"channels": 0, "frames": 10**9}, "frames must be 32 to 4096.*; channels must be 1 to 1024"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        Config(**change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layers": (1, 2, 3)}, "layers and heads must be 4 numbers"),
        ({"heads": (1, 2, 3, 0)}, "layers and heads must be 4 numbers"),
        ({"embedding": 10**6}, "embedding and hidden_size must be 1 to 2048"),
        ({"heads": (5, 12, 24, 48)}, "heads must divide its embedding"),
        ({"window": 0}, "window must be 1 to 64"),
        ({"frames": 500, "window": 0}, "or multiples; window must be"),
    ],
)
def test_numbers_that_make_no_transformer_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        SwinConfig(**change)
