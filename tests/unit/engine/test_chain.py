"""The contracts of the engine, for steps that hear what others make."""

from __future__ import annotations

import pytest
import torch

from fakes import EdgeSensitive, Gain, Identity, Split, spec_of
from signals import antiphase, clipped, noise, silence
from unbraid.audio import Audio
from unbraid.engine.chain import BlendStep, Chain, LevelOf, SeparateStep, SumStep
from unbraid.engine.ensemble import Ensemble
from unbraid.engine.mix import Domain, Rule
from unbraid.engine.normalize import LevelMeter
from unbraid.engine.order import MIXTURE, in_order, needed
from unbraid.engine.plan import Plan
from unbraid.engine.two_passes import TwoPasses
from unbraid.errors import ConfigError, PlanError
from unbraid.io.source import source_of

RATE = 1000
LAYOUT = ("FL", "FR")


def alone(backend, **facts):
    return Ensemble.alone(backend, Plan.for_spec(backend.spec, **facts))


def surveyed(chain, mixture, *, rate=RATE, layout=LAYOUT):
    survey = chain.survey(rate, layout)
    for measurement in survey.passes():
        for block in mixture.split(777, -1):
            measurement.push(block)
    return survey


def separated(chain, mixture, *, block=None, batch_size=1, rate=RATE, layout=LAYOUT):
    """Push a mixture in blocks and collect what comes out."""
    flow = chain.flow(surveyed(chain, mixture, rate=rate, layout=layout), batch_size=batch_size)
    blocks = mixture.split(block, -1) if block and mixture.shape[-1] else [mixture]
    return torch.cat([*(flow.push(piece) for piece in blocks), flow.finish()], -1)


def band(first, second, **facts):
    """Voices first, then the lead among them, and the band by taking away."""
    return Chain(
        (
            SeparateStep(MIXTURE, alone(first), {"vocals": "vocals"}),
            SumStep({MIXTURE: 1.0, "vocals": -1.0}, "band"),
            SeparateStep("vocals", alone(second, overlap=0.5), {"drums": "lead", "vocals": "choir"}),
        ),
        ("lead", "choir", "band", "vocals"),
        **facts,
    )


@pytest.mark.parametrize("length", [0, 1, 2, 39, 80, 121, 503, 1003])
@pytest.mark.parametrize("block", [1, 64, None])
@pytest.mark.parametrize("levelled", [False, True])
def test_networks_that_change_nothing_change_nothing_in_a_row_either(length, block, levelled):
    chain = band(Identity(spec_of(80)), Identity(spec_of(50, multiple=8)))
    mixture = noise(length, seed=length)
    lead, choir, rest, vocals = separated(chain, mixture, block=block)
    assert lead.equal(mixture)
    assert choir.equal(mixture)
    assert vocals.equal(mixture)
    assert rest.equal(torch.zeros_like(mixture))
    if levelled:  # rounding on the way to the level and back, twice
        facts = {"levelled": True}
        chain = band(Identity(spec_of(80, **facts)), Identity(spec_of(50, **facts)))
        torch.testing.assert_close(separated(chain, mixture)[0], mixture, rtol=0, atol=1e-6)


@pytest.mark.parametrize("block", [1, 3, 79, 81, 500])
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("level", LevelOf)
def test_blocks_and_batches_never_change_a_chains_answer(block, batch_size, level):
    chain = band(
        EdgeSensitive(spec_of(80, levelled=True)),
        EdgeSensitive(spec_of(60, context=8, levelled=True)),
        level=level,
    )
    whole = separated(chain, noise(503))
    assert separated(chain, noise(503), block=block, batch_size=batch_size).equal(whole)


@pytest.mark.parametrize("rate", [1000, 1103, 999, 4800])
@pytest.mark.parametrize("layout", [("FC",), LAYOUT, ("FL", "FR", "FC", "LFE", "BL", "BR")])
@pytest.mark.parametrize("length", [0, 1, 1234])
def test_each_network_hears_its_own_rate_and_the_length_stays_exact(rate, layout, length):
    chain = band(Gain(spec_of(80)), Gain(spec_of(80, sample_rate=1500, channels=1)))
    mixture = noise(length, channels=len(layout))
    estimates = separated(chain, mixture, block=100, rate=rate, layout=layout)
    assert estimates.shape == (4, len(layout), length)
    assert torch.isfinite(estimates).all()


def test_a_later_step_hears_what_an_earlier_one_made():
    chain = band(Gain(spec_of(80)), Gain(spec_of(80)))
    mixture = noise(500)
    lead, choir, rest, vocals = separated(chain, mixture, block=33)
    for estimate, share in ((vocals, 0.1), (rest, 0.9), (lead, 0.02), (choir, 0.01)):
        torch.testing.assert_close(estimate, share * mixture, rtol=0, atol=1e-7)


@pytest.mark.parametrize("signal", [silence, clipped, antiphase])
def test_odd_signals_come_through_a_chain(signal):
    chain = band(Split(spec_of(80, levelled=True)), Split(spec_of(80, levelled=True)), level=LevelOf.HEARD)
    mixture = signal(700)
    lead, _, rest, vocals = separated(chain, mixture)
    torch.testing.assert_close(rest + vocals, mixture, rtol=0, atol=1e-6)
    mean = vocals.mean()  # which a levelled network gives back to every source whole
    torch.testing.assert_close(lead, 0.3 * (vocals - mean) + mean, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("rule", "expected"), [("mean", 0.175), ("median", 0.15), ("min", 0.1), ("max", 0.2)]
)
@pytest.mark.parametrize("domain", Domain)
def test_a_blend_takes_its_estimates_from_wherever_they_were_made(rule, expected, domain):
    chain = Chain(
        (
            SeparateStep(MIXTURE, alone(Gain(spec_of(80))), {"vocals": "early"}),
            SeparateStep(MIXTURE, alone(Gain(spec_of(300, context=20))), {"drums": "late"}),
            BlendStep({"early": 1.0, "late": 3.0}, "vocals", Rule(rule), domain),
        ),
        ("vocals",),
    )
    mixture = noise(4000)
    blended = separated(chain, mixture, block=90)
    torch.testing.assert_close(blended[0], expected * mixture, rtol=0, atol=1e-6)


class Listener(Identity):
    """Notes how loud it was at its loudest segment."""

    def run(self, batch):
        self.heard = max(getattr(self, "heard", 0.0), batch.std().item())
        return super().run(batch)


@pytest.mark.parametrize("level", LevelOf)
def test_a_levelled_later_network_hears_the_level_that_was_chosen(level):
    first, second = Gain(spec_of(200, levelled=True)), Listener(spec_of(2000, levelled=True, fixed=True))
    chain = band(first, second, level=level)
    mixture = noise(2000, gain=0.2)
    separated(chain, mixture)
    meter = LevelMeter()
    meter.push(mixture)
    whole = (mixture.std() / meter.level().deviation).item()
    # Its input is a tenth of the mixture: only a pass of its own brings that up to a mixture's level.
    assert second.heard == pytest.approx(whole if level is LevelOf.HEARD else whole / 10, rel=0.01)


def test_the_level_of_what_is_heard_makes_a_chain_what_separate_runs_are():
    first, second = (EdgeSensitive(spec_of(80, levelled=True)) for _ in range(2))
    third = EdgeSensitive(spec_of(110, levelled=True))
    chain = Chain(
        (
            SeparateStep(MIXTURE, alone(first), {"drums": "a"}),
            SeparateStep("a", alone(second), {"drums": "b"}),
            SeparateStep("b", alone(third), {"vocals": "c"}),
        ),
        ("c",),
        level=LevelOf.HEARD,
    )
    signal = noise(900) + 0.01
    in_one = separated(chain, signal, block=50)
    for backend, row in ((first, 1), (second, 1), (third, 0)):
        signal = separated(Chain.alone(alone(backend)), signal)[row]
    assert in_one[0].equal(signal)


def test_an_unlevelled_chain_is_exact_without_further_passes():
    chain = band(EdgeSensitive(spec_of(80)), EdgeSensitive(spec_of(60)), level=LevelOf.HEARD)
    assert len(chain.rounds()) == 1
    mixture = noise(700)
    vocals = separated(Chain.alone(alone(EdgeSensitive(spec_of(80)))), mixture)[0]
    lead = separated(Chain.alone(alone(EdgeSensitive(spec_of(60)), overlap=0.5)), vocals)[1]
    assert separated(chain, mixture)[0].equal(lead)


@pytest.mark.parametrize(("level", "passes"), [(LevelOf.MIXTURE, 1), (LevelOf.HEARD, 2)])
def test_passes_are_as_many_as_levels_depend_on_each_other(level, passes):
    chain = band(Gain(spec_of(80, levelled=True)), Gain(spec_of(80, levelled=True)), level=level)
    assert len(chain.rounds()) == passes


def test_the_last_of_further_passes_runs_no_network_that_it_does_not_need():
    first, second = Identity(spec_of(80, levelled=True)), Identity(spec_of(80, levelled=True))
    surveyed(band(first, second, level=LevelOf.HEARD), noise(800))
    assert first.seen
    assert not second.seen


def test_the_callers_samples_are_never_written_to():
    mixture = noise(500)
    separated(band(Gain(spec_of(80)), Gain(spec_of(80))), mixture, block=10)
    assert mixture.equal(noise(500))


def test_a_chain_holds_a_few_segments_whatever_the_length_of_the_track():
    chain = band(Gain(spec_of(1000)), Gain(spec_of(1000)))
    flow = chain.flow(surveyed(chain, noise(1_000_000)))
    given = 0
    for number in range(1000):
        given += flow.push(noise(1000)).shape[-1]
        assert (number + 1) * 1000 - given < 2 * 2000


@pytest.mark.parametrize("exact", [False, True])
def test_pieces_stand_beside_their_mixture_and_know_what_is_left(exact):
    chain = Chain(band(Split(spec_of(80)), Split(spec_of(80))).steps, ("lead", "choir", "band"))
    mixture = noise(3000)
    groups = {name: (name,) for name in chain.sources}
    pieces = list(TwoPasses(source_of(Audio(mixture, RATE)), chain, groups, exact=exact))
    stems = torch.cat([piece.stems for piece in pieces], -1)
    left = torch.cat([piece.residual for piece in pieces], -1)
    assert torch.cat([piece.mixture for piece in pieces], -1).equal(mixture)
    torch.testing.assert_close(stems.double().sum(0) + left, mixture.double(), rtol=0, atol=1e-12)
    if exact:
        assert left.abs().max() < 1e-7
    else:  # of the voices, half of the mixture, a fifth is in neither lead nor choir
        torch.testing.assert_close(left.float(), 0.1 * mixture, rtol=0, atol=1e-6)


def test_a_chain_that_cannot_be_is_refused():
    step = SeparateStep(MIXTURE, alone(Gain(spec_of(80))), {"vocals": "vocals"})
    with pytest.raises(PlanError, match="wants 'vocal' of what makes vocals, drums; did you mean vocals"):
        SeparateStep(MIXTURE, step.ensemble, {"vocal": "vocals"})
    with pytest.raises(PlanError, match="only later steps"):
        Chain((SumStep({"vocals": 1.0}, "sum"), step), ("sum",))
    with pytest.raises(PlanError, match="was asked for drums"):
        Chain((step,), ("drums",))
    with pytest.raises(PlanError, match="was asked for nothing"):
        Chain((step,), ())


def test_steps_come_after_what_they_hear_and_otherwise_as_they_stand():
    last, first, other = (
        SumStep({"a": 1, "b": 1}, "c"),
        SumStep({MIXTURE: 1}, "a"),
        SumStep({MIXTURE: 1}, "b"),
    )
    assert in_order([last, first, other]) == (first, other, last)
    assert in_order([other, first, last]) == (other, first, last)
    assert needed((first, other, last), ["b"]) == (other,)
    assert needed((first, other, last), ["c"]) == (first, other, last)


def test_steps_that_wait_for_each_other_are_named_in_a_circle():
    steps = [SumStep({"c": 1}, "a"), SumStep({"a": 1}, "b"), SumStep({"b": 1}, "c")]
    with pytest.raises(ConfigError, match="c needs b needs a needs c"):
        in_order(steps)
    with pytest.raises(ConfigError, match="a needs a"):
        in_order([SumStep({"a": 1}, "a")])
