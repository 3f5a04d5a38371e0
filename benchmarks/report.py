"""Draws what README and docs say in figures and tables: from the benchmark files, and from the code itself.

    python benchmarks/report.py            draw every block again
    python benchmarks/report.py --check    only name the pages that are out of date, and fail if there are any

A block stands between `<!-- drawn: NAME -->` and `<!-- end -->`; NAME is one of `DRAWINGS`.
"""

from __future__ import annotations

import json
import math
import re
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import facts
from machine import runs
from unbraid.metrics.aggregate import bootstrap, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
_BLOCK = re.compile(r"<!-- drawn: ([\w-]+) -->\n.*?<!-- end -->", re.DOTALL)
WHOSE = ("unbraid", "demucs")  # the keys of a song's scores in parity.json


def stored(name: str) -> dict[str, Any]:
    """A benchmark's file: the command that made it, its machine, its results."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return content


def origin(benchmark: Mapping[str, Any]) -> str:
    """Where figures come from, as a sentence."""
    machine = benchmark["machine"]
    words = [Path(word).name if Path(word).is_absolute() else word for word in benchmark["command"].split()]
    return (
        f"Made by `{' '.join(words)}` with Unbraid {machine['unbraid']} on {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}, torch {machine['torch']}, {machine['threads']} threads."
    )


def summary() -> str:
    """The few figures that README shows."""
    songs: dict[str, dict[str, Any]] = stored("parity")["results"]
    ratio = statistics.median(song["time_ratio_demucs_over_unbraid"] for song in songs.values())
    rows = [
        *(
            (f"SDR of {stem}, mean", *(f"{_mean(songs.values(), whose, stem):.2f} dB" for whose in WHOSE))
            for stem in _stems(songs.values())
        ),
        ("time, median", "1", f"{ratio:.2f}"),
        *(
            (f"peak memory, {_minutes(minutes)}", f"{statistics.median(peaks):.0f} MB", "not measured")
            for minutes, peaks in _peaks().items()
        ),
    ]
    apart = math.floor(min(song["snr_db"] for song in songs.values()))
    return (
        f"{facts.table(('', 'Unbraid', 'published implementation'), rows)}\n"
        f"SDR (global) and time are of {len(songs)} real songs with true stems, with the same weights. "
        f"On each of them the difference of the two answers lies more than {apart} dB below the stems.\n"
    )


def _peaks() -> dict[float, list[float]]:
    """Peak memory of each run, by the song's length."""
    peaks: dict[float, list[float]] = {}
    for row in stored("memory")["results"]:
        peaks.setdefault(row["minutes"], []).append(row["peak_mb"])
    return dict(sorted(peaks.items()))


def parity() -> str:
    """Every song: agreement, and the scores of both."""
    benchmark = stored("parity")
    songs: dict[str, dict[str, Any]] = benchmark["results"]
    stems = _stems(songs.values())
    rows = [
        (
            song,
            f"{result['snr_db']:.1f} dB",
            *(" / ".join(f"{result['sdr_db'][whose][stem]:.2f}" for whose in WHOSE) for stem in stems),
            f"{result['time_ratio_demucs_over_unbraid']:.2f}",
        )
        for song, result in songs.items()
    ]
    headings = ("song", "SNR between both", *(f"{stem}, ours / published" for stem in stems), "time ratio")
    return f"{facts.table(headings, rows)}\n{origin(benchmark)}\n"


def memory() -> str:
    """Peak memory and real-time factor by length."""
    benchmark = stored("memory")
    rows = [
        (_minutes(row["minutes"]), f"{row['peak_mb']:.1f} MB", f"{row['rtf']:.2f}")
        for row in sorted(benchmark["results"], key=lambda row: float(row["minutes"]))
    ]
    return f"{facts.table(('length', 'peak memory', 'RTF'), rows)}\n{origin(benchmark)}\n"


def agreement() -> str:
    """Each network beside an independent implementation."""
    benchmark = stored("agreement")
    rows = [
        (
            name,
            f"{row['parameters']:,}",
            f"{row['float32']:.1e}",
            f"{row['float64']:.1e}" if "float64" in row else "–",
            row["other"],
        )
        for name, row in benchmark["results"].items()
    ]
    headings = ("network", "parameters", "float32", "float64", "the other is of")
    return f"{facts.table(headings, rows)}\n{origin(benchmark)}\n"


def architectures() -> str:
    """What each network costs at its published size."""
    if not (FOLDER / "architectures.json").exists():
        return "No run is stored; `python benchmarks/architectures.py` makes one.\n"
    benchmark = stored("architectures")
    rows = [
        (
            f"`{row['architecture']}`",
            f"`{row['model']}`" if row["model"] else "none published",
            f"{row['parameters']:,}",
            f"{row['gflop_per_second']:.1f}",
            f"{row['rtf']:.2f}",
            f"{row['peak_mb']} MB",
        )
        for row in sorted(
            (row for row in benchmark["results"] if "cannot" not in row),
            key=lambda row: row["gflop_per_second"],
        )
    ]
    headings = ("architecture", "model", "parameters", "GFLOP for a second", "RTF", "peak memory")
    return f"{facts.table(headings, rows)}\n{origin(benchmark)}\n"


def precision() -> str:
    """What each way of running networks costs."""
    benchmark = stored("precision")
    rows = [
        (
            f"`{row['model']}`",
            row["backend"],
            row["precision"],
            *(
                (f"not here: {row['cannot'].split(';')[0]}", "–", "–")
                if "cannot" in row
                else (
                    f"{row['least SNR, in dB']:.1f} dB",
                    f"{row['loss of SDR, mean over songs, in dB'] + 0:.4f} dB",  # and no negative zero
                    f"{row['loss of SDR, one song, in dB'] + 0:.4f} dB",
                )
            ),
        )
        for row in benchmark["results"]["rows"]
    ]
    headings = ("model", "backend", "precision", "least SNR", "loss of SDR, mean", "of one song")
    return f"{facts.table(headings, rows)}\n{origin(benchmark)}\n"


def spleeter() -> str:
    """Spleeter on every song: agreement and scores."""
    benchmark = stored("spleeter")
    kinds = ("published", "unbraid, at once", "unbraid, in segments")
    rows = [
        (
            song,
            f"{row['snr_db']:.1f} / {row['snr_in_segments_db']:.1f} dB",
            *(
                " / ".join(f"{row['sdr_db'][kind][stem]:.2f}" for kind in kinds)
                for stem in ("vocals", "accompaniment")
            ),
            f"{row['rtf_at_once']:.3f}",
        )
        for song, row in benchmark["results"].items()
    ]
    headings = (
        "song",
        "SNR, at once / in segments",
        *(f"{stem}: published / at once / in segments" for stem in ("vocals", "accompaniment")),
        "RTF, at once",
    )
    return f"{facts.table(headings, rows)}\n{origin(benchmark)}\n"


def bsseval() -> str:
    """BSSEval beside museval: time, memory, agreement."""
    benchmark = stored("bsseval")
    found = benchmark["results"]
    lengths = f"noise, {_minutes(found['minutes'])}", f"noise, {_minutes(4 * found['minutes'])}"
    songs: dict[str, dict[str, Any]] = found.get("songs", {})
    runs = [*((lengths[0], row) for row in found["noise"]), *songs.items()]
    rows = [
        (
            name,
            str(row["threads"]),
            *(f"{row[whose]['seconds']:.1f} s" for whose in ("unbraid", "museval")),
            f"{row['times_faster']:.1f}",
            *(f"{row[whose]['peak_beyond_signals_mb']} MB" for whose in ("unbraid", "museval")),
            f"{max(row['apart_db'].values()):.0e} dB",
        )
        for name, row in runs
    ]
    longer = found["four_times_longer"]
    alone = f"{longer['seconds']:.1f} s", "–", "–", f"{longer['peak_beyond_signals_mb']} MB", "–", "–"
    rows.insert(len(found["noise"]), (lengths[1], str(found["noise"][-1]["threads"]), *alone))
    columns = ("threads", "Unbraid", "museval", "times faster", "memory, Unbraid", "memory, museval", "apart")
    peak = max(row["unbraid"]["peak_mb"] for row in found["noise"])
    return (
        f"{facts.table(('', *columns), rows)}\n"
        f"Memory is the peak beyond the signals themselves. With them, Unbraid's process held {peak} MB at "
        f"{_minutes(found['minutes'])}.\n\n{origin(benchmark)}\n"
    )


def classical() -> str:
    """Methods without training and oracles: means over songs."""
    benchmark = stored("classical")
    songs: list[dict[str, dict[str, float]]] = list(benchmark["results"].values())
    targets = list(songs[0]["the mixture itself"])
    rows = []
    for name, row in songs[0].items():
        means = {key: statistics.fmean(song[name][key] for song in songs) for key in row}
        cells = [f"{means[key]:.2f}" if key in means else "–" for key in (*targets, "rtf")]
        rows.append((f"`{name}`" if "rtf" in row else name, *cells))
    return f"{facts.table(('', *targets, 'RTF'), rows)}\n{origin(benchmark)}\n"


def costs() -> str:
    """What each network costs on a minute of music, and against the first of the table."""
    benchmark = stored("models")
    rows = benchmark["results"]
    first = rows[0]
    cells = [
        (
            f"`{row['model']}`",
            f"{row['rtf']:.2f}",
            f"{row['rtf'] / first['rtf']:.1f}",
            f"{row['peak_mb']:.0f} MB",
            f"{row['peak_mb'] / first['peak_mb']:.1f}",
        )
        for row in rows
    ]
    headings = ("model", "RTF", f"by {first['model']}", "peak memory", f"by {first['model']}")
    return f"{facts.table(headings, cells)}\n{origin(benchmark)}\n"


def peers() -> str:
    """Whole processes beside those of others, on each machine that was tried."""
    tables = [f"{_beside_peers(run)}\n{origin(run)}\n" for run in runs(FOLDER / "peers.json")]
    return "\n".join(tables) or "No run is stored; `python benchmarks/peers.py` makes one.\n"


def _beside_peers(run: Mapping[str, Any]) -> str:
    rows = [
        (
            " ".join([f"`{row['case']}`", *(f"`{word}`" for word in row["options"])]),
            row["peer"],
            row["weights"],
            f"{row['song']}, {row['song_seconds']:.0f} s",
            str(row["threads"]),
            *(_medians(row["pairs"], figure, unit) for figure, unit in (("seconds", "s"), ("peak_mb", "MB"))),
            "{median:.2f} ({least:.2f} to {greatest:.2f})".format(**row["times_faster"]),
            f"{min(row['snr_db'].values()):.0f} dB" if row["snr_db"] else "–",
        )
        for row in run["results"]
    ]
    both = ("time, Unbraid / peer", "peak memory, Unbraid / peer")
    headings = ("case", "peer", "weights", "song", "threads", *both, "times faster", "SNR between both")
    return facts.table(headings, rows)


def _medians(pairs: Sequence[Mapping[str, Any]], figure: str, unit: str) -> str:
    """A figure of both sides, each its median over the pairs."""
    sides = [statistics.median(both[side][figure] for both in pairs) for side in ("unbraid", "peer")]
    return f"{sides[0]:.0f} / {sides[1]:.0f} {unit}"


def sounds(source: str, figures: Mapping[str, str]) -> str:
    """What each method makes of a source in one excerpt; `figures` are headings by the stored names."""
    benchmark = stored("sounds")
    rows = [
        (method, *(f"{round(row[figure], 1) + 0:.1f}" for figure in figures))
        for method, row in benchmark["results"][source].items()
    ]
    return f"{facts.table(('method', *figures.values()), rows)}\n{origin(benchmark)}\n"


def flaws(headings: tuple[str, ...]) -> str:
    """What some of the numbers say of each flaw."""
    benchmark = stored("metrics")
    rows = [
        (flaw, *(_number(row[heading]) for heading in headings))
        for flaw, row in benchmark["results"]["scores"].items()
    ]
    return f"{facts.table(('', *headings), rows)}\n{origin(benchmark)}\n"


def symptoms() -> str:
    """What each kind of separation shows without references, song by song."""
    benchmark = stored("metrics")
    songs = benchmark["results"]["symptoms"]
    rows = [
        (song, kind, *(_number(value, digits) for value, digits in zip(row.values(), (1, 2, 0), strict=True)))
        for song, kinds in songs.items()
        for kind, row in kinds.items()
    ]
    headings = next(iter(next(iter(songs.values())).values()))
    return f"{facts.table(('song', '', *headings), rows)}\n{origin(benchmark)}\n"


def significance() -> str:
    """Two methods on few songs: how sure each number is, and their difference."""
    benchmark = stored("classical")
    songs = benchmark["results"].values()
    names = ("repet", "repet_sim")
    first, second = (torch.tensor([song[name]["vocals"] for song in songs]) for name in names)
    found = compare(first, second, "mean")
    intervals = [bootstrap(first, "mean"), bootstrap(second, "mean"), found.difference]
    rows = [
        (name, f"{interval.value:.2f}", f"{interval.low:.2f} to {interval.high:.2f}")
        for name, interval in zip((*(f"`{name}`" for name in names), "difference"), intervals, strict=True)
    ]
    drawn = facts.table(("", "mean SDR of vocals, in dB", "95 % interval"), rows)
    return (
        f"{drawn}\n`{names[1]}` is better on {found.better} of {found.difference.tracks} songs; "
        f"p = {found.p_value:.4g}.\n\n{origin(benchmark)}\n"
    )


def _number(value: float | str, digits: int = 1) -> str:
    if isinstance(value, str):
        return {"inf": "∞", "-inf": "-∞", "nan": "–"}[value]
    return f"{round(value, digits) + 0:,.{digits}f}"  # no minus zero


_RATIOS = ("SDR", "SI-SDR", "SD-SDR", "BSSEval SDR", "BSSEval ISR", "BSSEval SIR", "BSSEval SAR")
_SPECTRA = ("log-WMSE", "multi-resolution STFT", "L1 frequency", "bleedless", "fullness")

DRAWINGS: Mapping[str, Callable[[], str]] = {
    "summary": summary,
    "parity": parity,
    "precision": precision,
    "memory": memory,
    "models": facts.models,
    "all-models": facts.all_models,
    "common-models": facts.common_models,
    "budgets": facts.budgets,
    "tasks": facts.tasks,
    "spleeter": spleeter,
    "bsseval": bsseval,
    "classical": classical,
    "costs": costs,
    "peers": peers,
    "agreement": agreement,
    "architectures": architectures,
    "sounds-vocals": lambda: sounds(
        "vocals",
        {
            "sdr_db": "SDR in dB",
            "from_11_khz_db": "dB from 11 to 16 kHz",
            "from_16_khz_db": "dB from 16 to 20 kHz",
            "phase_degrees": "phase error in degrees",
            "remains_db": "remains in dB",
            "unevenness": "unevenness",
        },
    ),
    "sounds-drums": lambda: sounds(
        "drums",
        {
            "sdr_db": "SDR in dB",
            "before_attacks_db": "before hits in dB",
            "from_11_khz_db": "dB from 11 to 16 kHz",
            "phase_degrees": "phase error in degrees",
        },
    ),
    "flaws-ratios": lambda: flaws(_RATIOS),
    "flaws-spectra": lambda: flaws(_SPECTRA),
    "symptoms": symptoms,
    "significance": significance,
    "scores": facts.scores,
    "published": facts.published,
    "formats": facts.formats,
    "suffixes": facts.suffixes,
    "exit-codes": facts.exit_codes,
    "tree-of-errors": facts.tree_of_errors,
    "help": facts.command_line,
}


def pages() -> list[Path]:
    """README and every page of the docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def redrawn(text: str) -> str:
    """A page's text with every block drawn again."""
    return _BLOCK.sub(
        lambda block: f"<!-- drawn: {block[1]} -->\n{DRAWINGS[block[1]]()}<!-- end -->",
        text,
    )


def stale() -> dict[Path, str]:
    """Pages that are out of date, with what they should hold."""
    texts = {page: page.read_text(encoding="utf-8") for page in pages()}
    return {page: new for page, text in texts.items() if (new := redrawn(text)) != text}


def main(arguments: list[str]) -> int:
    """Draw, or only check; the exit code."""
    outdated = stale()
    for page, text in outdated.items():
        print(page.relative_to(ROOT))
        if "--check" not in arguments:
            page.write_text(text, encoding="utf-8")
    return 1 if outdated and "--check" in arguments else 0


def _stems(songs: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(next(iter(songs))["sdr_db"][WHOSE[0]])


def _mean(songs: Iterable[Mapping[str, Any]], whose: str, stem: str) -> float:
    return statistics.fmean(song["sdr_db"][whose][stem] for song in songs)


def _minutes(count: float) -> str:
    return "1 minute" if count == 1 else f"{count:g} minutes"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
