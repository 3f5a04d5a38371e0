from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid.cli.options import parse_time, require_finite


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59_999))
def test_every_time_of_day_is_read_to_the_millisecond(hours, minutes, milliseconds):
    seconds = f"{milliseconds // 1000:02}.{milliseconds % 1000:03}"
    expected = 3600 * hours + 60 * minutes + milliseconds / 1000
    assert parse_time(f"{hours}:{minutes:02}:{seconds}") == pytest.approx(expected)
    assert parse_time(f"{60 * hours + minutes}:{seconds}") == pytest.approx(expected)
    assert parse_time(f"{expected:.3f}") == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "-1", "1:60", "1:60:00", "1:2:3:4", "nan", "inf", "1e3", "a", ":30", "1:", "1.5:00", "٣"]
)
def test_what_is_no_time_is_refused_with_examples(text):
    with pytest.raises(click.BadParameter, match=r"m:ss \(1:30\)"):
        parse_time(text)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_no_range_catches_is_refused(number):
    context = click.Context(click.Command("x"))
    with pytest.raises(click.BadParameter, match="finite"):
        require_finite(context, click.Option(["--overlap"]), number)
