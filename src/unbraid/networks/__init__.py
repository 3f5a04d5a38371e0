"""Networks: one architecture a file, each an ordinary `nn.Module` that states facts about itself."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# From an architecture's name to "module:Class"; the module's `Config` is what the class is made from.
ARCHITECTURES: Mapping[str, str] = MappingProxyType(
    {
        "demucs": "unbraid.networks.demucs:Demucs",
        "hdemucs": "unbraid.networks.hdemucs:HDemucs",
        "htdemucs": "unbraid.networks.htdemucs:HTDemucs",
        "conv_tasnet": "unbraid.networks.conv_tasnet:ConvTasNet",
        "wave_u_net": "unbraid.networks.wave_u_net:WaveUNet",
        "spleeter": "unbraid.networks.spleeter:Spleeter",
        "open_unmix": "unbraid.networks.open_unmix:OpenUnmix",
        "x_umx": "unbraid.networks.x_umx:XUMX",
        "mm_dense_lstm": "unbraid.networks.mm_dense_lstm:MMDenseLSTM",
        "d3net": "unbraid.networks.d3net:D3Net",
        "lasaft": "unbraid.networks.lasaft:LaSAFT",
        "magnitude_transformer": "unbraid.networks.magnitude_transformer:MagnitudeTransformer",
        "mdx_net": "unbraid.networks.mdx_net:MDXNet",
        "mdx23c": "unbraid.networks.mdx23c:MDX23C",
        "scnet": "unbraid.networks.scnet:SCNet",
        "apollo": "unbraid.networks.apollo:Apollo",
        "bandit": "unbraid.networks.bandit:Bandit",
        "bs_mamba2": "unbraid.networks.bs_mamba2:BSMamba2",
        "ts_bs_mamba2": "unbraid.networks.ts_bs_mamba2:TSBSMamba2",
        "conformer": "unbraid.networks.conformer:Conformer",
        "bsrnn": "unbraid.networks.bsrnn:BSRNN",
        "bs_roformer": "unbraid.networks.bs_roformer:BSRoformer",
        "mel_band_roformer": "unbraid.networks.mel_band_roformer:MelBandRoformer",
        "vr_net": "unbraid.networks.vr_net:VRNet",
        "segm": "unbraid.networks.segm:Segm",
        "torchseg": "unbraid.networks.torchseg:TorchSeg",
        "swin_upernet": "unbraid.networks.swin_upernet:SwinUperNet",
        "hpss": "unbraid.networks.classical.hpss:Hpss",
        "nmf": "unbraid.networks.classical.nmf:Nmf",
        "repet": "unbraid.networks.classical.repet:Repet",
        "repet_sim": "unbraid.networks.classical.repet_sim:RepetSim",
        "centre": "unbraid.networks.classical.centre:Centre",
        "rpca": "unbraid.networks.classical.rpca:Rpca",
    }
)
