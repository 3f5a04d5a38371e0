"""What is measured: one literal table from a metric's name to its function, another of what they give."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from unbraid.data.stems import left_out
from unbraid.errors import UsageError, did_you_mean
from unbraid.evaluation.results import FRAMEWISE, WINDOW_SECONDS, StemScores
from unbraid.metrics import ratios, spectral
from unbraid.metrics.bsseval import bsseval, silent_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from torch import Tensor

    from unbraid.metrics.aggregate import Statistic
    from unbraid.metrics.bsseval import Silence


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Stems that are scored together.

    Args:
        references: True stems, `(stems, channels, time)`.
        estimates: Separated ones, same shape.
        mixture: What was separated, `(channels, time)`.
        sample_rate: In Hz.
        silence: What BSSEval takes for silence.
    """

    references: Tensor
    estimates: Tensor
    mixture: Tensor
    sample_rate: int
    silence: Silence = "energy"


@dataclass(frozen=True, slots=True)
class Measure:
    """One number that a metric gives.

    Args:
        title: What it is called above a table.
        statistic: What is taken over tracks, as those do who publish it.
        unit: "dB", or "" where it has none.
        framewise: Whether a track's number is the median of its seconds.
        lower_is_better: Whether 0 is perfect.
        published: The definition that `evaluation.published` calls it by; "" where nobody publishes it.
    """

    title: str
    statistic: Statistic = "mean"
    unit: str = "dB"
    framewise: bool = False
    lower_is_better: bool = False
    published: str = ""

    @property
    def caption(self) -> str:
        """Title, unit and statistic as a line above a table."""
        unit = f" in {self.unit}" if self.unit else ""
        frames = "median over seconds, then " if self.framewise else ""
        lower = ", lower is better" if self.lower_is_better else ""
        return f"{self.title}{unit}{lower}: {frames}{self.statistic} over songs"


@dataclass(frozen=True, slots=True)
class Metric:
    """One way to score.

    Args:
        score: From stems to numbers by measure, `(stems,)`, or `(stems, frames)` for framewise measures.
        measures: What it gives.
        settings: What else decides its numbers.
        scores_silence: Whether a silent true stem has a number.
    """

    score: Callable[[Scene], Mapping[str, Tensor]]
    measures: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    scores_silence: bool = False


MEASURES: Mapping[str, Measure] = {
    "bsseval_sdr": Measure("SDR of BSSEval v4", "median", framewise=True, published="bsseval_v4"),
    "bsseval_isr": Measure("ISR of BSSEval v4 (tone and place)", "median", framewise=True),
    "bsseval_sir": Measure("SIR of BSSEval v4 (bleed)", "median", framewise=True),
    "bsseval_sar": Measure("SAR of BSSEval v4 (artefacts)", "median", framewise=True),
    "sdr": Measure("SDR of the MDX challenges, global", published="global_sdr_mean"),
    "snr": Measure("SNR"),
    "si_sdr": Measure("SI-SDR"),
    "sd_sdr": Measure("SD-SDR"),
    "log_wmse": Measure("log-WMSE, 73.7 at best", unit=""),
    "multi_resolution_stft": Measure("multi-resolution STFT distance", unit="", lower_is_better=True),
    "l1_frequency": Measure("L1 frequency, 100 at best", unit=""),
    "bleedless": Measure("bleedless, 100 at best", unit=""),
    "fullness": Measure("fullness, 100 at best", unit=""),
}


def _bsseval(scene: Scene) -> dict[str, Tensor]:
    """BSSEval of the stems that sound in truth and estimate; the others have no number.

    With less than two of them nothing can bleed: SIR and SAR are left out.
    """
    pair = (scene.references, scene.estimates)
    heard = ~torch.stack([silent_sources(signals, scene.silence) for signals in pair]).any(0)
    if not heard.any():
        return dict.fromkeys(FRAMEWISE, torch.full((len(heard), 1), math.nan, dtype=torch.float64))
    alone = bool(heard.all())  # indexing would copy
    true = scene.references if alone else scene.references[heard]
    found = scene.estimates if alone else scene.estimates[heard]
    scores = bsseval(
        true, found, scene.sample_rate, window=WINDOW_SECONDS, hop=WINDOW_SECONDS, silence=scene.silence
    )
    four = dict(zip(FRAMEWISE, (scores.sdr, scores.isr, scores.sir, scores.sar), strict=True))
    if len(true) < 2:
        four |= {name: torch.full_like(scores.sdr, math.nan) for name in ("bsseval_sir", "bsseval_sar")}
    rows = torch.full((len(heard), scores.sdr.shape[1]), math.nan, dtype=torch.float64)
    return {measure: rows.masked_scatter(heard[:, None], values) for measure, values in four.items()}


def _each(
    name: str, score: Callable[[Tensor, Tensor, Scene], Tensor]
) -> Callable[[Scene], dict[str, Tensor]]:
    """A metric that looks at one stem at a time, so that its memory is that of one."""

    def scored(scene: Scene) -> dict[str, Tensor]:
        pairs = zip(scene.references, scene.estimates, strict=True)
        return {name: torch.stack([score(true, found, scene).double() for true, found in pairs])}

    return scored


def _plain(name: str, score: Callable[[Tensor, Tensor], Tensor]) -> Metric:
    return Metric(_each(name, lambda true, found, _: score(true, found)), (name,))


def _rated(name: str, score: Callable[[Tensor, Tensor, int], Tensor]) -> Metric:
    return Metric(_each(name, lambda true, found, scene: score(true, found, scene.sample_rate)), (name,))


def _log_wmse(true: Tensor, found: Tensor, scene: Scene) -> Tensor:
    return spectral.log_wmse(true, found, scene.mixture, scene.sample_rate)


METRICS: Mapping[str, Metric] = {
    "bsseval": Metric(
        _bsseval,
        tuple(FRAMEWISE),
        {"window_seconds": WINDOW_SECONDS, "hop_seconds": WINDOW_SECONDS, "taps": 512, "silence": "energy"},
    ),
    "sdr": _plain("sdr", ratios.sdr),
    "snr": _plain("snr", ratios.snr),
    "si_sdr": _plain("si_sdr", ratios.si_sdr),
    "sd_sdr": _plain("sd_sdr", ratios.sd_sdr),
    "log_wmse": Metric(_each("log_wmse", _log_wmse), ("log_wmse",), scores_silence=True),
    "multi_resolution_stft": _plain("multi_resolution_stft", spectral.multi_resolution_stft),
    "l1_frequency": _plain("l1_frequency", spectral.l1_frequency),
    "bleedless": _rated("bleedless", spectral.bleedless),
    "fullness": _rated("fullness", spectral.fullness),
}
DEFAULT_METRICS = ("bsseval", "sdr")


def settings_of(name: str, silence: Silence = "energy") -> dict[str, Any]:
    """What decides a metric's numbers besides the signals, as plain values.

    >>> settings_of("bsseval", "museval")["silence"], settings_of("sdr")
    ('museval', {})
    """
    settings = dict(METRICS[name].settings)
    return {**settings, "silence": silence} if "silence" in settings else settings


def require_metrics(names: Sequence[str]) -> None:
    """Refuse metrics that there are not.

    Raises:
        UsageError: If there are none, one stands twice, or one is unknown.
    """
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names or len(set(names)) < len(names):
        near = did_you_mean(unknown[0], METRICS) if unknown else ""
        raise UsageError(
            f"the metrics {', '.join(names) or 'none'} were asked for; each may stand once, and there are "
            f"{', '.join(METRICS)}{near}"
        )


def scenes(stems: Collection[str]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Which stems are scored together, and for which of them that counts.

    A stem that is everything but another is scored beside that other, since it holds all the rest; stems on
    their own are scored beside each other.

    >>> scenes(["vocals", "drums", "accompaniment"])
    [(('vocals', 'drums'), ('vocals', 'drums')), (('vocals', 'accompaniment'), ('accompaniment',))]
    >>> scenes(["vocals", "accompaniment"])
    [(('vocals', 'accompaniment'), ('vocals', 'accompaniment'))]
    """
    sums = [stem for stem in stems if left_out(stem)]
    parts = tuple(stem for stem in stems if not left_out(stem))
    pair = (*parts, *sums)
    if len(parts) == len(sums) == 1 and left_out(sums[0]) == parts[0]:
        return [(pair, pair)]
    found = [(parts, parts)] if parts else []
    return found + [((*(part for part in parts if part == left_out(rest)), rest), (rest,)) for rest in sums]


def score(
    references: Mapping[str, Tensor],
    estimates: Mapping[str, Tensor],
    mixture: Tensor,
    sample_rate: int,
    metrics: Sequence[str] = DEFAULT_METRICS,
    *,
    silence: Silence = "energy",
) -> dict[str, StemScores]:
    """Numbers for each stem of a song.

    Args:
        references: True stems by name, `(channels, time)` each.
        estimates: Separated ones; each has a true one, of the same shape.
        mixture: The song, of the same shape.
        sample_rate: In Hz.
        metrics: Names from `METRICS`.
        silence: What BSSEval takes for silence, see `metrics.bsseval.bsseval`.

    Returns:
        By the stem's name. A stem that is silent in truth from end to end has no number (NaN), unless the
        metric is defined for silence.

    Raises:
        UsageError: If a metric is unknown.
        ShapeError: If shapes differ.
    """
    require_metrics(metrics)
    found: dict[str, StemScores] = {}
    for together, wanted in scenes(estimates):
        # Views of one tensor in their order there: then none of them has to be copied.
        order = sorted(together, key=lambda stem: references[stem].storage_offset())
        true, guess = (_stacked([held[stem] for stem in order]) for held in (references, estimates))
        values, frames = _numbers(Scene(true, guess, mixture, sample_rate, silence), metrics)
        for row, stem in enumerate(order):
            if stem in wanted:
                found[stem] = StemScores(
                    {measure: numbers[row].item() for measure, numbers in values.items()},
                    {measure: tuple(numbers[row].tolist()) for measure, numbers in frames.items()},
                )
    return {stem: found[stem] for stem in estimates}


def _stacked(signals: Sequence[Tensor]) -> Tensor:
    """Signals as one tensor; without a copy where they follow each other in one already."""
    first, size = signals[0], signals[0].numel()
    storage, start = first.untyped_storage().data_ptr(), first.storage_offset()
    follows = all(
        signal.is_contiguous()
        and signal.shape == first.shape
        and signal.untyped_storage().data_ptr() == storage
        and signal.storage_offset() == start + number * size
        for number, signal in enumerate(signals)
    )
    return (
        first.as_strided((len(signals), *first.shape), (size, *first.stride()))
        if follows
        else torch.stack([*signals])
    )


def _numbers(scene: Scene, metrics: Sequence[str]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What all metrics say: of whole tracks, and of frames."""
    silent = torch.tensor([not true.any() for true in scene.references])
    values, frames = {}, {}
    for name in metrics:
        for measure, numbers in METRICS[name].score(scene).items():
            if MEASURES[measure].framewise:
                frames[measure] = numbers
            else:
                values[measure] = (
                    numbers if METRICS[name].scores_silence else numbers.where(~silent, math.nan)
                )
    return values, frames
