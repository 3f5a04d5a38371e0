"""What is drawn: envelopes, levels and scores, against what the signals are known to hold."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

import signals
import unbraid
from unbraid.audio import Audio
from unbraid.errors import NonFiniteAudioError, ShapeError
from unbraid.io.source import Source, source_of
from unbraid.metrics.ratios import sdr
from unbraid.plot.scores import course
from unbraid.plot.sound import measured, mixed
from unbraid.plot.spectrogram import Scale, edges_hz, levels
from unbraid.plot.waveform import envelope

RATE = 8000
ODD = {
    "nothing": torch.zeros(2, 0),
    "one sample": torch.full((2, 1), 0.5),
    "silence": signals.silence(5000),
    "constant": signals.constant(5000),
    "antiphase": signals.antiphase(5000, rate=RATE),
    "clipped": signals.clipped(5000, rate=RATE),
    "one silent channel": torch.cat([signals.noise(5000, channels=1), torch.zeros(1, 5000)]),
}


def sine(hz, seconds=1.0, rate=RATE, channels=1):
    return Audio(signals.tone(round(seconds * rate), hz=hz, rate=rate, channels=channels, gain=1.0), rate)


@pytest.mark.parametrize("columns", [1, 7, 100, 960])
@pytest.mark.parametrize("length", [1, 99, 1000, 200_001])
def test_an_envelope_is_the_least_and_greatest_sample_of_each_column(length, columns, rng):
    samples = torch.randn(2, length, generator=rng)
    found = envelope(Audio(samples, RATE), columns)
    count = min(columns, length)
    owner = np.arange(length) * count // length
    for column in {0, count // 2, count - 1}:
        mine = samples[:, torch.from_numpy(owner == column)]
        assert (found.least[column], found.greatest[column]) == (mine.min().item(), mine.max().item())
    assert found.peak == samples.abs().max().item()


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("scale", Scale)
def test_odd_signals_have_finite_levels_and_envelopes(name, scale):
    audio = Audio(ODD[name], RATE)
    assert np.isfinite(levels(audio, scale=scale).db).all()
    assert np.isfinite(envelope(audio).least).all()


def test_nan_is_refused_with_its_place():
    samples = torch.zeros(1, 100)
    samples[0, 40] = math.nan
    for summary in (envelope, levels):
        with pytest.raises(NonFiniteAudioError, match="sample 40"):
            summary(Audio(samples, RATE))


@pytest.mark.parametrize("scale", Scale)
@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("hz", [440.0, 1000.0, 3123.0])
def test_a_full_scale_sine_has_0_db_and_stands_at_its_frequency(scale, rate, hz):
    found = levels(sine(hz, 2.0, rate), scale=scale)
    middle = 10 ** (found.db[:, found.db.shape[1] // 2] / 10)
    assert 10 * math.log10(middle.sum()) == pytest.approx(0, abs=0.01)
    centres = (found.edges_hz[1:] + found.edges_hz[:-1]) / 2
    widest = np.diff(found.edges_hz)[middle.argmax()] + rate / 100
    assert centres[middle.argmax()] == pytest.approx(hz, abs=widest)


def test_a_gain_moves_every_level_by_its_decibels(rng):
    noise = torch.randn(2, 20_000, generator=rng, dtype=torch.float64)
    loud, soft = (levels(Audio(gain * noise, RATE)).db for gain in (1.0, 0.01))
    np.testing.assert_allclose(loud - soft, 40.0, atol=1e-3)


def test_out_of_phase_stereo_is_as_loud_as_in_phase_stereo():
    samples = signals.tone(20_000, rate=RATE, channels=1)
    alike = levels(Audio(torch.cat([samples, samples]), RATE)).db
    opposite = levels(Audio(torch.cat([samples, -samples]), RATE)).db
    np.testing.assert_array_equal(alike, opposite)


def test_a_click_stands_in_its_column():
    found = levels(Audio(signals.click(40_000, at=30_000, channels=1), RATE), scale=Scale.LINEAR)
    energy = (10 ** (found.db / 10)).sum(0)
    assert energy.argmax() / found.db.shape[1] == pytest.approx(0.75, abs=0.01)
    assert found.db[:, : found.db.shape[1] // 2].max() == -200


@pytest.mark.parametrize("scale", Scale)
@pytest.mark.parametrize("rate", [8, 4000, 8000, 44100, 192_000])
def test_rows_rise_and_end_at_half_the_rate_or_before(scale, rate):
    edges = edges_hz(scale, rate)
    assert (np.diff(edges) > 0).all()
    assert edges[-1] == pytest.approx(min(rate / 2, 20_000 if scale is Scale.LOG else math.inf))


@pytest.mark.parametrize("block", [1000, 4096, 65536])
def test_blocks_never_change_what_is_drawn(block, rng):
    samples = torch.randn(2, 30_001, generator=rng)
    whole = Audio(samples, RATE)
    parts = Source("x", RATE, ("FL", "FR"), 30_001, lambda: iter(samples.split(block, 1)))
    np.testing.assert_allclose(levels(parts).db, levels(whole).db, atol=1e-9)
    np.testing.assert_array_equal(envelope(parts).least, envelope(whole).least)


PEAK = """
import resource, sys, torch
from unbraid.io.source import Source
from unbraid.plot.spectrogram import Scale, levels
from unbraid.plot.waveform import envelope

block, count = torch.randn(2, 65536) / 10, int(sys.argv[1])
source = Source("x", 44100, ("FL", "FR"), count * 65536, lambda: (block.clone() for _ in range(count)))
levels(source, scale=Scale.LINEAR), envelope(source)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count peak memory in other units")
def test_memory_does_not_grow_with_the_length():
    def peak_kib(blocks):
        command = [sys.executable, "-c", PEAK, str(blocks)]
        return int(subprocess.run(command, capture_output=True, check=True).stdout)

    song = 150  # blocks: 3:43 minutes, 79 MB in float32 and 157 MB in float64
    assert peak_kib(song) - peak_kib(10) < 20_000


def test_a_mixed_source_is_the_weighted_sum(rng, tmp_path):
    samples = torch.randn(3, 2, 100_000, generator=rng) / 10
    paths = [tmp_path / f"{number}.wav" for number in range(3)]
    for path, one in zip(paths, samples, strict=True):
        unbraid.write(Audio(one, RATE), path)
    found = torch.cat(list(mixed(paths, [1, -0.5, 2]).read()), -1)
    torch.testing.assert_close(found, (samples * torch.tensor([1, -0.5, 2])[:, None, None]).sum(0).double())


@pytest.mark.parametrize(
    "other",
    [Audio(torch.zeros(2, 99), RATE), Audio(torch.zeros(1, 100), RATE), Audio(torch.zeros(2, 100), 4000)],
)
def test_recordings_that_do_not_fit_are_refused_with_both_shapes(other):
    one = Audio(torch.zeros(2, 100), RATE)
    for call in (mixed, lambda pair: course(*pair)):
        with pytest.raises(ShapeError, match=f"2 channels of 100 samples at {RATE} Hz"):
            call([one, other])


def test_an_unknown_length_is_found_by_decoding(tmp_path):
    path = unbraid.write(sine(440), tmp_path / "a.wav")
    assert measured(source_of(path, start_seconds=0.25)).length == 6000


def test_the_course_is_the_metric_of_each_second_and_of_the_whole(rng):
    reference = torch.randn(2, 3 * RATE + 500, generator=rng)
    estimate = reference + 0.1 * torch.randn(reference.shape, generator=rng)
    found = course(Audio(reference, RATE), Audio(estimate, RATE))
    for second in range(4):
        part = slice(second * RATE, (second + 1) * RATE)
        assert found.sdr_db[second] == pytest.approx(
            sdr(reference[:, part], estimate[:, part]).item(), abs=1e-6
        )
    assert found.whole_db == pytest.approx(sdr(reference, estimate).item(), abs=1e-6)
    assert found.median_db == pytest.approx(float(np.median(found.sdr_db)))


def test_silent_seconds_have_no_sdr_and_a_silent_stem_no_median():
    sound = signals.antiphase(RATE, rate=RATE)
    reference = torch.cat([sound, torch.zeros(2, RATE)], 1)
    found = course(Audio(reference, RATE), Audio(0.9 * reference, RATE))
    assert found.sdr_db[0] == pytest.approx(20, abs=0.01)
    assert math.isnan(found.sdr_db[1])
    assert math.isnan(course(Audio(0 * reference, RATE), Audio(reference, RATE)).median_db)
