"""Configuration files are read as plain values; what asks for more is refused."""

from __future__ import annotations

import pytest

from unbraid.errors import ConfigError, UsageError
from unbraid.zoo.foreign.config_file import read_config


def read(tmp_path, text, name="model.yaml"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_config(path)


def test_values_are_what_their_writer_means(tmp_path):
    text = """
    model:
      lr: 1e-5
      clip: -2E3
      rate: 1.0e-4
      share: .175
      large: 5e5
      hop: 441
      name: 1e5x
      word: "1e-5"
      empty:
      on_off: [yes, off, true]
      bands: !!python/tuple
      - 2
      - 3
      nested: !!python/tuple [[1, 2], !!python/tuple [3]]
    """
    model = read(tmp_path, text)["model"]
    assert model["lr"] == 1e-5
    assert model["clip"] == -2000.0
    assert (model["rate"], model["share"], model["large"], model["hop"]) == (1e-4, 0.175, 5e5, 441)
    assert (model["name"], model["word"], model["empty"]) == ("1e5x", "1e-5", None)
    assert model["on_off"] == [True, False, True]
    assert model["bands"] == (2, 3)
    assert model["nested"] == ([1, 2], (3,))


def test_json_and_a_byte_order_mark_are_read_too(tmp_path):
    assert read(tmp_path, '{"a":\t{"b": 1e-5}}', "table.json") == {"a": {"b": 1e-5}}
    assert read(tmp_path, b"\xef\xbb\xbfa: 1\r\n") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: !!python/object/apply:os.system ['true']", r"asks for .*os\.system, which is no plain value"),
        ("a: !!python/object/new:subprocess.Popen [['true']]", "nothing a file names is made or run"),
        ("a: !!python/name:os.system", "which is no plain value"),
        ("a: !!python/module:os", "which is no plain value"),
        ("a: !mine 3", "asks for !mine"),
        ("a: !!python/tuple 3", r"cannot be read as YAML.*line 1"),
        ("a: 1\nb: 2\na: 3", r"the key 'a' stands twice \(line 3\)"),
        ("a: &x [1, 1]\nb: [*x, *x]", r"'x' is an alias; write its value out \(line 1\)"),
        ("a: &a {b: *a}", "is an alias"),
        ("a: {<<: {b: 1}}", "'<<' merges keys; write them out"),
        ("? [1, 2]\n: 3", "is no key; one is a word or a number"),
        ("a: [1", r"cannot be read as YAML: .*line"),
        ("--- {a: 1}\n--- {b: 2}", "cannot be read as YAML"),
        ("[1, 2]", r"holds \[1, 2\]; a configuration has keys with values"),
        ("just words", "holds 'just words'"),
        ("", "holds None"),
        ("1: 2", "a configuration has keys with values"),
        (b"a: \xff\xfe", "is no configuration file"),
        (b"a: \x00", "cannot be read as YAML"),
        ("a: 2024-99-99", "is no configuration file"),
        ("[" * 5000, "is no configuration file"),
        ("a: " + "x" * 2**20, r"has more than 1,048,576 bytes"),
    ],
)
def test_what_is_no_configuration_is_refused_in_words(text, words, tmp_path):
    with pytest.raises(ConfigError, match=words) as refusal:
        read(tmp_path, text)
    assert "model.yaml" in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ("{", "no configuration file"),
        ("[" * 99_999, "is no"),
    ],
)
def test_json_that_is_none_is_refused_in_words(text, words, tmp_path):
    with pytest.raises(ConfigError, match=words):
        read(tmp_path, text, "table.json")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nothing\.yaml cannot be read: No such file"):
        read_config(tmp_path / "nothing.yaml")
    with pytest.raises(UsageError, match="cannot be read"):
        read_config(tmp_path)
