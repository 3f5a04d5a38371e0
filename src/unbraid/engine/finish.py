"""What happens to estimates before they are written: grouping into stems, and sums that are exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unbraid.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

REST = "rest"
_ALL_BUT = "no_"


def stem_groups(
    stems: Sequence[str] | None, sources: Sequence[str], *, between: Sequence[str] = (), addable: bool = False
) -> dict[str, tuple[str, ...]]:
    """Which sources make up each stem.

    Args:
        stems: Names of sources; "rest" is every source not named, "no_vocals" every source but the vocals;
            None: each source is a stem.
        sources: What the model separates.
        between: What a chain makes on the way to its sources: stems if they are named, and only then.
        addable: Whether each source must stand in exactly one stem, so that the stems can add up.

    Returns:
        From a stem's name to its sources, in the order asked.

    Raises:
        UsageError: If a name means nothing here, stands twice, nothing is left for the rest, or the stems
            must add up and cannot.

    >>> stem_groups(["vocals", "rest"], ["drums", "bass", "vocals"])
    {'vocals': ('vocals',), 'rest': ('drums', 'bass')}
    >>> stem_groups(["no_vocals"], ["drums", "bass", "vocals"])
    {'no_vocals': ('drums', 'bass')}
    """
    names = list(sources) if stems is None else list(stems)
    if not names or len(set(names)) != len(names):
        raise UsageError(f"the stems {', '.join(names) or 'none'} were asked for; name some, each once")
    groups: dict[str, tuple[str, ...]] = {}
    for name in names:
        if name in sources or name in between:
            groups[name] = (name,)
        elif name == REST and any(other in between for other in names):
            raise UsageError(
                f"'{REST}' would hold {', '.join(other for other in names if other in between)} again, which "
                f"{', '.join(sources)} were made of; name the stems that you want"
            )
        elif name == REST:
            groups[name] = tuple(source for source in sources if source not in names)
        elif name.startswith(_ALL_BUT) and name.removeprefix(_ALL_BUT) in sources:
            groups[name] = tuple(source for source in sources if source != name.removeprefix(_ALL_BUT))
        else:
            known = [*sources, *between, REST, *(f"{_ALL_BUT}{source}" for source in sources)]
            further = f"; on the way {', '.join(between)}" if between else ""
            raise UsageError(
                f"no stem is called {name!r}; this model has {', '.join(sources)}, and '{REST}' or "
                f"'{_ALL_BUT}{sources[0]}' for sums{further}{did_you_mean(name, known)}"
            )
        if not groups[name]:
            raise UsageError(f"nothing is left for the stem {name!r}: every source has a stem of its own")
    if addable and sorted(source for members in groups.values() for source in members) != sorted(sources):
        raise UsageError(
            f"stems that add up exactly must hold every source once; {', '.join(groups)} do not: add 'rest', "
            "or leave the sum off"
        )
    return groups


def group(estimates: Tensor, groups: Mapping[str, Sequence[str]], sources: Sequence[str]) -> Tensor:
    """Sum sources into stems.

    Args:
        estimates: `(sources, channels, time)`.
        groups: As from `stem_groups`.
        sources: Names of the estimates, in order.

    Returns:
        `(stems, channels, time)`.
    """
    index = {source: row for row, source in enumerate(sources)}
    return torch.stack(
        [estimates[[index[member] for member in members]].sum(0) for members in groups.values()]
    )


def distribute_residual(stems: Tensor, mixture: Tensor) -> Tensor:
    """Stems that add up to the mixture, each changed by the same share of the residual.

    Of all ways to make the sum right this changes the stems least (in least squares). The result is float32
    and its sum, taken in float64, is the mixture up to half a float32 step of the quietest stem at each
    sample: the last rounding error goes where a step is smallest.

    Args:
        stems: `(stems, channels, time)`.
        mixture: `(channels, time)`.

    Returns:
        `(stems, channels, time)` in float32.

    Source:
        Wisdom, Hershey et al., "Differentiable consistency constraints for improved deep speech enhancement",
        ICASSP 2019, section 3.2 (unweighted mixture consistency).
    """
    exact = stems.double()
    residual = mixture.double() - exact.sum(0)
    rounded = (exact + residual / stems.shape[0]).float()
    rounding = mixture.double() - rounded.double().sum(0)
    quietest = rounded.abs().argmin(0, keepdim=True)  # (1, C, T)
    corrected = rounded.gather(0, quietest).double() + rounding
    return rounded.scatter(0, quietest, corrected.float())


def round_together(stems: Tensor, bits: int) -> Tensor:
    """Integer samples of stems whose sum is the rounded sum of the stems.

    Each stem takes over the rounding error of the one before it, so the errors do not add up: each stem is
    at most one step from its own value, and the sum at most half a step from the sum's.

    Args:
        stems: `(stems, channels, time)`, full scale ±1.
        bits: Of an integer sample.

    Returns:
        `(stems, channels, time)` in float64: multiples of one step within full scale.

    >>> thirds = torch.full((3, 1, 1), 1 / 3 / 128, dtype=torch.float64)    # a third of a step of 8 bits
    >>> (round_together(thirds, 8) * 128).int().flatten().tolist()
    [0, 1, 0]
    """
    steps = 2.0 ** (bits - 1)
    carry = torch.zeros_like(stems[0], dtype=torch.float64)
    rounded = []
    for stem in stems.double():
        wanted = stem * steps + carry
        rounded.append(wanted.round().clamp(-steps, steps - 1))
        carry = wanted - rounded[-1]
    return torch.stack(rounded) / steps


def linked_gain(peak: float, bits: int) -> float:
    """The one gain that keeps the loudest of all stems within full scale; 1 where nothing would clip.

    >>> linked_gain(0.5, 16)
    1.0
    >>> linked_gain(2.0, 16)
    0.4999847412109375
    """
    limit = 1 - 2.0 ** (1 - bits)  # the largest positive integer sample
    return min(1.0, limit / peak) if peak > 0 else 1.0
