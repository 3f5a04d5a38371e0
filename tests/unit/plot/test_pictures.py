"""Axes hold what they say, on one scale, in the place where they should be."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import signals
from unbraid.audio import Audio
from unbraid.errors import MachineError, ShapeError, UsageError
from unbraid.plot import grids
from unbraid.plot.masks import mask
from unbraid.plot.scores import course, sdr_over_time
from unbraid.plot.sound import mixed
from unbraid.plot.spectrogram import Scale, difference, levels, residual, spectrogram
from unbraid.plot.style import COLOURS, FORMATS, LINES, compact_png, save
from unbraid.plot.waveform import waveform

RATE = 8000
# Dichromats' vision in linear RGB, at full severity: Machado, Oliveira, Fernandes, "A physiologically-based
# model for simulation of color vision deficiency", IEEE TVCG 2009, table 1.
MACHADO = {
    "usual": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.fixture
def axes():
    return Figure().subplots()


@pytest.fixture(scope="module")
def stems():
    return {
        "vocals": Audio(signals.tone(2 * RATE, hz=1000, rate=RATE, gain=0.4), RATE),
        "drums": Audio(signals.noise(2 * RATE, gain=0.05), RATE),
    }


def picture(axes):
    return axes.images[-1].get_array()


def test_a_waveform_lies_between_its_envelope_and_gives_its_axes_back(axes, stems):
    assert waveform(axes, stems["vocals"], full=0.8) is axes
    points = axes.collections[0].get_paths()[0].vertices
    assert points[:, 1].max() == pytest.approx(0.4, abs=1e-3)
    assert axes.get_ylim() == (-0.8, 0.8)
    assert axes.get_xlim() == (0, 2)


def test_a_spectrogram_shows_its_levels_from_the_top_down(axes, stems):
    assert spectrogram(axes, stems["vocals"], top_db=-3, range_db=50) is axes
    assert axes.images[-1].get_clim() == (-53, -3)
    np.testing.assert_array_equal(picture(axes), levels(stems["vocals"]).db)


@pytest.mark.parametrize("scale", Scale)
def test_marks_stand_where_their_frequency_is(axes, scale):
    tone = Audio(signals.tone(2 * RATE, hz=1000, rate=RATE), RATE)
    spectrogram(axes, tone, scale=scale)
    marks = {
        label.get_text(): place
        for label, place in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)
    }
    loudest = picture(axes)[:, 10].argmax() + 0.5
    rows_per_hertz = len(picture(axes)) / (RATE / 2)
    if scale is Scale.LINEAR:
        assert loudest == pytest.approx(1000 * rows_per_hertz, abs=1)
    else:
        assert loudest == pytest.approx(marks["1k"], abs=1.5)


def test_too_much_is_above_zero_and_too_little_below(axes, stems):
    drums = stems["drums"]
    for gain, wanted in ((2.0, 6.02), (0.5, -6.02), (1.0, 0.0)):
        difference(axes, drums, mixed([drums], [gain]))
        assert np.ma.median(picture(axes)) == pytest.approx(wanted, abs=0.01)


def test_silence_in_both_is_no_difference(axes):
    quiet = Audio(1e-6 * signals.noise(RATE), RATE)
    difference(axes, quiet, mixed([quiet], [3.0]), top_db=0)
    assert not picture(axes).any()


def test_stems_that_add_up_leave_an_empty_residual(axes, stems):
    residual(axes, mixed(list(stems.values())), list(stems.values()))
    assert picture(axes).max() == -200
    assert axes.images[-1].get_clim()[1] > -20


def test_a_mask_is_the_gain_from_the_mixture_and_grey_where_that_is_silent(axes, stems):
    mixture = stems["drums"]
    mask(axes, mixture, mixed([mixture], [0.1]))
    gains = picture(axes)
    assert np.ma.median(gains) == pytest.approx(-20, abs=0.01)
    mask(axes, Audio(torch.zeros(2, RATE), RATE), Audio(torch.zeros(2, RATE), RATE))
    assert picture(axes).mask.all()


def test_levels_of_other_scales_are_not_compared(axes, stems):
    other = levels(stems["vocals"], scale=Scale.MEL)
    with pytest.raises(ShapeError, match="same rate, length and scale"):
        difference(axes, stems["vocals"], other)


def test_a_line_of_sdr_has_a_step_a_second_and_names_the_whole(axes, stems):
    found = course(stems["drums"], mixed([stems["drums"]], [0.9]))
    sdr_over_time(axes, {"a": found, "b": found})
    assert [step.get_data().values.tolist() for step in axes.patches] == 2 * [found.sdr_db.tolist()]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a: 20.0 dB", "b: 20.0 dB"]


def cells(figure):
    return {axes.get_gid(): axes for axes in figure.axes if axes.get_gid()}


def test_a_grid_has_a_row_a_stem_and_a_column_a_model_on_one_scale(stems):
    columns = {"true": stems, "a": stems, "b": {"vocals": stems["vocals"], "bass": stems["drums"]}}
    figure = grids.spectrograms(columns)
    found = cells(figure)
    assert list(found) == [f"{stem}/{name}" for stem in ("vocals", "drums", "bass") for name in columns]
    drawn = [axes for axes in found.values() if axes.images]
    assert len({axes.images[-1].get_clim() for axes in drawn}) == 1
    assert drawn[0].images[-1].get_clim()[1] == max(picture(axes).max() for axes in drawn)
    assert [text.get_text() for text in found["drums/b"].texts] == ["no drums"]
    figure.draw_without_rendering()
    boxes = {name: axes.get_position() for name, axes in found.items()}
    for one, other in itertools.combinations(found, 2):
        if one.split("/")[0] == other.split("/")[0]:
            assert boxes[one].y0 == pytest.approx(boxes[other].y0)
        if one.split("/")[1] == other.split("/")[1]:
            assert boxes[one].x0 == pytest.approx(boxes[other].x0)
            assert found[one].get_xlim() == found[other].get_xlim()


def test_waveforms_share_one_amplitude(stems):
    limits = {axes.get_ylim() for axes in cells(grids.waveforms({"a": stems})).values()}
    assert len(limits) == 1
    assert limits.pop() == pytest.approx((-0.4, 0.4))


def test_errors_stand_beside_the_true_stems_and_need_some(stems):
    found = cells(grids.errors(stems, {"a": {"vocals": stems["vocals"], "bass": stems["drums"]}}))
    assert list(found) == ["vocals/true", "vocals/true − a"]
    assert picture(found["vocals/true − a"]).max() == -200
    with pytest.raises(UsageError, match="no stem is given, or none of them has a true one"):
        grids.errors(stems, {"a": {"bass": stems["drums"]}})


def test_differences_and_masks_have_a_cell_for_each_estimate(stems):
    columns = {"a": stems, "b": {"drums": stems["drums"]}}
    mixture = mixed(list(stems.values()))
    for figure in (grids.differences(stems, columns), grids.masks(mixture, columns)):
        assert sum(bool(axes.images) for axes in cells(figure).values()) == 3


def test_scores_stand_under_the_waveform_of_their_stem(stems):
    courses = {"drums": {"a": course(stems["drums"], stems["drums"])}, "bass": {}}
    above, below = grids.scores(stems, courses).axes
    assert above.get_title(loc="left") == "drums"
    assert above.get_xlim() == below.get_xlim() == (0, 2)


def test_a_name_with_dollars_is_no_mathematics(stems):
    figure = grids.waveforms({"$x_1$": {"A$AP$": stems["vocals"]}})
    assert figure.axes[0].get_title() == r"\$x_1\$"
    figure.draw_without_rendering()


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_picture_is_as_wide_as_a_page_legible_and_the_same_each_time(stems, tmp_path, suffix):
    figures = [grids.overview(stems["vocals"]) for _ in range(2)]
    one, other = (
        save(figure, tmp_path / "new" / f"{number}{suffix}", dpi=60) for number, figure in enumerate(figures)
    )
    assert {figure.get_figwidth() for figure in figures} == {7.1}
    sizes = [text.get_fontsize() for text in figures[0].findobj(mpl.text.Text) if text.get_text()]
    assert min(sizes) >= 7
    assert one.read_bytes() == other.read_bytes()


def test_a_compact_picture_is_smaller(stems, tmp_path):
    figure = grids.overview(stems["drums"])
    assert len(compact_png(figure, dpi=60)) < save(figure, tmp_path / "a.png", dpi=60).stat().st_size


def test_another_suffix_is_refused_with_what_there_is(tmp_path):
    with pytest.raises(UsageError, match=re.escape("ends in .png, .svg, .pdf; did you mean .png?")):
        save(Figure(), tmp_path / "a.pnng")


def test_a_place_that_cannot_be_written_to_is_the_machines_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MachineError, match="cannot be written"):
        save(Figure(), tmp_path / "file" / "a.png")


def test_matplotlibs_settings_are_left_alone(stems):
    before = dict(mpl.rcParams)
    compact_png(grids.overview(stems["vocals"]), dpi=40)
    assert dict(mpl.rcParams) == before


def seen(colour, matrix):
    """A colour in CIE L*a*b* (D65), as an eye sees it whose cones are given by the matrix."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(matrix) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(to_xyz) @ linear / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", MACHADO)
@pytest.mark.parametrize("palette", [list(COLOURS.values()), [tint for tint, _ in LINES]])
def test_colours_differ_in_colour_blind_eyes(palette, eyes):
    for one, other in itertools.combinations(palette, 2):
        assert np.linalg.norm(seen(one, MACHADO[eyes]) - seen(other, MACHADO[eyes])) > 9


def test_without_matplotlib_the_error_names_the_extra():
    code = "import sys; sys.modules['matplotlib'] = None; import unbraid.plot"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MachineError: pictures need matplotlib" in ended.stderr
    assert "pip install 'unbraid[plot]'" in ended.stderr
