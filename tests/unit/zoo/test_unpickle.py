"""Hostile files are fed to the reader in every form; a sentinel file shows whether anything was run."""

from __future__ import annotations

import argparse
import codecs
import copyreg
import gzip
import io
import os
import pathlib
import pickle
import struct
import tempfile
import tracemalloc
import zipfile
import zlib
from fractions import Fraction

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbraid.errors import MachineError, WeightsError
from unbraid.zoo.torch_file import read_torch
from unbraid.zoo.unpickle import ClassName

MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}


def zipped(payload: bytes, storages: dict[str, bytes] | None = None, *, method=zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("archive/data.pkl", payload)
        for key, data in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", data)
    return buffer.getvalue()


def legacy(payload: bytes) -> bytes:
    head = b"".join(pickle.dumps(part, 2) for part in (MAGIC, 1001, SYSTEM))
    return head + payload + pickle.dumps([], 2)


def raw(payload: bytes) -> bytes:
    return payload


def zipped_gzip(payload: bytes) -> bytes:
    return gzip.compress(zipped(payload))


def legacy_gzip(payload: bytes) -> bytes:
    return gzip.compress(legacy(payload))


FORMS = {
    "zip": zipped,
    "legacy": legacy,
    "raw": raw,
    "zip in gzip": zipped_gzip,
    "legacy in gzip": legacy_gzip,
}


class Call:
    """Pickles as a call of something with something."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def text(command: str) -> bytes:
    return f"S{command!r}\n".encode()


def attacks(command: str) -> dict[str, bytes]:
    """Pickles that run a command when they are unpickled."""
    found = {f"os.system, protocol {n}": pickle.dumps(Call(os.system, command), n) for n in range(6)}
    found |= {
        f"eval, protocol {n}": pickle.dumps(Call(eval, f"__import__('os').system({command!r})"), n)
        for n in range(6)
    }
    found["exec, nested"] = pickle.dumps(
        {"klass": "a", "state": [{"w": (1, Call(exec, f"import os; os.system({command!r})"))}]}, 2
    )
    found["in a tuple"] = pickle.dumps(("klass", (), {}, {"w": Call(os.system, command)}), 2)
    found["among a training's arguments"] = pickle.dumps(argparse.Namespace(a=Call(os.system, command)), 2)
    found["through the codecs"] = pickle.dumps(
        [Call(codecs.encode, "a", "rot13"), Call(os.system, command)], 2
    )
    found["a call of a call"] = (
        b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'system'\ntR(" + text(command) + b"tR."
    )
    found["a known name put over by memo"] = (
        b"ccollections\nOrderedDict\np0\n0cos\nsystem\np0\n0g0\n(" + text(command) + b"tR."
    )
    found["INST"] = b"(" + text(command) + b"ios\nsystem\n."
    found["OBJ"] = b"(cos\nsystem\n" + text(command) + b"o."
    found["STACK_GLOBAL"] = b"\x80\x04\x8c\x02os\x8c\x06system\x93(" + text(command) + b"tR."
    found["a dotted path through a known name"] = (
        b"\x80\x04\x8c\x0bcollections\x8c\x13abc.sys.modules.get\x93(" + text("os") + b"tR0"
        b"\x8c\x02os\x8c\x06system\x93(" + text(command) + b"tR."
    )
    found["after the value"] = b"}" + b"cos\nsystem\n(" + text(command) + b"tR0."
    return found


NAMES = list(attacks("x"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_a_hostile_file_is_run(name, form, tmp_path):
    sentinel = tmp_path / "sentinel"
    path = tmp_path / "hostile.th"
    path.write_bytes(FORMS[form](attacks(f"touch {sentinel}")[name]))
    with pytest.raises(WeightsError):
        read_torch(path)
    assert not sentinel.exists()


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"a dotted path through a known name"}))
def test_the_attacks_are_real(name, tmp_path):
    sentinel = tmp_path / "sentinel"
    pickle.loads(attacks(f"touch {sentinel}")[name])  # noqa: S301 - what the reader must not do
    assert sentinel.exists()


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (pickle.dumps(Call(os.system, "x"), 2), "asks for posix.system, .* nothing was run"),
        (b"\x80\x02cdemucs.htdemucs\nHTDemucs\n)R.", "calls a ClassName; nothing was run"),
        (b"\x80\x02cdemucs.htdemucs\nHTDemucs\n}b.", "sets attributes of a ClassName"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}b.", "sets attributes of a _Callee"),
        (b"\x80\x02cdemucs.htdemucs\nHTDemucs\n)\x81.", "calls a ClassName; nothing was run"),
        (b"\x80\x02cdiffq.diffq\nDiffQuantizer\n)R.", "calls a ClassName; nothing was run"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.", "not made of latin1"),
        (b"\x80\x02c_codecs\nencode\n}X\x06\x00\x00\x00latin1\x86R.", "not made of latin1"),
        (b"\x80\x04cdemucs.htdemucs\nHTDemucs\n)}\x92.", "uses NEWOBJ_EX"),
        (b"\x80\x02\x82\x01.", "uses EXT1"),
        (b"P1\n.", "uses PERSID"),
        (b"\x80\x02ccollections\nOrderedDict\n](K\x01K\x02eaR.", "calls|appends"),
        (b"\x80\x02}]K\x01s.", "keys are no names"),
        (b"\x80\x02(K\x01K\x02tK\x01a.", "appends to something that is no list"),
        (b"\x80\x02K\x05Q.", "persistent id that is no storage"),
        (b"\x80\x02]\x94.", "holds no dictionary"),
        (b"\x80\x02.", "damaged"),
        (b"\x80\x02h\x07.", "damaged"),
        (b"\x80\x02}", "damaged"),
    ],
)
def test_a_refusal_names_what_is_refused(payload, words, tmp_path):
    path = tmp_path / "hostile.th"
    path.write_bytes(zipped(payload))
    with pytest.raises(WeightsError, match=words):
        read_torch(path)


def test_registered_extensions_are_not_looked_up(tmp_path):
    copyreg.add_extension("os", "system", 77)
    try:
        payload = pickle.dumps(Call(os.system, f"touch {tmp_path / 'sentinel'}"), 2)
    finally:
        copyreg.remove_extension("os", "system", 77)
    (tmp_path / "hostile.th").write_bytes(zipped(payload))
    with pytest.raises(WeightsError):
        read_torch(tmp_path / "hostile.th")
    assert not (tmp_path / "sentinel").exists()


def tensor(key="0", count=4, *, offset=0, size=(4,), stride=(1,), kind="torch\nFloatStorage") -> bytes:
    """A pickled tensor over a storage that claims `count` values."""

    def number(value: int) -> bytes:
        return b"I%d\n" % value

    def numbers(values) -> bytes:
        return b"(" + b"".join(number(value) for value in values) + b"t"

    identity = (
        b"(" + text("storage") + b"c%s\n" % kind.encode() + text(key) + text("cpu") + number(count) + b"tQ"
    )
    arguments = b"(" + identity + number(offset) + numbers(size) + numbers(stride) + b"\x89}t"
    return b"\x80\x02}" + text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"Rs."


def test_the_tensor_of_these_tests_can_be_read(tmp_path):
    (tmp_path / "good.th").write_bytes(zipped(tensor(), {"0": struct.pack("<4f", 1, 2, 3, 4)}))
    assert read_torch(tmp_path / "good.th")["w"].tolist() == [1, 2, 3, 4]


DATA = {"0": bytes(16)}
CLAIMS = {
    "storage of a tebibyte": zipped(tensor(count=2**40), DATA),
    "storage of less than nothing": zipped(tensor(count=-4), DATA),
    "storage that is not there": zipped(tensor(key="1"), DATA),
    "storage that is too short": zipped(tensor(), {"0": bytes(12)}),
    "storage outside the archive": zipped(tensor(key="../../etc/passwd"), DATA),
    "shape of a tebibyte": zipped(tensor(size=(2**20, 2**20), stride=(0, 0)), DATA),
    "shape beyond the end": zipped(tensor(size=(5,)), DATA),
    "stride beyond the end": zipped(tensor(size=(2,), stride=(4,)), DATA),
    "offset beyond the end": zipped(tensor(offset=1), DATA),
    "offset before the start": zipped(tensor(offset=-1), DATA),
    "shape below zero": zipped(tensor(size=(-4,)), DATA),
    "stride below zero": zipped(tensor(stride=(-1,)), DATA),
    "shape without strides": zipped(tensor(stride=()), DATA),
    "storage of an unknown type": zipped(tensor(kind="torch\nComplexFloatStorage"), DATA),
    "memo index of two thousand million": zipped(b"\x80\x02}r\xff\xff\xff\x7f0."),
    "bytes without end": zipped(b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x."),
    "text without end": zipped(b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"x."),
    "text without end, legacy": legacy(b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"x."),
    "frame without end": zipped(b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"]."),
    "fraction of a thousand million digits": zipped(b"\x80\x02cfractions\nFraction\n(S'1e999999999'\ntR."),
    "fraction of zero": zipped(b"\x80\x02cfractions\nFraction\n(K\x01K\x00tR."),
    "key that takes for ever to hash": zipped(b"\x80\x02})" + b"q\x00h\x00\x86" * 200 + b"K\x01s."),
    "lists in lists without end": zipped(b"\x80\x02" + b"]" * 10**5 + b"a" * (10**5 - 1) + b"."),
    "a list in itself": zipped(b"\x80\x02}U\x01a]q\x00h\x00as."),
    "a list of itself, forty times doubled": zipped(
        b"\x80\x02}U\x01a]q\x00" + b"".join(b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(40)) + b"s."
    ),
    "a text a million times": zipped(
        b"\x80\x02}U\x01aX\xff\xff\x00\x00" + b"x" * 65535 + b"q\x000](" + b"h\x00" * 10**5 + b"es."
    ),
    "instructions without end": zipped(b"\x80\x02}" + b"N0" * 10**6 + b"."),
    "bomb in gzip": gzip.compress(bytes(3 * 10**7)),
    "bomb in zlib": zlib.compress(bytes(3 * 10**7)),
    "a part of gzip": gzip.compress(zipped(tensor(), DATA))[:-9],
    "gzip with a wrong sum": gzip.compress(zipped(tensor(), DATA))[:-8] + bytes(8),
    "two of gzip": gzip.compress(zipped(tensor(), DATA)) * 2,
    "compressed entry": zipped(b"\x80\x02}" + b"0}" * 10**7 + b".", method=zipfile.ZIP_DEFLATED),
    "nothing at all": b"",
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claimed_size_is_never_believed(name, tmp_path, monkeypatch):
    path = tmp_path / "hostile.th"
    path.write_bytes(CLAIMS[name])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError):
            read_torch(path)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()
    assert [entry.name for entry in tmp_path.iterdir()] == ["hostile.th"]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_bytes_come_back_in_every_protocol(protocol, tmp_path):
    content = {"compressed": bytes(range(256)) * 300}
    torch.save(content, tmp_path / "bytes.th", pickle_protocol=protocol)
    assert read_torch(tmp_path / "bytes.th") == content


def test_how_a_training_was_called_is_not_kept(tmp_path):
    arguments = argparse.Namespace(epochs=3, out=pathlib.Path("a") / "b")
    torch.save({"training_args": arguments, "a": 1}, tmp_path / "v2.th")
    assert read_torch(tmp_path / "v2.th") == {"training_args": {}, "a": 1}


@pytest.mark.parametrize("zip_form", [True, False])
def test_a_file_in_gzip_is_the_file(zip_form, tmp_path, rng):
    saved = ("a class", (), {"sources": 4}, {"w": torch.randn(1000, generator=rng)})
    with gzip.open(tmp_path / "v1.th.gz", "wb", compresslevel=5) as file:
        torch.save(saved, file, _use_new_zipfile_serialization=zip_form)
    read = read_torch(tmp_path / "v1.th.gz")
    assert read[:3] == saved[:3]
    assert read[3]["w"].equal(saved[3]["w"])


@pytest.mark.parametrize("values", [2, 256])  # Demucs v1 rounded its weights to 256 values
def test_weights_that_were_rounded_are_no_bomb(values, tmp_path, rng):
    weights = torch.randint(values, (10**6,), generator=rng) / values
    with gzip.open(tmp_path / "v1.th.gz", "wb", compresslevel=5) as file:
        torch.save({"w": weights}, file, _use_new_zipfile_serialization=False)
    assert read_torch(tmp_path / "v1.th.gz")["w"].equal(weights)


def test_a_full_disk_is_said_to_be_one(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, _data):
            raise OSError(28, "No space left on device")

    (tmp_path / "v1.th.gz").write_bytes(gzip.compress(zipped(tensor(), DATA)))
    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    with pytest.raises(MachineError, match=r"temporary folder .*: No space left on device; .* TMPDIR"):
        read_torch(tmp_path / "v1.th.gz")


@pytest.mark.parametrize("form", ["package", "legacy"])
def test_a_demucs_package_is_read_without_demucs(tiny, form, tmp_path):
    path = tmp_path / "tiny.th"
    path.write_bytes(getattr(tiny, form))
    package = read_torch(path)
    assert package["klass"] == ClassName("demucs.htdemucs.HTDemucs")
    assert package["args"] == ()
    assert package["kwargs"]["segment"] == Fraction(1, 2)
    assert package["training_args"] == {"lr": 3e-4}
    assert package["state"].keys() == tiny.state.keys()
    for name, value in tiny.state.items():
        assert package["state"][name].dtype == torch.float16
        assert torch.equal(package["state"][name], value)


@pytest.mark.parametrize("zip_form", [True, False])
@pytest.mark.parametrize(
    "dtype",
    [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8, torch.int8, torch.int64],
)
def test_tensors_come_back_as_torch_saved_them(dtype, zip_form, tmp_path, rng):
    whole = torch.randint(0, 100, (6, 5, 4), generator=rng).to(dtype)
    saved = {
        "whole": whole,
        "a view": whole[1:4, ::2, 1],
        "transposed": whole.permute(2, 0, 1),
        "scalar": whole[0, 0, 0],
        "empty": whole[:0],
        "expanded": whole[:1, :1].expand(1, 1, 4),
    }
    path = tmp_path / "saved.pt"
    torch.save(saved, path, _use_new_zipfile_serialization=zip_form)
    read = read_torch(path)
    assert read.keys() == saved.keys()
    for name, value in saved.items():
        assert read[name].dtype == dtype
        assert torch.equal(read[name], value), name


def test_a_state_dict_with_its_version_notes_is_plain_values(tmp_path):
    state = torch.nn.Linear(3, 2).state_dict()
    torch.save(state, tmp_path / "linear.pt")
    read = read_torch(tmp_path / "linear.pt")
    assert type(read) is dict
    assert all(torch.equal(read[name], value) for name, value in state.items())


def test_reading_does_not_import_what_a_file_names(tiny, tmp_path):
    path = tmp_path / "tiny.th"
    path.write_bytes(tiny.package.replace(b"demucs.htdemucs", b"demucs.nothing1"))
    # The checksum of the archive notices the change; the legacy form has none.
    with pytest.raises(WeightsError, match="damaged"):
        read_torch(path)
    path.write_bytes(tiny.legacy.replace(b"demucs.htdemucs", b"demucs.nothing1"))
    assert read_torch(path)["klass"] == ClassName("demucs.nothing1.HTDemucs")


@pytest.mark.parametrize("form", ["package", "legacy"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    share=st.just(1.0) | st.floats(0, 1),
    # The head holds the pickle, where damage means the most.
    damage=st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), max_size=4),
)
def test_a_damaged_file_is_an_error_of_ours_or_still_plain_values(tiny, form, share, damage, tmp_path):
    whole = getattr(tiny, form)
    damaged = bytearray(whole[: round(share * len(whole))])
    for place, value in damage:
        if place < len(damaged):
            damaged[place] = value
    path = tmp_path / "damaged.th"
    path.write_bytes(damaged)
    try:
        read = read_torch(path)
    except WeightsError:
        return
    assert type(read) in {dict, tuple}


@given(content=st.binary(max_size=200))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.parametrize("form", FORMS)
def test_random_bytes_are_an_error_of_ours_or_plain_values(form, content, tmp_path):
    path = tmp_path / "random.th"
    path.write_bytes(FORMS[form](content))
    try:
        read = read_torch(path)
    except WeightsError:
        return
    assert type(read) in {dict, tuple}
