"""BSSEval: closed forms, a slow twin, and what silence, NaN and lengths mean."""

from __future__ import annotations

import math

import pytest
import torch

from signals import antiphase, noise, silence
from unbraid.errors import NonFiniteAudioError, ShapeError, UsageError
from unbraid.metrics import projection
from unbraid.metrics.bsseval import bsseval, decompose
from unbraid.metrics.workers import spread

RATE = 1000
NAMES = ("sdr", "isr", "sir", "sar")


def sources(length=3000, count=3, channels=2):
    return torch.stack([noise(length, channels=channels, seed=seed) for seed in range(count)])


def leaky(references):
    return 0.9 * references + 0.1 * references.roll(2, -1) + 0.05 * references.flip(0)


def table(*arguments, **options):
    """All four ratios, `(4, sources, frames)`."""
    ratios = bsseval(*arguments, RATE, **{"taps": 16, **options})
    return torch.stack([getattr(ratios, name) for name in NAMES])


def apart():
    """Two sources and a disturbance that no filter of 16 taps brings together: one after the other."""
    signals = torch.zeros(3, 2, 3000, dtype=torch.float64)
    for number in range(3):
        signals[number, :, 1000 * number : 1000 * number + 900] = noise(900, seed=number).double()
    return signals[:2], signals[2]


def decibels(above, below):
    return 10 * math.log10(above.square().sum() / below.square().sum())


def close(answers, expected, atol=1e-9):
    torch.testing.assert_close(answers, expected, rtol=0, atol=atol, equal_nan=True)


def slow_frame(references, estimates, frame, taps):
    """Energies of true, own, every, spatial, interference, artefacts, by matrices of delayed signals."""

    def delayed(signals):
        padded = torch.nn.functional.pad(signals.flatten(0, -2), (0, taps - 1))
        return torch.cat([padded.roll(tap, -1) for tap in range(taps)]).mT

    whole, part = references.double(), references[..., frame].double()
    pad = (0, taps - 1)
    for source, estimate in enumerate(estimates.double()):
        late = torch.nn.functional.pad(estimate, pad).mT
        own = delayed(part[source]) @ torch.linalg.lstsq(delayed(whole[source]), late).solution
        every = delayed(part) @ torch.linalg.lstsq(delayed(whole), late).solution
        true = torch.nn.functional.pad(part[source], pad).mT
        heard = torch.nn.functional.pad(estimate[..., frame], pad).mT
        yield torch.tensor(
            [
                decibels(true, heard - true),
                decibels(true, own - true),
                decibels(own, every - own),
                decibels(every, heard - every),
            ],
            dtype=torch.float64,
        )


@pytest.mark.parametrize(("taps", "channels"), [(1, 2), (5, 1), (8, 2)])
def test_frames_agree_with_a_twin_that_writes_the_matrices_out(taps, channels):
    references = sources(400, channels=channels)
    estimates = leaky(references) + 0.01 * sources(400, channels=channels).roll(100, -1)
    answers = table(references, estimates, window=0.1, hop=0.15, taps=taps)
    for number, start in enumerate((0, 150, 300)):
        expected = list(slow_frame(references, estimates, slice(start, start + 100), taps))
        close(answers[..., number], torch.stack(expected, 1), atol=1e-6)


@pytest.mark.parametrize("gain", [0.5, 0.9, 0.999, -1.0])
def test_a_wrong_gain_is_distortion_and_spatial_but_neither_interference_nor_artefacts(gain):
    references = sources()
    sdr, isr, sir, sar = table(references, gain * references.double())
    expected = torch.full_like(sdr, -20 * math.log10(1 - gain))
    close(sdr, expected)
    close(isr, expected)
    assert min(sir.min(), sar.min()) > 200


def test_filters_as_long_as_allowed_cost_nothing_but_isr():
    references = sources(count=2)
    references[..., -16:] = 0
    response = torch.randn(2, 1, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    filtered = torch.nn.functional.conv1d(references.double(), response.flip(-1), padding=15, groups=2)
    sdr, isr, sir, sar = table(references, filtered[..., :3000], window=math.inf)
    expected = decibels(references[0], filtered[0, :, :3000] - references[0])
    assert sdr[0].item() == pytest.approx(expected)
    assert isr[0].item() == pytest.approx(expected)
    assert min(sir.min(), sar.min()) > 200


def test_a_filter_one_tap_longer_leaves_artefacts():
    references = sources(count=2).double()
    references[..., -17:] = 0
    late = references.roll(16, -1)
    assert table(references, references + late, window=math.inf)[3].max() < 10
    assert table(references, references + late, window=math.inf, taps=17)[3].min() > 200


@pytest.mark.parametrize("leak", [0.01, 0.3])
def test_a_leak_of_known_level_is_interference_of_that_level(leak):
    references, _ = apart()
    sdr, _, sir, sar = table(references, references + leak * references.flip(0), window=math.inf)
    expected = decibels(references[0], leak * references[1])
    assert sdr[0].item() == pytest.approx(expected)
    assert sir[0].item() == pytest.approx(expected)
    assert sar[0].item() > 200


@pytest.mark.parametrize("level", [0.01, 0.3])
def test_what_no_source_explains_is_an_artefact(level):
    references, disturbance = apart()
    _, _, sir, sar = table(references, references + level * disturbance, window=math.inf)
    assert sar[0].item() == pytest.approx(decibels(references[0], level * disturbance))
    assert sir[0].item() > 200


def test_the_filtered_reference_is_the_target_where_images_are_not_meant():
    references = sources()
    estimates = leaky(references)
    images, plain = table(references, estimates), table(references, estimates, images=False)
    assert plain[1].isnan().all()
    close(plain[2:], images[2:])
    assert (plain[0] > images[0]).all()


@pytest.mark.parametrize("pieces", [1, 3, 50])
@pytest.mark.parametrize("shortest", [32, 256, 32768])
def test_pieces_never_change_the_answer(monkeypatch, shortest, pieces):
    references = sources()
    expected = table(references, leaky(references))
    monkeypatch.setattr(projection, "_SHORTEST_FFT", shortest)
    monkeypatch.setattr(projection, "_PIECES", pieces)
    close(table(references, leaky(references)), expected)


def test_gradients_are_not_followed():
    references = sources()
    followed = leaky(references).requires_grad_()
    answers = table(references, followed)
    assert not answers.requires_grad
    close(answers, table(references, followed.detach()))


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_never_change_the_answer_and_are_given_back(monkeypatch, threads):
    monkeypatch.setattr(projection, "_SHORTEST_FFT", 256)
    references = sources()
    expected, before = table(references, leaky(references)), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        close(table(references, leaky(references)), expected)
        assert torch.get_num_threads() == threads
        assert spread(lambda _: torch.get_num_threads(), range(4)) == [1, 1, 1, 1]
    finally:
        torch.set_num_threads(before)


def test_ratios_follow_the_sources_when_these_change_places():
    references, order = sources(), [2, 0, 1]
    estimates = leaky(references)
    close(table(references[order], estimates[order]), table(references, estimates)[:, order])


@pytest.mark.parametrize("gain", [1e-3, 100.0])
def test_the_level_of_everything_is_without_meaning(gain):
    references = sources()
    estimates = leaky(references)
    close(table(gain * references, gain * estimates), table(references, estimates), atol=1e-4)


def test_equal_channels_score_as_one_channel_does():
    mono = sources(channels=1)
    estimates = leaky(mono)
    close(table(mono.expand(-1, 2, -1), estimates.expand(-1, 2, -1)), table(mono, estimates), atol=1e-6)


@pytest.mark.parametrize(
    ("length", "window", "hop", "frames"),
    [
        (3000, 1, 1, 3),
        (3999, 1, 1, 3),
        (3000, 1, 0.5, 5),
        (1000, 1, 1, 1),
        (999, 1, 1, 1),
        (40, math.inf, 1, 1),
    ],
)
def test_only_whole_frames_count_and_a_short_track_is_one(length, window, hop, frames):
    references = sources(length)
    assert table(references, leaky(references), window=window, hop=hop).shape == (4, 3, frames)


def test_what_stands_behind_the_last_frame_reaches_no_ratio_but_the_filters():
    references = sources(2500)
    estimates = leaky(references)
    estimates[..., 2200:] = 0
    assert table(references, estimates)[0].min() > 10


@pytest.mark.parametrize("which", ["references", "estimates"])
def test_a_frame_with_a_silent_source_is_nan_for_all_and_leaves_the_others(which):
    references = sources()
    estimates = leaky(references)
    {"references": references, "estimates": estimates}[which][1, :, 1000:2000] = 0
    answers = table(references, estimates)
    assert answers[..., 1].isnan().all()
    assert answers[..., (0, 2)].isfinite().all()


def test_antiphase_stereo_is_sound_unless_museval_is_asked():
    references = sources()
    references[0, :, 1000:2000] = antiphase(1000)
    estimates = leaky(references)
    assert table(references, estimates).isfinite().all()
    assert table(references, estimates, silence="museval").isnan().all(0).all(0).tolist() == [
        False,
        True,
        False,
    ]


def test_a_silent_channel_is_no_silent_source():
    references = sources()
    references[0, 1] = 0
    for rule in ("energy", "museval"):
        assert table(references, leaky(references), silence=rule).isfinite().all()


@pytest.mark.parametrize(("signal", "rule"), [(silence(3000), "energy"), (antiphase(3000), "museval")])
def test_a_source_silent_from_end_to_end_is_refused_by_name(signal, rule):
    references = sources()
    references[1] = signal
    with pytest.raises(UsageError, match=r"reference 1 is silent.*leave that source out"):
        table(references, sources(), silence=rule)
    with pytest.raises(UsageError, match=r"estimate 1 is silent"):
        table(sources(), references, silence=rule)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e200])
def test_what_is_no_number_or_out_of_reach_is_refused_with_its_place(value):
    estimates = sources().double()
    estimates[2, 1, 1234] = value
    place = r"estimate 2 has (nan|-?inf|1e\+200) in channel 1 at sample 1234"
    with pytest.raises(NonFiniteAudioError, match=place):
        table(sources(), estimates)


def test_other_lengths_are_refused_with_both():
    with pytest.raises(ShapeError, match=r"\(3, 2, 3000\).*\(3, 2, 2999\).*cut or pad"):
        table(sources(), sources()[..., :2999])


@pytest.mark.parametrize("shape", [(2, 3000), (0, 2, 3000), (3, 2, 0)])
def test_no_signals_are_refused(shape):
    for function in (table, decompose):
        with pytest.raises(ShapeError, match=r"\(sources, channels, time\)"):
            function(torch.zeros(shape), torch.zeros(shape))


@pytest.mark.parametrize(
    "wrong", [{"window": 0.0005}, {"hop": 0}, {"window": math.nan}, {"taps": 0}, {"hop": -1.0}]
)
def test_lengths_that_are_not_positive_are_refused(wrong):
    with pytest.raises(UsageError, match=r"at least 1"):
        table(sources(), sources(), **wrong)


def test_parts_add_up_to_the_estimates():
    references = sources()
    estimates = leaky(references)
    parts = decompose(references, estimates, taps=16)
    close(parts.target, references.double())
    close(parts.target + parts.spatial + parts.interference + parts.artefacts, estimates.double(), atol=1e-15)


def test_energies_of_the_parts_are_the_ratios_of_one_frame():
    references = sources()
    references[..., -16:] = 0
    estimates = leaky(references)
    parts = decompose(references, estimates, taps=16)
    own = parts.target + parts.spatial
    wrong = estimates - references
    expected = [
        [decibels(parts.target[at], wrong[at]) for at in range(3)],
        [decibels(parts.target[at], parts.spatial[at]) for at in range(3)],
        [decibels(own[at], parts.interference[at]) for at in range(3)],
        [decibels((own + parts.interference)[at], parts.artefacts[at]) for at in range(3)],
    ]
    answers = table(references, estimates, window=math.inf)[..., 0]
    close(answers, torch.tensor(expected, dtype=torch.float64), atol=1e-5)


def test_the_estimate_of_a_silent_source_is_all_interference_and_artefacts():
    references, disturbance = apart()
    references = torch.stack([references[0], torch.zeros_like(disturbance)])
    parts = decompose(references, references + 0.5 * references.flip(0) + disturbance, taps=16)
    close(parts.spatial[1], torch.zeros_like(disturbance))
    close(parts.interference[1], 0.5 * references[0])
    close(parts.artefacts[1], disturbance)
