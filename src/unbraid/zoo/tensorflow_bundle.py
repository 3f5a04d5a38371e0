"""Reads TensorFlow's checkpoints of the second format, "bundles", without TensorFlow.

    NAME.index                  a table: from a tensor's name to where it is; under the empty name, the header
    NAME.data-00000-of-00001    the values, one tensor behind the other; there may be several such shards

    BundleHeaderProto     num_shards 1, endianness 2, version 3 (VersionDef: min_consumer 2)
    BundleEntryProto      dtype 1, shape 2, shard_id 3, offset 4, size 5, crc32c 6
    TensorShapeProto      dim 2 (size 1)

Sizes that the index claims are compared with what the shards hold before anything of that size is made, and
no value is read whose checksum is another than the one written with it.

Source: TensorFlow's tensor_bundle.proto, tensor_shape.proto, versions.proto and types.proto.
"""

from __future__ import annotations

import math
import mmap
import os
import re
import zipfile
import zlib
from functools import partial
from typing import TYPE_CHECKING

import torch

from unbraid.errors import WeightsError
from unbraid.zoo.crc32c import crc32c, masked
from unbraid.zoo.leveldb_table import read_table
from unbraid.zoo.protobuf import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    Files = Callable[[str], memoryview]  # a checkpoint's files by what follows its name

_INDEX = ".index"
_ENDING = re.compile(r"\.index$|\.data-\d{5}-of-\d{5}$")
_INDEX_LIMIT = 2**20  # bytes; those of Wave-U-Net have some 10 KiB
_MOST_PACKED = 16  # weights never shrink so much in a zip archive; a bomb does
_MOST_AXES, _LONGEST_AXIS = 8, 2**31
_DTYPES: Mapping[int, torch.dtype] = {  # DataType
    1: torch.float32,
    2: torch.float64,
    3: torch.int32,
    4: torch.uint8,
    5: torch.int16,
    6: torch.int8,
    9: torch.int64,
    14: torch.bfloat16,
    19: torch.float16,
}


def read_bundle(path: Path) -> dict[str, Tensor]:
    """All tensors of a TensorFlow checkpoint, by name.

    Args:
        path: The checkpoint's name without ending, as TensorFlow takes it; or its index, or one of its
            shards; or a folder or a zip archive that holds one checkpoint.

    Returns:
        The tensors in their own precision, copied out of the files.

    Raises:
        WeightsError: If there is no checkpoint, or more than one; if it is damaged; if it holds texts, or
            variables in slices.
    """
    try:
        return _read(_files(path))
    except WeightsError as error:
        raise WeightsError(f"{path.name}: {error}") from error
    except FileNotFoundError as error:
        raise WeightsError(
            f"there is no {error.filename}; a TensorFlow checkpoint is a file NAME.index with "
            "NAME.data-00000-of-00001 beside it"
        ) from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, LookupError, RuntimeError, OverflowError, MemoryError, EOFError) as error:
        raise WeightsError(f"{path.name} is damaged or no TensorFlow checkpoint: {error}") from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise WeightsError(f"{path.name} is a damaged archive: {error}") from error


def _files(path: Path) -> Files:
    """The checkpoint's files, wherever the path points."""
    if path.is_dir():
        return partial(_from_disk, path / _only([file.name for file in path.glob(f"*{_INDEX}")]))
    if _ENDING.search(path.name):
        return partial(_from_disk, path.with_name(_ENDING.sub("", path.name)))
    if path.is_file() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            # macOS puts a shadow of each file beside it.
            members = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
        return partial(_from_archive, path, _only([name for name in members if name.endswith(_INDEX)]))
    return partial(_from_disk, path)


def _only(indexes: list[str]) -> str:
    """The name of the one checkpoint."""
    names = sorted(_ENDING.sub("", index) for index in indexes)
    if len(names) != 1:
        held = f"{len(names)} TensorFlow checkpoints: {', '.join(names[:4])}" if names else "no checkpoint"
        raise WeightsError(f"it holds {held}; give one, unpacked, by its name without ending")
    return names[0]


def _from_disk(prefix: Path, ending: str) -> memoryview:
    with prefix.with_name(prefix.name + ending).open("rb") as handle:
        if not os.fstat(handle.fileno()).st_size:  # which cannot be mapped
            return memoryview(b"")
        # Not closed by hand: an error's traceback may still hold views into it.
        return memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))


def _from_archive(path: Path, name: str, ending: str) -> memoryview:
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(name + ending)
        if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise WeightsError(f"{entry.filename} is packed in an unusual way; unpack the archive")
        if entry.file_size > _MOST_PACKED * path.stat().st_size:
            raise WeightsError(f"{entry.filename} would be {entry.file_size} bytes, more than it can hold")
        return memoryview(archive.read(entry))


def _read(files: Files) -> dict[str, Tensor]:
    index = files(_INDEX)
    if len(index) > _INDEX_LIMIT:
        raise WeightsError(f"its index has {len(index)} bytes; no more than {_INDEX_LIMIT} are read")
    entries = read_table(index)
    shards = _Shards(files, _shard_count(entries.pop(b"", memoryview(b""))))
    if any(name.startswith(b"\0") for name in entries):  # the names of slices do
        raise WeightsError("it holds variables in slices; save them without a partitioner")
    return {name.decode(): _tensor(name.decode(), entry, shards) for name, entry in entries.items()}


def _shard_count(header: memoryview) -> int:
    """How many shards the header tells of."""
    numbers, parts = _split(header)
    version, _ = _split(parts.get(3, memoryview(b"")))
    if not numbers.get(1):
        raise WeightsError("its index has no header: it is a table of something else")
    if numbers.get(2, 0) != 0:
        raise WeightsError("it was written on a big-endian machine; save it again on another")
    if version.get(2, 0) > 1:
        raise WeightsError("it asks for a newer reader than there was when this one was written")
    return numbers[1]


class _Shards:
    """The files with the values, opened when they are first needed."""

    def __init__(self, files: Files, count: int) -> None:
        self.files = files
        self.count = count
        self.opened: dict[int, memoryview] = {}
        self.budget = 0  # bytes not yet given out: together, tensors cannot have more than there are

    def take(self, name: str, number: int, offset: int, size: int) -> memoryview:
        """The bytes of a tensor."""
        if number >= self.count:
            raise WeightsError(f"{name} is in shard {number} of {self.count}")
        if number not in self.opened:
            self.opened[number] = self.files(f".data-{number:05d}-of-{self.count:05d}")
            self.budget += len(self.opened[number])
        if offset + size > len(self.opened[number]) or size > self.budget:
            raise WeightsError(
                f"the {size} bytes of {name} reach beyond the end, or are another tensor's, too"
            )
        self.budget -= size
        return self.opened[number][offset : offset + size]


def _tensor(name: str, entry: memoryview, shards: _Shards) -> Tensor:
    """The values that an entry of the index describes."""
    numbers, parts = _split(entry)
    kind, size = numbers.get(1, 0), numbers.get(5, 0)
    if kind not in _DTYPES:
        raise WeightsError(f"{name} holds texts or unusual numbers (TensorFlow's type {kind})")
    dtype, shape = _DTYPES[kind], _shape(parts.get(2, memoryview(b"")))
    possible = len(shape) <= _MOST_AXES and max(shape, default=0) < _LONGEST_AXIS
    if not possible or math.prod(shape) * dtype.itemsize != size:
        raise WeightsError(f"{name} has {size} bytes, which do not make the shape {shape[:_MOST_AXES]}")
    values = shards.take(name, numbers.get(3, 0), numbers.get(4, 0), size)
    if masked(crc32c(values)) != int.from_bytes(parts.get(6, b""), "little"):
        raise WeightsError(f"the values of {name} have not the checksum that was written with them")
    if not size:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(values), dtype=dtype).view(shape)


def _shape(message: memoryview) -> tuple[int, ...]:
    dims = [value for number, value in fields(message) if number == 2 and isinstance(value, memoryview)]
    return tuple(_split(dim)[0].get(1, 0) for dim in dims)


def _split(message: memoryview) -> tuple[dict[int, int], dict[int, memoryview]]:
    """A message's numbers and its longer parts, each by its field."""
    content = dict(fields(message))
    return (
        {field: value for field, value in content.items() if isinstance(value, int)},
        {field: value for field, value in content.items() if isinstance(value, memoryview)},
    )
