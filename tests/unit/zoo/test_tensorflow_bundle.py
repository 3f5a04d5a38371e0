"""The reader on checkpoints by TensorFlow, on damaged ones, and on ones that lie with good checksums."""

from __future__ import annotations

import math
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbraid.errors import WeightsError
from unbraid.zoo.crc32c import crc32c, masked
from unbraid.zoo.tensorflow_bundle import read_bundle

GOLDEN = Path(__file__).parents[2] / "golden/wave_u_net_tensorflow"
DATA = ".data-00000-of-00001"
KINDS = {  # those of make_tensorflow_bundle.py, in its order
    "float16": (3,),
    "bfloat16": (2, 2),
    "float32": (2, 3, 4),
    "float64": (5,),
    "uint8": (3,),
    "int8": (3,),
    "int16": (3,),
    "int32": (),
    "int64": (0, 3),
}
FUZZ = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def varint(value: int) -> bytes:
    head = bytearray()
    while value > 0x7F:
        head.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*head, value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries, *, compression=0) -> bytes:
    """A table's block; each entry is a name, a value and, if not none, how much its name shares."""
    content = b"".join(
        varint(shared) + varint(len(name)) + varint(len(value)) + name + value
        for name, value, shared in ((*entry, 0)[:3] for entry in entries)
    )
    content += bytes(4) + b"\x01\0\0\0" + bytes([compression])
    return content + masked(crc32c(content)).to_bytes(4, "little")


def table(*blocks: bytes, order=None) -> bytes:
    """A table of data blocks, in their order or in one that its index claims."""
    body, places = b"", []
    for data in blocks:
        places.append(varint(len(body)) + varint(len(data) - 5))
        body += data
    index = block([(b"%03d" % at, places[at]) for at in order or range(len(blocks))])
    footer = bytes(2) + varint(len(body)) + varint(len(index) - 5)
    return body + index + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


HEADER = (b"", field(1, 1) + field(3, field(1, 1)))


def entry(data=b"", *, kind=1, shape=(), shard=0, offset=0, size=None) -> bytes:
    """What an index says of a tensor with these bytes."""
    dims = b"".join(field(2, field(1, size)) for size in shape)
    numbers = field(3, shard) + field(4, offset) + field(5, len(data) if size is None else size)
    return field(1, kind) + field(2, dims) + numbers + b"\x35" + masked(crc32c(data)).to_bytes(4, "little")


@pytest.fixture
def write(tmp_path):
    """Writes a checkpoint from an index and values; gives its name."""

    def write_(index: bytes, data: bytes = b"") -> Path:
        (tmp_path / "made.index").write_bytes(index)
        (tmp_path / f"made{DATA}").write_bytes(data)
        return tmp_path / "made"

    return write_


@pytest.mark.parametrize("name", ["values", "two_shards"])
def test_every_kind_of_number_and_shape_is_as_it_was_written(name):
    tensors = read_bundle(GOLDEN / name)
    assert list(tensors) == sorted(f"folder/of_{kind}" for kind in KINDS)
    for number, (kind, shape) in enumerate(KINDS.items()):
        wanted = (torch.arange(math.prod(shape), dtype=torch.float64) - number).reshape(shape) / 4
        found = tensors[f"folder/of_{kind}"]
        assert found.dtype == getattr(torch, kind)
        assert torch.equal(
            found, wanted.to(torch.int64).to(found.dtype) if "int" in kind else wanted.to(found)
        )


def test_a_training_checkpoint_has_the_optimisers_variables_too():
    tensors = read_bundle(GOLDEN / "m1")
    assert tensors["global_step"].item() == 7
    assert tensors["separator/conv1d/kernel"].shape == (15, 1, 3)
    assert not tensors["separator_solver/separator/conv1d/kernel/Adam"].any()


@pytest.mark.parametrize("ending", ["", ".index", DATA])
def test_any_of_its_names_leads_to_a_checkpoint(ending):
    assert read_bundle(GOLDEN / f"m4{ending}").keys() == read_bundle(GOLDEN / "m4").keys()


def test_a_folder_with_one_checkpoint_is_one(tmp_path):
    for ending in (".index", DATA):
        shutil.copy(GOLDEN / f"m4{ending}", tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "m4"')
    assert read_bundle(tmp_path).keys() == read_bundle(GOLDEN / "m4").keys()


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_with_one_checkpoint_is_one(packing, tmp_path):
    with zipfile.ZipFile(tmp_path / "models.zip", "w", packing) as archive:
        for ending in (".index", DATA):
            archive.write(GOLDEN / f"m4{ending}", f"models/m4/m4-1234{ending}")
            archive.writestr(f"__MACOSX/models/m4/._m4-1234{ending}", b"a shadow")
    assert read_bundle(tmp_path / "models.zip").keys() == read_bundle(GOLDEN / "m4").keys()


def test_of_several_checkpoints_one_must_be_named(tmp_path):
    with pytest.raises(WeightsError, match=r"10 TensorFlow checkpoints: m1, m2, m3, m4;"):
        read_bundle(GOLDEN)
    with zipfile.ZipFile(tmp_path / "models.zip", "w") as archive:
        for name in ("m4", "m6"):
            archive.write(GOLDEN / f"{name}.index", f"models/{name}.index")
    with pytest.raises(WeightsError, match=r"2 TensorFlow checkpoints: models/m4, models/m6; give one"):
        read_bundle(tmp_path / "models.zip")


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(WeightsError, match="holds no checkpoint"):
        read_bundle(tmp_path)
    with pytest.raises(WeightsError, match=r"there is no .*nothing\.index; a TensorFlow checkpoint is"):
        read_bundle(tmp_path / "nothing")
    shutil.copy(GOLDEN / "m4.index", tmp_path)
    with pytest.raises(WeightsError, match=r"there is no .*m4\.data-00000-of-00001"):
        read_bundle(tmp_path / "m4")
    with zipfile.ZipFile(tmp_path / "models.zip", "w") as archive:
        archive.write(GOLDEN / "m4.index", "m4.index")
    with pytest.raises(WeightsError, match=r"no item named 'm4\.data-00000-of-00001'"):
        read_bundle(tmp_path / "models.zip")


def test_variables_in_slices_are_refused():
    with pytest.raises(WeightsError, match="in slices; save them without a partitioner"):
        read_bundle(GOLDEN / "sliced")


@pytest.mark.parametrize("ending", [".index", DATA])
def test_a_checkpoint_cut_short_is_refused(ending, write):
    files = {each: (GOLDEN / f"m5{each}").read_bytes() for each in (".index", DATA)}
    whole = files[ending]
    for length in (*range(0, len(whole), 97), len(whole) - 1):
        files[ending] = whole[:length]
        with pytest.raises(WeightsError):
            read_bundle(write(*files.values()))


@FUZZ
@given(data=st.data())
def test_a_changed_bit_is_noticed_or_does_not_matter(data, write):
    files = {ending: bytearray((GOLDEN / f"m5{ending}").read_bytes()) for ending in (".index", DATA)}
    ending = data.draw(st.sampled_from(list(files)))
    place = data.draw(st.integers(0, len(files[ending]) - 1))
    files[ending][place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        tensors = read_bundle(write(*files.values()))
    except WeightsError:
        return
    assert ending == ".index"  # every bit of the values is under a checksum
    wanted = read_bundle(GOLDEN / "m5")
    assert all(torch.equal(tensors[name], value) for name, value in wanted.items())


def test_tables_of_many_blocks_whose_names_share_their_beginnings_are_read(write):
    first = block([HEADER, (b"layer/bias", entry(bytes(8), shape=(2,))), (b"kernel", entry(bytes(4)), 6)])
    second = block([(b"other", entry(b"\0\0\x80\x3f", offset=8))])
    tensors = read_bundle(write(table(first, second), bytes(8) + b"\0\0\x80\x3f" + bytes(4)))
    assert list(tensors) == ["layer/bias", "layer/kernel", "other"]
    assert tensors["layer/bias"].shape == (2,)
    assert tensors["other"].item() == 1


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (entry(bytes(8), shape=(3,)), "8 bytes, which do not make the shape"),
        (entry(size=2**32, shape=(2**30,)), "reach beyond the end"),
        (entry(size=2**66, shape=(2**64,)), "do not make the shape"),
        (entry(bytes(8), shape=(2,), offset=1), "reach beyond the end"),
        (entry(bytes(8), shape=(2,), shard=1), "in shard 1 of 1"),
        (entry(bytes(8), shape=(2,), kind=7), r"texts or unusual numbers \(TensorFlow's type 7\)"),
        (entry(bytes(8), shape=(2, *[1] * 9)), "do not make the shape"),
        (entry(b"12345678", shape=(2,)), "not the checksum"),
        (entry(shape=(0, 2**63)), "0 bytes, which do not make the shape"),
        (entry(shape=(2**31 - 1, 2**31 - 1, 2**31 - 1, 0)), "overflowed"),
        (field(5, 4), "type 0"),
        (b"\x0f", "wire type 7"),
        (b"\x0a\x09", "beyond the end"),
        (b"\x08", "damaged"),
    ],
)
def test_a_claim_that_the_values_do_not_bear_out_is_refused(claim, words, write):
    with pytest.raises(WeightsError, match=words):
        read_bundle(write(table(block([HEADER, (b"w", claim)])), bytes(8)))


def test_tensors_cannot_have_the_same_bytes(write):
    claims = [(b"%d" % number, entry(bytes(8), shape=(2,))) for number in range(3)]
    with pytest.raises(WeightsError, match="another tensor's, too"):
        read_bundle(write(table(block([HEADER, *claims])), bytes(16)))


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (b"", "cut short, or no table"),
        (b"no table at all" * 9, "cut short, or no table"),
        (bytes(40) + bytes.fromhex("57fb808b247547db"), "smaller|checksum|beyond"),
        (table(), "no header"),
        (table(block([(b"w", entry())])), "no header"),
        (table(block([(b"", field(1, 1) + field(2, 1))])), "big-endian"),
        (table(block([(b"", field(1, 1) + field(3, field(2, 2)))])), "newer reader"),
        (table(block([HEADER], compression=1)), "compressed"),
        (table(block([HEADER]), block([(b"w", entry())]), order=[0, 0]), "overlap"),
        (table(block([HEADER]), block([(b"w", entry())]), order=[1, 0]), "overlap"),
        (table(block([HEADER]), block([HEADER])), "not in order"),
        (table(block([(b"b", b""), (b"a", b"")])), "not in order"),
        (table(block([HEADER, (b"w" * 513, entry())])), "a name of 513 bytes"),
        (table(block([HEADER, (b"w", entry(), 2)])), "a name of 3 bytes"),
        (table(block([HEADER, (b"\xff", entry())])), "utf-8"),
        (table(block([HEADER])) + bytes(2**20), "no more than 1048576 are read"),
    ],
)
def test_an_index_that_is_none_is_refused(index, words, write):
    with pytest.raises(WeightsError, match=words):
        read_bundle(write(index))


@FUZZ
@given(data=st.data())
def test_an_index_that_lies_never_gives_more_than_the_file_holds(data, write):
    claims = st.builds(
        entry,
        st.just(bytes(8)) | st.binary(max_size=12),
        kind=st.integers(0, 25),
        shape=st.lists(st.sampled_from([0, 1, 2, 3, 2**31, 2**63 + 1]), max_size=4),
        shard=st.integers(0, 2),
        offset=st.sampled_from([0, 1, 8, 2**40, 2**64 - 4]),
        size=st.none() | st.integers(0, 2**40),
    )
    named = data.draw(st.dictionaries(st.binary(min_size=1, max_size=4), claims | st.binary(max_size=20)))
    path = write(table(block([HEADER, *sorted(named.items())])), bytes(16))
    try:
        tensors = read_bundle(path)
    except WeightsError:
        return
    assert sum(tensor.nbytes for tensor in tensors.values()) <= 16


def test_archives_that_would_grow_without_end_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.index", bytes(10**6))
    with pytest.raises(WeightsError, match=r"bomb\.index would be 1000000 bytes"):
        read_bundle(tmp_path / "bomb.zip")
    with zipfile.ZipFile(tmp_path / "odd.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("odd.index", b"a")
    with pytest.raises(WeightsError, match="unpack the archive"):
        read_bundle(tmp_path / "odd.zip")


@FUZZ
@given(data=st.data())
def test_a_damaged_archive_is_an_error_of_ours_or_weights(data, tmp_path):
    with zipfile.ZipFile(tmp_path / "m4.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for ending in (".index", DATA):
            archive.write(GOLDEN / f"m4{ending}", f"m4{ending}")
    content = bytearray((tmp_path / "m4.zip").read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    (tmp_path / "m4.zip").write_bytes(content)
    try:
        tensors = read_bundle(tmp_path / "m4.zip")
    except WeightsError:
        return
    assert len(tensors) == len(read_bundle(GOLDEN / "m4"))
