"""Demucs of each generation against what others wrote, with weights under which every branch speaks."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from networks.tiny import DEMUCS_V1, DEMUCS_V3, lively
from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.plan import Plan
from unbraid.engine.stream import Stream
from unbraid.networks.demucs import Config, Demucs
from unbraid.zoo.keymaps.demucs_v1_v2 import rename

pytestmark = pytest.mark.reference

LENGTHS = [1, 777, 5000, 20_000]


def noise(length, *, batch=1, channels=2):
    return 0.1 * torch.randn(batch, channels, length, generator=torch.Generator().manual_seed(length))


@torch.no_grad()
def difference(ours, expected):
    """Norm of the difference over the norm of what is expected."""
    return ((ours - expected).norm() / expected.norm()).item()


@pytest.fixture
def legacy(monkeypatch):
    """The first two generations as others wrote them, but with the published resampling.

    They interpolate linearly where the second generation, and the third, use windowed sincs.
    """
    import julius
    from pymss_core.modules import legacy_demucs

    monkeypatch.setattr(legacy_demucs, "_resample_x2", lambda x: julius.resample_frac(x, 1, 2))
    monkeypatch.setattr(legacy_demucs, "_downsample_x2", lambda x, _: julius.resample_frac(x, 2, 1))
    return legacy_demucs.LegacyDemucs


def unpadded_pair(legacy, **options):
    """Ours and theirs, of the first or second generation, with equal weights."""
    ours = Demucs(Config(**options))
    config = ours.config
    theirs = legacy(
        list(config.sources),
        audio_channels=config.audio_channels,
        channels=config.channels,
        depth=config.depth,
        rewrite=config.rewrite,
        resample=config.oversampled,
        growth=config.growth,
        lstm_layers=config.lstm_layers,
        normalize=config.normalized,
    )
    weights = lively(theirs.state_dict())
    theirs.load_state_dict(weights)
    ours.load_state_dict(rename(weights))
    return ours.eval(), theirs.eval()


def padded_pair(**options):
    """Ours and theirs, of the third generation, with equal weights."""
    from demucs.demucs import Demucs as Published

    ours = Demucs(Config(**DEMUCS_V3, **options))
    config = ours.config
    theirs = Published(
        list(config.sources),
        audio_channels=config.audio_channels,
        channels=config.channels,
        growth=config.growth,
        depth=config.depth,
        rewrite=config.rewrite,
        norm_groups=config.norm_groups,
        dconv_attn=config.dconv_attn,
        dconv_lstm=config.dconv_lstm,
    )
    weights = lively(theirs.state_dict())
    theirs.load_state_dict(weights)
    ours.load_state_dict(weights)
    return ours.eval(), theirs.eval()


UNPADDED = {
    "first": {"channels": 4, **DEMUCS_V1},
    "second": {"channels": 4},
    "second, normalised": {"channels": 4, "normalized": True},
    "mono, one source, five levels": {
        "channels": 6,
        "audio_channels": 1,
        "sources": ("vocals",),
        "depth": 5,
        "growth": 1.5,
        "lstm_layers": 1,
    },
}


@pytest.mark.parametrize("options", UNPADDED.values(), ids=UNPADDED)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
@torch.no_grad()
def test_the_first_two_generations_agree(legacy, options, dtype, tolerance):
    ours, theirs = (network.to(dtype) for network in unpadded_pair(legacy, **options))
    context = ours.spec.context
    for length in LENGTHS:
        valid = theirs.valid_length(length)
        assert valid == ours.spec.accepted_length(length + 2 * context)
        mixture = noise(valid, batch=2, channels=ours.spec.channels).to(dtype)
        # The first generation does not divide by 1.00001; this one divides in all.
        given = 1.00001 * mixture if ours.config.divisor == 1 else mixture
        assert difference(ours(mixture)[..., context : valid - context], theirs(given)) < tolerance


PADDED = {
    "gated": {"channels": 8},
    "plain": {"channels": 8, "rewrite": False},
    "mono, one source, other levels": {
        "channels": 16,
        "audio_channels": 1,
        "sources": ("vocals",),
        "depth": 4,
        "norm_groups": 2,
        "dconv_attn": 3,
        "dconv_lstm": 1,
    },
}


@pytest.mark.parametrize("options", PADDED.values(), ids=PADDED)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 5e-6)])
@torch.no_grad()
def test_the_third_generation_agrees_at_every_length(options, dtype, tolerance):
    ours, theirs = (network.to(dtype) for network in padded_pair(**options))
    for length in LENGTHS[1:]:
        mixture = noise(length, batch=2, channels=ours.spec.channels).to(dtype)
        assert theirs.valid_length(length) == ours.spec.accepted_length(length)
        assert difference(ours(mixture), theirs(mixture)) < tolerance


@pytest.mark.parametrize("options", [{}, DEMUCS_V1, DEMUCS_V3], ids=["second", "first", "third"])
def test_a_segment_is_as_long_as_the_published_code_makes_it(legacy, options):
    """Longer and longer, up to 90 s; the published length is that of the core with its context."""
    from demucs.demucs import Demucs as Published

    with torch.device("meta"):
        theirs = (
            Published(["a"], channels=1, dconv_mode=0, norm_starts=9, rescale=0)
            if options.get("padded")
            else legacy(1, channels=1, resample=options.get("oversampled", True), rescale=0)
        )
        spec = Demucs(Config(**options)).spec
    for length in [*range(1, 30_000, 7), *range(30_000, 90 * 44100, 9973), 40 * 44100, 44 * 44100]:
        assert spec.accepted_length(length + 2 * spec.context) == theirs.valid_length(length)


@pytest.mark.parametrize("generation", ["first", "second", "third"])
def test_a_track_is_separated_as_the_published_code_does_it(legacy, generation):
    from demucs.apply import apply_model

    core, length = 22_050, 50_000
    if generation == "third":
        ours, theirs = padded_pair(channels=8, segment=Fraction(1, 2))
    else:
        options = {**UNPADDED[generation], "segment": Fraction(1, 2)}
        ours, theirs = unpadded_pair(legacy, **options)
    track = noise(length)
    gain = 1.00001 if generation == "first" else 1.0  # as above
    expected = apply_model(theirs, gain * track, shifts=0, overlap=0.25, segment=core / 44100)[0]
    stream = Stream(EagerBackend(ours, ours.spec), Plan.for_spec(ours.spec))
    estimates = torch.cat([*map(stream.push, track[0].split(7001, -1)), stream.finish()], -1)
    assert estimates.shape == expected.shape == (4, 2, length)
    assert difference(estimates, expected) < 2e-6  # −114 dB
