"""Writes names and shapes of weights as the published Bandit, Mamba and Conformer networks make them.

Needs `msst` 0.1.0, `conformer` 0.3.2 and `pymss-core` 0.1.14. Run from the repository's root:
PYTHONPATH=tests python tests/golden/make_bandit.py
"""

from __future__ import annotations

import json
from pathlib import Path

from reference import published_msst
from reference.published_bandit import first
from unbraid.networks import bandit, bs_mamba2, conformer, ts_bs_mamba2
from unbraid.zoo.keymaps.bandit import rename

NETWORKS = {
    "bandit": lambda: rename(first(bandit.Config()).state_dict()),
    "bs_mamba2": lambda: published_msst.bs_mamba2(bs_mamba2.Config()).state_dict(),
    "ts_bs_mamba2": lambda: published_msst.ts_bs_mamba2(ts_bs_mamba2.Config()).state_dict(),
    "ts_bs_mamba2_2stems": lambda: published_msst.ts_bs_mamba2(
        ts_bs_mamba2.Config(sources=("vocals", "other"))
    ).state_dict(),
    "conformer": lambda: published_msst.conformer(conformer.Config()).state_dict(),
}

if __name__ == "__main__":
    for name, state in NETWORKS.items():
        shapes = {key: list(value.shape) for key, value in sorted(state().items())}
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in shapes.items())
        Path(__file__).with_name(f"{name}.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
