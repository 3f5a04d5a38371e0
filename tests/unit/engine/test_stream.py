"""The contracts of the engine, each over a grid."""

from __future__ import annotations

import pytest
import torch

from fakes import BlindAtEdges, EdgeSensitive, Gain, Identity, spec_of
from reference.slow_overlap_add import slow_separate
from signals import antiphase, click, clipped, constant, noise, silence
from unbraid.engine.blend import Blend, flow_of
from unbraid.engine.plan import Plan, Window
from unbraid.engine.stream import Stream
from unbraid.errors import PlanError, ShapeError, UsageError
from unbraid.spec import Ladder

LENGTHS = [0, 1, 2, 7, 39, 40, 41, 80, 119, 120, 121, 400, 1003]


def run(flow, mixture, block=None):
    """Push a mixture in blocks and collect what comes out."""
    blocks = mixture.split(block, -1) if block and mixture.shape[-1] else [mixture]
    return torch.cat([*(flow.push(piece) for piece in blocks), flow.finish()], -1)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"fixed": True},
        {"multiple": 16},
        {"context": 10},
        {"context": 7, "fixed": True},
        {"context": 10, "ladder": Ladder(4, 2, 3, oversampling=2)},
    ],
)
@pytest.mark.parametrize("window", Window)
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("shifts", [1, 3])
def test_identity_returns_its_input_to_the_sample(length, facts, window, overlap, shifts):
    backend = Identity(spec_of(80, **facts))
    plan = Plan.for_spec(backend.spec, overlap=overlap, shifts=shifts, seed=3)
    plan = Plan(plan.segment, plan.stride, plan.context, window, shifts, max_shift=50, seed=3)
    mixture = noise(length, seed=length)
    estimates = run(flow_of(backend, plan), mixture, block=64)
    assert torch.equal(estimates, mixture.expand(2, -1, -1))


@pytest.mark.parametrize("signal", [silence, constant, antiphase, clipped, click])
def test_identity_holds_for_odd_signals(signal):
    backend = Identity(spec_of(80))
    assert torch.equal(run(flow_of(backend, Plan.for_spec(backend.spec)), signal(333))[0], signal(333))


@pytest.mark.parametrize("segment", [1, 2, 3, 17, 80])
def test_identity_holds_for_segments_shorter_than_the_network_takes(segment):
    backend = Identity(spec_of(80, fixed=True))
    plan = Plan.for_spec(backend.spec, segment=segment)
    assert torch.equal(run(flow_of(backend, plan), noise(200)), noise(200).expand(2, -1, -1))
    assert {shape[-1] for shape in backend.seen} == {80}


@pytest.mark.parametrize("length", [1, 39, 80, 121, 400])
@pytest.mark.parametrize(
    "facts", [{}, {"fixed": True}, {"multiple": 16}, {"context": 10}, {"ladder": Ladder(8, 4, 2)}]
)
@pytest.mark.parametrize("overlap", [0.25, 0.6])
def test_a_stream_agrees_with_the_slow_twin(length, facts, overlap):
    backend = EdgeSensitive(spec_of(80, **facts))
    plan = Plan.for_spec(backend.spec, overlap=overlap)
    fast = run(Stream(backend, plan), noise(length), block=33)
    torch.testing.assert_close(fast, slow_separate(backend, plan, noise(length)), rtol=0, atol=1e-7)


@pytest.mark.parametrize("block", [1, 3, 79, 80, 81, 1000])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize(
    "facts", [{}, {"fixed": True}, {"multiple": 16, "context": 8}, {"ladder": Ladder(8, 4, 2)}]
)
def test_blocks_and_batches_never_change_the_answer(block, batch_size, facts):
    backend = EdgeSensitive(spec_of(80, **facts))
    plan = Plan.for_spec(backend.spec)
    whole = run(Stream(backend, plan), noise(503))
    assert torch.equal(run(Stream(backend, plan, batch_size=batch_size), noise(503), block), whole)


@pytest.mark.parametrize("length", [1, 79, 200])
def test_the_untrusted_context_never_reaches_the_answer(length):
    backend = BlindAtEdges(spec_of(80, context=12))
    estimates = run(flow_of(backend, Plan.for_spec(backend.spec)), noise(length))
    assert torch.equal(estimates, noise(length).expand(2, -1, -1))


def test_every_sample_is_covered_or_the_plan_is_refused():
    with pytest.raises(PlanError, match="would skip some"):
        Plan(segment=100, stride=81, context=10)
    assert Plan(segment=100, stride=80, context=10).core == 80


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("facts", [{}, {"fixed": True}, {"context": 10}])
def test_latency_is_exactly_what_is_waited_for(batch_size, facts):
    backend = Identity(spec_of(80, **facts))
    stream = Stream(backend, Plan.for_spec(backend.spec), batch_size=batch_size)
    assert stream.push(noise(stream.latency - 1)).shape[-1] == 0
    assert stream.push(noise(1)).shape[-1] > 0


def test_latency_is_a_segment_and_the_strides_of_the_other_rows():
    backend = Identity(spec_of(80))
    assert Stream(backend, Plan.for_spec(backend.spec), batch_size=3).latency == 80 + 2 * 60


def test_memory_does_not_grow_with_the_track():
    backend = Gain(spec_of(1000))

    def peak(blocks):
        stream = flow_of(backend, Plan.for_spec(backend.spec, shifts=2))
        held = 0
        for index in range(blocks):
            stream.push(noise(500, seed=index))
            held = max(held, sum(_held_samples(flow) for flow in stream._flows))
        return held

    assert peak(200) == peak(20)


def _held_samples(lead_in):
    return sum(block.shape[-1] for block in lead_in._flow._blocks)


def test_nothing_of_the_callers_is_written_to():
    backend = Gain(spec_of(80))
    mixture = noise(300)
    kept = mixture.clone()
    run(flow_of(backend, Plan.for_spec(backend.spec, shifts=2)), mixture, block=100)
    assert torch.equal(mixture, kept)


def test_a_reused_block_does_not_change_what_was_pushed():
    backend = Identity(spec_of(80))
    stream = Stream(backend, Plan.for_spec(backend.spec))
    block, out = torch.empty(2, 50), []
    for piece in noise(300).split(50, -1):
        block.copy_(piece)
        out.append(stream.push(block))
    block.zero_()
    assert torch.equal(torch.cat([*out, stream.finish()], -1)[0], noise(300))


def test_shifts_are_an_ensemble_of_led_in_passes():
    backend = EdgeSensitive(spec_of(80))
    plan = Plan.for_spec(backend.spec, shifts=3, seed=7)
    mixture = noise(300)
    passes = []
    for lead in plan.lead_ins:
        led_in = torch.cat([silence(lead), mixture], -1)
        passes.append(slow_separate(backend, plan, led_in)[..., lead:].double())
    expected = torch.stack(passes).mean(0).float()
    torch.testing.assert_close(run(flow_of(backend, plan), mixture, 64), expected, rtol=0, atol=1e-7)


def test_the_seed_decides_the_shifts_and_the_first_pass_is_not_shifted():
    plans = [Plan.for_spec(spec_of(80), shifts=4, seed=seed) for seed in (1, 1, 2)]
    assert plans[0].lead_ins == plans[1].lead_ins != plans[2].lead_ins
    assert all(plan.lead_ins[0] == 0 and max(plan.lead_ins) <= 500 for plan in plans)


def test_a_blend_of_different_flows_is_their_mean():
    specs = spec_of(80)
    flows = [Stream(backend(specs), Plan.for_spec(specs)) for backend in (Identity, Gain)]
    estimates = run(Blend(flows), constant(200, value=1.0), 50)
    torch.testing.assert_close(estimates[:, 0, 0], torch.tensor([0.55, 0.6]))


def test_a_finished_stream_says_so():
    stream = Stream(Identity(spec_of(80)), Plan.for_spec(spec_of(80)))
    stream.finish()
    with pytest.raises(UsageError, match="make a new one"):
        stream.push(noise(1))
    with pytest.raises(UsageError, match="make a new one"):
        stream.finish()


def test_a_block_of_other_channels_is_refused():
    stream = Stream(Identity(spec_of(80)), Plan.for_spec(spec_of(80)))
    with pytest.raises(ShapeError, match=r"takes \(2, n\)"):
        stream.push(noise(5, channels=1))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"overlap": 0.999}, "from 0 to 0.99"),
        ({"overlap": -0.1}, "from 0 to 0.99"),
        ({"segment": 81}, "at most 0.08 s"),
        ({"segment": 0}, "takes more than"),
        ({"shifts": 0}, "at least 1"),
    ],
)
def test_a_plan_that_does_not_fit_says_what_would(options, words):
    with pytest.raises(PlanError, match=words):
        Plan.for_spec(spec_of(80), **options)


def test_a_plan_may_take_more_than_the_usual_segment_where_the_network_does():
    backend = EdgeSensitive(spec_of(80, longest=300, context=8))
    assert Plan.for_spec(backend.spec).segment == 80
    plan = Plan.for_spec(backend.spec, segment=300)
    track = noise(plan.stride)
    whole = backend.run(torch.nn.functional.pad(track, (8, 8))[None])[0, ..., 8:-8]
    torch.testing.assert_close(run(Stream(backend, plan), track, block=33), whole, rtol=0, atol=1e-6)
    with pytest.raises(PlanError, match=r"at most 0\.30 s"):
        Plan.for_spec(backend.spec, segment=301)
    with pytest.raises(PlanError, match="segments of at most 300"):
        Stream(backend, Plan(segment=301, stride=200, context=8))


def test_a_segment_of_hours_costs_no_more_than_the_track_is_long():
    backend = Gain(spec_of(80, longest=10**12))
    stream = Stream(backend, Plan.for_spec(backend.spec, segment=10**12))
    assert run(stream, noise(100)).shape == (2, 2, 100)
    assert len(stream._overlap_add._weights) == 100


def test_a_plan_for_another_network_is_refused():
    with pytest.raises(PlanError, match="do not fit"):
        Stream(Identity(spec_of(80)), Plan(segment=100, stride=50))


@pytest.mark.parametrize("length", [1, 2, 5, 80])
def test_windows_are_positive_and_symmetric(length):
    for window in Window:
        weights = window.weights(length)
        assert weights.min() > 0
        assert weights.max() == 1
        assert torch.equal(weights, weights.flip(0))
        for first in (0, 1, length, length + 1):
            assert torch.equal(window.weights(length, first), weights[:first])


@pytest.mark.parametrize(("length", "runs"), [(100, 1), (101, 2), (160, 2), (175, 2), (176, 3), (230, 3)])
def test_a_plan_that_fits_leaves_out_a_last_segment_that_reaches_nothing_new(length, runs):
    spec = spec_of(100)
    mixture = noise(length)
    backend = Identity(spec)
    stream = Stream(backend, Plan.for_spec(spec, fit=True))
    estimates = torch.cat([stream.push(mixture), stream.finish()], -1)
    assert len(backend.seen) == runs
    assert torch.equal(estimates, mixture.expand(2, -1, -1))


def test_a_plan_that_fits_differs_only_where_the_last_segment_was():
    spec = spec_of(100)
    mixture = noise(160)
    answers = []
    for fit in (False, True):
        stream = Stream(EdgeSensitive(spec), Plan.for_spec(spec, fit=fit))
        answers.append(torch.cat([stream.push(mixture), stream.finish()], -1))
    assert torch.equal(answers[0][..., :150], answers[1][..., :150])
    assert not torch.equal(answers[0][..., 150:], answers[1][..., 150:])


@pytest.mark.parametrize(("silent", "runs"), [(True, 1), (False, 4)])
def test_silence_is_not_run_where_it_stays_silent(silent, runs):
    spec = spec_of(100, silent=silent)
    mixture = torch.zeros(2, 300)
    mixture[:, 120:140] = noise(20)
    backend = Identity(spec)
    stream = Stream(backend, Plan.for_spec(spec))
    estimates = torch.cat([stream.push(mixture), stream.finish()], -1)
    assert len(backend.seen) == runs
    assert torch.equal(estimates, mixture.expand(2, -1, -1))
