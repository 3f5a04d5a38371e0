"""`unbraid info`: what is in a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unbraid.cli import console
from unbraid.cli.options import SETTINGS, flag
from unbraid.cli.pace import precise_clock, size
from unbraid.errors import PartialFailure, UnbraidError

if TYPE_CHECKING:
    from pathlib import Path

    from unbraid.io.probe import AudioInfo


@click.command(
    context_settings=SETTINGS,
    epilog="""\b
Examples:
  unbraid info song.mp3
  unbraid info --json *.flac
""",
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.UNPROCESSED)
@flag("--json", "as_json", help="One JSON object per file on stdout.")
def info(files: tuple[str, ...], as_json: bool) -> None:
    """Show format, length, channels and tags of recordings.

    FILE is a recording, a folder or a pattern such as '*.mp3'. The length is exact to the sample; where
    the file does not tell it, the file is decoded.
    """
    from unbraid.io.naming import inputs

    paths = [found.path for found in inputs(files)]
    failed: list[Path] = []
    for path in paths:
        try:
            known = _facts(path)
        except UnbraidError as error:
            if len(paths) == 1:
                raise
            console.fail(str(error))
            failed.append(path)
            continue
        if as_json:
            console.out_json(known)
        else:
            _show(known)
    if failed:
        raise PartialFailure(f"{len(failed)} of {len(paths)} files could not be read")


def _facts(path: Path) -> dict[str, Any]:
    """Everything that is known of a file, as plain values."""
    from unbraid.io.probe import probe

    found = probe(path)
    length = _decoded_length(found) if found.length is None else found.length
    return {
        "path": str(path),
        "container": found.container,
        "codec": found.codec,
        "sample_rate": found.sample_rate,
        "channels": found.channels,
        "layout": list(found.layout),
        "bits": found.bits,
        "length": length,
        "duration_seconds": length / found.sample_rate,
        "tags": dict(found.tags),
        "cover_bytes": len(found.cover) if found.cover else 0,
    }


def _decoded_length(found: AudioInfo) -> int:
    """Samples of a file whose header does not tell; imported here because decoding brings torch."""
    from unbraid.io.read import blocks

    return sum(block.length for block in blocks(found.path))


def _show(known: dict[str, Any]) -> None:
    """The facts as lines for people."""
    lines = {
        "format": f"{known['container']}, {known['codec']}",
        "rate": f"{known['sample_rate']:,} Hz",
        "channels": f"{known['channels']} ({' '.join(known['layout'])})",
        "depth": _DEPTHS.get(known["bits"], f"{known['bits']} bits"),
        "length": f"{precise_clock(known['duration_seconds'])} ({known['length']:,} samples)",
        **known["tags"],
        "cover": size(known["cover_bytes"]) if known["cover_bytes"] else "none",
    }
    console.out(known["path"])
    for name, value in lines.items():
        console.out(f"  {name:<12}{value}")


_DEPTHS = {None: "none: lossy", "32f": "32 bits, floating point"}
