"""What D3Net promises beyond what every network does."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

import signals
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.errors import ConfigError, ShapeError, WeightsError
from unbraid.networks.d3net import Branch, Config, D3Net, Target
from unbraid.zoo.keymaps.d3net import rename

GOLDEN = Path(__file__).parents[1] / "golden"


def small():
    """A small network in float64, all of whose branches are alive."""
    network = D3Net(structure(TINY["d3net"], Config))
    network.load_state_dict(lively(network.state_dict()))
    return network.double().eval()


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = D3Net().spec
    assert spec.sources == ("vocals", "drums", "bass", "other")
    assert (spec.sample_rate, spec.channels, spec.context) == (44100, 2, 0)
    assert spec.segment // 1024 + 1 == 1152  # frames: whole halves of patches of 256 and of 384
    assert spec.longest == 3600 * 44100


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 12, 23, 24, 25, 100])
def test_every_frame_lies_in_two_patches(frames, rng):
    network = small()
    for target in network.targets:  # each source is what its bias says
        target.filter.weight.data.zero_()
        target.filter.bias.data.zero_()
        target.output_mean.data.fill_(3.0)
    magnitudes = torch.rand(2, 2, frames, 33, generator=rng, dtype=torch.float64)
    separated = network.separated(magnitudes)
    torch.testing.assert_close(separated[..., :28], torch.full_like(separated[..., :28], 3.0))
    above = magnitudes[:, None, ..., 28:]
    torch.testing.assert_close(separated[..., 28:], above.expand_as(separated[..., 28:]))


def test_channels_may_stand_in_either_order(rng):
    network = small()
    mixture = 0.3 * torch.randn(1, 2, 700, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(network(mixture.flip(1)), network(mixture).flip(2), rtol=1e-7, atol=1e-9)


def test_training_has_neither_patches_nor_a_filter(rng):
    network = small().train()
    magnitudes = torch.rand(1, 2, 21, 33, generator=rng, dtype=torch.float64)
    for target, heard in zip(network.targets, network.separated(magnitudes)[0], strict=True):
        torch.testing.assert_close(heard, target(magnitudes)[0])
    mixture = 0.3 * torch.randn(1, 2, 320, generator=rng, dtype=torch.float64)
    spectrum = network.stft(mixture)
    spectra = network.separated(spectrum.abs().mT).mT * spectrum.sgn().unsqueeze(1)
    torch.testing.assert_close(network(mixture), network.stft.inverse(spectra, 320))


def test_a_source_alone_is_not_filtered(rng):
    both = small()
    config = dataclasses.replace(both.config, sources=("vocals",), targets=both.config.targets[:1])
    alone = D3Net(config).double().eval()
    alone.targets[0].load_state_dict(both.targets[0].state_dict())
    mixture = 0.3 * torch.randn(1, 2, 320, generator=rng, dtype=torch.float64)
    spectrum = alone.stft(mixture)
    magnitudes = alone.separated(spectrum.abs().mT)[0, 0].mT
    expected = alone.stft.inverse(magnitudes * spectrum[0].sgn(), 320)
    torch.testing.assert_close(alone(mixture)[0, 0], expected)


@pytest.mark.parametrize("length", [1, 15, 16, 959])
@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(signal, length):
    estimates = small().float()(signal(length)[None])
    assert estimates.shape == (1, 2, 2, length)
    assert estimates.isfinite().all()


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 2, 0)])
def test_another_shape_is_refused_with_the_one_that_works(shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels and at least"):
        small()(torch.zeros(shape))


def test_the_published_names_are_those_of_the_network():
    theirs = json.loads((GOLDEN / "d3net_bass_nnabla.json").read_text(encoding="utf-8"))
    with torch.device("meta"):
        target = D3Net().targets[2]
        state = rename({name: torch.empty(shape) for name, shape in theirs.items()})
    assert len(theirs) == 1128
    assert {name: value.shape for name, value in state.items()} == {
        name: value.shape for name, value in target.state_dict().items()
    }


def test_names_need_no_scope_and_may_be_ours_already():
    name = "dense_full/us_layers/dense_block4/initial_block/initial_layer/bottleneck/norm1/bn/mean"
    down = "dense_full/ds_layers/dense_block2/initial_block/initial_layer/bottleneck/conv1/conv/b"
    mean, bias = torch.arange(3.0).view(1, 3, 1, 1), torch.zeros(2)
    expected = {
        "full.down.2.initial.initial.conv.bias": bias,
        "full.up.0.block.initial.initial.norm.running_mean": torch.arange(3.0),
        "full.up.0.block.initial.initial.norm.num_batches_tracked": torch.tensor(0),
    }
    for scope in ("", "vocals/", "my_own/"):
        state = rename({f"{scope}{down}": bias, f"{scope}{name}": mean})
        torch.testing.assert_close(state, expected, check_stride=False)
        torch.testing.assert_close(dict(sorted(rename(state).items())), dict(sorted(expected.items())))


def test_strange_names_are_refused():
    for name in ("fc1_bass/affine/W", "vocals/dense_full/bottleneck_block/gru/W", "vocals/in_offset/x"):
        with pytest.raises(WeightsError, match="what no D3Net has"):
            rename({name: torch.zeros(1)})


SMALL = Branch(4, (1, 1, 1), (2, 2, 2))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sources": ("vocals",)}, "there are 1 sources but 4 targets"),
        ({"bins": 2050}, "bins must be at most 2049"),
        ({"hop_length": 3000}, "a hop of 3000 were asked for"),
        ({"final_growth": 10**9}, "final_growth must be 1 to 1024"),
        ({"targets": (Target((5, 5), (SMALL,) * 3, SMALL),)}, "a: edges must rise"),
        ({"targets": (Target((5, 3000), (SMALL,) * 3, SMALL),)}, "a: edges must rise"),
        ({"targets": (Target((5,), (SMALL,), SMALL),)}, "one band more than edges"),
        ({"targets": (Target((), (SMALL,), SMALL, patch=255),)}, "patch must be a multiple of 2"),
        ({"targets": (Target((), (Branch(4, (1,) * 4, (2,) * 4),), SMALL),)}, "of one odd length"),
        ({"targets": (Target((), (Branch(4, (1,) * 19, (2,) * 19),), SMALL),)}, "halve 8 times at most"),
        ({"targets": (Target((), (Branch(4, (99,), (2,)),), SMALL),)}, "layers must be 1 to 16"),
        ({"targets": (Target((), (Branch(4, (1,), (0,)),), SMALL),)}, "growth must be 1 to 1024"),
        ({"targets": (Target((), (Branch(4, (1,), (1,), blocks=99),), SMALL),)}, "blocks must be 1 to 8"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    one = {"sources": ("a",)} if "targets" in change else {}
    with pytest.raises(ConfigError, match=words):
        Config(**{**one, **change})
