"""`demucs.separate`: the command line, called from Python.

Differs  as the command line does, see docs/how-to/from-demucs.md: stems that are there are not replaced.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from unbraid.cli.main import main as run

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(opts: Sequence[str] | None = None) -> None:
    """Separate files as `unbraid` does.

    Args:
        opts: As typed, without the program's name; None: those of this process.

    Raises:
        SystemExit: With the exit code, if anything failed; stderr says what.
    """
    code = run(sys.argv[1:] if opts is None else list(opts))
    if code:
        raise SystemExit(code)
