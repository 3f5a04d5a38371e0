from __future__ import annotations

from pathlib import Path

import pytest

from unbraid.errors import UsageError
from unbraid.io.formats import FORMATS, OutputFormat, format_for
from unbraid.io.probe import AudioInfo


def info(bits):
    return AudioInfo(Path("a"), 44100, 2, ("FL", "FR"), 1, "wav", "pcm", bits)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("wave",), "did you mean wav"),
        (("flac", "32f"), "16 or 24"),
        (("mp3", "16"), "takes a bit rate"),
        (("wav", None, 320), "takes no bit rate"),
        (("mp3", None, 321), "from 8 to 320"),
        (("opus", None, 5), "from 6 to 512"),
    ],
)
def test_a_format_that_does_not_exist_says_what_does(arguments, words):
    with pytest.raises(UsageError, match=words):
        OutputFormat(*arguments)


@pytest.mark.parametrize(
    ("name", "source", "bits"),
    [
        ("wav", "16", "16"),
        ("wav", "24", "24"),
        ("wav", "32f", "32f"),
        ("wav", None, "16"),
        ("flac", "32f", "24"),
        ("flac", None, "16"),
        ("mp3", "24", None),
    ],
)
def test_samples_follow_the_source(name, source, bits):
    assert OutputFormat(name).resolved(info(source)).bits == bits


def test_samples_that_were_asked_for_stay():
    assert OutputFormat("wav", "32f").resolved(info("16")).bits == "32f"


@pytest.mark.parametrize(
    ("bits", "integer"),
    [("16", 16), ("24", 24), ("32f", None), (None, None)],
    ids=["16", "24", "float", "open"],
)
def test_integer_bits_are_those_of_whole_numbers(bits, integer):
    assert OutputFormat("wav", bits).integer_bits == integer


def test_each_format_is_found_by_its_suffix_in_any_case():
    for name in FORMATS:
        assert format_for(f"a/b.{name.upper()}") == name
        assert OutputFormat(name).suffix == f".{name}"
    with pytest.raises(UsageError, match=r"\.wav, \.flac"):
        format_for("vocals.txt")


def test_surround_gets_more_bits_by_default_and_what_was_asked_if_asked():
    assert OutputFormat("m4a").bitrate(2) == OutputFormat("m4a").bitrate(1) == 256
    assert OutputFormat("m4a").bitrate(6) == 768
    assert OutputFormat("m4a", bitrate_kbps=128).bitrate(6) == 128


@pytest.mark.parametrize(
    ("name", "rate", "nearest"),
    [
        ("mp3", 44100, 44100),
        ("mp3", 96000, 48000),
        ("mp3", 37800, 32000),
        ("opus", 44100, 48000),
        ("m4a", 192000, 96000),
        ("ogg", 384000, 200000),
        ("wav", 384000, 384000),
        ("flac", 192000, 192000),
    ],
)
def test_the_nearest_rate_is_one_that_the_encoder_takes(name, rate, nearest):
    assert FORMATS[name].nearest_rate(rate) == nearest
