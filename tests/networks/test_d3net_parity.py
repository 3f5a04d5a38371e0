"""D3Net against the published code, which runs on a little of NNabla made of torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from networks.tiny import TINY
from reference.nnabla_on_torch import Parameters, Variable
from reference.published_d3net import hyper_parameters, published_d3net
from unbraid.config import structure
from unbraid.dsp.stft import Stft
from unbraid.networks.d3net import Branch, Config, D3Net, Target
from unbraid.zoo.keymaps.d3net import rename

pytestmark = pytest.mark.reference

TINY_CONFIG = structure(TINY["d3net"], Config)
PLAIN = Target(
    edges=(), bands=(Branch(3, (2, 1, 1), (2, 3, 4)),), full=Branch(4, (1,), (2,), blocks=3), patch=8
)
ONE_BAND = Config(
    sources=("a",),
    targets=(PLAIN,),
    audio_channels=1,
    n_fft=64,
    hop_length=16,
    bins=32,
    final_layers=1,
    final_growth=3,
    frames=20,
)


def drawn():
    """Parameters of realistic size in float64, made as they are asked for."""
    generator = torch.Generator().manual_seed(0)

    def draw(name, shape):
        noise = torch.randn(shape, generator=generator, dtype=torch.float64)
        if name.endswith("/W"):
            return noise * (2 / math.prod(shape[1:])) ** 0.5
        large = name.endswith(("/gamma", "/var", "in_scale", "decode_scale", "decode_bias"))
        return 1 + 0.1 * noise if large else 0.05 * noise

    return Parameters(draw)


def published(config, magnitudes, run):
    """What the published code makes for each source, and a network of ours with the same weights."""
    parameters, network, answers = drawn(), D3Net(config).double().eval(), []
    with published_d3net(parameters) as theirs:
        for index, (source, target) in enumerate(zip(config.sources, config.targets, strict=True)):
            with parameters.scope(source):
                answers.append(run(theirs, hyper_parameters(config, target), magnitudes))
            own = {name: value for name, value in parameters.items() if name.startswith(f"{source}/")}
            network.targets[index].load_state_dict(rename(own))
    return network, np.stack(answers)


def loud(config, frames):
    """Magnitudes as the published code has them, `(N, C, F)`."""
    generator = np.random.default_rng(frames)
    shape = (frames, config.audio_channels, config.n_fft // 2 + 1)
    return np.abs(generator.normal(size=shape))


def ours(array):
    """From their axes `(…, N, C, F)` to ours, `(…, C, N, F)`."""
    return torch.from_numpy(np.moveaxis(array, -3, -2).copy())


def at_once(theirs, settings, magnitudes):
    made = theirs.network(settings, test=True)(Variable.from_numpy_array(magnitudes[None]))
    return made.tensor[0].numpy()


def in_patches(theirs, settings, magnitudes):
    return theirs.in_patches(magnitudes, settings, ch_flip_average=True)


@pytest.mark.parametrize("config", [TINY_CONFIG, ONE_BAND], ids=["tiny", "one band, mono"])
@pytest.mark.parametrize("frames", [4, 16, 40])
@torch.no_grad()
def test_the_network_is_the_published_one(config, frames):
    magnitudes = loud(config, frames)
    network, answers = published(config, magnitudes, at_once)
    for target, answer in zip(network.targets, answers, strict=True):
        heard = target(ours(magnitudes)[None])[0]
        torch.testing.assert_close(heard, ours(answer), rtol=1e-10, atol=1e-10)
        single = target.float()(ours(magnitudes)[None].float())[0]
        assert (single - ours(answer)).norm() < 1e-5 * ours(answer).norm()


@pytest.mark.parametrize("frames", [1, 15, 16, 17, 24, 33, 60])
@torch.no_grad()
def test_patches_give_what_the_published_program_makes_of_a_track(frames):
    magnitudes = loud(TINY_CONFIG, frames)
    network, answers = published(TINY_CONFIG, magnitudes, in_patches)
    separated = network.separated(ours(magnitudes)[None])[0]
    for source, target in enumerate(TINY_CONFIG.targets):
        # In some tracks the last half patch of frames lies in one patch alone, and so counts half there.
        patches = 2 * (frames // target.patch + 1)
        whole = slice(0, (patches - 1) * target.patch // 2)
        expected, heard = ours(answers[source])[:, whole], separated[source, :, whole]
        assert 2 * expected.shape[1] > frames
        assert (heard - expected).norm() < 1e-6 * expected.norm()  # their sums are float32


@torch.no_grad()
def test_a_track_is_filtered_as_the_published_program_does(rng):
    config = TINY_CONFIG  # of whose 53 frames all are covered twice there, too
    mixture = 0.3 * torch.randn(1, 2, 832, generator=rng, dtype=torch.float64)
    stft = Stft(config.n_fft, config.hop_length)
    spectrum = stft(mixture)[0].permute(2, 0, 1).numpy()  # (N, C, F)
    parameters = drawn()
    network, answers = published(config, np.abs(spectrum), in_patches)
    with published_d3net(parameters) as theirs:
        phase = np.exp(1j * np.angle(spectrum))
        filtered = theirs.wiener(
            {source: answer * phase for source, answer in zip(config.sources, answers, strict=True)}, spectrum
        )
    estimates = network(mixture)[0]
    for estimate, source in zip(estimates, config.sources, strict=True):
        expected = stft.inverse(ours(filtered[source]).mT, 832)
        assert (estimate - expected).norm() < 1e-6 * expected.norm()  # their sums are float32
