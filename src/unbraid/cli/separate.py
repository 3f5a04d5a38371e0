"""`unbraid separate`: songs into stems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from unbraid.cli.demucs import demucs_options
from unbraid.cli.options import SETTINGS, GroupedCommand, flag, parse_memory, parse_time, require_finite
from unbraid.io.formats import FORMATS

GROUPS = {
    "What to separate": ("model", "config", "preset", "stems", "two_stems", "start", "duration"),
    "What comes out": (
        "out", "filename", "format", "bits", "bitrate", "sum", "skip_existing", "overwrite",
    ),
    "How thoroughly": ("overlap", "shifts", "segment", "seed", "fit"),
    "On what": (
        "device", "threads", "backend", "precision", "keep_pages", "memory",
        "offline", "weights_folder",
    ),
    "What is shown": ("json", "quiet"),
    "As in demucs": ("mp3", "flac", "int24", "float32", "mp3_bitrate"),
}  # fmt: skip


class Separate(GroupedCommand):
    """A command with the groups above."""

    groups = GROUPS


@click.command(
    cls=Separate,
    context_settings=SETTINGS,
    epilog="""\b
Examples:
  unbraid song.mp3
  unbraid --two-stems vocals song.mp3            vocals.wav and no_vocals.wav
  unbraid --stems vocals,rest --format flac album/
  unbraid --preset karaoke song.mp3              the song to sing to, and its lead voice
  unbraid --start 1:10 --duration 20 song.mp3    try twenty seconds first
  unbraid --filename '{track}/{stem}.{ext}' --skip-existing *.flac
  unbraid --sum exact --bits 24 song.wav         stems that add up to the song
  unbraid -n model.ckpt --config model.yaml song.mp3    a checkpoint of the community's
  unbraid --json album/ > report.jsonl

With demucs, '--filename {track}/{stem}.{ext}' starts in OUT/MODEL; here it starts in OUT, and {model} may
stand in it. '--shifts 0' is taken as 1: one pass. Options of demucs that are not listed are answered, too:
each is taken, or refused with what does it here.
""",
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "-n", "--model", "--name", "model", metavar="NAME", show_default="htdemucs",
    help="Model or ensemble, or the path of a checkpoint or of an ensemble's or a chain's .toml; see "
    "'unbraid models'.",
)  # fmt: skip
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", show_default="none",
    help="What describes a checkpoint that does not do so itself: a YAML file of "
    "Music-Source-Separation-Training, or UVR's table of models.",
)  # fmt: skip
@click.option(
    "--preset", metavar="NAME", show_default="off",
    help="Several models one after another, such as karaoke or full_band; see 'unbraid presets'.",
)  # fmt: skip
@click.option(
    "--stems", metavar="A,B", show_default="every source of the model",
    help="Stems to write: sources, 'rest' (all you did not name), 'no_vocals' (all but the vocals); of a "
    "preset, what is made on the way, too.",
)  # fmt: skip
@click.option(
    "--two-stems", metavar="STEM", show_default="off",
    help="This stem and everything else: short for --stems STEM,no_STEM.",
)  # fmt: skip
@click.option(
    "--start", type=parse_time, metavar="TIME", default="0", help="Begin here: 90, 1:30 or 0:01:30.250."
)
@click.option(
    "--duration", type=parse_time, metavar="TIME", show_default="to the end", help="Separate only this much."
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), default="separated", metavar="FOLDER",
    help="Folder for everything.",
)  # fmt: skip
@click.option(
    "--filename", default="{model}/{track}/{stem}.{ext}", metavar="TEMPLATE",
    help="Name of each stem below the folder.",
)  # fmt: skip
@click.option("--format", type=click.Choice(tuple(FORMATS)), show_default="wav", help="Format of the stems.")
@click.option(
    "--bits", type=click.Choice(("16", "24", "32f")), show_default="as the recording",
    help="Depth of wav and flac; 32f (floating point) never clips and is for wav.",
)  # fmt: skip
@click.option(
    "--bitrate", type=click.IntRange(min=1), metavar="KBPS", show_default="the format's best",
    help="Kilobits per second, for mp3, ogg, opus and m4a.",
)  # fmt: skip
@click.option(
    "--sum", type=click.Choice(("exact", "off")), default="off",
    help="exact: stems that add up to the recording, to the last bit in wav and flac.",
)  # fmt: skip
@flag("--skip-existing", help="Leave songs out whose stems exist.")
@flag("--overwrite", help="Replace stems that exist.")
@click.option(
    "--overlap", type=click.FloatRange(0, 0.99), callback=require_finite, metavar="SHARE",
    show_default="as the model was scored", help="Share of a segment that the next one covers again.",
)  # fmt: skip
@click.option(
    "--shifts", type=click.IntRange(min=0), default=1, metavar="N",
    help="Passes that are averaged: a little better, N times slower.",
)  # fmt: skip
@click.option(
    "--segment", type=click.FloatRange(0, min_open=True), callback=require_finite, metavar="SECONDS",
    show_default="as suits the model",
    help="How much is heard at once. htdemucs always hears 7.8: less takes longer and saves nothing. "
    "Networks that were scored on whole songs take up to an hour.",
)  # fmt: skip
@click.option(
    "--seed", type=int, default=0, metavar="N", help="Of the shifts; the same seed, the same stems."
)
@flag("--fit", help="Leave out a last segment that reaches nothing new: saves time on short songs.")
@click.option(
    "-d", "--device", default="auto", metavar="DEVICE",
    help="auto, cpu, cuda, cuda:1 or mps.",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", show_default="all cores", help="Processor threads."
)
@click.option(
    "--backend", type=click.Choice(("auto", "eager", "openvino", "onnx", "compiled")), default="auto",
    help="What runs the network's layers; auto: the fastest here, which the first use of a model finds out.",
)  # fmt: skip
@click.option(
    "--precision", type=click.Choice(("auto", "exact", "bfloat16", "float16", "int8")), default="auto",
    help="In which numbers; exact is float32, auto the fastest that costs at most 0.02 dB of SDR.",
)  # fmt: skip
@click.option(
    "--keep-pages/--return-pages", "keep_pages", default=True,
    help="Keep freed memory for the next layer: faster, on Linux; or give it back each time.",
)  # fmt: skip
@click.option(
    "--memory", type=parse_memory, metavar="SIZE", show_default="no limit",
    help="Pass over ways to run the network that take more, as 2GB; on Linux.",
)  # fmt: skip
@flag("--offline", help="Never reach for the internet.")
@click.option(
    "--weights-folder", "--repo", "weights_folder", type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER", show_default="none", help="Look for weights here first.",
)  # fmt: skip
@flag("--json", help="One JSON object per finished or failed file on stdout.")
@flag("-q", "--quiet", help="Show nothing but errors.", is_eager=True)  # --jobs asks for it
@flag("--mp3", help="Same as --format mp3.")
@flag("--flac", help="Same as --format flac.")
@flag("--int24", help="Same as --bits 24.")
@flag("--float32", help="Same as --bits 32f.")
@click.option(
    "--mp3-bitrate", type=click.IntRange(min=1), metavar="KBPS", show_default="320", help="Same as --bitrate."
)
@demucs_options
def separate(**values: Any) -> None:
    """Separate songs into stems: vocals, drums, bass and the rest.

    FILE is a recording, a folder (searched through, its tree is kept) or a pattern such as '*.mp3'.
    A file that cannot be read does not stop the others.
    """
    # Imported here so that help is instant: this brings torch.
    from unbraid.cli.batch import run
    from unbraid.cli.request import Request

    run(Request(**values))
