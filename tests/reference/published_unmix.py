"""The published Open-Unmix, X-UMX and its filter, imported without what they need for anything else.

`openunmix` wants torchaudio, `asteroid` a good many packages and `norbert` scipy, none of them for this.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import contextmanager
from types import ModuleType

from torch import nn


class _Base(nn.Module):
    """What asteroid's networks stand on, as far as X-UMX needs it."""

    def __init__(self, sample_rate):
        super().__init__()
        self.sample_rate = sample_rate


def _stub(name, **held):
    module = ModuleType(name)
    vars(module).update(held)
    return module


@contextmanager
def _standing_in(*stubs):
    """While this lasts, these are the modules of their names."""
    names = [stub.__name__ for stub in stubs]
    before = {name: sys.modules[name] for name in names if name in sys.modules}
    sys.modules.update(zip(names, stubs, strict=True))
    yield
    for name in names:
        del sys.modules[name]
    sys.modules.update(before)


def _x_umx():
    """The class, which is in a file of its own."""
    folder = importlib.util.find_spec("asteroid").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("asteroid.models.x_umx", f"{folder}/models/x_umx.py")
    module = importlib.util.module_from_spec(spec)
    base = _stub("asteroid.models.base_models", BaseModel=_Base)
    with _standing_in(_stub("asteroid"), _stub("asteroid.models"), base):
        spec.loader.exec_module(module)
    return module.BrokenXUMX  # only its transforms are; the network is not


with _standing_in(_stub("torchaudio")):
    _model = importlib.import_module("openunmix.model")
    wiener = importlib.import_module("openunmix.filtering").wiener
with _standing_in(
    _stub("scipy"),
    _stub("scipy.ndimage", gaussian_filter=None),
    _stub("scipy.ndimage.filters", gaussian_filter1d=None),
):
    norbert = importlib.import_module("norbert").wiener
open_unmix, Separator, x_umx = _model.OpenUnmix, _model.Separator, _x_umx()
