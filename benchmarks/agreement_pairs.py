"""Networks of the band-split age beside their published classes, as the tests make the pairs.

Each row is at its published width; where a network has more than fits beside another, one of its layers
stands for all. In float64 the published classes whose spectra stay in float32 are compared in float32 alone.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unbraid.networks import vr_net
from unbraid.networks.base import parameter_count
from unbraid.networks.layers.band_split import ROPE_BANDS

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.append(str(Path(__file__).parents[1] / "tests"))


def tests_of(name: str) -> Any:
    """What the tests of a network have."""
    return importlib.import_module(f"networks.test_{name}_parity")


@dataclass(frozen=True)
class Pair:
    """Two networks with equal weights.

    Args:
        make: Makes ours and theirs.
        author: Who wrote theirs.
        error: From both and a precision to the relative error.
        double: Whether float64 is float64 throughout theirs.
    """

    make: Callable[[], tuple[Any, Any]]
    author: str
    error: Callable[[Any, Any, torch.dtype], float]
    double: bool = True

    def row(self) -> dict[str, object]:
        """What is stored of it."""
        # Some make windows in the default precision, others keep positions in that of the first call.
        found = {}
        for name, dtype in (("float64", torch.float64), ("float32", torch.float32)):
            if dtype is torch.float64 and not self.double:
                continue
            torch.set_default_dtype(dtype)
            ours, theirs = (network.to(dtype) for network in self.make())
            with torch.no_grad():
                found[name] = self.error(ours, theirs, dtype)
        torch.set_default_dtype(torch.float32)
        return {"parameters": parameter_count(ours), **found, "other": self.author}


def estimates(seconds: float = 1.0) -> Callable[[Any, Any, torch.dtype], float]:
    """The error of what both make of noise."""

    def error(ours: Any, theirs: Any, dtype: torch.dtype) -> float:
        mixture = noise(1, ours.spec.channels, int(seconds * ours.spec.sample_rate)).to(dtype)
        found, expected = ours(mixture), theirs(mixture.clone())
        found = found[..., : expected.shape[-1]]
        return float((found - expected.reshape(found.shape)).norm() / expected.norm())

    return error


def noise(*shape: int) -> torch.Tensor:
    """Seeded, in float64."""
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(*shape, generator=generator, dtype=torch.float64)


def roformer(kind: str) -> tuple[Any, Any]:
    """One layer of a RoFormer as most published ones are."""
    sizes = {"dim": 384, "depth": 1, "heads": 8, "dim_head": 64, "mlp_expansion_factor": 1}
    frames = {"stft_n_fft": 2048, "stft_win_length": 2048, "stft_hop_length": 441}
    ours = {"channels": 384, "depth": 1, "heads": 8, "head_channels": 64, "mask_expansion": 1}
    bands: Any = ROPE_BANDS if kind == "bs" else 60
    named = {"freqs_per_bands" if kind == "bs" else "num_bands": bands}
    pair: tuple[Any, Any] = getattr(tests_of("roformer"), f"{kind}_pair")(
        {**sizes, **frames, **named}, {**ours, "n_fft": 2048, "hop_length": 441, "bands": bands}
    )
    return pair


def own(name: str, *arguments: Any) -> Callable[[Any, Any, torch.dtype], float]:
    """The error as that test module takes it."""

    def error(ours: Any, theirs: Any, dtype: torch.dtype) -> float:
        found: float = tests_of(name).difference(ours, theirs, *arguments, dtype=dtype, batch=1)
        return found

    return error


def vr_masks(ours: Any, theirs: Any, dtype: torch.dtype) -> float:
    """The error of masks for noisy magnitudes."""
    generator = torch.Generator().manual_seed(0)
    shape = 1, 2, ours.config.bands.bins + 1, 512
    magnitudes = torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype)
    (found,), expected = ours.inner(magnitudes), theirs(magnitudes)
    return float((found - expected).norm() / expected.norm())


def pairs() -> dict[str, Pair]:
    """All of them, by what a reader calls them."""
    scnet, mdx23c, apollo = (tests_of(name) for name in ("scnet", "mdx23c", "apollo"))
    bandit, mamba, vr = (tests_of(name) for name in ("bandit", "bs_mamba2", "vr_net"))
    tiny = importlib.import_module("networks.tiny")
    return {
        "BS-RoFormer, one layer": Pair(lambda: roformer("bs"), "pymss-core", estimates()),
        "Mel-Band RoFormer, one layer": Pair(lambda: roformer("mel"), "pymss-core", estimates()),
        "SCNet": Pair(lambda: scnet.pair({}), "its authors", own("scnet", 44_100)),
        "SCNet, masked": Pair(
            lambda: scnet.pair({"masked": True}), "msst", own("scnet", 44_100), double=False
        ),
        "SCNet XL IHF": Pair(lambda: scnet.pair(tiny.SCNET_XL_IHF), "its authors", own("scnet", 44_100)),
        "MDX23C, 32 frames": Pair(lambda: mdx23c.pair({"frames": 32}), "msst", own("mdx23c")),
        "VR, four bands": Pair(
            lambda: vr.pair(vr_net.Config()),
            "audio-separator",
            vr_masks,
        ),
        "Bandit v2, small": Pair(
            lambda: bandit.pair(bandit.second, bandit.SECOND), "msst", estimates(0.1), double=False
        ),
        "Apollo": Pair(
            lambda: apollo.pair(apollo.Config()), "its authors", own("apollo", 22_050), double=False
        ),
        "BS-Mamba2, small": Pair(
            lambda: mamba.pair("bs_mamba2"), "msst, its kernel in PyTorch", estimates(0.2), double=False
        ),
        "TS-BSMamba2, small": Pair(
            lambda: mamba.pair("ts_bs_mamba2", channels=16),
            "its authors, their kernel in PyTorch",
            estimates(0.2),
            double=False,
        ),
        "Conformer, small": Pair(lambda: tests_of("conformer").pair(), "msst", estimates(0.2), double=False),
    }
