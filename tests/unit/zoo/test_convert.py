from __future__ import annotations

import hashlib
import json
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from networks.tiny import HTDEMUCS_ARGUMENTS
from unbraid.errors import WeightsError
from unbraid.zoo.convert import read, write
from unbraid.zoo.keymaps.demucs_package import arguments_of
from unbraid.zoo.package import Package, fingerprint, require_fit, skeleton

KLASS = "demucs.htdemucs.HTDemucs"
NO_FRACTION = '{"segment": {"_type": "fraction", "numerator": 9, "denominator": 0}}'


@pytest.fixture
def package(tiny, make_card, published) -> Package:
    card = make_card(published)
    return Package(
        "tiny", "htdemucs", card.config, tiny.state, tiny.fingerprint, licence="MIT", source="here"
    )


def twin(tensors: dict[str, torch.Tensor]) -> str:
    """The fingerprint as its definition reads, in numpy."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].contiguous().numpy()
        little = value.astype(value.dtype.newbyteorder("<"))
        digest.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode("ascii") + b"\n")
        digest.update(little.tobytes("C"))
    return digest.hexdigest()


def test_the_fingerprint_is_as_defined(tiny, rng):
    tensors = {
        "b": torch.randn(2, 3, generator=rng),
        "a": torch.randn(3, 2, generator=rng).half().T,
        "ä": torch.tensor(1.5),
        "empty": torch.zeros(0, 4),
    }
    assert fingerprint(tensors) == twin(tensors)
    assert fingerprint(dict(reversed(tensors.items()))) == twin(tensors)
    assert tiny.fingerprint == twin(tiny.state)


@pytest.mark.parametrize(
    "changed",
    [
        {"b": torch.zeros(2, 3)},
        {"a": torch.zeros(3, 2)},
        {"a": torch.zeros(2, 3, dtype=torch.float16)},
        {"a": -torch.zeros(2, 3)},
        {"a": torch.zeros(2, 3), "b": torch.zeros(0)},
    ],
)
def test_name_shape_precision_and_each_bit_count(changed):
    assert fingerprint(changed) != fingerprint({"a": torch.zeros(2, 3)})


def test_what_is_written_comes_back_and_explains_itself(package, tmp_path):
    path = tmp_path / "tiny.safetensors"
    write(package, path)
    back = read(path)
    assert (back.name, back.architecture, back.licence, back.source) == ("tiny", "htdemucs", "MIT", "here")
    assert back.fingerprint == package.fingerprint
    assert all(torch.equal(back.tensors[name], value) for name, value in package.tensors.items())
    network = skeleton(back.architecture, back.config)
    assert network.config == skeleton("htdemucs", package.config).config
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    assert header.keys() == {
        *("format", "format_version", "architecture", "config", "spec"),
        *("name", "fingerprint", "licence", "source"),
    }
    spec = json.loads(header["spec"])
    assert spec["sources"] == ["drums", "vocals"]
    assert spec["segment"] == 22050
    assert [entry.name for entry in tmp_path.iterdir()] == ["tiny.safetensors"]


@pytest.mark.skipif(sys.platform == "win32", reason="modes are a POSIX idea")
def test_who_may_read_the_file_is_the_users_to_say(package, tmp_path):
    (tmp_path / "ordinary").touch()
    write(package, tmp_path / "tiny.safetensors")
    assert (tmp_path / "tiny.safetensors").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_tied_and_transposed_weights_are_written_too(package, tmp_path):
    tensors = dict(package.tensors)
    tensors["encoder.0.rewrite.bias"] = tensors["tencoder.0.rewrite.bias"]
    tensors["crosstransformer.layers.0.linear1.weight"] = tensors[
        "crosstransformer.layers.0.linear2.weight"
    ].T
    write(
        Package("tiny", "htdemucs", package.config, tensors, fingerprint(tensors)), tmp_path / "a.safetensors"
    )
    assert read(tmp_path / "a.safetensors").fingerprint == fingerprint(tensors)


@pytest.mark.parametrize("form", ["package", "legacy"])
def test_a_demucs_package_keeps_its_values_and_its_configuration(form, tiny, package, tmp_path):
    path = tmp_path / "tiny.th"
    path.write_bytes(getattr(tiny, form))
    back = read(path)
    assert (back.name, back.architecture, back.fingerprint) == ("tiny", "htdemucs", tiny.fingerprint)
    assert skeleton(back.architecture, back.config).config == skeleton("htdemucs", package.config).config


KWARGS = {
    "sources": ["drums", "vocals"],
    **HTDEMUCS_ARGUMENTS,
    "segment": {"_type": "fraction", "numerator": 1, "denominator": 2},
}


def hub_file(tiny, path, **changes) -> None:
    """Demucs' own safetensors."""
    save_file(tiny.state, path, {"klass": KLASS, "args": "[]", "kwargs": json.dumps(KWARGS), **changes})


def test_a_demucs_safetensors_is_the_same_package(tiny, tmp_path):
    hub_file(tiny, tmp_path / "hub.safetensors")
    assert read(tmp_path / "hub.safetensors").fingerprint == tiny.fingerprint


def test_float32_that_float16_holds_exactly_has_the_same_fingerprint(tiny, package, tmp_path):
    wide = {name: value.float() for name, value in tiny.state.items()}
    save_file(
        wide, tmp_path / "wide.safetensors", {"klass": KLASS, "args": "[]", "kwargs": json.dumps(KWARGS)}
    )
    assert read(tmp_path / "wide.safetensors").fingerprint == package.fingerprint
    wide["encoder.0.conv.bias"] += 1e-6
    save_file(
        wide, tmp_path / "wide.safetensors", {"klass": KLASS, "args": "[]", "kwargs": json.dumps(KWARGS)}
    )
    back = read(tmp_path / "wide.safetensors")
    assert {value.dtype for value in back.tensors.values()} == {torch.float32}


@pytest.mark.parametrize(
    "klass", ["os.system", "os.mkdir", "demucs.api.Separator", "unbraid.networks.htdemucs.HTDemucs"]
)
def test_a_class_in_a_header_is_a_plain_string(klass, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "demucs.api", raising=False)
    target = str(tmp_path / "sentinel")
    hub_file(tiny, tmp_path / "hub.safetensors", klass=klass, args=json.dumps([target]), kwargs="{}")
    with pytest.raises(WeightsError, match=f"the checkpoint is a {klass}; known are {KLASS}"):
        read(tmp_path / "hub.safetensors")
    assert not (tmp_path / "sentinel").exists()
    assert "demucs.api" not in sys.modules


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"dconv_mode": 1}, r"dconv_mode = 1 \(we have 3\)"),
        ({"t_cross_first": True}, "t_cross_first = True"),
        ({"cac": False}, "cac = False"),
        ({"multi_freqs": [0.1]}, "multi_freqs"),
        ({"kazoo": 1}, "kazoo"),
    ],
)
def test_an_argument_that_our_network_does_not_have_is_refused(kwargs, words):
    with pytest.raises(WeightsError, match=words):
        arguments_of(KLASS).configuration((), {"dconv_mode": 3, **kwargs})


def test_the_defaults_of_the_demucs_constructor_hold_where_a_package_says_nothing():
    import inspect

    from demucs.htdemucs import HTDemucs

    parameters = inspect.signature(HTDemucs.__init__).parameters
    given = {name: p.default for name, p in parameters.items() if name not in {"self", "sources", "segment"}}
    given |= {"sources": ["a", "b", "c", "d"], "segment": Fraction(39, 5), "dconv_mode": 3}
    said = arguments_of(KLASS).configuration((), given)
    unsaid = arguments_of(KLASS).configuration(
        (["a", "b", "c", "d"],), {"segment": Fraction(39, 5), "dconv_mode": 3}
    )
    assert skeleton("htdemucs", said).config == skeleton("htdemucs", unsaid).config
    assert (
        arguments_of(KLASS).configuration((), {"dconv_mode": 3})["segment"] == parameters["segment"].default
    )


def test_weights_that_do_not_fit_are_listed_by_kind(package):
    network = skeleton("htdemucs", package.config)
    tensors = dict(package.tensors)
    del tensors["encoder.0.conv.weight"], tensors["encoder.0.conv.bias"]
    tensors["kazoo.weight"] = torch.zeros(1)
    tensors["channel_upsampler.weight"] = torch.zeros(3, 3, 1)
    with pytest.raises(WeightsError) as caught:
        require_fit(tensors, network, "tiny")
    for words in (
        "2 missing: encoder.0.conv.bias, encoder.0.conv.weight",
        "1 unknown: kazoo.weight",
        "1 of another shape: channel_upsampler.weight (3, 3, 1) instead of (16, 16, 1)",
    ):
        assert words in str(caught.value)


def test_of_many_faults_a_few_are_shown(package):
    with pytest.raises(WeightsError, match=r"\d\d+ missing: [^,]+, [^,]+, [^,]+, …$"):
        require_fit({}, skeleton("htdemucs", package.config), "tiny")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (None, "does not say which network"),
        ({"klass": KLASS}, "damaged"),
        ({"klass": KLASS, "args": "[", "kwargs": "{}"}, "damaged"),
        ({"klass": KLASS, "args": "[]", "kwargs": "7"}, "arguments are not those"),
        ({"klass": KLASS, "args": "[]", "kwargs": NO_FRACTION}, "damaged: ZeroDivisionError"),
        ({"klass": KLASS, "args": "[]", "kwargs": "[" * 10**5}, "damaged: RecursionError"),
        ({"format": "unbraid"}, "damaged"),
        ({"format": "unbraid", "format_version": "2", "name": "a"}, "format version 2; this Unbraid reads 1"),
    ],
)
def test_a_header_that_does_not_explain_the_file_is_refused(header, words, tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", header)
    with pytest.raises(WeightsError, match=words):
        read(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "config",
    [
        {"channels": "many"},
        {"kazoo": 1},
        {"depth": 0},
        {"channels": 10**9},
        {"growth": -1},
        {"t_layers": 10**6},
        {"n_fft": 2**62},
        {"segment": "1e999999999"},
    ],
)
def test_a_network_that_cannot_be_is_refused_before_it_takes_memory(config, package, tmp_path):
    impossible = {**package.config, **config}
    with pytest.raises(WeightsError):
        write(
            Package("tiny", "htdemucs", impossible, package.tensors, package.fingerprint),
            tmp_path / "a.safetensors",
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"state": {}}, "does not say which network"),
        ({"encoder.weight": torch.zeros(2)}, "it holds encoder.weight"),
    ],
)
def test_bare_weights_are_refused_with_what_would_work(content, words, tmp_path):
    torch.save(content, tmp_path / "bare.th")
    with pytest.raises(WeightsError, match=words):
        read(tmp_path / "bare.th")


def in_safetensors(state, path):
    save_file(state, path, {"format": "pt"})


WAYS = {
    "alone": torch.save,
    "alone in safetensors": in_safetensors,
    **{
        f"as {key}": lambda state, path, key=key: torch.save({key: state, "epoch": 3, "lr": [1e-3]}, path)
        for key in ("state", "state_dict", "model_state_dict", "model")
    },
    **{
        f"after {prefix}": lambda state, path, prefix=prefix: torch.save(
            {"state_dict": {prefix + key: value for key, value in state.items()}}, path
        )
        for prefix in ("module.", "model.", "_orig_mod.", "model.module.")
    },
    "in float32": lambda state, path: torch.save({key: value.float() for key, value in state.items()}, path),
}


@pytest.mark.parametrize("way", WAYS)
def test_weights_alone_are_read_where_their_network_is_said(way, tiny, package, tmp_path):
    WAYS[way](tiny.state, tmp_path / "vocals.ckpt")
    with pytest.raises(WeightsError, match=r"does not say which network .* a model's card tells that"):
        read(tmp_path / "vocals.ckpt")
    back = read(tmp_path / "vocals.ckpt", architecture="htdemucs", config=package.config)
    assert (back.name, back.architecture, back.fingerprint) == ("vocals", "htdemucs", tiny.fingerprint)
    require_fit(back.tensors, skeleton("htdemucs", back.config), "vocals")


def described(form, tiny, package, path):
    """A file that says which network its weights belong to."""
    if form == "own":
        write(package, path)
    elif form == "hub":
        hub_file(tiny, path)
    else:
        path.write_bytes(tiny.package)


@pytest.mark.parametrize("form", ["own", "hub", "package"])
@pytest.mark.parametrize(
    ("architecture", "changes", "words"),
    [
        ("demucs", {}, "was to be a demucs, but is a htdemucs"),
        ("htdemucs", {"channels": 16}, "is another htdemucs: channels is 8, not 16"),
        ("htdemucs", {"sample_rate": 48000}, "sample_rate is 44100, not 48000"),
        (None, {"depth": 3, "t_layers": 3}, "depth is 2, not 3; t_layers is 2, not 3"),
        ("htdemucs", {"sources": ["a", "b", "c"]}, "the sources drums, vocals, not a, b, c"),
        ("htdemucs", {"kazoo": 1}, "unknown key 'kazoo'"),
    ],
)
def test_a_file_of_another_network_than_was_asked_for_is_refused(
    form, architecture, changes, words, tiny, package, tmp_path
):
    described(form, tiny, package, tmp_path / "tiny.th")
    with pytest.raises(WeightsError, match=words):
        read(tmp_path / "tiny.th", architecture=architecture, config={**package.config, **changes})


@pytest.mark.parametrize("form", ["own", "hub", "package"])
def test_names_segment_and_training_are_free_to_differ(form, tiny, package, tmp_path):
    described(form, tiny, package, tmp_path / "tiny.th")
    asked = {
        **package.config,
        "sources": ["kick", "voice"],
        "segment": "3/5",
        "t_dropout": 0.5,
        "rescale": 1.0,
    }
    back = read(tmp_path / "tiny.th", architecture="htdemucs", config=asked)
    assert (back.config, back.fingerprint) == (asked, tiny.fingerprint)
    assert read(tmp_path / "tiny.th", architecture="htdemucs").config != asked


@pytest.mark.parametrize("value", [torch.zeros(2), [[]], {"a": {"b": [1]}}, b"x" * 1000])
def test_an_argument_of_a_strange_kind_is_refused(value, tmp_path):
    from demucs.htdemucs import HTDemucs

    for name in ("segment", "cac", "kazoo"):
        content = {"klass": HTDemucs, "args": (), "kwargs": {**KWARGS, name: value}, "state": {}}
        torch.save(content, tmp_path / "a.th")
        with pytest.raises(WeightsError):
            require_fit({}, skeleton("htdemucs", read(tmp_path / "a.th").config), "a")


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 8 + b"{", b"\xff" * 8 + b"{", b"PK\x03\x04", b"ID3", b"\x08\x08"]
)
def test_what_is_no_checkpoint_is_refused(content, tmp_path):
    (tmp_path / "a.th").write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.th"):
        read(tmp_path / "a.th")


def test_a_folder_of_anything_is_no_checkpoint(tmp_path):
    with pytest.raises(WeightsError, match="is a folder that is no checkpoint: it holds nothing"):
        read(tmp_path)
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(WeightsError, match=r"it holds holiday\.jpg"):
        read(tmp_path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_safetensors_is_found_out(data, package, tmp_path):
    path = tmp_path / "tiny.safetensors"
    if not path.exists():
        write(package, path)
    whole = path.read_bytes()
    content = bytearray(whole[: data.draw(st.just(len(whole)) | st.integers(0, len(whole)))])
    for place in data.draw(st.lists(st.integers(0, 4000) | st.integers(0, len(whole)), max_size=3)):
        if place < len(content):
            content[place] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged.safetensors").write_bytes(content)
    try:
        back = read(tmp_path / "damaged.safetensors")
    except WeightsError:
        return
    assert back.fingerprint == package.fingerprint  # the damage was in the header's texts, or none
    assert np.all([torch.equal(back.tensors[name], value) for name, value in package.tensors.items()])
