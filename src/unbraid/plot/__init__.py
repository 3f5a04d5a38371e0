"""Pictures of recordings and stems: each function draws on matplotlib Axes and gives them back.

Raises:
    MachineError: On import, where matplotlib is not installed.
"""

from unbraid.errors import MachineError

try:
    import matplotlib as mpl  # noqa: F401 - asked for here once, so that every file below may rely on it
except ImportError as error:
    raise MachineError(
        "pictures need matplotlib, which is not installed; it comes with pip install 'unbraid[plot]'"
    ) from error
