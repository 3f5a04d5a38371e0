"""Hybrid Demucs' foreign names: its packages' arguments, and torchaudio's weights."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from networks.tiny import lively
from unbraid.config import structure
from unbraid.errors import WeightsError
from unbraid.networks.hdemucs import Config, HDemucs
from unbraid.zoo.convert import read
from unbraid.zoo.keymaps.demucs_package import arguments_of
from unbraid.zoo.keymaps.diffq_order import published_order
from unbraid.zoo.keymaps.renames import RENAMES
from unbraid.zoo.package import require_fit

FOUR = ["drums", "bass", "other", "vocals"]
# A package's arguments when all are spelled out, as a training program does.
TRAINED = {
    "sources": FOUR,
    "audio_channels": 2,
    "samplerate": 44100,
    "segment": 44,
    "channels": 48,
    "channels_time": None,
    "growth": 2,
    "nfft": 4096,
    "depth": 6,
    "rewrite": True,
    "wiener_iters": 0,
    "end_iters": 0,
    "wiener_residual": False,
    "cac": True,
    "hybrid": True,
    "hybrid_old": False,
    "multi_freqs": [],
    "multi_freqs_depth": 3,
    "freq_emb": 0.2,
    "emb_scale": 10,
    "emb_smooth": True,
    "stride": 4,
    "time_stride": 2,
    "context": 1,
    "context_enc": 0,
    "norm_starts": 4,
    "norm_groups": 4,
    "dconv_mode": 1,
    "dconv_depth": 2,
    "dconv_comp": 4,
    "dconv_attn": 4,
    "dconv_lstm": 4,
    "dconv_init": 1e-3,
    "rescale": 0.1,
}


def configuration(kwargs):
    return structure(arguments_of("demucs.hdemucs.HDemucs").configuration((), kwargs), Config)


@pytest.mark.parametrize(
    ("change", "ours"),
    [
        ({}, {}),
        ({"multi_freqs": None}, {}),
        ({"cac": False, "hybrid_old": True}, {"cac": False, "hybrid_old": True}),
        (
            {"multi_freqs": [0.1, 0.3], "multi_freqs_depth": 2, "norm_starts": 999},
            {"multi_freqs": (0.1, 0.3), "norm_starts": 999},
        ),
        (
            {"cac": False, "wiener_iters": 2, "end_iters": 2, "wiener_residual": True},
            {"cac": False, "wiener_iters": 2, "end_iters": 2, "wiener_residual": True},
        ),
        ({"wiener_iters": 2, "end_iters": 2}, {}),
        ({"nfft": 2048, "freq_emb": None}, {"n_fft": 2048, "freq_emb": 0.0}),
    ],
)
def test_the_arguments_of_a_package_become_our_configuration(change, ours):
    assert configuration({**TRAINED, **change}) == Config(segment=Fraction(44), **ours)


def test_arguments_that_are_not_stated_have_the_constructors_defaults():
    assert configuration({"sources": FOUR}) == Config(dconv_init=1e-4)


@pytest.mark.parametrize("change", [{"channels_time": 1}, {"hybrid": False}, {"context": 2}, {"new": 1}])
def test_what_our_network_does_not_do_is_refused_by_name(change):
    with pytest.raises(WeightsError, match=f"does not do: {next(iter(change))}"):
        configuration({**TRAINED, **change})


def test_torchaudios_names_become_ours_and_ours_stay():
    golden = Path(__file__).parents[2] / "golden" / "hdemucs.json"
    ours = {name: name for name in json.loads(golden.read_text(encoding="utf-8"))}
    towers = {"encoder": "freq_encoder", "decoder": "freq_decoder"}
    towers |= {"tencoder": "time_encoder", "tdecoder": "time_decoder", "freq_emb": "freq_emb"}
    theirs = {}
    for name in ours:
        tower, rest = name.split(".", 1)
        theirs[f"{towers[tower]}.{rest}"] = name
    idle = {"time_encoder.4.norm1.weight": "", "time_encoder.4.norm1.bias": ""}
    assert RENAMES["hdemucs"]({**theirs, **idle}) == ours
    assert RENAMES["hdemucs"](ours) == ours


@pytest.mark.reference
@pytest.mark.parametrize("options", [{}, {"norm_starts": 999, "multi_freqs": (0.1, 0.3)}])
def test_packed_weights_are_read_in_the_order_of_the_published_class(options):
    from demucs.hdemucs import HDemucs as Published

    with torch.device("meta"):
        ours, theirs = HDemucs(Config(**options)), Published(FOUR, **options)
    order = published_order("hdemucs", [name for name, _ in ours.named_parameters()])
    walked = [
        f"{module}.{name}" if module else name
        for module, layer in theirs.named_modules()
        for name, _ in layer.named_parameters(recurse=False)
    ]
    assert order == walked


@pytest.mark.reference
def test_a_published_package_loads_and_separates_as_published(tmp_path, rng):
    from demucs.hdemucs import HDemucs as Published

    theirs = Published(["a", "b"], channels=8, nfft=256, depth=4, norm_starts=2, dconv_lstm=2, dconv_attn=2)
    theirs.load_state_dict(lively(theirs.state_dict()))
    args, kwargs = theirs._init_args_kwargs
    halves = {name: value.half() for name, value in theirs.state_dict().items()}
    saved = {"klass": Published, "args": args, "kwargs": kwargs, "state": halves, "training_args": {}}
    torch.save(saved, tmp_path / "model.th")
    package = read(tmp_path / "model.th")
    ours = HDemucs(structure(package.config, Config))
    require_fit(package.tensors, ours, "model")
    ours.load_state_dict(package.tensors)
    theirs.load_state_dict(halves)
    mixture = torch.randn(1, 2, 3000, generator=rng)
    with torch.no_grad():
        expected = theirs.eval()(mixture)
        assert (ours.eval()(mixture) - expected).norm() < 1e-5 * expected.norm()
