"""For each architecture a configuration that runs in milliseconds, and the published ones at full size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

# What all methods without training share.
SHORT = {"sample_rate": 8000, "segment": 3000, "n_fft": 128, "hop_length": 32}
# What all networks around pictures share.
PICTURE = {
    "sources": ["vocals", "rest"],
    "sample_rate": 8000,
    "n_fft": 256,
    "hop_length": 64,
    "bins": 128,
    "frames": 32,
    "bands": 4,
    "channels": 8,
}
TINY: dict[str, dict[str, Any]] = {
    "demucs": {  # all that any generation has
        "sources": ["vocals", "rest"],
        "sample_rate": 8000,
        "segment": "1/8",
        "channels": 8,
        "depth": 3,
        "gelu": True,
        "lstm_layers": 1,
        "norm_starts": 1,
        "norm_groups": 2,
        "dconv_depth": 1,
        "dconv_comp": 2,
        "dconv_attn": 2,
        "dconv_lstm": 2,
        "normalized": True,
    },
    "hdemucs": {
        "sources": ["vocals", "rest"],
        "sample_rate": 8000,
        "segment": "1/8",
        "n_fft": 256,
        "channels": 8,
        "depth": 4,
        "norm_starts": 2,
        "dconv_attn": 2,
        "dconv_lstm": 2,
    },
    "htdemucs": {
        "sources": ["vocals", "rest"],
        "sample_rate": 8000,
        "segment": "1/8",
        "n_fft": 256,
        "channels": 8,
        "depth": 2,
        "dconv_comp": 4,
        "bottom_channels": 24,
        "t_layers": 3,
        "t_heads": 2,
    },
    "conv_tasnet": {
        "sources": ["vocals", "rest"],
        "sample_rate": 8000,
        "segment": 3000,
        "filters": 16,
        "filter_length": 4,
        "bottleneck_channels": 12,
        "hidden_channels": 20,
        "blocks": 3,
        "repeats": 2,
    },
    "open_unmix": {
        "sources": ["vocals", "drums", "bass"],
        "sample_rate": 8000,
        "n_fft": 64,
        "hop_length": 16,
        "max_bin": 25,
        "hidden_size": 12,
        "layers": 2,
        "wiener_window": 40,
        "frames": 100,
    },
    "x_umx": {
        "sources": ["vocals", "drums", "bass"],
        "sample_rate": 8000,
        "n_fft": 64,
        "hop_length": 16,
        "max_bin": 25,
        "hidden_size": 12,
        "layers": 2,
        "frames": 100,
    },
    "wave_u_net": {
        "sources": ["vocals", "drums", "rest"],
        "sample_rate": 8000,
        "output_length": 60,
        "levels": 3,
        "channels": 6,
        "kernel_size": 5,
        "up_kernel_size": 3,
        "upsampling": "learned",
    },
    "spleeter": {
        "sources": ["vocals", "drums", "rest"],
        "sample_rate": 8000,
        "n_fft": 64,
        "hop_length": 16,
        "frames": 16,
        "bins": 24,
        "widths": [4, 6, 10],
        "decoder": "elu",
        "extension": "average",
    },
    "mm_dense_lstm": {
        "sources": ["vocals", "drums", "rest"],
        "sample_rate": 8000,
        "n_fft": 64,
        "hop_length": 16,
        "edges": [11],
        "bands": [
            {"features": 5, "growth": 4, "layers": [2, 2, 2], "hidden": [0, 3, 0]},
            {"features": 4, "growth": 2, "layers": [1, 0, 1], "hidden": [0, 2, 0]},
        ],
        "full": {"features": 3, "growth": 3, "layers": [1, 2, 2, 2, 1], "hidden": [0, 0, 3, 3, 0]},
        "final_layers": 2,
        "final_growth": 4,
        "frames": 40,
    },
    "d3net": {
        "sources": ["vocals", "rest"],
        "targets": [
            {
                "edges": [10],
                "bands": [
                    {"features": 6, "layers": [3, 2, 2], "growth": [4, 5, 3]},
                    {"features": 4, "layers": [1, 1, 1], "growth": [2, 2, 2], "blocks": 1},
                ],
                "full": {"features": 5, "layers": [2, 3, 2, 1, 2], "growth": [4, 3, 3, 2, 3]},
                "patch": 16,
            },
            {
                "edges": [4, 9],
                "bands": [
                    {"features": 6, "layers": [3, 2, 2], "growth": [4, 5, 3], "blocks": 3},
                    {"features": 4, "layers": [2], "growth": [3]},
                    {"features": 4, "layers": [2], "growth": [2], "blocks": 1},
                ],
                "full": {"features": 5, "layers": [2, 3, 2], "growth": [4, 3, 3]},
                "patch": 24,
            },
        ],
        "sample_rate": 8000,
        "n_fft": 64,
        "hop_length": 16,
        "bins": 28,
        "final_layers": 2,
        "final_growth": 5,
        "frames": 60,
    },
    "lasaft": {
        "sources": ["vocals", "drums", "rest"],
        "sample_rate": 8000,
        "n_fft": 64,
        "hop_length": 16,
        "frames": 16,
        "trimmed_frames": 2,
        "blocks": 5,
        "channels": 4,
        "block_layers": 3,
        "bottleneck_factor": 4,
        "least_bottleneck": 8,
        "latent_sources": 3,
        "key_size": 5,
        "embedding_size": 6,
        "control_layers": 3,
    },
    "mdx_net": {  # the second target reads two segments in one of the first
        "sources": ["vocals", "drums", "rest"],
        "sample_rate": 8000,
        "hop_length": 16,
        "targets": [
            {"n_fft": 96, "bins": 32, "frames": 32, "levels": 2, "channels": 4, "bias": True},
            {"n_fft": 40, "bins": 16, "frames": 16, "levels": 1, "channels": 6, "bottleneck": 0},
        ],
        "mixer": True,
        "rest": True,
        "compensate": 1.03,
        "low_cut": 2,
    },
    "magnitude_transformer": {
        "sources": ["vocals", "drums", "bass", "rest"],
        "sample_rate": 8000,
        "n_fft": 64,
        "hop_length": 16,
        "bins": 24,
        "frames": 16,
        "widths": [4, 6, 8],
        "skip_channels": 2,
        "heads": 2,
        "token_size": 12,
        "layers": 3,
        "bass_token_size": 8,
        "bass_layers": 1,
    },
    "vr_net": {
        "sources": ["vocals", "rest"],
        "own_layout": {
            "bands": [
                {"sample_rate": 2000, "hop_length": 8, "n_fft": 64, "crop": [0, 20], "low_pass": [10, 18]},
                {
                    "sample_rate": 8000,
                    "hop_length": 32,
                    "n_fft": 48,
                    "crop": [2, 22],
                    "high_pass": [4, 2],
                    "coding": "stereo_n",
                },
            ],
            "bins": 64,
            "pre_filter": [38, 42],
        },
        "channels": 4,
        "recurrence": 8,
        "window": 32,
        "windows": 3,
        "accompaniment": False,
        "mirror": True,
    },
    "segm": PICTURE,
    "torchseg": {**PICTURE, "activation": "elu"},
    "swin_upernet": {
        **PICTURE,
        "embedding": 8,
        "layers": [1, 1, 2, 1],
        "heads": [1, 2, 2, 2],
        "window": 4,
        "hidden_size": 12,
    },
    "hpss": {**SHORT, "harmonic_frames": 7, "percussive_bins": 9, "margin": 1.5, "sources": list("abc")},
    "nmf": {**SHORT, "components": 5, "iterations": 20},
    "repet": {**SHORT, "shortest_period": 0.05, "longest_period": 0.1},
    "repet_sim": {**SHORT, "neighbours": 5, "distance": 0.02},
    "centre": SHORT,
    "rpca": {**SHORT, "high_hz": 4000.0},
}


@dataclass(frozen=True)
class Published:
    """A network the world has weights of; `name` is also that of its golden file.

    Of what it needs a package for, the real one must be installed.
    """

    name: str
    architecture: str
    config: dict[str, Any]
    parameters: int
    package: str = ""


SIX = ["drums", "bass", "other", "vocals", "guitar", "piano"]
DEMUCS_V1 = {"oversampled": False, "divisor": 1.0}
DEMUCS_V3 = {
    "padded": True,
    "gelu": True,
    "lstm_layers": 0,
    "norm_starts": 4,
    "dconv_depth": 2,
    "normalized": True,
}
UMXSE = {
    "sources": ["speech", "noise"],
    "audio_channels": 1,
    "sample_rate": 16000,
    "n_fft": 1024,
    "hop_length": 512,
    "max_bin": 513,
    "hidden_size": 256,
}
ELUS = {"encoder": "elu", "decoder": "elu"}
SPLEETER_4 = {"sources": ["vocals", "drums", "bass", "other"], **ELUS}
SPLEETER_5 = {"sources": ["vocals", "piano", "drums", "bass", "other"], "softmax": True, **ELUS}
VR_V3 = {"layout": "4band_v3", "recurrence": 128}  # without the heads that only training needs
SEGMENTATION = "segmentation_models_pytorch"
PUBLISHED = [
    Published("demucs", "demucs", {}, 265_679_496),
    Published("demucs_48", "demucs", {"channels": 48}, 149_462_504),
    Published("demucs_100", "demucs", {"channels": 100, **DEMUCS_V1}, 648_548_208),
    Published("demucs_v3", "demucs", DEMUCS_V3, 133_753_064),
    Published("demucs_v3_plain", "demucs", {"rewrite": False, **DEMUCS_V3}, 88_984_040),
    Published("hdemucs", "hdemucs", {}, 83_637_832),
    Published("hdemucs_magnitude", "hdemucs", {"cac": False}, 83_633_984),
    Published("hdemucs_late", "hdemucs", {"cac": False, "hybrid_old": True, "norm_starts": 999}, 83_607_872),
    Published("hdemucs_bands", "hdemucs", {"norm_starts": 999, "multi_freqs": [0.1, 0.3]}, 83_884_248),
    Published("htdemucs", "htdemucs", {}, 41_984_456),
    Published("htdemucs_6s", "htdemucs", {"sources": SIX, "bottom_channels": 0}, 27_414_996),
    Published("conv_tasnet", "conv_tasnet", {}, 10_977_872),
    Published("open_unmix", "open_unmix", {}, 35_573_392),
    Published("open_unmix_large", "open_unmix", {"hidden_size": 1024}, 113_028_752),
    Published("open_unmix_speech", "open_unmix", UMXSE, 3_167_244),
    Published("x_umx", "x_umx", {}, 35_573_392),
    Published("wave_u_net_m4", "wave_u_net", {}, 10_263_390),
    Published("wave_u_net_m5", "wave_u_net", {"upsampling": "learned"}, 10_265_550),
    Published("wave_u_net_m6", "wave_u_net", {"sources": ["bass", "drums", "other", "vocals"]}, 10_263_498),
    Published("spleeter_2stems", "spleeter", {}, 2 * 9_822_725),
    Published("spleeter_4stems", "spleeter", SPLEETER_4, 4 * 9_822_725),
    Published("spleeter_5stems", "spleeter", SPLEETER_5, 5 * 9_822_725),
    Published("mm_dense_lstm", "mm_dense_lstm", {}, 5_493_260),
    Published("d3net", "d3net", {}, 11_227_920),
    Published("lasaft_large", "lasaft", {}, 31_541_908),
    Published("mdx_net", "mdx_net", {}, 7_423_236),
    Published("mdx_net_drums", "mdx_net", {"targets": [{"frames": 128, "levels": 4}]}, 5_480_196),
    Published("mdx_net_wide", "mdx_net", {"targets": [{"bins": 3072, "channels": 48}]}, 16_688_260),
    Published("vr_net", "vr_net", {}, 31_618_816),
    Published("vr_net_small", "vr_net", {"channels": 16}, 7_921_792),
    Published("vr_net_seven_views", "vr_net", {"channels": 64, "views": 7}, 135_541_760),
    Published("vr_net_five_levels", "vr_net", {"channels": 16, "levels": 5, "views": 6}, 33_086_464),
    Published("vr_net_recurrent", "vr_net", {**VR_V3, "channels": 48}, 31_687_182),
    Published("vr_net_recurrent_wide", "vr_net", {**VR_V3, "channels": 64}, 55_803_658),
    Published("segm", "segm", {}, 215_568_816, SEGMENTATION),
    Published("torchseg", "torchseg", {}, 33_436_056, SEGMENTATION),
    Published("swin_upernet", "swin_upernet", {}, 232_127_428, "transformers"),
    Published("magnitude_transformer", "magnitude_transformer", {}, 28_620_216),
    *(
        Published("classical", name, {}, 0)
        for name in ("hpss", "nmf", "repet", "repet_sim", "centre", "rpca")
    ),
]


def lively(state: dict[str, torch.Tensor], seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights of realistic size for each name of a state, in float32.

    First weights nearly mute the residual branches, and so hide faults within them. Here matrices and
    kernels are normal at the scale of their fan-in, gains of branches are 0.05 to 0.3, norms around 1.
    """
    generator = torch.Generator().manual_seed(seed)
    return {name: _lively(name, value.shape, generator) for name, value in sorted(state.items())}


def _lively(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    if name.endswith(".scale"):
        return 0.05 + 0.25 * torch.rand(shape, generator=generator)
    noise = torch.randn(shape, generator=generator)
    if shape == (1,) and name.endswith("weight"):  # the slope of a PReLU; near 1 it would do nothing
        return 0.2 + 0.05 * noise
    if len(shape) > 1 and not name.endswith((".gamma", ".beta")):
        return noise * (2 / shape[1:].numel()) ** 0.5
    return 1 + 0.1 * noise if name.endswith(("weight", ".gamma", "running_var", "_scale")) else 0.05 * noise
