"""How far each network is from an independent implementation with the same weights, at its published size.

    python benchmarks/agreement.py

Weights are seeded and of realistic size, so that every branch is heard. The error is the norm of the
difference over the norm of the other's answer; in float64 it shows the mathematics, in float32 what is heard.
Both hear two seconds of noise. Where only the core of a network can be asked, it sees as noisy a spectrum.
Of networks that have more than 100 million weights as published, 16 channels are compared.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from julius.resample import resample_frac
from pymss_core.modules import legacy_demucs

from agreement_pairs import noise, pairs
from machine import store
from unbraid.networks.base import build, parameter_count
from unbraid.networks.mdx_net import Target
from unbraid.zoo.keymaps.renames import RENAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

sys.path.append(str(Path(__file__).parents[1] / "tests"))
tiny: Any = importlib.import_module("networks.tiny")  # the weights of the tests
published_unmix: Any = importlib.import_module("reference.published_unmix")
published_mdx_net: Any = importlib.import_module("reference.published_mdx_net")
torchspleeter_unet: Any = importlib.import_module("reference.torchspleeter_unet")

SOURCES = ["drums", "bass", "other", "vocals"]
SECONDS = 2.0
DENSE = {"segment": Fraction(39, 5), "dconv_mode": 3}


@dataclass(frozen=True)
class Core:
    """What is asked where not the whole way from mixture to sources can be compared.

    Args:
        shape: Of the spectrum, which is positive where the networks see magnitudes.
        ours: The question to our network.
        theirs: The question to the other.
        positive: Whether they see magnitudes.
    """

    shape: tuple[int, ...]
    ours: Callable[[Any, Tensor], Tensor]
    theirs: Callable[[Any, Tensor], Tensor]
    positive: bool = True


@dataclass(frozen=True)
class Case:
    """Two networks that shall be one.

    Args:
        architecture: Of ours.
        config: Of ours.
        theirs: Makes the other's network.
        author: Who wrote that.
        named: The other's weights by our names; None: the architecture's rename.
        core: What is compared; None: estimates of a mixture.
    """

    architecture: str
    config: dict[str, Any]
    theirs: Callable[[], Any]
    author: str
    named: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None
    core: Core | None = None


def unmix_separator() -> Any:
    """The published Open-Unmix of four sources with its filter."""
    targets = {
        source: published_unmix.open_unmix(nb_bins=2049, nb_channels=2, max_bin=1487)
        for source in ("vocals", "drums", "bass", "other")
    }
    return published_unmix.Separator(targets, niter=1, wiener_win_len=300, n_fft=4096, n_hop=1024)


def unmix_named(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Its weights by our names."""
    parts = {name: name.split(".", 2) for name in state if name.startswith("target_models.")}
    places = {source: place for place, source in enumerate(dict.fromkeys(part[1] for part in parts.values()))}
    return {f"targets.{places[source]}.{rest}": state[name] for name, (_, source, rest) in parts.items()}


CASES = {
    "Demucs v1, 16 channels": Case(
        "demucs",
        {"oversampled": False, "channels": 16},  # it divides by 1.00001 here, too, where v1 did not
        lambda: legacy_demucs.LegacyDemucs(SOURCES, channels=16, resample=False, normalize=False),
        "pymss-core",
    ),
    "Demucs v2, 16 channels": Case(
        "demucs",
        {"channels": 16},
        lambda: legacy_demucs.LegacyDemucs(SOURCES, channels=16, resample=True, normalize=False),
        "pymss-core, with the published resampling",
    ),
    "Demucs v3, 64 channels": Case("demucs", tiny.DEMUCS_V3, lambda: Demucs(SOURCES, channels=64), "demucs"),
    "Hybrid Demucs": Case("hdemucs", {}, lambda: HDemucs(SOURCES), "demucs"),
    "Hybrid Demucs, magnitudes, late": Case(
        "hdemucs",
        {"cac": False, "hybrid_old": True},
        lambda: HDemucs(SOURCES, cac=False, hybrid_old=True),
        "demucs",
    ),
    "Hybrid Demucs, bands": Case(
        "hdemucs",
        {"norm_starts": 999, "multi_freqs": [0.1, 0.3], "multi_freqs_depth": 2},
        lambda: HDemucs(SOURCES, norm_starts=999, multi_freqs=[0.1, 0.3], multi_freqs_depth=2),
        "demucs",
    ),
    "HT Demucs": Case("htdemucs", {}, lambda: HTDemucs(SOURCES, bottom_channels=512, **DENSE), "demucs"),
    "HT Demucs, six sources": Case(
        "htdemucs",
        {"sources": [*SOURCES, "guitar", "piano"], "bottom_channels": 0},
        lambda: HTDemucs([*SOURCES, "guitar", "piano"], **DENSE),
        "demucs",
    ),
    "Conv-TasNet": Case(
        "conv_tasnet", {}, lambda: legacy_demucs.LegacyConvTasNet(SOURCES, X=10), "pymss-core"
    ),
    "Open-Unmix with its filter": Case("open_unmix", {}, unmix_separator, "openunmix", unmix_named),
    "X-UMX, its masks": Case(
        "x_umx",
        {},
        lambda: published_unmix.x_umx(
            ("bass", "drums", "vocals", "other"), hidden_size=512, nb_channels=2, max_bin=1487
        ),
        "asteroid",
        core=Core(
            (87, 1, 2, 2049),
            lambda ours, x: torch.stack(ours.inner(x)),
            lambda theirs, x: theirs.forward_masker(x.clone()),
        ),
    ),
    "Spleeter, one source": Case(
        "spleeter",
        {"sources": ["vocals"]},
        torchspleeter_unet.UNet,
        "torchspleeter",
        lambda state: {f"stems.0.{name}": value for name, value in RENAMES["spleeter"](state).items()},
        Core(
            (1, 2, 512, 1024),
            lambda ours, x: ours.stems[0](x).sigmoid() * x,
            lambda theirs, x: theirs(x.clone()),
        ),
    ),
    "MDX-Net, vocals": Case(
        "mdx_net",
        {},
        lambda: published_mdx_net.published(Target(), norm="batch", hop_length=1024),
        "audio-separator",
        lambda state: {
            f"targets.0.{name}": value for name, value in state.items() if name not in {"window", "freq_pad"}
        },
        Core(
            (1, 4, 2048, 256),
            lambda ours, x: ours.targets[0].separate(x),
            lambda theirs, x: theirs(x.clone()),
            positive=False,
        ),
    ),
}


def main() -> None:
    """Compare each pair in both precisions and store the table."""
    # As it is, that package interpolates linearly where the published network uses windowed sincs.
    legacy_demucs._resample_x2 = lambda x: resample_frac(x, 1, 2)  # noqa: SLF001
    legacy_demucs._downsample_x2 = lambda x, _: resample_frac(x, 2, 1)  # noqa: SLF001
    rows: dict[str, dict[str, object]] = {}
    for name, case in CASES.items():
        torch.set_default_dtype(torch.float64)  # some make their positions in the default precision
        double = error(case, torch.float64)
        torch.set_default_dtype(torch.float32)
        single = error(case, torch.float32)
        with torch.device("meta"):
            count = parameter_count(build(case.architecture, case.config))
        rows[name] = {"parameters": count, "float32": single, "float64": double, "other": case.author}
        print(name, rows[name], flush=True)
    for name, pair in pairs().items():
        rows[name] = pair.row()
        print(name, rows[name], flush=True)
    store("agreement", rows, [])


@torch.no_grad()
def error(case: Case, dtype: torch.dtype) -> float:
    """Relative error of ours against theirs, with equal weights."""
    ours: Any = build(case.architecture, case.config)
    theirs = case.theirs()
    state = theirs.state_dict()
    # Windows and counters stay as they are.
    drawn = {name for name, _ in theirs.named_parameters()} | {name for name in state if "running_" in name}
    lively = tiny.lively({name: state[name] for name in drawn if not name.endswith("window")})
    weights = {**state, **{name: value.float() for name, value in lively.items()}}
    theirs.load_state_dict(weights)
    ours.load_state_dict((case.named or RENAMES.get(case.architecture, dict))(weights))
    ours, theirs = ours.eval().to(dtype), theirs.eval().to(dtype)
    answer, expected = (
        estimates(ours, theirs, dtype) if case.core is None else asked(case.core, ours, theirs, dtype)
    )
    return float((answer - expected).norm() / expected.norm())


def estimates(ours: Any, theirs: Any, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """What both make of two seconds of noise."""
    spec = ours.spec
    length = spec.accepted_length(int(SECONDS * spec.sample_rate))
    mixture = noise(1, spec.channels, min(length, spec.segment)).to(dtype)
    expected = theirs(mixture.clone())
    answer = ours(mixture)
    edge = (answer.shape[-1] - expected.shape[-1]) // 2  # what unpadded convolutions lose
    return answer[..., edge : edge + expected.shape[-1]], expected


def asked(core: Core, ours: Any, theirs: Any, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """What both cores make of a noisy spectrum."""
    spectrum = noise(*core.shape).to(dtype)
    spectrum = 100 * spectrum.abs() if core.positive else spectrum
    return core.ours(ours, spectrum), core.theirs(theirs, spectrum)


if __name__ == "__main__":
    main()
