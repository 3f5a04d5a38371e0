"""Turns a pickle into plain values and tensors without running anything in it.

A pickle is a program: its GLOBAL and REDUCE instructions import and call whatever they name. Here no
unpickler runs. The standard library's disassembler (`pickletools.genops`) decodes one instruction after
the other, and a small machine carries out only those that make plain values. A global is looked up in a
literal table or refused by name; what it becomes is inert data, so that there is nothing to call.

Storages that a pickle claims are compared with what its file holds before memory for them is taken, and
values that hold each other are counted as often as a reader would meet them.
"""

from __future__ import annotations

import math
import pickletools
import re
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeGuard

import torch

from unbraid.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from io import BytesIO

    from torch import Tensor

_INSTRUCTIONS = 2**20  # of one pickle; published ones have some 50 000
_DEPTH = 64  # of values within values; published checkpoints nest them five deep
_FRACTION = re.compile(r"-?[0-9]{1,18}(/[1-9][0-9]{0,17})?")


@dataclass(frozen=True, slots=True)
class ClassName:
    """The dotted name of a class that a file refers to; the class itself is never imported."""

    name: str


class _Callee(Enum):
    """The only callables a weight file may ask for; each is carried out by code of ours."""

    ORDERED_DICT = "collections.OrderedDict"
    TENSOR = "torch._utils._rebuild_tensor_v2"
    FRACTION = "fractions.Fraction"
    ENCODE = "_codecs.encode"  # how older pickles write bytes
    ARRAY = "numpy.core.multiarray._reconstruct"
    DTYPE = "numpy.dtype"
    NAMESPACE = "argparse.Namespace"  # how a training was called, of which nothing is kept


_CALLEES: Mapping[str, _Callee] = {
    **{callee.value: callee for callee in _Callee},
    "numpy._core.multiarray._reconstruct": _Callee.ARRAY,  # of NumPy 2
    "numpy.core.multiarray.scalar": _Callee.NAMESPACE,  # a number that a training noted beside the weights
    "numpy._core.multiarray.scalar": _Callee.NAMESPACE,
    "pytorch_lightning.utilities.parsing.AttributeDict": _Callee.ORDERED_DICT,  # of hyper-parameters
    "pathlib.PosixPath": _Callee.NAMESPACE,  # stands in one
    "pathlib.WindowsPath": _Callee.NAMESPACE,
    "pathlib._local.PosixPath": _Callee.NAMESPACE,  # of Python 3.13
    "pathlib._local.WindowsPath": _Callee.NAMESPACE,
}
_NDARRAY = ClassName("numpy.ndarray")  # also stands for an array whose values have not come yet
# Packages whose classes a file may name; Lightning's older files keep each callback's state under its class.
_NAMED = ("demucs.", "diffq.", "pytorch_lightning.", _NDARRAY.name)

_STORAGES: Mapping[str, torch.dtype] = {
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.ByteStorage": torch.uint8,
    "torch.CharStorage": torch.int8,
    "torch.ShortStorage": torch.int16,
    "torch.IntStorage": torch.int32,
    "torch.LongStorage": torch.int64,
    "torch.BoolStorage": torch.bool,
}
_NUMPY_TYPES: Mapping[str, torch.dtype] = {
    "f2": torch.float16,
    "f4": torch.float32,
    "f8": torch.float64,
    "u1": torch.uint8,
    "i1": torch.int8,
    "i2": torch.int16,
    "i4": torch.int32,
    "i8": torch.int64,
}


@dataclass
class Storages:
    """Memory for the storages a pickle names; filled once the pickle is read."""

    held: int  # bytes of the file
    budget: int = field(init=False)  # of these, not yet claimed
    buffers: dict[str, bytearray] = field(default_factory=dict)
    dtypes: dict[str, torch.dtype] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.budget = self.held

    def claim(self, key: str, dtype: torch.dtype, count: int) -> Tensor:
        """The storage as a flat tensor over memory that is filled later."""
        size = count * dtype.itemsize
        if key not in self.buffers:
            self.spend(size, f"storage {key}")
            self.buffers[key], self.dtypes[key] = bytearray(size), dtype
        buffer = self.buffers[key]
        if len(buffer) != size:
            raise WeightsError(f"storage {key} is claimed with {len(buffer)} and with {size} bytes")
        return torch.frombuffer(buffer, dtype=dtype) if size else torch.empty(0, dtype=dtype)

    def spend(self, size: int, what: str) -> None:
        """Make sure that all claims together are no more than the file."""
        if not 0 <= size <= self.budget:
            raise WeightsError(f"{what} claims {size} bytes, more than the file holds")
        self.budget -= size


class Machine:
    """Carries out the instructions of a pickle that make plain values, and no others."""

    def __init__(self, storages: Storages) -> None:
        self.storages = storages
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: BytesIO) -> object:
        """The value of the next pickle in the stream."""
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count == _INSTRUCTIONS:
                raise WeightsError(f"refused: the pickle has more than {_INSTRUCTIONS} instructions")
            action = _ACTIONS.get(opcode.name)
            if action is None:
                raise WeightsError(f"refused: the pickle uses {opcode.name}, which no weights need")
            action(self, argument)
        value = self.stack.pop()
        _require_modest(value, _INSTRUCTIONS + self.storages.held)
        return value

    def since_mark(self) -> list[Any]:
        """Takes what was pushed since the last mark."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def pop(self, count: int) -> list[Any]:
        """Takes the last few values."""
        if count > len(self.stack):
            raise IndexError("the stack is empty")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def extend(self, values: Sequence[Any]) -> None:
        """Adds to the list on top."""
        if type(self.stack[-1]) is not list:
            raise WeightsError("refused: the pickle appends to something that is no list")
        self.stack[-1].extend(values)

    def update(self, flat: Sequence[Any]) -> None:
        """Adds keys and values, in turn, to the dictionary on top."""
        if type(self.stack[-1]) is not dict:
            raise WeightsError("refused: the pickle sets an item of something that is no dictionary")
        # Nested tuples as keys could take for ever to hash.
        if not all(isinstance(key, (str, int, float, ClassName)) for key in flat[::2]):
            raise WeightsError("refused: the pickle has a dictionary whose keys are no names or numbers")
        self.stack[-1].update(zip(flat[::2], flat[1::2], strict=True))

    def remember(self, index: int | None) -> None:
        """Notes the value on top under a number; without one, under the next."""
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]

    def look_up(self, dotted: str) -> None:
        """Pushes what stands for a global."""
        if dotted in _STORAGES:
            self.stack.append(_STORAGES[dotted])
        elif dotted in _CALLEES:
            self.stack.append(_CALLEES[dotted])
        elif dotted.startswith(_NAMED):
            self.stack.append(ClassName(dotted))
        else:
            raise WeightsError(f"refused: the file asks for {dotted}, which no weights need; nothing was run")

    def reduce(self) -> None:
        """Pushes the value of one of the known callables."""
        callee, arguments = self.pop(2)
        if not isinstance(callee, _Callee) or not isinstance(arguments, tuple):
            raise WeightsError(f"refused: the pickle calls a {type(callee).__name__}; nothing was run")
        if callee is _Callee.NAMESPACE:
            self.stack.append({})
        elif callee is _Callee.ENCODE:
            self.stack.append(_bytes(*arguments))
        elif callee is _Callee.TENSOR:
            self.stack.append(_tensor(*arguments))
        elif callee is _Callee.FRACTION:
            self.stack.append(_fraction(*arguments))
        elif callee is _Callee.DTYPE:
            self.stack.append(_numpy_type(*arguments))
        elif callee is _Callee.ARRAY:
            self.stack.append(_NDARRAY)
        elif arguments:
            raise WeightsError("refused: an OrderedDict is made from values; torch makes it empty")
        else:
            self.stack.append({})

    def build(self) -> None:
        """Gives an array its values, and drops the attributes of a dictionary.

        torch hangs version notes on a state dict. What stands for a thing whose content is not kept is a
        dictionary, too.
        """
        match self.pop(2):
            case (dict() as target, _):
                self.stack.append(target)
            case (torch.dtype() as kind, (int(), "<" | "|", *_)):
                self.stack.append(kind)
            case (ClassName() as target, (int(), shape, kind, bool() as transposed, bytes() as values)) if (
                target == _NDARRAY
            ):
                self.storages.spend(len(values), "an array")  # one text may be the values of many
                self.stack.append(_array(shape, kind, values, transposed=transposed))
            case (target, _):
                raise WeightsError(
                    f"refused: the pickle sets attributes of a {type(target).__name__}; nothing was run"
                )

    def persistent(self) -> None:
        """Pushes the storage, or the class, that a persistent id stands for."""
        (identity,) = self.pop(1)
        match identity:
            case ("storage", torch.dtype() as dtype, str() as key, str(), int() as count, *view) if not any(
                view
            ):
                self.stack.append(self.storages.claim(key, dtype, count))
            case ("module", ClassName() as name, *_):  # legacy files send the source code of classes along
                self.stack.append(name)
            case _:
                raise WeightsError("refused: a persistent id that is no storage")


def _tensor(storage: object, offset: object, size: object, stride: object, *_rest: object) -> Tensor:
    """A tensor over a storage; it must lie inside."""
    if not isinstance(storage, torch.Tensor):
        raise WeightsError("a tensor has no storage")
    if (
        not isinstance(offset, int)
        or not _is_shape(size)
        or not _is_shape(stride)
        or len(size) != len(stride)
    ):
        raise WeightsError("a tensor has an impossible shape")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    count = math.prod(size)
    if not count:
        return storage.new_empty(size)
    if offset < 0 or last >= storage.numel() or count > storage.numel():
        raise WeightsError(f"a tensor of shape {size} reaches out of its {storage.numel()} values")
    return storage.as_strided(size, stride, offset)


def _numpy_type(name: object, *_rest: object) -> torch.dtype:
    """The type of an array's values."""
    if not isinstance(name, str) or name not in _NUMPY_TYPES:
        raise WeightsError(f"refused: an array of {str(name)[:40]}, which no weights are")
    return _NUMPY_TYPES[name]


def _array(shape: object, kind: object, values: bytes, *, transposed: bool) -> Tensor:
    """A NumPy array as a tensor; transposed: the first axis is the one whose values stand side by side."""
    if not _is_shape(shape) or not isinstance(kind, torch.dtype):
        raise WeightsError("an array has an impossible shape or type")
    if math.prod(shape) * kind.itemsize != len(values):
        raise WeightsError(f"an array of shape {shape} has {len(values)} bytes, which do not make it")
    if not values:
        return torch.empty(shape, dtype=kind)
    flat = torch.frombuffer(bytearray(values), dtype=kind)
    return flat.view(shape[::-1]).permute(*range(len(shape))[::-1]) if transposed else flat.view(shape)


def _is_shape(value: object) -> TypeGuard[tuple[int, ...]]:
    """Whether it is a tuple of counts."""
    return isinstance(value, tuple) and all(type(number) is int and number >= 0 for number in value)


def _fraction(*parts: object) -> Fraction:
    """A fraction of two numbers, or of text; bounded, for "1e999999999" is a fraction too."""
    text = "/".join(str(part) for part in parts if isinstance(part, (int, str)))
    if not _FRACTION.fullmatch(text):
        raise WeightsError("refused: a fraction that is not made of two numbers")
    return Fraction(text)


def _bytes(text: object, encoding: object) -> bytes:
    """Bytes that were written as text, a letter each."""
    if not isinstance(text, str) or encoding != "latin1":
        raise WeightsError("refused: bytes that are not made of latin1 text")
    return text.encode("latin1")


def _require_modest(value: object, limit: int) -> None:
    """Make sure that nothing which walks through the value, or shows it, takes for ever.

    A few instructions make lists that hold each other many times, or themselves.
    """
    if _measure(value, {})[0] > limit:
        raise WeightsError("refused: its values hold each other so often that there is no end to them")


def _measure(value: object, known: dict[int, tuple[int, int]], depth: int = 0) -> tuple[int, int]:
    """How much is in a value, each thing counted as often as it is met, and how deep it nests."""
    if not isinstance(value, (list, tuple, dict)):
        return 1 + (len(value) if isinstance(value, (str, bytes)) else 0), 0
    if id(value) not in known:
        if depth > _DEPTH:
            raise WeightsError(f"refused: values nest more than {_DEPTH} deep")
        children = [*value, *value.values()] if isinstance(value, dict) else value
        parts = [_measure(child, known, depth + 1) for child in children]
        known[id(value)] = 1 + sum(size for size, _ in parts), 1 + max((deep for _, deep in parts), default=0)
    if known[id(value)][1] > _DEPTH:
        raise WeightsError(f"refused: values nest more than {_DEPTH} deep")
    return known[id(value)]


def _push(machine: Machine, value: object) -> None:
    machine.stack.append(value)


def _nothing(_machine: Machine, _value: object) -> None:
    """PROTO, FRAME and STOP say nothing about values."""


# Each instruction that weights need; the rest (INST, OBJ, NEWOBJ_EX, EXT, DUP, …) is refused by name.
_ACTIONS: Mapping[str, Callable[[Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _nothing),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _push),
    **dict.fromkeys(("FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING"), _push),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _push),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), _push),
    "NONE": lambda machine, _: _push(machine, None),
    "NEWTRUE": lambda machine, _: _push(machine, True),
    "NEWFALSE": lambda machine, _: _push(machine, False),
    "EMPTY_DICT": lambda machine, _: _push(machine, {}),
    "EMPTY_LIST": lambda machine, _: _push(machine, []),
    "EMPTY_TUPLE": lambda machine, _: _push(machine, ()),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "TUPLE1": lambda machine, _: _push(machine, tuple(machine.pop(1))),
    "TUPLE2": lambda machine, _: _push(machine, tuple(machine.pop(2))),
    "TUPLE3": lambda machine, _: _push(machine, tuple(machine.pop(3))),
    "TUPLE": lambda machine, _: _push(machine, tuple(machine.since_mark())),
    "APPEND": lambda machine, _: machine.extend(machine.pop(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.update(machine.pop(2)),
    "SETITEMS": lambda machine, _: machine.update(machine.since_mark()),
    **dict.fromkeys(
        ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), lambda machine, index: machine.remember(index)
    ),
    **dict.fromkeys(
        ("GET", "BINGET", "LONG_BINGET"), lambda machine, index: machine.stack.append(machine.memo[index])
    ),
    "GLOBAL": lambda machine, name: machine.look_up(name.replace(" ", ".")),
    "STACK_GLOBAL": lambda machine, _: machine.look_up(".".join(machine.pop(2))),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda machine, _: machine.reduce()),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.persistent(),
}
