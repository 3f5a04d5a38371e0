"""Archives that came from elsewhere, and what forged ones could do."""

from __future__ import annotations

import contextlib
import io
import tarfile
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archives import in_tar, in_zip
from unbraid.errors import DownloadError
from unbraid.zoo.archive import extract

FILES = {
    "./2stems/model.index": b"index",
    "2stems/model.data-00000-of-00001": bytes(range(256)) * 40,
    "2stems/checkpoint": b"of no use",
    "2stems/other.index": b"another",
    "4stems/model.index": b"not this one",
    "model.meta": b"nor this",
}


@pytest.fixture
def take(tmp_path):
    """Take a member out of the bytes of an archive; what then lies in the folder."""

    def take(content: bytes, member: str = "2stems/model.index", **options) -> dict[str, bytes]:
        archive, folder = tmp_path / "archive", tmp_path / "taken"
        archive.write_bytes(content)
        folder.mkdir()
        path = extract(archive, member, folder, **options)
        assert path.parent == folder
        return {entry.name: entry.read_bytes() for entry in folder.iterdir()}

    return take


def special(name: str, kind: bytes, **facts) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    for key, value in facts.items():
        setattr(entry, key, value)
    return entry


@pytest.mark.parametrize("pack", [in_tar, in_zip])
def test_a_member_comes_with_the_files_that_are_called_alike_and_lie_beside_it(pack, take):
    index, data, *_ = FILES.values()
    assert take(pack(FILES)) == {"model.index": index, "model.data-00000-of-00001": data}


@pytest.mark.parametrize("pack", [in_tar, in_zip])
def test_a_member_with_a_limit_comes_alone(pack, take):
    name = "2stems/model.data-00000-of-00001"
    assert list(take(pack(FILES), name, limit=10_240)) == ["model.data-00000-of-00001"]


@pytest.mark.parametrize("pack", [in_tar, in_zip])
def test_a_member_that_is_longer_than_it_may_be_is_refused(pack, take):
    with pytest.raises(DownloadError, match="more than the 10239 bytes"):
        take(pack(FILES), "2stems/model.data-00000-of-00001", limit=10_239)


@pytest.mark.parametrize("pack", [in_tar, in_zip])
@pytest.mark.parametrize("name", ["2stems/../2stems/model.index", "/2stems/model.index", "model.index", "x"])
def test_a_name_that_leads_elsewhere_is_another_name(pack, name, take, tmp_path):
    with pytest.raises(DownloadError, match=r"2stems/model\.index is no plain file"):
        take(pack({name: b""}))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["archive", "taken"]


@pytest.mark.parametrize("name", ["a\\..\\b", "a:b", "\n", "x" * 250])
@pytest.mark.parametrize("pack", [in_tar, in_zip])
def test_names_that_some_systems_read_otherwise_are_left_out(pack, name, take):
    assert list(take(pack({"2stems/model.index": b"", f"2stems/model.{name}": b""}))) == ["model.index"]


@pytest.mark.parametrize(
    "entry",
    [
        special("2stems/model.index", tarfile.SYMTYPE, linkname="/etc/passwd"),
        special("2stems/model.index", tarfile.LNKTYPE, linkname="2stems/checkpoint"),
        special("2stems/model.index", tarfile.FIFOTYPE),
        special("2stems/model.index", tarfile.CHRTYPE, devmajor=1, devminor=3),
        special("2stems/model.index", tarfile.DIRTYPE),
    ],
    ids=["symbolic link", "hard link", "pipe", "device", "folder"],
)
def test_what_is_no_plain_file_is_never_made(entry, take):
    with pytest.raises(DownloadError, match="is no plain file in the archive"):
        take(in_tar({"2stems/checkpoint": b"secret"}, entry))


def test_a_link_in_a_zip_is_but_a_file_with_a_path_in_it(take):
    link = zipfile.ZipInfo("2stems/model.index")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert take(buffer.getvalue()) == {"model.index": b"/etc/passwd"}


def test_a_name_that_stands_twice_is_refused(take):
    files = [special("2stems/model.index", tarfile.REGTYPE) for _ in range(2)]
    with pytest.raises(DownloadError, match=r"model\.index twice"):
        take(in_tar({}, *files))


@pytest.mark.parametrize("pack", [in_tar, in_zip])
def test_more_files_than_a_checkpoint_has_are_refused(pack, take):
    with pytest.raises(DownloadError, match="more than 16 files"):
        take(pack({f"2stems/model.{number}": b"" for number in range(17)}))


@pytest.mark.parametrize("name", ["2stems/model.index", "2stems/model.data", "elsewhere"])
@pytest.mark.parametrize("pack", [in_tar, in_zip])
def test_a_bomb_is_refused_before_it_fills_the_disk(pack, name, take, tmp_path):
    content = pack({"2stems/model.index": b"index", name: bytes(50 * 2**20)})
    if pack is in_zip and name == "elsewhere":  # which is never unpacked
        assert take(content) == {"model.index": b"index"}
        return
    with pytest.raises(DownloadError, match=r"more than (the \d+ bytes|weights can)"):
        take(content)
    assert sum(path.stat().st_size for path in (tmp_path / "taken").iterdir()) < 3 * 2**20


def test_a_tar_whose_headers_are_a_bomb_is_refused(take):
    entry = tarfile.TarInfo("2stems/model.index")
    entry.pax_headers = {"comment": "0" * 30 * 2**20}
    with pytest.raises(DownloadError, match="unpacks to more than weights can"):
        take(in_tar({}, entry))


def test_an_encrypted_member_is_refused(take):
    content = bytearray(in_zip({"2stems/model.index": b"index"}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1
    with pytest.raises(DownloadError, match="cannot be read from the archive"):
        take(bytes(content))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x1f\x8b", b"not an archive", in_tar(FILES)[:-40]])
def test_what_is_no_archive_is_refused(content, take):
    with pytest.raises(DownloadError, match=r"cannot be read from the archive|is no plain file"):
        take(content)


@pytest.mark.parametrize("whole", [in_tar(FILES), in_zip(FILES)], ids=["tar", "zip"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_archive_is_found_out_or_gives_plain_files(data, whole, tmp_path_factory):
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "archive").write_bytes(content)
    (folder / "taken").mkdir()
    with contextlib.suppress(DownloadError):
        extract(folder / "archive", "2stems/model.index", folder / "taken")
    assert all(path.is_file() and not path.is_symlink() for path in (folder / "taken").iterdir())
    assert len(list(folder.iterdir())) == 2
