"""A tiny HT Demucs as Demucs itself would publish it, a card for it, and a server that can misbehave."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import stat
import sys
import threading
import types
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from networks.tiny import HTDEMUCS_ARGUMENTS
from unbraid.zoo import catalog
from unbraid.zoo.checkpoint import WeightFile
from unbraid.zoo.package import fingerprint

KWARGS = {"sources": ["drums", "vocals"], **HTDEMUCS_ARGUMENTS, "segment": Fraction(1, 2)}
CONFIG = {
    "sources": ["drums", "vocals"],
    "channels": 8,
    "depth": 2,
    "n_fft": 512,
    "bottom_channels": 16,
    "t_layers": 2,
    "t_heads": 2,
    "segment": "1/2",
    "t_dropout": 0.0,
}


@dataclasses.dataclass(frozen=True)
class Published:
    """A checkpoint as Demucs publishes it."""

    state: dict[str, torch.Tensor]
    package: bytes
    legacy: bytes
    fingerprint: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.package).hexdigest()


@pytest.fixture(scope="session")
def tiny() -> Published:
    """A package saved by torch that names the oracle's own class, in both of torch's forms."""
    from demucs.htdemucs import HTDemucs

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        state = {key: value.half() for key, value in HTDemucs(**KWARGS).state_dict().items()}
    package = {"klass": HTDemucs, "args": (), "kwargs": KWARGS, "state": state, "training_args": {"lr": 3e-4}}
    saved = []
    for zipped in (True, False):
        buffer = io.BytesIO()
        torch.save(package, buffer, _use_new_zipfile_serialization=zipped)
        saved.append(buffer.getvalue())
    return Published(state, saved[0], saved[1], fingerprint(state))


@pytest.fixture
def make_card(tiny):
    """A card for the tiny checkpoint, with the given files."""

    def make(*files: WeightFile, **changes):
        facts = {
            "name": "tiny",
            "config": CONFIG,
            "fingerprint": tiny.fingerprint,
            "sources": ("drums", "vocals"),
            "scores": (),
            "parameters": sum(value.numel() for value in tiny.state.values()),
            "files": files,
        }
        return dataclasses.replace(catalog.card("htdemucs"), **{**facts, **changes})

    return make


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("UNBRAID_CACHE", str(folder))
    return folder


class Server:
    """Serves `content`, or that of a path; its switches say in which way it misbehaves."""

    def __init__(self) -> None:
        self.content = b""
        self.contents: dict[str, bytes | None] = {}  # by path, as "/a.th"; None: it is not there
        self.paths: list[str] = []  # of each request
        self.status: int | None = None  # answer every request with this
        self.ranges = True  # continue where asked to
        self.offset = 0  # continue this many bytes away from where asked to
        self.cut_after: int | None = None  # send only so many bytes of each answer
        self.asked: list[str | None] = []  # the Range header of each request
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            server.asked.append(wanted)
            server.paths.append(self.path)
            content = server.contents.get(self.path, server.content)
            if server.status is not None or content is None:
                self.send_error(server.status or 404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
            size = len(content)
            if start > size:
                self.send_error(416)
                return
            start += server.offset if start else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.send_header("Content-Length", str(size - start))
            self.end_headers()
            end = size if server.cut_after is None else start + server.cut_after
            with contextlib.suppress(ConnectionError):  # a client that has seen enough
                self.wfile.write(content[start:end])

        def log_message(self, *_args) -> None:
            pass

    return Handler


@pytest.fixture
def server(tiny, monkeypatch):
    """A server on this machine with the tiny package on it."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    running = Server()
    running.content = tiny.package
    yield running
    running.close()


@pytest.fixture
def published(server, tiny):
    """The tiny package as a plain download from the server."""
    return WeightFile("url", "th", tiny.sha256, len(tiny.package), url=f"{server.url}/tiny.th")


@pytest.fixture
def demucs_v2_class(monkeypatch):
    """The class that packages of Demucs v1 and v2 name, which newer releases of it no longer have."""
    from pymss_core.modules.legacy_demucs import LegacyDemucs

    klass = type("Demucs", (LegacyDemucs,), {"__module__": "demucs.model"})
    module = types.ModuleType("demucs.model")
    module.Demucs = klass
    monkeypatch.setitem(sys.modules, "demucs.model", module)
    return klass


@pytest.fixture
def listed(monkeypatch):
    """Makes a card the only one of the catalogue."""

    def listed(card):
        monkeypatch.setattr(catalog, "_tables", lambda: {card.name: {}})
        monkeypatch.setattr(catalog, "_structured", {card.name: card}.__getitem__)
        return card

    return listed


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Puts a program called npm in front of all others; its body is Python."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def install(body: str) -> None:
        program = folder / "npm"
        program.write_text(f"#!{sys.executable}\nimport os, sys, time, pathlib, subprocess\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return install
