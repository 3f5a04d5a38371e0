"""Level in, level out."""

from __future__ import annotations

import pytest
import torch

from signals import antiphase, click, constant, noise, silence, tone
from unbraid.engine.normalize import LevelMeter


def level_of(mixture, block=1000):
    meter = LevelMeter()
    for piece in mixture.split(block, -1) if mixture.shape[-1] else ():
        meter.push(piece)
    return meter.level()


@pytest.mark.parametrize("block", [1, 7, 1000, 10_000])
def test_the_level_is_the_mono_mean_and_deviation_for_every_block_size(block):
    mixture = noise(4001) + 0.25
    level = level_of(mixture, block)
    mono = mixture.double().mean(0)
    assert level.mean == pytest.approx(mono.mean().item(), abs=1e-12)
    assert level.deviation == pytest.approx(mono.std().item() + 1e-8, rel=1e-12)


def test_long_quiet_tracks_with_an_offset_lose_no_digits():
    mixture = constant(200_000, value=0.9) + 1e-4 * noise(200_000, gain=1.0)
    assert level_of(mixture).deviation == pytest.approx(
        mixture.double().mean(0).std().item() + 1e-8, rel=1e-9
    )


def test_antiphase_stereo_is_not_blown_up():
    level = level_of(antiphase(44100))
    assert level.apply(antiphase(44100)).abs().max() < 20


@pytest.mark.parametrize("signal", [silence, constant, click, tone, noise, antiphase])
@pytest.mark.parametrize("length", [0, 1, 2, 1000])
def test_restoring_undoes_applying_for_odd_signals(signal, length):
    if signal is click and not length:
        return
    mixture = signal(length)
    level = level_of(mixture)
    assert torch.isfinite(level.apply(mixture)).all()
    torch.testing.assert_close(level.restore(level.apply(mixture)), mixture, rtol=0, atol=1e-6)


def test_ordinary_stereo_is_untouched_by_the_floor():
    left, right = noise(10_000, channels=1, seed=1), noise(10_000, channels=1, seed=2)
    mixture = torch.cat([left, right])  # independent sides: as wide as music gets
    assert level_of(mixture).deviation == pytest.approx(
        mixture.double().mean(0).std().item() + 1e-8, rel=1e-9
    )
