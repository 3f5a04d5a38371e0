from __future__ import annotations

import pytest
import torch

import signals
from unbraid.networks.classical.centre import Centre, Config

WHOLE = Config(low_hz=0.0)


def separated(mixture, config=WHOLE):
    return Centre(config)(mixture[None].double())[0]


def test_what_both_channels_have_alike_is_the_centre():
    mixture = signals.noise(9000, channels=1).expand(2, -1)
    torch.testing.assert_close(separated(mixture)[0], mixture.double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("gains", [(1.0, 0.0), (0.0, 1.0), (1.0, -1.0), (0.3, -0.7)])
def test_one_side_alone_and_opposite_phase_have_no_centre(gains):
    mixture = signals.noise(9000, channels=1) * torch.tensor(gains).unsqueeze(1)
    assert separated(mixture)[0].abs().max() < 1e-12


def test_the_centre_is_the_same_in_both_channels():
    left, right = separated(signals.noise(9000))[0]
    assert left.equal(right)


@pytest.mark.parametrize("pan", [0.2, 0.5, 0.9])
def test_a_sound_between_middle_and_side_has_as_much_centre_as_its_weaker_channel(pan):
    # Its channels are a and pan · a; half of (1 + pan) − (1 − pan) is pan: all that both have.
    left = signals.noise(9000, channels=1).double()
    mixture = torch.cat([left, pan * left])
    torch.testing.assert_close(separated(mixture)[0][0], pan * left[0], rtol=0, atol=1e-12)


def test_what_is_left_at_the_sides_is_at_right_angles():
    spectrum = torch.randn(2, 2049, 5, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    centre, (left, right) = Centre(WHOLE).spectra(spectrum)
    heard = centre[0].abs() > 0
    assert 0.4 < heard.double().mean() < 0.6  # the channels of noise agree as often as not
    assert (left * right.conj()).real[heard].abs().max() < 1e-9


def test_a_bass_in_the_middle_stays_at_the_sides():
    low, high = signals.tone(44100, hz=60.0), signals.tone(44100, hz=1000.0)
    centre, sides = separated(low + high, Config())
    inside = slice(4096, -4096)  # at its ends a tone has all frequencies
    torch.testing.assert_close(sides[:, inside].float(), low[:, inside], rtol=0, atol=2e-3)
    torch.testing.assert_close(centre[:, inside].float(), high[:, inside], rtol=0, atol=2e-3)
