"""The report is one whole page: valid, complete, escaped, reaching for nothing; and its players play."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

import pytest
import soundfile
from PIL import Image

import signals
from unbraid.audio import Audio
from unbraid.comparison.columns import Comparison
from unbraid.comparison.report import AUDIO, encoded, write_report
from unbraid.errors import MachineError
from unbraid.io.formats import OutputFormat
from unbraid.plot.sound import measured, mixed

RATE = 48000
VOID = {"meta", "input", "img", "br"}


class Page(HTMLParser):
    """What a page holds; unbalanced tags end the test."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.ids = [], [], "", []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def source(seed, name="x"):
    return measured(mixed([Audio(signals.noise(RATE, seed=seed), RATE)], name=name))


@pytest.fixture(scope="module")
def comparison():
    true = {"vocals": source(1), "drums": source(2)}
    mixture = mixed(list(true.values()), name='A "song" <script>alert(1)</script> & $content')
    columns = {
        "good": {stem: mixed([one], [0.9]) for stem, one in true.items()},
        "<b>bad</b>": {"vocals": source(3), "accompaniment": source(4)},
    }
    return Comparison(mixture, columns, true, {"good": "separated in 1.0 s"})


@pytest.fixture(scope="module")
def page(comparison, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    write_report(comparison, path)
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_is_balanced_and_every_id_stands_once(page):
    assert page.tags[0][0] == "html"
    assert len(page.ids) == len(set(page.ids))


def test_everything_is_inside_and_the_page_may_fetch_nothing(page):
    for _, attributes in page.tags:
        assert not attributes.get("href")
        assert attributes.get("src", "data:").startswith("data:")
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_names_from_outside_are_text(page):
    assert "<script>alert(1)</script> & $content" in page.text
    assert len(page.all("script")) == 1
    assert not page.all("b")


def test_each_stem_of_each_column_has_a_player_with_its_sound(page, comparison):
    names = [audio["aria-label"] for audio in page.all("audio")]
    wanted = [
        f"{stem}, {name}"
        for stem in ("vocals", "drums", "accompaniment")
        for name, column in comparison.completed().shown.items()
        if stem in column
    ]
    assert names == ["the mixture", *wanted]
    for audio in page.all("audio"):
        kind, data = audio["src"].split(";base64,")
        sound, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
        assert kind == "data:audio/ogg; codecs=opus"
        assert (rate, len(sound)) == (48000, RATE)
        assert abs(sound).max() > 0.1


def test_each_picture_opens_and_says_what_it_shows(page):
    images = page.all("img")
    assert [image["alt"].split(":")[0] for image in images] == [
        "SDR over time", "Spectrograms", "Errors", "Too much, too little", "Masks", "Waveforms",
    ]  # fmt: skip
    for image in images:
        assert len(image["alt"]) > 60
        data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        assert Image.open(io.BytesIO(data)).width == 1420


def test_scores_stand_in_the_table_and_the_better_one_is_marked(page):
    assert "20.00 ★" in page.text
    assert page.text.count("★") == 2  # of vocals and of the accompaniment, which two models have
    assert "BSSEval v4" in page.text
    assert "separated in 1.0 s" in page.text


def test_without_true_stems_there_are_no_scores_and_no_errors(comparison, tmp_path):
    alone = Comparison(comparison.mixture, {"good": comparison.columns["good"]}, {}, {})
    page = Page(write_report(alone, tmp_path / "a.html").read_text(encoding="utf-8"))
    assert "BSSEval" not in page.text
    assert "Scores" not in page.text
    assert [image["alt"].split(":")[0] for image in page.all("img")] == ["Spectrograms", "Masks", "Waveforms"]


@pytest.mark.parametrize("name", AUDIO)
def test_every_kind_of_player_holds_the_whole_sound(name):
    audio = OutputFormat(name, "16" if name == "flac" else None)
    sound, rate = soundfile.read(io.BytesIO(encoded(source(1), audio)))
    assert (len(sound), rate) == (RATE, RATE)


def test_a_report_that_fails_leaves_what_was_there(comparison, tmp_path, monkeypatch):
    path = tmp_path / "a.html"
    path.write_text("old")
    monkeypatch.setattr("unbraid.comparison.report.compact_png", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(comparison, path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_a_place_that_cannot_be_written_to_is_the_machines_error(comparison, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MachineError, match="cannot be written"):
        write_report(comparison, tmp_path / "file" / "a.html")
