"""Every error Unbraid raises on purpose, as one tree.

    UnbraidError                1  a bug, unless a branch below says otherwise
    ├── UsageError              2  asked for something that does not exist or contradicts itself
    │   ├── ConfigError            an unknown key or a value of the wrong kind
    │   ├── PlanError              a plan that would leave samples uncovered
    │   └── ShapeError             a tensor of another shape than the function states
    ├── AudioError              3  audio that cannot be read
    │   └── NonFiniteAudioError    NaN or infinity among the samples, with file and time
    ├── ModelError              4  model or weights
    │   ├── UnknownModelError      no such name; the nearest ones are offered
    │   ├── WeightsError           wrong keys, shapes, hash or container
    │   └── DownloadError          no source of the weights could be reached
    ├── MachineError            5  memory, disk, device, permission, a missing extra
    ├── PartialFailure          6  several inputs, of which some failed
    └── Cancelled             130  the caller or Ctrl-C stopped it

The number is the exit code of the command line and part of the interface. An error says what was
asked, what was found, and what would work, in one sentence.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class UnbraidError(Exception):
    """Anything Unbraid refuses or fails to do; `exit_code` is what the command line returns."""

    exit_code: ClassVar[int] = 1


class UsageError(UnbraidError):
    """What was asked for does not exist or contradicts itself."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration holds an unknown key or a value of the wrong kind."""


class PlanError(UsageError):
    """A plan would leave samples uncovered, or does not fit the network."""


class ShapeError(UsageError):
    """A tensor has another shape than the function states."""


class AudioError(UnbraidError):
    """Audio that cannot be read or written as asked."""

    exit_code = 3


class NonFiniteAudioError(AudioError):
    """The audio holds NaN or infinity."""


class ModelError(UnbraidError):
    """A model or its weights cannot be used."""

    exit_code = 4


class UnknownModelError(ModelError):
    """No model has this name, and no checkpoint is at this path."""


class WeightsError(ModelError):
    """A weight file is not what its card says: hash, keys, shapes or container."""


class DownloadError(ModelError):
    """No source of the weights could be reached."""


class MachineError(UnbraidError):
    """The machine lacks something: memory, disk space, a device, a permission, an extra."""

    exit_code = 5


class PartialFailure(UnbraidError):  # noqa: N818 - some outputs exist: it is not only an error
    """Several inputs were given and some of them failed."""

    exit_code = 6


class Cancelled(UnbraidError):  # noqa: N818 - being stopped on request is no error
    """The work was stopped on request; nothing half-written stays."""

    exit_code = 130  # the shell's convention for a process ended by Ctrl-C: 128 + SIGINT


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest known names as the end of a sentence, or nothing.

    >>> did_you_mean("htdemucz", ["htdemucs", "umxhq"])
    '; did you mean htdemucs?'
    >>> did_you_mean("zzz", ["htdemucs"])
    ''
    """
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""
