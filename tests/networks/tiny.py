"""For each architecture a configuration that runs in milliseconds, and the published ones at full size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from unbraid.networks.bsrnn import BASS_BANDS, DRUMS_BANDS

# What all methods without training share.
SHORT = {"sample_rate": 8000, "segment": 3000, "n_fft": 128, "hop_length": 32}
# The bands of a small SCNet: kernels of three times, twice and once the stride.
SPARSE = [
    {"share": 0.3, "stride": 1, "kernel_size": 3, "depth": 2},
    {"share": 0.3, "stride": 2, "kernel_size": 4, "depth": 1},
    {"share": 0.4, "stride": 4, "kernel_size": 4, "depth": 1},
]
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
    "mdx23c": {
        "sources": ["vocals", "drums", "rest"],
        "sample_rate": 8000,
        "n_fft": 64,
        "hop_length": 16,
        "bins": 32,
        "frames": 24,
        "subbands": 2,
        "channels": 6,
        "growth": 4,
        "levels": 2,
        "bottleneck": 2,
    },
    "scnet": {
        "sources": ["vocals", "drums", "rest"],
        "sample_rate": 8000,
        "segment": 1000,
        "n_fft": 64,
        "hop_length": 16,
        "widths": [8, 12],
        "bands": SPARSE,
        "layers": 2,
    },
    "apollo": {"sample_rate": 8000, "segment": 3500, "n_fft": 160, "channels": 32, "layers": 1},
    "bandit": {
        "sources": ["speech", "rest"],
        "sample_rate": 8000,
        "segment": 3000,
        "n_fft": 64,
        "hop_length": 16,
        "bands": 8,
        "features": 10,
        "layers": 1,
        "hidden_size": 8,
        "mask_hidden_size": 12,
    },
    "bs_mamba2": {
        "sources": ["vocals", "rest"],
        "sample_rate": 8000,
        "segment": 3000,
        "n_fft": 64,
        "hop_length": 16,
        "bands": [2, 3, 8, 20],
        "channels": 12,
        "depth": 1,
        "state_size": 16,
        "expansion": 2,
        "head_size": 8,
        "mask_expansion": 2,
    },
    "ts_bs_mamba2": {  # 57 bands, whatever the rate
        "sources": ["vocals", "rest"],
        "sample_rate": 44100,
        "segment": 3000,
        "n_fft": 1024,
        "hop_length": 512,
        "channels": 24,
        "mask_layers": 1,
        "map_layers": 1,
        "state_size": 16,
        "expansion": 2,
        "head_size": 16,
    },
    "conformer": {
        "sources": ["vocals", "rest"],
        "sample_rate": 8000,
        "segment": 3000,
        "n_fft": 64,
        "hop_length": 16,
        "channels": 12,
        "depth": 2,
        "heads": 2,
        "head_channels": 6,
        "expansion": 2,
        "kernel_size": 5,
    },
    "bsrnn": {
        "sources": ["vocals"],
        "sample_rate": 8000,
        "n_fft": 64,
        "hop_length": 16,
        "frames": 21,
        "bands": [2, 3, 5, 9, 14],
        "channels": 8,
        "hidden": 6,
        "depth": 2,
        "mask_channels": 12,
    },
    "bs_roformer": {  # all that any public network has, but for polar positions
        "sources": ["vocals", "drums", "rest"],
        "sample_rate": 8000,
        "segment": 1000,
        "n_fft": 64,
        "hop_length": 16,
        "normalized": True,
        "bands": [2, 3, 5, 9, 14],
        "channels": 16,
        "depth": 3,
        "linear_layers": 1,
        "heads": 2,
        "head_channels": 8,
        "bias": True,
        "skip_connection": True,
        "mask_layers": 2,
        "mask_expansion": 2,
    },
    "mel_band_roformer": {
        "sources": ["vocals", "drums", "rest"],
        "sample_rate": 8000,
        "segment": 1000,
        "n_fft": 128,
        "hop_length": 16,
        "bands": 9,
        "channels": 16,
        "depth": 2,
        "linear_layers": 1,
        "band_layers": 2,
        "heads": 2,
        "head_channels": 8,
        "mask_layers": 1,
        "mask_expansion": 2,
        "zero_dc": False,
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

# Arguments of demucs' own HTDemucs.
HTDEMUCS_ARGUMENTS = {
    "channels": 8,
    "depth": 2,
    "nfft": 512,
    "bottom_channels": 16,
    "t_layers": 2,
    "t_heads": 2,
    "dconv_mode": 3,
}


def bands(shares: list[float], strides: list[int], depths: list[int]) -> list[dict[str, Any]]:
    """The bands of an SCNet; where a stride is 1, as in the lowest band, a kernel has three bins."""
    return [
        {"share": share, "stride": stride, "kernel_size": stride if stride > 1 else 3, "depth": depth}
        for share, stride, depth in zip(shares, strides, depths, strict=True)
    ]


WIDE = {"widths": [64, 128, 256]}
SCNET_LARGE = {**WIDE, "bands": bands([0.225, 0.372, 0.403], [1, 4, 16], [3, 2, 1])}
SCNET_XL = {**WIDE, "layers": 8, "bands": bands([0.23, 0.37, 0.4], [1, 4, 16], [3, 2, 1])}
SCNET_XL_IHF = {**SCNET_XL, "bands": bands([0.23, 0.37, 0.4], [1, 4, 4], [3, 3, 3])}
TWO = ["vocals", "other"]
D1581 = {"sources": TWO, "growth": 64, "n_fft": 12288, "hop_length": 2048, "bins": 6144, "frames": 128}
DRUM_KIT = ["kick", "snare", "toms", "hh", "ride", "crash"]
MDX23C_DRUMS = {"sources": DRUM_KIT, "n_fft": 2048, "hop_length": 512, "bins": 1024}
# Frequencies of a RoFormer's two rotary tables, which its class counts as parameters; none is trained.
ROTARY = 64
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
    Published("magnitude_transformer", "magnitude_transformer", {}, 28_620_216),
    Published("scnet", "scnet", {}, 10_578_768),
    Published("scnet_large", "scnet", SCNET_LARGE, 42_181_232),
    Published("scnet_xl", "scnet", SCNET_XL, 54_006_896),
    Published("scnet_xl_ihf", "scnet", SCNET_XL_IHF, 53_466_800),
    Published("scnet_masked", "scnet", {"masked": True}, 10_597_284),
    Published("scnet_masked_xl_ihf", "scnet", {"masked": True, **SCNET_XL_IHF}, 53_485_316),
    Published("scnet_tran", "scnet", {"attention": {}}, 10_379_952),
    Published("mdx23c", "mdx23c", {}, 111_994_368),
    Published("mdx23c_two", "mdx23c", {"sources": TWO}, 111_990_272),
    Published("mdx23c_one", "mdx23c", {"sources": TWO[:1]}, 111_988_224),
    Published("mdx23c_narrow", "mdx23c", {"channels": 64, "growth": 64}, 30_119_168),
    Published("mdx23c_drums", "mdx23c", MDX23C_DRUMS, 109_378_624),
    Published("mdx23c_full_band", "mdx23c", {**D1581, "subbands": 6}, 45_813_888),
    Published("apollo", "apollo", {}, 16_539_308),
    Published("apollo_uni", "apollo", {"channels": 384}, 36_604_076),
    Published("bandit", "bandit", {}, 37_022_688),
    Published("bs_mamba2", "bs_mamba2", {}, 48_098_188),
    Published("ts_bs_mamba2", "ts_bs_mamba2", {}, 35_517_480),
    Published("ts_bs_mamba2_2stems", "ts_bs_mamba2", {"sources": ["vocals", "other"]}, 25_872_408),
    Published("conformer", "conformer", {}, 65_943_560),
    Published("bsrnn", "bsrnn", {}, 32_414_628),
    Published("bsrnn_bass", "bsrnn", {"bands": BASS_BANDS}, 33_371_812),
    Published("bsrnn_drums", "bsrnn", {"bands": DRUMS_BANDS}, 35_954_340),
    Published("bs_roformer", "bs_roformer", {}, 159_758_092 - ROTARY),
    Published("mel_band_roformer", "mel_band_roformer", {}, 228_202_852 - ROTARY),
    Published("vr_net", "vr_net", {}, 31_618_816),
    Published("vr_net_small", "vr_net", {"channels": 16}, 7_921_792),
    Published("vr_net_seven_views", "vr_net", {"channels": 64, "views": 7}, 135_541_760),
    Published("vr_net_five_levels", "vr_net", {"channels": 16, "levels": 5, "views": 6}, 33_086_464),
    Published("vr_net_recurrent", "vr_net", {**VR_V3, "channels": 48}, 31_687_182),
    Published("vr_net_recurrent_wide", "vr_net", {**VR_V3, "channels": 64}, 55_803_658),
    Published("segm", "segm", {}, 215_568_816, SEGMENTATION),
    Published("torchseg", "torchseg", {}, 33_436_056, SEGMENTATION),
    Published("swin_upernet", "swin_upernet", {}, 232_127_428, "transformers"),
    *(
        Published("classical", name, {}, 0)
        for name in ("hpss", "nmf", "repet", "repet_sim", "centre", "rpca")
    ),
]


# Of a state space: steps of a tenth, rates of a few, and the token itself as loud as what is remembered.
CENTRES = {"dt_bias": -2.0, "A_log": 1.0, "D": 1.0}


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
    if (kind := name.rpartition(".")[2]) in CENTRES:
        return CENTRES[kind] + 0.3 * noise
    if shape == (1,) and name.endswith("weight"):  # the slope of a PReLU; near 1 it would do nothing
        return 0.2 + 0.05 * noise
    if len(shape) > 1 and not name.endswith((".gamma", ".beta")):
        return noise * (2 / shape[1:].numel()) ** 0.5
    return 1 + 0.1 * noise if name.endswith(("weight", ".gamma", "running_var", "_scale")) else 0.05 * noise


class Inner(torch.nn.Module):
    """A network without what is around its layers, as graph runtimes take it."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.network.inner(*features)
