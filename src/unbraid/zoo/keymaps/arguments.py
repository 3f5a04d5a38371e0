"""What a foreign package's constructor arguments mean for our configuration.

Each argument is either a field of our configuration, or has the one value that our network embodies, or only
matters in training; any other argument is refused, since the weights would sound wrong without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unbraid.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor


def _as_they_are(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return state


def _as_it_is(value: object) -> object:
    return value


@dataclass(frozen=True, slots=True)
class Arguments:
    """The constructor of one foreign class.

    Args:
        architecture: Ours, a name in `networks.ARCHITECTURES`.
        fields: From an argument to our field of the same meaning.
        defaults: The constructor's defaults that are not our configuration's.
        fixed: Arguments that must have this value.
        idle: Arguments that only matter in training, or where a fixed argument has another value.
        positional: Arguments that may stand without a name, in order.
        always: Our fields that the class itself decides, whatever its arguments.
        values: From an argument to what makes our value of it; others are taken as they are.
        rename: From the foreign names of the weights to ours.
    """

    architecture: str
    fields: Mapping[str, str]
    defaults: Mapping[str, object] = field(default_factory=dict)
    fixed: Mapping[str, object] = field(default_factory=dict)
    idle: frozenset[str] = frozenset()
    positional: tuple[str, ...] = ("sources",)
    always: Mapping[str, object] = field(default_factory=dict)
    values: Mapping[str, Callable[[object], object]] = field(default_factory=dict)
    rename: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = _as_they_are

    def configuration(self, args: object, kwargs: object) -> dict[str, object]:
        """Our configuration, as a mapping, for a call of the constructor.

        Args:
            args: Arguments by position.
            kwargs: Arguments by name.

        Raises:
            WeightsError: If the arguments are not the constructor's, or ask for what our network does not do.
        """
        if (
            not isinstance(args, (tuple, list))
            or not isinstance(kwargs, dict)
            or len(args) > len(self.positional)
        ):
            raise WeightsError(f"the checkpoint's arguments are not those of {self.architecture}")
        given = {**self.defaults, **dict(zip(self.positional, args, strict=False)), **kwargs}
        strange = sorted(
            str(name) for name in given.keys() - self.fields.keys() - self.fixed.keys() - self.idle
        )
        # An empty list for "no bands", or 0 for False, says the same.
        wrong = [
            name for name, value in self.fixed.items() if (given.get(name, value) or None) != (value or None)
        ]
        if strange or wrong:
            asked = [
                *strange,
                *(f"{name} = {str(given[name])[:40]} (we have {self.fixed[name]})" for name in wrong),
            ]
            raise WeightsError(f"the checkpoint asks for what this network does not do: {', '.join(asked)}")
        ours = {name: self.values.get(name, _as_it_is)(given[name]) for name in self.fields if name in given}
        return {**self.always, **{self.fields[name]: value for name, value in ours.items()}}
