"""What Open-Unmix promises beyond what every network does."""

from __future__ import annotations

import pytest
import torch

import signals
from networks.tiny import TINY, lively
from unbraid.config import structure, unstructure
from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.plan import Plan
from unbraid.engine.stream import Stream
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.open_unmix import Config, OpenUnmix

KINDS = {
    "as published": {},
    "residual": {"residual": True},
    "residual of one": {"residual": True, "sources": ["vocals"]},
    "one source": {"sources": ["vocals"]},
    "shares": {"softmask": True, "iterations": 2},
    "magnitudes": {"iterations": 0},
    "one window": {"wiener_window": None},
    "one way": {"unidirectional": True},
    "one layer, mono": {"layers": 1, "audio_channels": 1},
}


def small(**changes):
    """A small network, all of whose branches are alive."""
    network = OpenUnmix(structure({**TINY["open_unmix"], **changes}, Config))
    network.load_state_dict(lively(network.state_dict()))
    return network.eval()


def greedy(network):
    """The network with no bin that no source wants: shares of what nobody wants are anything."""
    for target in network.targets:
        target.output_scale.data.fill_(0.1)
        target.output_mean.data.fill_(1.0)
    return network


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def network(request):
    return small(**request.param)


def noise(network, rng, length=1500):
    return 0.3 * torch.randn(2, network.spec.channels, length, generator=rng)


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = OpenUnmix().spec
        more = OpenUnmix(Config(residual=True)).spec
    assert spec.sources == ("vocals", "drums", "bass", "other")
    assert more.sources == ("vocals", "drums", "bass", "other", "residual")
    assert (spec.sample_rate, spec.channels, spec.segment, spec.limit) == (44100, 2, 1_228_799, 158_760_000)
    assert spec.accepted_length(12_345) == 12_345
    assert not spec.levelled


def test_neither_segment_nor_stride_cuts_a_window_of_the_filter():
    config = Config()
    with torch.device("meta"):
        spec = OpenUnmix(config).spec
    plan = Plan.for_spec(spec)
    window = config.wiener_window * config.hop_length
    assert (plan.segment // config.hop_length + 1) % config.wiener_window == 0
    assert -plan.stride % window <= 1


@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 65, 1001])
def test_a_mixture_of_any_length_is_taken(network, rng, length):
    estimates = network(noise(network, rng, length))
    assert estimates.shape == (2, len(network.spec.sources), network.spec.channels, length)
    assert estimates.isfinite().all()


def test_every_parameter_of_every_kind_gets_a_gradient(network, rng):
    estimates = network.train()(noise(network, rng))
    (estimates * torch.randn(estimates.shape, generator=rng)).sum().backward()
    assert not [name for name, value in network.named_parameters() if not value.grad.any()]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_every_kind_is_close_in_half_precision(network, rng, dtype, tolerance):
    mixture = noise(network, rng).to(dtype)
    whole = greedy(network)(mixture.float())
    half = network.to(dtype)(mixture).float()
    assert (half - whole).norm() < tolerance * whole.norm()


def test_a_configuration_of_every_kind_survives_being_written_down(network):
    assert structure(unstructure(network.config), Config) == network.config


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(signal):
    assert small()(signal(1000)[None]).isfinite().all()


def test_silence_stays_silent(network):
    assert not network(torch.zeros(1, network.spec.channels, 999)).any()


def test_a_mask_that_ignores_the_mixture_is_a_gain(rng):
    network = small(iterations=0).requires_grad_(requires_grad=False)
    for gain, target in zip((0.25, 1.0, 3.0), network.targets, strict=True):
        target.output_scale.zero_()
        target.output_mean.fill_(gain)
    mixture = noise(network, rng)
    for gain, estimate in zip((0.25, 1.0, 3.0), network(mixture).unbind(1), strict=True):
        torch.testing.assert_close(estimate, gain * mixture)


@pytest.mark.parametrize("kind", [{}, {"softmask": True}, {"residual": True, "iterations": 0}])
def test_estimates_add_up_to_the_mixture(kind, rng):
    network = greedy(small(**kind))
    mixture = noise(network, rng)
    rest = network(mixture).sum(1) - mixture
    assert rest.norm() < 1e-3 * mixture.norm()


def test_one_source_is_not_filtered_for_it_would_get_all_of_the_mixture(rng):
    network, plain = small(sources=["vocals"], iterations=3), small(sources=["vocals"], iterations=0)
    mixture = noise(network, rng)
    assert network(mixture).equal(plain(mixture))


def test_high_bins_are_separated_but_not_looked_at(rng):
    network = small(iterations=0)
    magnitudes = torch.rand(40, 1, 2, 33, generator=rng)
    other = torch.cat([magnitudes[..., :25], torch.rand(40, 1, 2, 8, generator=rng)], -1)
    masks = torch.stack(network.inner(magnitudes))
    assert masks.equal(torch.stack(network.inner(other)))
    assert masks[..., 25:].any()


def test_read_one_way_it_does_not_know_the_future(rng):
    network = small(unidirectional=True)
    magnitudes = torch.rand(40, 1, 2, 33, generator=rng)
    whole, first = network.inner(magnitudes), network.inner(magnitudes[:25])
    torch.testing.assert_close([mask[:25] for mask in whole], list(first))


def test_in_training_a_batch_is_what_norms_are_measured_on(rng):
    network = small().train()
    before = network.targets[0].bn1.running_mean.clone()
    network(noise(network, rng))
    assert not network.targets[0].bn1.running_mean.equal(before)


def test_a_whole_track_at_once_is_what_the_network_gives(rng):
    network = small()
    mixture = noise(network, rng, 5000)[0]
    with torch.inference_mode():
        plan = Plan.for_spec(network.spec, segment=5000, overlap=0)
        stream = Stream(EagerBackend(network, network.spec), plan)
        estimates = torch.cat([stream.push(mixture), stream.finish()], -1)
        torch.testing.assert_close(estimates, network(mixture[None])[0])


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 2, 2, 100), (1, 2, 0)])
def test_another_shape_is_refused_with_the_one_that_works(shape):
    with pytest.raises(ShapeError, match=r"Open-Unmix takes \(batch, channels, time\) with 2 channels"):
        small()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_bin": 2050}, "max_bin must be 1 to 2049"),
        ({"max_bin": 0}, "max_bin must be 1 to 2049"),
        ({"hidden_size": 511}, "hidden_size must be even"),
        ({"wiener_window": 0}, "wiener_window must be at least 1"),
        ({"hop_length": 1000}, "n_fft must be even and a multiple of hop_length"),
        ({"hop_length": 4096}, "n_fft must be even and a multiple of hop_length, at least twice"),
        ({"hidden_size": 10**9, "layers": 0}, "hidden_size must be 1 to 8192.*layers must be 1 to 16"),
        ({"frames": 2**40}, "frames must be"),
        ({"sources": tuple(map(str, range(100)))}, "sources must be at most 64, not 100"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=f"this makes no Open-Unmix: .*{words}"):
        Config(**change)


def test_a_source_that_is_called_residual_is_refused_beside_one():
    with pytest.raises(ConfigError, match="each once"):
        OpenUnmix(structure({**TINY["open_unmix"], "sources": ["a", "residual"], "residual": True}, Config))
