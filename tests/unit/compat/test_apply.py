"""apply_model against the one of demucs, on the same networks; then what is ours."""

from __future__ import annotations

import pytest
import torch

from signals import noise
from unbraid.compat.demucs.apply import BagOfModels, apply_model
from unbraid.errors import MachineError, NonFiniteAudioError, PlanError, ShapeError, UsageError

RATE = 8000
SEGMENT = 2000
NAMES = ("htdemucs", "hdemucs", "demucs")
NUMBERS = 120.0  # dB: the network is the same, so that only sums of segments round differently


def published(network, mixture, **options):
    """The answer of demucs."""
    from demucs.apply import apply_model as theirs

    return theirs(network, mixture, shifts=0, **options)


@pytest.mark.reference
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [1, 1999, 2000, 2001, 3500, 9000])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
def test_numbers_are_those_of_demucs(networks, snr, name, length, overlap):
    mixture = noise(length)[None]
    wanted = published(networks[name], mixture, overlap=overlap)
    assert snr(wanted, apply_model(networks[name], mixture, shifts=0, overlap=overlap)) > NUMBERS


@pytest.mark.reference
@pytest.mark.parametrize("length", [700, 5000])
@pytest.mark.parametrize(
    ("name", "segment"), [("htdemucs", 0.1), ("hdemucs", 0.1), ("hdemucs", 0.5), ("demucs", 0.13)]
)
def test_a_segment_of_ones_own_gives_the_numbers_of_demucs(networks, snr, name, segment, length):
    mixture = noise(length)[None]
    wanted = published(networks[name], mixture, segment=segment)
    assert snr(wanted, apply_model(networks[name], mixture, shifts=0, segment=segment)) > NUMBERS


@pytest.mark.reference
@pytest.mark.parametrize(
    ("name", "length"), [("htdemucs", 1500), ("htdemucs", 2000), ("hdemucs", 5000), ("demucs", 5001)]
)
def test_without_split_the_numbers_are_those_of_demucs(networks, snr, name, length):
    mixture = noise(length)[None]
    wanted = published(networks[name], mixture, split=False)
    assert snr(wanted, apply_model(networks[name], mixture, shifts=0, split=False)) > NUMBERS


@pytest.mark.reference
@pytest.mark.parametrize("name", NAMES)
def test_a_batch_gives_the_numbers_of_demucs(networks, snr, name):
    # Noise of another level in each track: what leaked from one to the other would be heard.
    mixture = torch.stack([noise(3100, gain=0.5), noise(3100, gain=0.001, seed=1)])
    estimates = apply_model(networks[name], mixture, shifts=0)
    for track, wanted in zip(estimates, published(networks[name], mixture), strict=True):
        assert snr(wanted, track) > NUMBERS


@pytest.mark.reference
def test_a_bag_gives_the_numbers_of_demucs(networks, snr):
    from demucs.apply import BagOfModels as Published

    weights = [[1.0, 0.0], [0.5, 3.0]]
    models = [networks["hdemucs"], networks["demucs"]]
    mixture = noise(3100)[None]
    wanted = published(Published(models, weights), mixture)
    assert snr(wanted, apply_model(BagOfModels(models, weights), mixture, shifts=0)) > NUMBERS


@pytest.mark.reference
@pytest.mark.parametrize("split", [True, False])
def test_callbacks_hear_what_those_of_demucs_hear(networks, split):
    models = [networks["hdemucs"], networks["demucs"]]
    from demucs.apply import BagOfModels as Published

    theirs, ours = [], []
    facts = {"audio_length": 4100, "state": "overridden"}
    published(Published(models), noise(4100)[None], split=split, callback=theirs.append, callback_arg=facts)
    apply_model(BagOfModels(models), noise(4100)[None], 0, split, callback=ours.append, callback_arg=facts)
    assert ours == theirs
    assert len(ours) == (2 * 3 * 2 if split else 2 * 2)


def test_two_axes_are_a_batch_of_one(network):
    assert torch.equal(apply_model(network, noise(100)), apply_model(network, noise(100)[None]))


def test_what_has_no_effect_changes_nothing(network, capsys):
    plain = apply_model(network, noise(3000))
    options = {"num_workers": 4, "pool": object(), "lock": object(), "device": torch.device("cpu")}
    assert torch.equal(plain, apply_model(network, noise(3000), **options))
    assert capsys.readouterr() == ("", "")


def test_progress_is_told_on_stderr(network, capsys):
    apply_model(network, noise(3000), progress=True)
    out, err = capsys.readouterr()
    assert not out
    assert "separating" in err


def test_the_caller_keeps_the_mixture_and_torchs_switches(network):
    mixture = noise(3000)
    before = mixture.clone()
    apply_model(network.train(), mixture, shifts=2)
    assert torch.equal(mixture, before)
    assert torch.is_grad_enabled()
    assert not network.training  # as demucs leaves it


def test_shifts_are_passes_of_which_the_first_is_not_shifted(network, snr):
    heard = []
    none, one, two = (apply_model(network, noise(3000), shifts=n, callback=heard.append) for n in (0, 1, 2))
    assert torch.equal(none, one)
    assert torch.equal(two, apply_model(network, noise(3000), shifts=2))
    assert snr(one, two) < 60
    assert [event["shift_idx"] for event in heard[-2:]] == [1, 1]


def test_shifts_need_no_split(network, snr):
    # A network hears the same mixture behind more silence: not the same numbers, but much the same sound.
    whole = apply_model(network, noise(6000), split=False)
    assert 0 < snr(whole, apply_model(network, noise(6000), shifts=3, split=False)) < 60


def test_nothing_becomes_nothing(network):
    assert apply_model(network, noise(0)).shape == (1, 2, 2, 0)
    assert apply_model(network, torch.zeros(0, 2, 100)).shape == (0, 2, 2, 100)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_precisions_are_taken_and_float32_comes_back(network, dtype):
    mixture = noise(3000).to(dtype)
    estimates = apply_model(network, mixture)
    assert estimates.dtype == torch.float32
    assert torch.equal(estimates, apply_model(network, mixture.float()))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_a_callback_raises_ends_the_work(network, error):
    heard = []

    def stop(event):
        heard.append(event)
        if len(heard) == 3:
            raise error

    with pytest.raises(error):
        apply_model(network, noise(9000), callback=stop)
    assert len(heard) == 3


def test_a_callback_may_keep_and_change_what_it_hears(network):
    heard = []

    def greedy(event):
        heard.append(dict(event))
        event.clear()

    apply_model(network, noise(3000), callback=greedy, callback_arg={"song": 7})
    assert [event["segment_offset"] for event in heard] == [0, 0, 1500, 1500]
    assert all(event["song"] == 7 for event in heard)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"transition_power": 2}, UsageError, "transition_power=1"),
        ({"overlap": 1.0}, PlanError, "stride"),
        ({"overlap": -0.5}, PlanError, "overlap"),
        ({"segment": 0}, PlanError, "segment 0"),
        ({"device": "toaster"}, UsageError, "toaster"),
        ({"device": "cuda:77"}, MachineError, "cuda:77"),
    ],
)
def test_what_cannot_be_is_refused(network, options, error, words):
    with pytest.raises(error, match=words):
        apply_model(network, noise(3000), **options)


@pytest.mark.parametrize(("options", "length"), [({"segment": 0.3}, 100), ({"split": False}, 2001)])
def test_a_network_of_one_length_is_given_no_more(networks, options, length):
    with pytest.raises(UsageError, match="at most 2000: leave split on"):
        apply_model(networks["htdemucs"], noise(length), **options)


def test_mixtures_that_do_not_fit_are_refused(network):
    for wrong in (noise(100)[0], noise(100, channels=1), noise(100)[None, None]):
        with pytest.raises(ShapeError, match="2 channels"):
            apply_model(network, wrong)
    broken = noise(100)
    broken[1, 40] = torch.nan
    with pytest.raises(NonFiniteAudioError, match="sample 40"):
        apply_model(network, broken)


def test_a_module_of_other_make_is_refused():
    with pytest.raises(UsageError, match=r"torch\.nn\.modules\.linear\.Identity.*get_model"):
        apply_model(torch.nn.Identity(), noise(100))
