"""What a Demucs package says of its network: the class it names and the arguments the class was called with.

    {"klass": demucs.htdemucs.HTDemucs, "args": (), "kwargs": {…}, "state": {…}, "training_args": {…}}
    (demucs.model.Demucs, (), {…}, {…})         the oldest: class, args, kwargs, state, in a tuple

The class is a plain string here, looked up in this table and never imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid.errors import WeightsError
from unbraid.zoo.keymaps import (
    conv_tasnet_package,
    demucs_v1_v2,
    demucs_v3,
    hdemucs_package,
    htdemucs_package,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbraid.zoo.keymaps.arguments import Arguments

CLASSES: Mapping[str, Arguments] = {
    "demucs.htdemucs.HTDemucs": htdemucs_package.ARGUMENTS,
    "demucs.hdemucs.HDemucs": hdemucs_package.ARGUMENTS,
    "demucs.demucs.Demucs": demucs_v3.ARGUMENTS,
    "demucs.model.Demucs": demucs_v1_v2.SECOND,
    "demucs.tasnet.ConvTasNet": conv_tasnet_package.SECOND,
}
# A class that stands in a tuple is another than that of the same name in a dictionary.
TUPLE_CLASSES: Mapping[str, Arguments] = {
    "demucs.model.Demucs": demucs_v1_v2.FIRST,
    "demucs.tasnet.ConvTasNet": conv_tasnet_package.FIRST,
}


def arguments_of(klass: str, *, in_tuple: bool = False) -> Arguments:
    """What the arguments of a class mean.

    Args:
        klass: Its dotted name.
        in_tuple: Whether the package is a tuple, as the oldest are.

    Raises:
        WeightsError: If the class is not known.

    >>> arguments_of("demucs.htdemucs.HTDemucs").architecture
    'htdemucs'
    """
    classes = TUPLE_CLASSES if in_tuple else CLASSES
    if klass not in classes:
        raise WeightsError(f"the checkpoint is a {klass}; known are {', '.join(classes)}")
    return classes[klass]
