"""How far each network is from an independent implementation with the same weights, at its published size.

    python benchmarks/agreement.py

Weights are seeded and of realistic size, so that every branch is heard. The error is the norm of the
difference over the norm of the other's answer, on two seconds of noise; in float64 it shows the mathematics,
in float32 what is heard. Where the published network has more than 100 million weights, it has 16 channels.
"""

from __future__ import annotations

import importlib
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from julius.resample import resample_frac
from pymss_core.modules import legacy_demucs
from torch import nn

from machine import store
from unbraid.networks.base import build, parameter_count
from unbraid.zoo.keymaps.renames import RENAMES

sys.path.append(str(Path(__file__).parents[1] / "tests"))
tiny: Any = importlib.import_module("networks.tiny")  # the weights of the tests

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCES = ["drums", "bass", "other", "vocals"]
SECONDS = 2.0
DENSE = {"segment": Fraction(39, 5), "dconv_mode": 3}
# Name: architecture, our configuration, the other's network, who wrote that.
CASES: dict[str, tuple[str, dict[str, Any], Callable[[], nn.Module], str]] = {
    "Demucs v1, 16 channels": (
        "demucs",
        {"oversampled": False, "channels": 16},  # it divides by 1.00001 here, too, where v1 did not
        lambda: legacy_demucs.LegacyDemucs(SOURCES, channels=16, resample=False, normalize=False),
        "pymss-core",
    ),
    "Demucs v2, 16 channels": (
        "demucs",
        {"channels": 16},
        lambda: legacy_demucs.LegacyDemucs(SOURCES, channels=16, resample=True, normalize=False),
        "pymss-core, with the published resampling",
    ),
    "Demucs v3, 64 channels": ("demucs", tiny.DEMUCS_V3, lambda: Demucs(SOURCES, channels=64), "demucs"),
    "Hybrid Demucs": ("hdemucs", {}, lambda: HDemucs(SOURCES), "demucs"),
    "Hybrid Demucs, magnitudes, late": (
        "hdemucs",
        {"cac": False, "hybrid_old": True},
        lambda: HDemucs(SOURCES, cac=False, hybrid_old=True),
        "demucs",
    ),
    "Hybrid Demucs, bands": (
        "hdemucs",
        {"norm_starts": 999, "multi_freqs": [0.1, 0.3], "multi_freqs_depth": 2},
        lambda: HDemucs(SOURCES, norm_starts=999, multi_freqs=[0.1, 0.3], multi_freqs_depth=2),
        "demucs",
    ),
    "HT Demucs": ("htdemucs", {}, lambda: HTDemucs(SOURCES, bottom_channels=512, **DENSE), "demucs"),
    "HT Demucs, six sources": (
        "htdemucs",
        {"sources": [*SOURCES, "guitar", "piano"], "bottom_channels": 0},
        lambda: HTDemucs([*SOURCES, "guitar", "piano"], **DENSE),
        "demucs",
    ),
    "Conv-TasNet": ("conv_tasnet", {}, lambda: legacy_demucs.LegacyConvTasNet(SOURCES, X=10), "pymss-core"),
}


def main() -> None:
    """Compare each pair in both precisions and store the table."""
    # As it is, that package interpolates linearly where the published network uses windowed sincs.
    legacy_demucs._resample_x2 = lambda x: resample_frac(x, 1, 2)  # noqa: SLF001
    legacy_demucs._downsample_x2 = lambda x, _: resample_frac(x, 2, 1)  # noqa: SLF001
    rows: dict[str, dict[str, object]] = {}
    for name, (architecture, config, theirs, author) in CASES.items():
        torch.set_default_dtype(torch.float64)  # some make their positions in the default precision
        double = error(architecture, config, theirs(), torch.float64)
        torch.set_default_dtype(torch.float32)
        single = error(architecture, config, theirs(), torch.float32)
        with torch.device("meta"):
            count = parameter_count(build(architecture, config))
        rows[name] = {"parameters": count, "float32": single, "float64": double, "other": author}
        print(name, rows[name], flush=True)
    store("agreement", rows, [])


@torch.no_grad()
def error(architecture: str, config: dict[str, Any], theirs: Any, dtype: torch.dtype) -> float:
    """Relative error of ours against theirs, with equal weights."""
    ours: Any = build(architecture, config)
    weights = tiny.lively(theirs.state_dict())
    theirs.load_state_dict(weights)
    ours.load_state_dict(RENAMES[architecture](weights) if architecture in RENAMES else weights)
    ours, theirs = ours.eval().to(dtype), theirs.eval().to(dtype)
    spec = ours.spec
    length = spec.accepted_length(int(SECONDS * spec.sample_rate))
    length = min(length, spec.segment)
    generator = torch.Generator().manual_seed(0)
    mixture = 0.1 * torch.randn(1, spec.channels, length, generator=generator, dtype=torch.float64).to(dtype)
    expected = theirs(mixture.clone())
    answer = ours(mixture)
    edge = (answer.shape[-1] - expected.shape[-1]) // 2  # what unpadded convolutions lose
    answer = answer[..., edge : edge + expected.shape[-1]]
    return float((answer - expected).norm() / expected.norm())


if __name__ == "__main__":
    main()
