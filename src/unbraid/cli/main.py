"""The entry point: which command is meant, and which exit code it ends with.

Exit codes are those of `unbraid.errors`: 0 done, 1 a bug, 2 wrong usage, 3 unreadable audio, 4 model or
weights, 5 machine, 6 some of several files failed, 130 stopped.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import sys
from typing import TYPE_CHECKING, cast

import click

from unbraid._version import __version__
from unbraid.cli import console
from unbraid.cli.options import SETTINGS
from unbraid.errors import Cancelled, MachineError, UnbraidError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

COMMANDS: Mapping[str, str] = {
    "separate": "unbraid.cli.separate:separate",
    "compare": "unbraid.cli.compare:compare",
    "evaluate": "unbraid.cli.evaluate:evaluate",
    "plot": "unbraid.cli.plot:plot",
    "models": "unbraid.cli.models:models",
    "presets": "unbraid.cli.presets:presets",
    "info": "unbraid.cli.info:info",
    "doctor": "unbraid.cli.doctor:doctor",
    "bench": "unbraid.cli.bench:bench",
}
_DEFAULT = "separate"
_DEBUG = ("-v", "--verbose", "--debug")
_OWN_FLAGS = {"-h", "--help", "--version"}
_OBJECTS = 200_000  # new ones, after which Python looks for garbage; its own 700 do not suit large libraries


class Commands(click.Group):
    """Commands that are imported when they are called; what is no command is a file to separate."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import the command of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, function = COMMANDS[cmd_name].split(":")
        return cast("click.Command", getattr(importlib.import_module(module), function))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `separate` before the first word that is neither a command nor a flag of our own."""
        position = next((at for at, word in enumerate(args) if word not in _OWN_FLAGS), None)
        if position is not None and args[position] not in COMMANDS:
            _refuse_misspelt_command(args[position])
            args.insert(position, _DEFAULT)
        return super().parse_args(ctx, args or ["--help"])


def _refuse_misspelt_command(word: str) -> None:
    """`unbraid modles` is a slip, unless there is such a file."""
    near = "" if word.startswith("-") else did_you_mean(word, COMMANDS)
    if near and not os.path.lexists(word):
        raise UsageError(f"there is neither a command nor a file called {word!r}{near}")


@click.command(
    cls=Commands,
    context_settings=SETTINGS,
    options_metavar="[OPTIONS]",
    subcommand_metavar="COMMAND | FILE...",
    epilog="""\b
Examples:
  unbraid song.mp3                         all stems, as wav, under separated/
  unbraid --two-stems vocals song.mp3      vocals, and everything else
  unbraid separate --help                  all options
  unbraid --preset karaoke song.mp3        the song to sing to
  unbraid models                           what there is to separate with

'unbraid FILE...' is short for 'unbraid separate FILE...'. A command's name wins over a file of that
name: write ./models for a file called models.

\b
Exit codes:
  0 done   1 a bug   2 wrong usage   3 unreadable audio   4 model or weights
  5 machine: memory, disk, device   6 some of several files failed   130 stopped by Ctrl-C
""",
)
@click.version_option(__version__, message="unbraid %(version)s")
# main() takes it out before click sees it; it stands here for the help.
@click.option(
    *_DEBUG, "debug", is_flag=True, help="Say more, and where errors come from; may stand anywhere."
)
def unbraid(debug: bool) -> None:
    """Take a song apart: vocals, drums, bass and the rest."""


def run() -> None:
    """The command line as a program.

    With PyTorch come 160,000 objects, and Python would look through them for garbage on the way in and on
    the way out, for an eighth of a second or more.
    """
    gc.set_threshold(_OBJECTS)
    code = main(sys.argv[1:])
    gc.freeze()
    raise SystemExit(code)


def main(arguments: Sequence[str]) -> int:
    """Run a command; whatever goes wrong becomes one sentence on stderr and an exit code.

    Args:
        arguments: As typed, without the program's name.

    Returns:
        The exit code.
    """
    debug, arguments = _without_debug(arguments)
    console.survive_odd_streams()
    with _logging(debug=debug):
        try:
            code = unbraid.main(arguments, prog_name="unbraid", standalone_mode=False)
        except Exception as error:  # noqa: BLE001 - the last line of defence: a bug, too, ends in a sentence
            if debug:
                console.show_traceback()
            return _refusal(error)
    return code if isinstance(code, int) else 0


def _refusal(error: Exception) -> int:
    """Say what went wrong, and give its exit code."""
    if isinstance(error, click.Abort):
        console.fail("stopped; nothing half-written was left")
        return Cancelled.exit_code
    if isinstance(error, click.UsageError):
        hint = f"; see '{error.ctx.command_path} --help'" if error.ctx else ""
        console.fail(f"{error.format_message().rstrip('.')}{hint}")
        return error.exit_code
    if isinstance(error, click.ClickException):
        console.fail(error.format_message())
        return error.exit_code
    if isinstance(error, UnbraidError):
        console.fail(str(error))
        return error.exit_code
    if isinstance(error, OSError) and error.strerror:  # the system's refusal, which no layer has put in words
        console.fail(f"{error.filename or 'the output'}: {error.strerror}")
        return MachineError.exit_code
    console.fail(f"this is a bug: {type(error).__name__}: {error}; run again with --debug to see where")
    return UnbraidError.exit_code


def _without_debug(arguments: Sequence[str]) -> tuple[bool, list[str]]:
    """Whether --debug, by any of its names, stands before a lone `--`, and the arguments without it."""
    words = list(arguments)
    end = words.index("--") if "--" in words else len(words)
    options = [word for word in words[:end] if word not in _DEBUG]
    return len(options) < end, options + words[end:]


@contextlib.contextmanager
def _logging(*, debug: bool) -> Iterator[None]:
    """The library's warnings as lines for people; with --debug, all it has to say."""
    logger, lines = logging.getLogger("unbraid"), console.LogLines()
    level = logger.level
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)
    logger.addHandler(lines)
    try:
        yield
    finally:
        logger.removeHandler(lines)
        logger.setLevel(level)
