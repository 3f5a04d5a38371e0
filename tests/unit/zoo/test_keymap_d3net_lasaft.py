"""D3Net's parameter files, one a source, and LaSAFT's Lightning checkpoints."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest
import torch

from networks.tiny import TINY, lively
from reference.nnabla_on_torch import Parameters, Variable
from reference.published_d3net import hyper_parameters, published_d3net
from unbraid.config import structure
from unbraid.errors import WeightsError
from unbraid.networks.base import build
from unbraid.networks.d3net import Config
from unbraid.zoo.convert import read, read_parts, write
from unbraid.zoo.keymaps import lasaft
from unbraid.zoo.load import load

CONFIG = structure(TINY["d3net"], Config)
LASAFT = Path(__file__).parents[2] / "golden/lasaft.ckpt"


def save_parameters(parameters, path):
    """As NNabla's own does: a dataset for each, with its place in their order."""
    with h5py.File(path, "w") as file:
        for index, (name, value) in enumerate(parameters.items()):
            file[name] = value.numpy()
            file[name].attrs.update(index=index, need_grad=not name.endswith(("/mean", "/var")))


@pytest.fixture
def files(tmp_path):
    """One for each source, made by the published code, and what it makes of some magnitudes."""
    generator = torch.Generator().manual_seed(3)
    magnitudes = torch.rand(1, 16, 2, 33, generator=generator)
    paths, answers = {}, []
    for index, (source, target) in enumerate(zip(CONFIG.sources, CONFIG.targets, strict=True)):
        parameters = Parameters(lambda _, shape: torch.rand(shape, generator=generator) + 0.1)
        with published_d3net(parameters) as published, parameters.scope(source):
            network = published.network(hyper_parameters(CONFIG, target), test=True)
            answers.append(network(Variable(magnitudes)).tensor.movedim(1, 2))
        paths[f"targets.{index}"] = tmp_path / f"{source}.h5"
        save_parameters(parameters, paths[f"targets.{index}"])
    return paths, magnitudes.movedim(1, 2), torch.stack(answers, 1)


def test_the_published_files_make_one_network(files, tmp_path):
    paths, magnitudes, answers = files
    package = read_parts(paths, architecture="d3net", config=TINY["d3net"])
    write(package, tmp_path / "d3net.safetensors")
    network = load(tmp_path / "d3net.safetensors").train(mode=False)
    with torch.no_grad():
        for target, answer in zip(network.targets, answers.unbind(1), strict=True):
            torch.testing.assert_close(target(magnitudes), answer, rtol=1e-4, atol=1e-3)


def test_a_file_alone_does_not_say_that_it_is_a_source_of_d3net(files):
    paths, _, _ = files
    with pytest.raises(WeightsError, match=r"vocals\.h5 does not say which network its weights belong to"):
        read(paths["targets.0"])


def test_a_lightning_checkpoint_says_which_lasaft_it_is():
    package = read(LASAFT)
    assert package.architecture == "lasaft"
    assert package.config["latent_sources"] == 3
    with torch.device("meta"):
        network = build(package.architecture, package.config)
    assert package.tensors.keys() == network.state_dict().keys()


def test_settings_of_training_are_left_out():
    settings = {"n_fft": 64, "input_channels": 4, "lr": 1e-4, "train_loss": "spec_mse", "pocm_type": "matmul"}
    made = lasaft.ARGUMENTS.configuration((), lasaft.made_with(settings))
    assert made == {"n_fft": 64, "audio_channels": 2}


@pytest.mark.parametrize(
    ("name", "value"), [("pocm_type", "naive"), ("spec_type", "magnitude"), ("condition_to", "full")]
)
def test_a_checkpoint_of_another_kind_is_refused(name, value, tmp_path):
    content = torch.load(LASAFT, weights_only=True)
    content["hyper_parameters"][name] = value
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(WeightsError, match=f"{name} = {value}"):
        read(tmp_path / "other.ckpt")


def test_a_checkpoint_of_our_own_names_is_read_for_an_architecture(tmp_path):
    network = build("mm_dense_lstm", TINY["mm_dense_lstm"])
    network.load_state_dict(lively(network.state_dict()))
    torch.save({"state_dict": network.state_dict()}, tmp_path / "mine.pt")
    package = read(tmp_path / "mine.pt", architecture="mm_dense_lstm", config=TINY["mm_dense_lstm"])
    write(package, tmp_path / "mine.safetensors")
    loaded = load(tmp_path / "mine.safetensors")
    mixture = torch.randn(1, 2, 400, generator=torch.Generator().manual_seed(0))
    assert loaded(mixture).equal(network.eval()(mixture))
