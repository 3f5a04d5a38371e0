"""Settings of Music-Source-Separation-Training as a plan: its own code gives the same song."""

from __future__ import annotations

import pytest
import torch

from reference.published_demix import published_demix
from unbraid.engine.plan import Plan, Window
from unbraid.engine.stream import Stream
from unbraid.errors import ConfigError
from unbraid.spec import ModelSpec
from unbraid.zoo.foreign.settings import rest_of, settings_of

CHUNK = 1000
ENDS = (
    "equals the published program's answer at batch size 1, but for the first and the last segment: "
    "there it hears the song mirrored at its ends, and Unbraid silence"
)


class ByPlace:
    """Two sources; how much of the mixture is whose depends on the place within the segment."""

    spec = ModelSpec(("a", "b"), 1, 2, segment=CHUNK, fixed=True)

    def __call__(self, mixture):
        place = torch.linspace(0.1, 1, mixture.shape[-1])
        return torch.stack([mixture * place, mixture.flip(1) * place**2], dim=1)

    run = __call__


def ours(mixture, num_overlap, *, flat, batch_size=1):
    settings = settings_of({"inference": {"num_overlap": num_overlap}}, CHUNK, 2, flat=flat)
    plan = Plan.for_spec(ByPlace.spec, overlap=settings.overlap, window=settings.window)
    stream = Stream(ByPlace(), plan, batch_size=batch_size)
    return plan, torch.cat([stream.push(mixture), stream.finish()], -1)


@pytest.mark.reference
@pytest.mark.parametrize("num_overlap", [1, 2, 4, 5])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_what_is_heard_is_the_published_programs_answer_but_for_the_ends(num_overlap, batch_size, rng):
    mixture = torch.randn(2, 7 * CHUNK, generator=rng)
    plan, found = ours(mixture, num_overlap, flat=False, batch_size=batch_size)
    assert plan.stride == CHUNK // num_overlap
    expected = published_demix(ByPlace(), mixture, chunk=CHUNK, num_overlap=num_overlap)
    inside = slice(CHUNK, -CHUNK)
    difference = (found - expected)[..., inside].abs()
    if num_overlap == 1:  # where no other segment reaches, the published weight of a seam is nothing
        seams = difference.reshape(2, 2, 5, CHUNK)[..., [0, -1]]
        assert expected[..., CHUNK].abs().max() == 0 < seams.max()
        difference = difference.reshape(2, 2, 5, CHUNK)[..., 1:-1]
    assert difference.max() < 1e-6


@pytest.mark.reference
@pytest.mark.parametrize("num_overlap", [1, 2, 4])
def test_a_demucs_is_the_published_programs_answer_but_for_the_last_segment(num_overlap, rng):
    mixture = torch.randn(2, 7 * CHUNK, generator=rng)
    _, found = ours(mixture, num_overlap, flat=True)
    expected = published_demix(ByPlace(), mixture, chunk=CHUNK, num_overlap=num_overlap, kind="htdemucs")
    assert (found - expected)[..., :-CHUNK].abs().max() < 1e-6


@pytest.mark.reference
def test_the_published_answer_depends_on_the_batch_and_ours_does_not(rng):
    mixture = torch.randn(2, 7 * CHUNK + 50, generator=rng)
    alone, together = (
        published_demix(ByPlace(), mixture, chunk=CHUNK, num_overlap=2, batch_size=size) for size in (1, 6)
    )
    assert (alone - together).abs().max() > 1e-3
    ours_alone, ours_together = (ours(mixture, 2, flat=False, batch_size=size)[1] for size in (1, 6))
    assert ours_alone.equal(ours_together)


@pytest.mark.parametrize("passes", range(1, 100))
@pytest.mark.parametrize("segment", [352_800, 485_100, 131_584, 100])
def test_segments_start_where_the_published_program_starts_them(passes, segment):
    settings = settings_of({"inference": {"num_overlap": passes}}, segment, 1, flat=False)
    plan = Plan.for_spec(ModelSpec(("a",), 1, 2, segment=segment), overlap=settings.overlap)
    assert plan.stride == segment // passes


def test_a_file_without_settings_is_run_as_ours():
    settings = settings_of({}, CHUNK, 2, flat=False)
    assert (settings.overlap, settings.window, settings.levelled) == (0.25, Window.FADE, False)
    assert "nothing of it is equalled" in settings.said[-1]


def test_all_that_is_done_is_said():
    file = {
        "audio": {"hop_length": 10},
        "training": {"instruments": ["Vocals", "Other"], "target_instrument": "Vocals"},
        "inference": {"num_overlap": 4, "batch_size": 8, "normalize": True, "dim_t": 51},
    }
    assert settings_of(file, CHUNK, 1, flat=False).said == (
        "num_overlap 4: segments of 1000 samples start every 250",
        "samples of a segment count less within a tenth of its ends",
        "the song's level is taken off first and put back",
        "other is what the mixture has besides",
        "batch_size 8 is speed here, never sound",
        "dim_t 51, by which audio-separator would take segments of 500 samples, is not followed",
        ENDS,
    )
    demucs = settings_of({"inference": {"num_overlap": 3}}, CHUNK, 2, flat=True)
    assert demucs.said[-1].endswith("at batch size 1, but for the last segment")
    uneven = settings_of({"inference": {"num_overlap": 3}}, CHUNK, 2, flat=False)
    assert "1000 is no multiple of 3" in uneven.said[-1]


@pytest.mark.parametrize(
    ("target", "instruments", "rest"),
    [
        ("Vocals", ["Vocals", "Other"], "other"),
        ("Vocals", ["Vocals", "Drums", "Other"], "no_vocals"),
        ("dry", ["dry"], "no_dry"),
        (None, ["Lead Vocals"], "no_lead_vocals"),
        (None, [], "no_source_1"),
    ],
)
def test_what_one_source_leaves_has_a_name(target, instruments, rest):
    assert rest_of({"training": {"instruments": instruments, "target_instrument": target}}) == rest


@pytest.mark.parametrize("passes", [-1, 0, 101, True, 2.5])
def test_no_number_of_passes_that_there_cannot_be(passes):
    with pytest.raises(ConfigError, match="num_overlap must be"):
        settings_of({"inference": {"num_overlap": passes}}, CHUNK, 2, flat=False)
