"""The multichannel Wiener filter: its definition, its pieces, and signals that break things."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from unbraid.dsp import wiener
from unbraid.dsp.wiener import WienerFilter, phase
from unbraid.errors import ConfigError, ShapeError


def scene(*, sources=3, channels=2, bins=7, frames=11, gain=1.0, batch=(), dtype=torch.float64):
    """Magnitudes and a mixture that have nothing to do with each other."""
    generator = torch.Generator().manual_seed(sources + 10 * channels + 100 * frames)
    magnitudes = torch.rand(*batch, sources, channels, bins, frames, generator=generator, dtype=dtype)
    parts = torch.randn(*batch, channels, bins, frames, 2, generator=generator, dtype=dtype)
    return gain * magnitudes, gain * torch.view_as_complex(parts)


def error(estimate, reference):
    return ((estimate - reference).norm() / reference.norm()).item()


def slow(first, mixture, iterations, eps=1e-10):
    """The iterations, bin by bin and frame by frame."""
    scale = max(1.0, np.abs(mixture).max() / 10)
    y, x = first / scale, mixture / scale
    for _, f in itertools.product(range(iterations), range(x.shape[1])):
        v = (np.abs(y[:, :, f]) ** 2).mean(1)  # (S, N)
        products = np.einsum("scn,sdn->scd", y[:, :, f], y[:, :, f].conj())
        covariances = products / (eps + v.sum(1))[:, None, None]
        for n in range(x.shape[2]):
            total = np.einsum("s,scd->cd", v[:, n], covariances) + np.sqrt(eps) * np.eye(len(x))
            for s in range(len(y)):
                y[s, :, f, n] = v[s, n] * covariances[s] @ np.linalg.inv(total) @ x[:, f, n]
    return y * scale


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("gain", [0.1, 50.0])
@pytest.mark.parametrize("residual", [False, True])
def test_it_is_the_matrix_formula_in_every_bin_and_frame(channels, iterations, gain, residual):
    magnitudes, mixture = scene(channels=channels, gain=gain)
    first = WienerFilter(0, residual=residual)(magnitudes, mixture)
    expected = slow(first.numpy(), mixture.numpy(), iterations)
    estimates = WienerFilter(iterations, residual=residual)(magnitudes, mixture)
    assert estimates.shape == (3 + residual, channels, 7, 11)
    assert error(estimates, torch.from_numpy(expected)) < 1e-9


@pytest.fixture
def default_dtype():
    """Puts torch's default precision back; the published filter has constants in it."""
    before = torch.get_default_dtype()
    yield torch.set_default_dtype
    torch.set_default_dtype(before)


@pytest.mark.reference
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("iterations", [0, 1, 3])
@pytest.mark.parametrize("softmask", [False, True])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_it_is_the_published_filter(
    channels, iterations, softmask, residual, dtype, tolerance, default_dtype
):
    from demucs.wiener import wiener as published

    default_dtype(dtype)
    for gain, frames in ((1.0, 210), (40.0, 3)):  # the published one reads 200 frames at once
        magnitudes, mixture = scene(sources=4, channels=channels, frames=frames, gain=gain, dtype=dtype)
        expected = published(
            magnitudes.permute(3, 2, 1, 0),
            torch.view_as_real(mixture.permute(2, 1, 0)).clone(),  # it is written to
            iterations,
            softmask=softmask,
            residual=residual,
        )
        expected = torch.view_as_complex(expected.mT.contiguous()).permute(3, 2, 1, 0)
        estimates = WienerFilter(iterations, softmask=softmask, residual=residual)(magnitudes, mixture)
        assert estimates.dtype == mixture.dtype
        assert error(estimates, expected) < tolerance


@pytest.mark.parametrize("softmask", [False, True])
def test_a_window_is_filtered_as_if_it_stood_alone(softmask):
    magnitudes, mixture = scene(frames=23, gain=30.0)
    alone = WienerFilter(2, softmask=softmask)
    parts = zip(magnitudes.split(9, -1), mixture.split(9, -1), strict=True)
    expected = torch.cat([alone(*part) for part in parts], -1)
    windowed = WienerFilter(2, softmask=softmask, window=9)(magnitudes, mixture)
    torch.testing.assert_close(windowed, expected, rtol=0, atol=0)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("batch", [(2,), (2, 3)])
def test_rows_of_a_batch_are_independent(channels, batch):
    magnitudes, mixture = scene(channels=channels, batch=batch)
    mixture[0] *= 1000
    filtered = WienerFilter(2, residual=True)
    together = filtered(magnitudes, mixture)
    for row in itertools.product(*map(range, batch)):
        torch.testing.assert_close(together[row], filtered(magnitudes[row], mixture[row]))


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("numbers", [1, 200, 10**9])
def test_how_many_bins_are_refined_at_once_never_changes_the_answer(monkeypatch, channels, numbers):
    magnitudes, mixture = scene(channels=channels, bins=50)
    expected = WienerFilter(2)(magnitudes, mixture)
    monkeypatch.setattr(wiener, "_PIECE", numbers)
    torch.testing.assert_close(WienerFilter(2)(magnitudes, mixture), expected)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("options", [{"residual": True}, {"softmask": True}, {}])
def test_estimates_of_loud_bins_add_up_to_the_mixture(channels, options):
    """All that is missing is the noise's share, whatever the magnitudes were."""
    magnitudes, mixture = scene(sources=4, channels=channels, gain=5.0)
    total = WienerFilter(1, **options)(magnitudes + 1, mixture).sum(0)
    assert error(total, mixture) < 1e-4


def test_sources_from_two_places_come_closer_to_the_truth_with_every_iteration():
    generator = torch.Generator().manual_seed(0)
    heard = torch.tensor([[1.0, 0.3], [0.2, 1.0]], dtype=torch.complex128)
    spectra = torch.randn(2, 1, 20, 200, generator=generator, dtype=torch.complex128)
    sources = heard[:, :, None, None] * spectra  # (S, C, F, N)
    mixture = sources.sum(0)
    errors = [error(WienerFilter(rounds)(sources.abs(), mixture), sources) for rounds in range(6)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 2


@pytest.mark.parametrize("side", [0.0, 1e-6, 1e-4, 1e-2])
@pytest.mark.parametrize("gain", [1.0, 100.0])
def test_channels_that_are_nearly_alike_are_as_exact_in_float32(side, gain):
    """The published filter divides by zero here in float32."""
    magnitudes, mixture = scene(channels=1, gain=gain)
    other = side * scene(channels=1, frames=12, gain=gain)[1][..., :11]
    mixture = torch.cat([mixture + other, mixture - other]).to(torch.complex64)
    magnitudes = (magnitudes * mixture.abs()).float()
    estimates = WienerFilter(3)(magnitudes, mixture)
    assert error(estimates, WienerFilter(3)(magnitudes.double(), mixture.to(torch.complex128))) < 1e-6


def test_louder_in_is_louder_out_above_the_scale():
    magnitudes, mixture = scene(gain=30.0)
    louder = WienerFilter(2)(7 * magnitudes, 7 * mixture)
    torch.testing.assert_close(louder, 7 * WienerFilter(2)(magnitudes, mixture))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_where_the_mixture_is_silent_its_sources_are(channels):
    magnitudes, mixture = scene(channels=channels)
    mixture[..., 3:6] = 0
    estimates = WienerFilter(1)(magnitudes, mixture)
    assert estimates.isfinite().all()
    assert not estimates[..., 3:6].any()


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("softmask", [False, True])
def test_silence_and_a_silent_source_are_finite_and_so_are_their_gradients(channels, softmask):
    magnitudes, mixture = scene(channels=channels)
    magnitudes[1] = 0
    for level in (0, 1):
        leaf = magnitudes.clone().requires_grad_()
        estimates = WienerFilter(2, softmask=softmask)(leaf, level * mixture)
        estimates.abs().square().sum().backward()
        assert estimates.isfinite().all()
        assert not estimates[1].any()
        assert leaf.grad.isfinite().all()


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("options", [{"iterations": 0}, {"softmask": True}, {"residual": True, "window": 2}])
def test_gradients_are_those_of_the_function(channels, options):
    magnitudes, mixture = scene(sources=2, channels=channels, bins=2, frames=3)
    leaves = [(magnitudes + 0.1).requires_grad_(), mixture.requires_grad_()]
    # A real answer: gradcheck of complex outputs with real inputs takes the imaginary part for nothing.
    assert torch.autograd.gradcheck(lambda *leaf: torch.view_as_real(WienerFilter(**options)(*leaf)), leaves)


def test_autocast_leaves_the_filter_as_exact():
    magnitudes, mixture = scene(dtype=torch.float32)
    expected = WienerFilter(2)(magnitudes, mixture)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert WienerFilter(2)(magnitudes, mixture).equal(expected)


def test_its_inputs_are_not_written_to():
    magnitudes, mixture = scene(gain=30.0)
    mixture[..., 0] = 0
    before = magnitudes.clone(), mixture.clone()
    WienerFilter(2, residual=True)(magnitudes, mixture)
    assert magnitudes.equal(before[0])
    assert mixture.equal(before[1])


@pytest.mark.parametrize("options", [{}, {"window": 300}, {"iterations": 0, "residual": True}])
@pytest.mark.parametrize("empty", [{"frames": 0}, {"bins": 0}, {"batch": (0,)}])
def test_nothing_in_is_nothing_out(options, empty):
    magnitudes, mixture = scene(**empty)
    assert not WienerFilter(**options)(magnitudes, mixture).numel()


def test_a_phase_has_magnitude_one_and_that_of_silence_is_zero():
    spectrum = scene()[1]
    torch.testing.assert_close(phase(spectrum) * spectrum.abs(), spectrum)
    assert phase(torch.zeros(3, dtype=torch.complex64)).equal(torch.ones(3, dtype=torch.complex64))


@pytest.mark.parametrize(
    ("magnitudes", "mixture"),
    [((2, 7, 11), (2, 7, 11)), ((3, 2, 7, 11), (1, 7, 11)), ((3, 2, 7, 11), (2, 2, 7, 11))],
)
def test_shapes_that_do_not_belong_together_are_refused(magnitudes, mixture):
    with pytest.raises(ShapeError, match=r"they must be \(\.\.\., sources, channels, bins, frames\) and"):
        WienerFilter()(torch.zeros(magnitudes), torch.zeros(mixture, dtype=torch.complex64))


@pytest.mark.parametrize(
    "options",
    [{"iterations": -1}, {"window": 0}, {"scale_factor": 0.0}, {"eps": 0.0}, {"eps": float("nan")}],
)
def test_numbers_that_make_no_filter_are_refused_with_what_would_work(options):
    with pytest.raises(ConfigError, match="iterations must be 0 or more, a window 1 or more"):
        WienerFilter(**options)
