"""What a Demucs package says of its network: the class it names and the arguments the class was called with.

    {"klass": demucs.htdemucs.HTDemucs, "args": (), "kwargs": {…}, "state": {…}, "training_args": {…}}

The class is a plain string here, looked up in this table and never imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid.errors import WeightsError
from unbraid.zoo.keymaps import htdemucs_package

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbraid.zoo.keymaps.arguments import Arguments

CLASSES: Mapping[str, Arguments] = {
    "demucs.htdemucs.HTDemucs": htdemucs_package.ARGUMENTS,
}


def arguments_of(klass: str) -> Arguments:
    """What the arguments of a class mean.

    Args:
        klass: Its dotted name.

    Raises:
        WeightsError: If the class is not known.

    >>> arguments_of("demucs.htdemucs.HTDemucs").architecture
    'htdemucs'
    """
    if klass not in CLASSES:
        raise WeightsError(f"the checkpoint is a {klass}; known are {', '.join(CLASSES)}")
    return CLASSES[klass]
