"""Hybrid Demucs against the published implementation, with weights under which every branch speaks.

A float32 network rounds, and two orders of summation round differently; float64 shows that the
mathematics is the same.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest
import torch

from networks.tiny import lively
from unbraid.networks.hdemucs import Config, HDemucs

pytestmark = pytest.mark.reference


def published(config):
    """The published implementation of a configuration."""
    from demucs.hdemucs import HDemucs as Published

    return Published(
        list(config.sources),
        audio_channels=config.audio_channels,
        samplerate=config.sample_rate,
        segment=config.segment,
        nfft=config.n_fft,
        cac=config.cac,
        wiener_iters=config.wiener_iters,
        end_iters=config.end_iters,
        wiener_residual=config.wiener_residual,
        hybrid_old=config.hybrid_old,
        channels=config.channels,
        growth=config.growth,
        depth=config.depth,
        kernel_size=config.kernel_size,
        stride=config.stride,
        time_stride=config.time_stride,
        multi_freqs=list(config.multi_freqs),
        multi_freqs_depth=config.multi_freqs_depth,
        norm_starts=config.norm_starts,
        norm_groups=config.norm_groups,
        dconv_mode=config.dconv_mode,
        dconv_depth=config.dconv_depth,
        dconv_comp=config.dconv_comp,
        dconv_attn=config.dconv_attn,
        dconv_lstm=config.dconv_lstm,
        freq_emb=config.freq_emb,
    )


def pair(config, theirs=None):
    """Ours and theirs with equal weights, in evaluation mode."""
    ours, theirs = HDemucs(config), theirs or published(config)
    weights = lively(theirs.state_dict())
    ours.load_state_dict(weights)
    theirs.load_state_dict(weights)
    return ours.eval(), theirs.eval()


@torch.no_grad()
def difference(ours, theirs, length, *, batch=1):
    """Norm of the difference over the norm of theirs."""
    generator = torch.Generator().manual_seed(length)
    mixture = 0.1 * torch.randn(batch, ours.spec.channels, length, generator=generator)
    expected = theirs(mixture.clone())  # theirs writes into its spectrum
    return ((ours(mixture) - expected).norm() / expected.norm()).item()


@pytest.fixture
def double():
    """float64 by default: the published implementation makes its windows in the default precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


NARROW = {"channels": 16, "growth": 1}
SMALL = {"channels": 8, "n_fft": 256, "depth": 4, "norm_starts": 2, "dconv_attn": 2, "dconv_lstm": 2}
PUBLISHED = {
    "cac": {},
    "magnitude": {"cac": False},
    "late": {"cac": False, "hybrid_old": True},
    "late, no norms": {"cac": False, "hybrid_old": True, "norm_starts": 999},
    "bands": {"norm_starts": 999, "multi_freqs": (0.1, 0.3)},
}
VARIANTS = {
    **{name: {**NARROW, **options} for name, options in PUBLISHED.items()},
    "short frames": {**NARROW, "n_fft": 1024, "depth": 5},
    "late and complex": {**SMALL, "hybrid_old": True},
    "nothing shared": {**SMALL, "depth": 3},
    "two levels shared, mono": {**SMALL, "depth": 5, "audio_channels": 1, "sources": ("a", "b")},
    "branches everywhere": {**SMALL, "dconv_mode": 3, "dconv_depth": 3, "dconv_comp": 2},
    "no branches": {**SMALL, "dconv_mode": 0, "freq_emb": 0.0},
    "recurrence in all bins": {**SMALL, "channels": 16, "dconv_lstm": 0, "dconv_attn": 0, "norm_starts": 1},
    "halving strides": {**SMALL, **NARROW, "stride": 2, "kernel_size": 4, "depth": 8, "time_stride": 4},
    "one level of four bands": {
        **NARROW,
        "n_fft": 1024,
        "depth": 4,
        "norm_starts": 999,
        "multi_freqs": (0.3, 0.45, 0.7),
        "multi_freqs_depth": 1,
        "freq_emb": 1.0,
    },
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.usefixtures("double")
def test_the_mathematics_is_that_of_the_published_network(options):
    config = Config(**options)
    ours, theirs = pair(config)
    for length in (2, 3 * config.n_fft // 8 + 1, 9001):
        assert difference(ours.double(), theirs.double(), length, batch=2) < 1e-10


@pytest.mark.parametrize("options", PUBLISHED.values(), ids=PUBLISHED.keys())
@pytest.mark.usefixtures("double")
def test_a_signal_longer_than_the_recurrence_reads_as_one_agrees(options):
    ours, theirs = pair(Config(**{**SMALL, "multi_freqs_depth": 1, **options}))
    assert difference(ours.double(), theirs.double(), 20_011) < 1e-10


def rounds(count):
    """A filter of so many rounds, always."""
    return {"cac": False, "wiener_iters": count, "end_iters": count}


FILTERED = {
    "phase that fades": rounds(-1),
    "one round": rounds(1),
    "three rounds and a residual": {**rounds(3), "wiener_residual": True},
    "mono, late": {**rounds(2), "audio_channels": 1, "hybrid_old": True},
}


@pytest.mark.parametrize("options", FILTERED.values(), ids=FILTERED.keys())
@pytest.mark.usefixtures("double")
def test_the_filter_of_magnitudes_is_the_published_one_over_more_than_one_window(options):
    ours, theirs = pair(Config(**SMALL, **options))
    for length in (2, 9001, 41_001):  # 1, 141 and 641 frames
        assert difference(ours.double(), theirs.double(), length, batch=2) < 1e-10


@pytest.mark.parametrize("count", [-1, 0, 1])
@pytest.mark.usefixtures("double")
def test_training_has_its_own_rounds(count):
    config = Config(**SMALL, cac=False, wiener_iters=2, end_iters=count, wiener_residual=True)
    ours, theirs = pair(config, published(dataclasses.replace(config, end_iters=2)))
    theirs.end_iters = count  # the published constructor wants as many
    assert difference(ours.double(), theirs.double(), 9001) < 1e-10
    assert difference(ours.train(), theirs.train(), 9001) < 1e-10


@pytest.mark.usefixtures("double")
def test_the_frames_of_2048_agree_once_the_published_branches_are_in_step():
    from demucs.hdemucs import HDecLayer, HEncLayer

    config = Config(**NARROW, n_fft=2048)
    theirs = published(config)  # its waveform takes a stride of 4 where 2 is left
    step = {"kernel_size": 4, "stride": 2, "empty": True, "freq": False}
    theirs.tencoder[-1] = HEncLayer(16, 16, **step)
    theirs.tdecoder[0] = HDecLayer(16, 16, norm_groups=4, **step)
    ours, theirs = pair(config, theirs)
    for length in (2, 1000, 9001):
        assert difference(ours.double(), theirs.double(), length) < 1e-10


@pytest.mark.parametrize(
    "options", [*PUBLISHED.values(), *FILTERED.values()], ids=[*PUBLISHED.keys(), *FILTERED.keys()]
)
def test_float32_rounds_no_worse(options):
    ours, theirs = pair(Config(**NARROW, **options))
    for length in (2, 44_100):
        assert difference(ours, theirs, length) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"cac": False, "hybrid_old": True, "norm_starts": 999}])
def test_the_full_network_agrees(options):
    assert difference(*pair(Config(segment=Fraction(44), **options)), 2 * 44_100 + 17) < 1e-5
