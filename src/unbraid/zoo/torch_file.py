"""Reads torch's own checkpoint files; what a pickle in them may ask for, `zoo.unpickle` decides.

    zip      <root>/data.pkl, then one entry <root>/data/<key> per storage        torch 1.6 and later
    legacy   magic, version, system, object, storage keys: five pickles in a row, then count and bytes of
             each storage                                                          torch before 1.6

Either may stand in gzip. Sizes that a file claims are compared with what it holds before anything of that
size is made.
"""

from __future__ import annotations

import struct
import zipfile
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

from unbraid.errors import WeightsError
from unbraid.zoo.inflate import PACKED, inflated
from unbraid.zoo.unpickle import Machine, Storages

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = 0x1950A86A20F9469CFC6C  # torch/serialization.py: MAGIC_NUMBER
_PROTOCOL = 1001  # the only version that was ever written
_LEGACY_PICKLES = 32 * 2**20  # bytes; the pickles of published checkpoints take some 100 KiB
_ZIP_PICKLE = 2**30  # bytes; Demucs v2 keeps all of a quantised network, 150 MB of it, in the pickle


def read_torch(path: Path) -> dict[str, Any] | tuple[Any, ...]:
    """What a file made by `torch.save` holds, as plain values and tensors; nothing of it is executed.

    Args:
        path: A `.th`, `.pt`, `.pth` or `.ckpt` file, or one of these in gzip.

    Returns:
        Its dictionary, or the tuple that the oldest are. Tensors keep their precision; classes it names are
        `ClassName`s.

    Raises:
        WeightsError: If the file is damaged, is none of torch's, or asks for anything but plain values.
        MachineError: If there is no room to unpack it.
    """
    with path.open("rb") as handle:
        return read_torch_stream(handle, path.name)


def read_torch_stream(handle: IO[bytes], name: str) -> dict[str, Any] | tuple[Any, ...]:
    """As `read_torch`, from a file that is open, or from bytes in zlib.

    Args:
        handle: Seekable; it is read from its beginning.
        name: What it is, for the error's sentence.

    Raises:
        WeightsError: As `read_torch`.
        MachineError: As `read_torch`.
    """
    handle.seek(0)
    try:
        if handle.read(2).startswith(PACKED):
            with inflated(handle) as room:
                content = _read_plain(room)
        else:
            content = _read_plain(handle)
    except WeightsError as error:
        raise WeightsError(f"{name}: {error}") from error
    except (zipfile.BadZipFile, EOFError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{name} is damaged or no torch file: {error}") from error
    except (RuntimeError, OverflowError, MemoryError, NotImplementedError, struct.error) as error:
        raise WeightsError(f"{name} is damaged or no torch file: {error}") from error
    if isinstance(content, tuple) or (isinstance(content, dict) and all(type(key) is str for key in content)):
        return content
    raise WeightsError(f"{name} holds no dictionary by name; a checkpoint is one")


def _read_plain(handle: IO[bytes]) -> object:
    return _read_zip(handle) if zipfile.is_zipfile(handle) else _read_legacy(handle)


def _read_zip(handle: IO[bytes]) -> object:
    """A file of torch 1.6 and later."""
    with zipfile.ZipFile(handle) as archive:
        pickles = [name for name in archive.namelist() if name.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise WeightsError(f"the archive holds {len(pickles)} data.pkl; one was expected")
        root = pickles[0].split("/")[0]
        entries = {entry.filename: entry for entry in archive.infolist()}
        order = entries.get(f"{root}/byteorder")
        if order is not None and _stored(archive, order, limit=16) != b"little":
            raise WeightsError("the file was written on a big-endian machine; save it again on another")
        storages = Storages(held=handle.seek(0, 2))
        content = Machine(storages).run(BytesIO(_stored(archive, entries[pickles[0]], _ZIP_PICKLE)))
        for key, buffer in storages.buffers.items():
            buffer[:] = _stored(archive, entries[f"{root}/data/{key}"], len(buffer), exact=True)
    return content


def _stored(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int, *, exact: bool = False) -> bytes:
    """An entry's bytes. torch never compresses, so a compressed entry is a bomb or no checkpoint."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > limit:
        raise WeightsError(f"{entry.filename} is compressed, or larger than {limit} bytes")
    if exact and entry.file_size != limit:
        raise WeightsError(f"{entry.filename} has {entry.file_size} bytes; its tensors need {limit}")
    return archive.read(entry)


def _read_legacy(handle: IO[bytes]) -> object:
    """A file of torch before 1.6."""
    size = handle.seek(0, 2)
    storages = Storages(held=size)
    handle.seek(0)
    # The pickles stand at the front; a bytes buffer, unlike a file, never allocates a claimed length.
    pickles = BytesIO(handle.read(min(size, _LEGACY_PICKLES)))
    if Machine(storages).run(pickles) != _MAGIC or Machine(storages).run(pickles) != _PROTOCOL:
        raise WeightsError("the file begins like none of torch's")
    system = Machine(storages).run(pickles)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise WeightsError("the file was written on a big-endian machine; save it again on another")
    content = Machine(storages).run(pickles)
    keys = Machine(storages).run(pickles)
    if not isinstance(keys, list) or set(keys) != set(storages.buffers):
        raise WeightsError("the list of storages is not that of the tensors")
    handle.seek(pickles.tell())
    for key in keys:
        _fill(handle, storages.buffers[key], storages.dtypes[key].itemsize)
    return content


def _fill(handle: IO[bytes], buffer: bytearray, itemsize: int) -> None:
    """One storage of a legacy file: how many values, then their bytes."""
    (count,) = struct.unpack("<q", handle.read(8))
    data = handle.read(len(buffer))
    if count * itemsize != len(buffer) or len(data) != len(buffer):
        raise WeightsError(f"a storage of {len(buffer)} bytes is cut short, or has {count} values")
    buffer[:] = data
