"""Community checkpoints: weights as published classes make them, with the files that describe them."""

from __future__ import annotations

import contextlib
import copy
import importlib
import logging
import sys

import numpy as np
import pytest
import torch
import yaml

from networks.tiny import HTDEMUCS_ARGUMENTS, TINY, lively
from reference import published_mdx23c, published_msst
from reference.pictures import stand_ins
from reference.published_bandit import first, second
from reference.published_scnet import published as published_scnet
from unbraid.config import structure
from unbraid.errors import ConfigError, UnbraidError, UsageError, WeightsError
from unbraid.networks import ARCHITECTURES
from unbraid.networks.base import build
from unbraid.zoo import load
from unbraid.zoo.foreign.kinds import KINDS, kinds_of
from unbraid.zoo.foreign.settings import settings_of
from unbraid.zoo.package import skeleton

pytestmark = [
    pytest.mark.reference,
    pytest.mark.filterwarnings(
        "ignore:.*use_reentrant.*",
        "ignore:None of the inputs have requires_grad",
        "ignore:A window was not provided:UserWarning",
    ),
]

TRAINING = {"instruments": ["Vocals", "Other"], "target_instrument": None, "lr": 1.0e-5, "use_amp": True}
INFERENCE = {"batch_size": 4, "num_overlap": 2, "dim_t": 256}
AUDIO = {"chunk_size": 3000, "sample_rate": 44100, "num_channels": 2, "min_mean_abs": 0.0}


def file(model, *, audio=(), training=(), inference=(), **sections):
    """A configuration file of Music-Source-Separation-Training."""
    return {
        "audio": {**AUDIO, **dict(audio)},
        "model": model,
        "training": {**TRAINING, **dict(training)},
        "augmentations": {"enable": True, "mixup_probs": (0.2, 0.02)},
        "inference": {**INFERENCE, **dict(inference)},
        **sections,
    }


ROFORMER = {
    "dim": 16,
    "depth": 2,
    "stereo": True,
    "num_stems": 2,
    "time_transformer_depth": 1,
    "freq_transformer_depth": 1,
    "linear_transformer_depth": 0,
    "dim_head": 8,
    "heads": 2,
    "attn_dropout": 0.1,
    "ff_dropout": 0.1,
    "flash_attn": True,
    "dim_freqs_in": 129,
    "stft_n_fft": 256,
    "stft_hop_length": 64,
    "stft_win_length": 256,
    "stft_normalized": False,
    "mask_estimator_depth": 2,
    "multi_stft_resolution_loss_weight": 1.0,
    "multi_stft_resolutions_window_sizes": (256, 128),
    "multi_stft_hop_size": 32,
    "multi_stft_normalized": False,
}
BS = file({**ROFORMER, "freqs_per_bands": (4, 8, 16, 32, 69), "mlp_expansion_factor": 2})
MEL = file({**ROFORMER, "num_bands": 9, "sample_rate": 44100})
MDX23C = file(
    {
        "act": "gelu",
        "bottleneck_factor": 2,
        "growth": 4,
        "norm": "InstanceNorm",
        "num_blocks_per_scale": 2,
        "num_channels": 8,
        "num_scales": 2,
        "num_subbands": 4,
        "scale": [2, 2],
    },
    audio={"chunk_size": 32 * 15, "hop_length": 32, "n_fft": 128, "dim_f": 64, "dim_t": 16},
)
SCNET = file(
    {
        "sources": ["vocals", "other"],
        "audio_channels": 2,
        "dims": [4, 8, 12],
        "nfft": 128,
        "hop_size": 32,
        "win_size": 128,
        "normalized": True,
        "band_SR": [0.3, 0.3, 0.4],
        "band_stride": [1, 2, 4],
        "band_kernel": [3, 4, 4],
        "conv_depths": [2, 1, 1],
        "compress": 4,
        "conv_kernel": 3,
        "num_dplayer": 2,
        "expand": 1,
    },
    inference={"normalize": True},
)
TRAN = {
    "tran_rotary_embedding_dim": 8,
    "tran_depth": 1,
    "tran_heads": 2,
    "tran_dim_head": 8,
    "tran_attn_dropout": 0.0,
    "tran_ff_dropout": 0.0,
    "tran_flash_attn": False,
}
SCNET_TRAN = file({**SCNET["model"], **TRAN})
BANDIT = file(
    {
        "in_channel": 1,
        "stems": ["speech", "music"],
        "band_specs": "musical",
        "n_bands": 8,
        "fs": 44100,
        "require_no_overlap": False,
        "require_no_gap": True,
        "normalize_channel_independently": False,
        "treat_channel_as_feature": True,
        "n_sqm_modules": 2,
        "emb_dim": 6,
        "rnn_dim": 5,
        "bidirectional": True,
        "rnn_type": "GRU",
        "mlp_dim": 7,
        "hidden_activation": "Tanh",
        "hidden_activation_kwargs": None,
        "complex_mask": True,
        "n_fft": 64,
        "win_length": 64,
        "hop_length": 16,
        "window_fn": "hann_window",
        "wkwargs": None,
        "power": None,
        "center": True,
        "normalized": True,
        "pad_mode": "constant",
        "onesided": True,
    },
    training={"instruments": ["speech", "music"]},
)
BANDIT_2 = {
    **{key: value for key, value in BANDIT.items() if key != "model"},
    "cls": "Bandit",
    "kwargs": {
        **{
            key: value
            for key, value in BANDIT["model"].items()
            if key not in {"in_channel", "band_specs", "fs", "require_no_overlap", "require_no_gap"}
        },
        "in_channels": 1,
        "band_type": "musical",
        "use_freq_weights": True,
        "pad_mode": "reflect",
    },
}
APOLLO = file(
    {"sr": 44100, "win": 20, "feature_dim": 32, "layer": 1},
    audio={"chunk_size": 12_000},
    training={"instruments": ["restored", "addition"], "target_instrument": "restored"},
)
BS_MAMBA2 = file(
    {
        **{key: ROFORMER[key] for key in ROFORMER if key.startswith(("stft", "stereo", "num_stems"))},
        "dim": 32,
        "depth": 1,
        "module_type": "mamba2",
        "mamba_gmlp": False,
        "mask_estimator_depth": 2,
        "freqs_per_bands": (4, 8, 16, 32, 69),
    }
)
TS_BS_MAMBA2 = file(
    {
        "sr": 44100,
        "win": 1024,
        "stride": 256,
        "feature_dim": 16,
        "num_repeat_mask": 2,
        "num_repeat_map": 2,
        "num_output": 2,
    }
)
CONFORMER = file(
    {
        "in_channels": 2,
        "sources": 2,
        "freq_bins": 65,
        "embed_dim": 12,
        "depth": 2,
        "dim_head": 6,
        "heads": 2,
        "ff_mult": 2,
        "conv_expansion_factor": 2,
        "conv_kernel_size": 5,
        "attn_dropout": 0.1,
        "ff_dropout": 0.1,
        "conv_dropout": 0.1,
    },
    stft={"n_fft": 128, "hop_length": 32, "win_length": 128, "center": True},
)
HTDEMUCS = file(
    "htdemucs",
    training={"segment": 1, "samplerate": 8000, "channels": 2, "shift": 1, "normalize": True},
    htdemucs={
        "channels": 8,
        "channels_time": None,
        "growth": 2,
        "num_subbands": 1,
        "nfft": 256,
        "depth": 2,
        "dconv_mode": 3,
        "dconv_comp": 4,
        "bottom_channels": 24,
        "t_layers": 3,
        "t_heads": 2,
        "t_dropout": 0.02,
        "use_train_segment": False,
    },
)
PICTURE = {"act": "gelu", "num_channels": 16, "num_subbands": 8}
IN_FRAMES = {"chunk_size": 64 * 31, "hop_length": 64, "n_fft": 512, "dim_f": 256, "dim_t": 32}
ENCODER = {**PICTURE, "encoder_weights": "imagenet", "decoder_type": "unet"}
SEGM = file({**ENCODER, "encoder_name": "tu-maxvit_large_tf_512"}, audio=IN_FRAMES)
TORCHSEG = file({**ENCODER, "encoder_name": "maxvit_tiny_tf_512"}, audio=IN_FRAMES)


def roformer(kind):
    """The class that reads the section `model` as it stands; its words of masks are those of today."""

    def make(described, _config):
        module = importlib.import_module("pymss_core.modules.bs_roformer")
        idle = {"flash_attn": False, "attn_dropout": 0.0, "ff_dropout": 0.0, "zero_dc": True}
        more = {"mlp_hidden_layers": 2} if kind == "MelBandRoformer" else {}
        return getattr(module, kind)(**{**described["model"], **idle, **more})

    return make


def demucs(described, config):
    htdemucs = importlib.import_module("demucs.htdemucs").HTDemucs
    made = {key: value for key, value in described["htdemucs"].items() if key != "num_subbands"}
    return htdemucs(list(config.sources), samplerate=8000, segment=1, **made)


def by(make):
    """A maker that asks for our configuration alone."""
    return lambda _described, config: make(config)


# By architecture: the file, what makes the published network of it, and how long a mixture is.
CASES = {
    "bs_roformer": ("bs_roformer", BS, roformer("BSRoformer")),
    "mel_band_roformer": ("mel_band_roformer", MEL, roformer("MelBandRoformer")),
    "mdx23c": ("mdx23c", MDX23C, by(published_mdx23c.published_mdx23c)),
    "scnet": ("scnet", SCNET, by(published_scnet)),
    "scnet_masked": ("scnet", SCNET, by(lambda config: published_scnet(masked(config)))),
    "scnet_tran": ("scnet", SCNET_TRAN, by(published_scnet)),
    "bandit": ("bandit", BANDIT, by(first)),
    "bandit_v2": ("bandit", BANDIT_2, by(second)),
    "apollo": ("apollo", APOLLO, by(published_mdx23c.published_apollo)),
    "bs_mamba2": ("bs_mamba2", BS_MAMBA2, by(published_msst.bs_mamba2)),
    "ts_bs_mamba2": ("ts_bs_mamba2", TS_BS_MAMBA2, by(published_msst.ts_bs_mamba2)),
    "conformer": ("conformer", CONFORMER, by(published_msst.conformer)),
    "htdemucs": ("htdemucs", HTDEMUCS, demucs),
}


def masked(config):
    from dataclasses import replace

    return replace(config, masked=True)


def published(name):
    """The published network of a case, with weights under which every branch speaks."""
    architecture, described, make = CASES[name]
    kind = next(kind for kind in KINDS if kind.architecture == architecture)
    module = importlib.import_module(ARCHITECTURES[architecture].partition(":")[0])
    network = make(described, structure(kind.reader.config_of(described), module.Config))
    state = network.state_dict()
    kept = ("freq", "window", "position_index")
    alive = {key: value for key, value in lively(state).items() if not any(part in key for part in kept)}
    network.load_state_dict({**state, **alive})
    return network.eval()


def write(folder, described, state):
    """The checkpoint and the file that describes it, with Python's tuples as the program writes them."""
    (folder / "model.yaml").write_text(yaml.dump(described, sort_keys=False), encoding="utf-8")
    torch.save(state, folder / "model.ckpt")
    return folder / "model.ckpt", folder / "model.yaml"


def answer(network, name, mixture):
    """What a published network says, as `(B, S, C, T)`."""
    if name == "bandit":  # it hears one channel
        batch, channels, length = mixture.shape
        heard = network(mixture.reshape(batch * channels, 1, length))
        return heard.view(batch, channels, -1, length).transpose(1, 2)
    found = network(mixture.clone())
    return found if found.ndim == 4 else found[:, None]


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_a_checkpoint_with_its_file_answers_as_the_published_network(name, tmp_path, rng, caplog):
    theirs = published(name)
    checkpoint, config = write(tmp_path, CASES[name][1], theirs.state_dict())
    with caplog.at_level(logging.WARNING):
        ours = load.load(checkpoint, config=config)
    assert not caplog.text
    mixture = 0.1 * torch.randn(1, ours.spec.channels, ours.spec.segment, generator=rng)
    expected = answer(theirs, name, mixture)
    found = ours(mixture)[:, : expected.shape[1], :, : expected.shape[-1]]
    assert (found - expected).norm() < 2e-5 * expected.norm()


# Narrow networks with the frames and bands of the published ones, which are assumed where no shape tells.
NARROW = {"channels": 16, "depth": 1, "heads": 2, "head_channels": 8}
ALONE = {
    "bs_roformer": NARROW,
    "mel_band_roformer": {**NARROW, "sources": ["vocals", "other"]},
    "mdx23c": {"channels": 8, "growth": 4, "levels": 2, "sources": ["vocals"]},
    "scnet": {"widths": [8, 12], "layers": 2},
    "bandit": {"features": 6, "layers": 1, "hidden_size": 5, "mask_hidden_size": 7},
    "apollo": {"channels": 32, "layers": 1},
    "bs_mamba2": {"channels": 16, "depth": 1, "head_size": 16},
    "ts_bs_mamba2": {"channels": 16, "mask_layers": 1, "map_layers": 1, "head_size": 16},
    "conformer": {"channels": 12, "depth": 1, "heads": 2, "head_channels": 6},
    "bsrnn": {"channels": 8, "hidden": 6, "depth": 1, "mask_channels": 12},
    "htdemucs": {"channels": 8, "bottom_channels": 16, "t_layers": 2},
}


@pytest.mark.parametrize("name", ALONE)
def test_a_checkpoint_alone_is_known_by_its_weights(name, tmp_path, caplog):
    network = build(name, ALONE[name])
    checkpoint, _ = write(tmp_path, {}, network.state_dict())
    with caplog.at_level(logging.WARNING):
        found = load.resolve(checkpoint)
    assert found.architecture == name
    assert load.network(found).spec.segment == network.spec.segment
    assert len(found.config.get("sources", ["one"])) == len(network.spec.sources)
    assert "does not say what it is" in caplog.text
    assert "assumed, for no shape tells" in caplog.text
    assert f"model.yaml lies beside it: --config {tmp_path / 'model.yaml'}" in caplog.text


@pytest.mark.parametrize(("name", "described"), [("segm", SEGM), ("torchseg", TORCHSEG)])
def test_segm_and_torchseg_are_told_apart_by_their_encoder(name, described, monkeypatch):
    for package, module in stand_ins().items():
        monkeypatch.setitem(sys.modules, package, module)
    kind = next(kind for kind in KINDS if kind.architecture == name)
    network = build(name, kind.reader.config_of(described))
    # The stand-in has no encoder of its own.
    state = {**network.state_dict()}
    names = {key.replace("unet_model.down", "unet_model.encoder.down") for key in state}
    assert kind.is_of(names)
    found = [other.architecture for other in kinds_of(names, described)]
    assert found == [name]


LAYOUTS = {
    "a whole training": lambda state: {
        "epoch": 3,
        "optimizer_state_dict": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-4}]},
        "scheduler_state_dict": None,
        "best_metric": np.float64(9.5),
        "all_metrics": {"epoch_1": {"sdr": [np.float32(3.5)]}},
        "meta": {"seed": 0},
        "model_state_dict": state,
    },
    "bare": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model_state_dict": lambda state: {"epoch": 1, "model_state_dict": state, "optimizer_state_dict": {}},
    "state": lambda state: {"state": state},
    "of several devices": lambda state: {f"module.{key}": value for key, value in state.items()},
    "of Lightning": lambda state: {"state_dict": {f"model.{key}": value for key, value in state.items()}},
    "compiled": lambda state: {f"_orig_mod.module.{key}": value for key, value in state.items()},
    "an average alone": lambda state: {"ema_state_dict": state},
    "an average of torch's": lambda state: {
        **{f"module.{key}": value for key, value in state.items()},
        "n_averaged": torch.tensor(7),
    },
    "an average beside what it is of": lambda state: {
        **{f"online_model.{key}": torch.zeros_like(value) for key, value in state.items()},
        **{f"ema_model.{key}": value for key, value in state.items()},
        "initted": torch.tensor(True),
        "step": torch.tensor(9),
    },
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_weights_are_found_wherever_training_programs_keep_them(layout, tmp_path):
    state = published("mdx23c").state_dict()
    checkpoint, config = write(tmp_path, MDX23C, layout(state))
    loaded = load.load(checkpoint, config=config).state_dict()
    assert loaded.keys() == state.keys()
    assert all(loaded[key].equal(value) for key, value in state.items())


def changed(described, section, **values):
    other = copy.deepcopy(described)
    other[section] = {**other[section], **values}
    return other


@pytest.mark.parametrize(
    ("described", "words"),
    [
        (
            changed(MDX23C, "model", num_chanels=8),
            r"model\.yaml: unknown key 'num_chanels' in the section 'model'",
        ),
        (
            changed(MDX23C, "inference", num_overlaps=2),
            "unknown key 'num_overlaps' in the section 'inference'; did",
        ),
        (
            changed(MDX23C, "training", targets=2),
            "unknown key 'targets' in the section 'training'; did you mean",
        ),
        (changed(MDX23C, "audio", chunk=2), "unknown key 'chunk' in the section 'audio'"),
        ({**MDX23C, "infernce": {}}, "unknown key 'infernce' in the file; did you mean inference"),
        (changed(MDX23C, "inference", num_overlap="2"), "num_overlap must be a whole number, not '2'"),
        (changed(MDX23C, "inference", num_overlap=0), "num_overlap must be from 1 to 100"),
        (changed(MDX23C, "inference", normalize="yes please"), "normalize must be true or false"),
        (changed(MDX23C, "model", num_channels=16), "channels is 16 by the file, but 8 by the weights"),
        (
            changed(MDX23C, "training", instruments=["a", "b", "c"]),
            "3 sources by the file, but 2 by the weights",
        ),
        (changed(MDX23C, "training", model_type="scnet"), "says scnet, but the weights are those of mdx23c"),
        ({**MDX23C, "model": "htdemucs"}, "the file says htdemucs, but the weights are those of mdx23c"),
        (changed(MDX23C, "training", instruments="vocals"), "instruments vocals; they must be names"),
        (
            changed(MDX23C, "training", target_instrument=3),
            "target_instrument must be a name, or null, not 3",
        ),
        (BS, "unknown key 'dim' in the section 'model'|'attn_dropout'"),
    ],
)
def test_a_file_that_says_something_else_is_refused_by_name(described, words, tmp_path):
    checkpoint, config = write(tmp_path, described, published("mdx23c").state_dict())
    with pytest.raises(ConfigError, match=words):
        load.load(checkpoint, config=config)


def test_a_mel_band_roformer_of_the_first_generation_is_known_by_its_shapes(tmp_path):
    module = importlib.import_module("pymss_core.modules.bs_roformer")
    old = module.MelBandRoformer(**{**MEL["model"], "flash_attn": False, "mlp_hidden_layers": 1})
    checkpoint, config = write(tmp_path, MEL, old.state_dict())
    assert load.load(checkpoint, config=config).config.mask_layers == 1


def test_what_is_said_of_a_checkpoint_that_describes_itself_must_agree(tiny, tmp_path):
    path = tmp_path / "model.th"
    path.write_bytes(tiny.package)
    said = HTDEMUCS_ARGUMENTS
    training = {"instruments": ["drums", "vocals"], "segment": 0.5, "samplerate": 44100}
    config = tmp_path / "model.yaml"
    config.write_text(yaml.dump(file("htdemucs", training=training, htdemucs=said)))
    found = load.resolve(path, config=config)
    assert load.network(found).spec.sources == ("drums", "vocals")
    assert not load.network(found).spec.levelled
    config.write_text(yaml.dump(file("htdemucs", training=training, htdemucs={**said, "channels": 16})))
    with pytest.raises(WeightsError, match="channels is 8, not 16"):
        load.resolve(path, config=config)


def test_a_file_is_for_a_checkpoint_only(tmp_path):
    (tmp_path / "model.yaml").write_text("{}")
    for name in ("htdemucs", "hpss"):
        with pytest.raises(UsageError, match=f"{name} is a model that needs no configuration file"):
            load.resolve(name, config=tmp_path / "model.yaml")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["nothing.weight"], "their names are those of no network here; known are bs_mamba2"),
        (["layers.0.0.layers.0.ff1.fn.weight"], r"a RoFormer with conformers"),
    ],
)
def test_weights_of_no_network_here_are_refused(names, words, tmp_path):
    torch.save({name: torch.zeros(2, 2) for name in names}, tmp_path / "model.ckpt")
    with pytest.raises(WeightsError, match=words):
        load.load(tmp_path / "model.ckpt")


def test_weights_whose_shapes_tell_too_little_ask_for_a_file(tmp_path):
    network = build("hdemucs", TINY["hdemucs"])
    torch.save(network.state_dict(), tmp_path / "model.th")
    with pytest.raises(WeightsError, match="do not tell enough of their network; give its configuration"):
        load.load(tmp_path / "model.th")


ODD = ("x", None, -1, 10**12)


@pytest.mark.parametrize("name", sorted({*CASES, "segm"} - {"scnet_masked"}))
@pytest.mark.parametrize("odd", ODD, ids=str)
def test_whatever_a_file_says_the_refusal_is_in_words(name, odd, monkeypatch):
    for package, module in stand_ins().items():
        monkeypatch.setitem(sys.modules, package, module)
    architecture, described = ("segm", SEGM) if name == "segm" else CASES[name][:2]
    kind = next(kind for kind in KINDS if kind.architecture == architecture)
    for section in ("model", "kwargs", "audio", "training", "inference", "stft", "htdemucs"):
        held = described.get(section)
        for key in held if isinstance(held, dict) else ():
            file = changed(described, section, **{key: odd})
            with contextlib.suppress(UnbraidError):
                config = kind.reader.config_of(file)
                spec = skeleton(architecture, config).spec
                settings_of(file, spec.segment, len(spec.sources), flat=False)
        with contextlib.suppress(UnbraidError):
            kind.reader.config_of({**described, section: odd})
