from __future__ import annotations

import numpy as np
import pytest
import soundfile


@pytest.mark.parametrize(("suffix", "bits"), [("wav", "16"), ("flac", "16"), ("aiff", "16"), ("mp3", None)])
@pytest.mark.parametrize("length", [1, 7, 44101])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_the_length_is_exact_to_the_sample(run, tmp_path, suffix, bits, length, rate):
    soundfile.write(str(tmp_path / f"song.{suffix}"), np.zeros((length, 2)), rate)
    (line,) = run("info", "--json", f"song.{suffix}").lines
    assert (line["sample_rate"], line["channels"], line["bits"]) == (rate, 2, bits)
    assert (line["length"], line["duration_seconds"]) == (length, length / rate)


def test_a_file_that_does_not_tell_its_length_is_decoded(run, song, monkeypatch):
    from dataclasses import replace

    from unbraid.io import probe

    song(seconds=0.5)
    honest = probe.probe
    monkeypatch.setattr("unbraid.io.probe.probe", lambda path: replace(honest(path), length=None))
    assert run("info", "--json", "song.wav").lines[0]["length"] == 4000


def test_people_read_the_same_facts(run, tmp_path):
    with soundfile.SoundFile(str(tmp_path / "song.wav"), "w", 44100, 6, "PCM_24") as file:
        file.title = "So\x1b[31mng"
        file.write(np.zeros((44100 * 90, 6)))
    said = run("info", "song.wav").out
    for words in (
        "44,100 Hz",
        "6 (FL FR FC LFE BL BR)",
        "24 bits",
        "1:30.000 (3,969,000 samples)",
        "So\\x1b[31mng",
    ):
        assert words in said
    assert "cover       none" in said


def test_one_bad_file_does_not_hide_the_others(run, song, tmp_path):
    song()
    (tmp_path / "text.wav").write_text("no sound")
    ended = run("info", "--json", "text.wav", "song.wav")
    assert [line["path"] for line in ended.lines] == ["song.wav"]
    assert "1 of 2 files" in ended.err
