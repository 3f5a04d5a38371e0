"""Writes the names and shapes of weights as Open-Unmix' and X-UMX' published implementations make them.

Needs `openunmix` 1.3.0 and `asteroid` 0.7.0, alone. Run from the repository's root:

    PYTHONPATH=src:tests python tests/golden/make_open_unmix.py
"""

from __future__ import annotations

import json
from pathlib import Path

from reference.published_unmix import open_unmix, x_umx
from unbraid.zoo.keymaps.x_umx import rename

FOUR = ("vocals", "drums", "bass", "other")
SPEECH = {"nb_bins": 513, "nb_channels": 1, "hidden_size": 256, "max_bin": 513}
STEREO = {"nb_bins": 2049, "nb_channels": 2, "max_bin": 1487}


def joined(states):
    """Weights of each source under the name of its place."""
    return {f"targets.{i}.{name}": value for i, state in enumerate(states) for name, value in state.items()}


NETWORKS = {
    "open_unmix": joined(open_unmix(**STEREO, hidden_size=512).state_dict() for _ in FOUR),
    "open_unmix_large": joined(open_unmix(**STEREO, hidden_size=1024).state_dict() for _ in FOUR),
    "open_unmix_speech": joined(open_unmix(**SPEECH).state_dict() for _ in range(2)),
    "x_umx": rename(x_umx(["bass", "drums", "vocals", "other"], max_bin=1487).state_dict()),
}

if __name__ == "__main__":
    for name, state in NETWORKS.items():
        lines = ",\n".join(
            f"  {json.dumps(key)}: {json.dumps(list(state[key].shape))}" for key in sorted(state)
        )
        Path(__file__).with_name(f"{name}.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
