"""Writes the names and shapes of Spleeter's weights as an independent implementation makes them.

Needs `torchspleeter` 0.1.5, which has the U-Net of one source; its names are translated as the zoo does it.
Run from the repository's root: PYTHONPATH=src:tests python tests/golden/make_spleeter.py
"""

from __future__ import annotations

import json
from pathlib import Path

from reference.torchspleeter_unet import UNet
from unbraid.zoo.keymaps.spleeter_torch import rename

if __name__ == "__main__":
    one = {name: list(value.shape) for name, value in rename(UNet().state_dict()).items()}
    for sources in (2, 4, 5):
        shapes = {f"stems.{stem}.{name}": shape for stem in range(sources) for name, shape in one.items()}
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(shapes[key])}" for key in sorted(shapes))
        path = Path(__file__).with_name(f"spleeter_{sources}stems.json")
        path.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
