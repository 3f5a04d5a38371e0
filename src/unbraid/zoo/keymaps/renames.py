"""What gives weights our names that come without a word of which network they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid.zoo.keymaps import (
    bandit,
    d3net,
    demucs_v1_v2,
    htdemucs_package,
    lasaft,
    mdx_net_torch,
    open_unmix,
    roformer,
    scnet,
    spleeter_torch,
    swin_upernet,
    torchaudio_hdemucs,
    vr_net,
    x_umx,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

# By architecture. Weights that have our names already stay as they are. Of a network that is published in
# several files, a part each, it is given the weights of one part, and their names begin behind the part's.
RENAMES: Mapping[str, Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]] = {
    "bandit": bandit.rename,
    "bs_roformer": roformer.rename,
    "d3net": d3net.rename,
    "demucs": demucs_v1_v2.rename,
    "hdemucs": torchaudio_hdemucs.rename,
    "htdemucs": htdemucs_package.rename,
    "lasaft": lasaft.rename,
    "mdx_net": mdx_net_torch.rename,
    "mel_band_roformer": roformer.rename,
    "open_unmix": open_unmix.rename,
    "scnet": scnet.rename,
    "spleeter": spleeter_torch.rename,
    "swin_upernet": swin_upernet.rename,
    "vr_net": vr_net.rename,
    "x_umx": x_umx.rename,
}
