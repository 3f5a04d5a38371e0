"""What `import unbraid` gives, and what it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import unbraid
from unbraid import errors


def fresh(code):
    """Run code in a new interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_importing_loads_no_torch_and_nothing_else_heavy():
    heavy = ("torch", "numpy", "soundfile", "av", "soxr", "click", "rich", "requests", "cattrs")
    assert fresh(f"import sys, unbraid; print([n for n in {heavy} if n in sys.modules])") == "[]"


def test_listing_models_loads_no_torch():
    assert fresh("import sys, unbraid; unbraid.list_models(); print('torch' in sys.modules)") == "False"


@pytest.mark.parametrize("name", unbraid.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(unbraid, name)
    assert name == "__version__" or inspect.getdoc(value)


def test_separate_stays_a_function_whatever_is_loaded_first():
    code = "import unbraid; unbraid.Separator; print(callable(unbraid.separate))"
    assert fresh(code) == "True"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        unbraid.nothing  # noqa: B018 - looking is the act


def every_error(cls=errors.UnbraidError):
    yield cls
    for child in cls.__subclasses__():
        yield from every_error(child)


def test_the_tree_at_the_top_of_errors_is_the_tree_and_its_codes():
    lines = errors.__doc__.splitlines()
    drawn = {}
    code = 1
    for line in lines:
        words = line.replace("│", " ").replace("├──", " ").replace("└──", " ").split()
        if words and hasattr(errors, words[0]):
            code = int(words[1]) if words[1].isdigit() else code
            drawn[words[0]] = code
    assert drawn == {
        cls.__name__: cls.exit_code for cls in every_error() if cls.__module__ == errors.__name__
    }


def test_python_m_unbraid_is_the_command_line():
    assert (
        unbraid.__version__
        in subprocess.run(
            [sys.executable, "-m", "unbraid", "--version"], capture_output=True, text=True, check=True
        ).stdout
    )
