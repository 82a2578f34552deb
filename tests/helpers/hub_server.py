"""A Hub on this machine: model info, and files with the headers the Hub's clients rely on.

Serves HTTP on the loopback only; folders stand in for models.
"""

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

MODEL = re.compile(r"/api/models/([^/]+/[^/]+?)(?:/revision/(.+))?$")
FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")


@dataclass
class Model:
    """One model: a folder, and the commit its main branch is at."""

    folder: Path
    commit: str
    private: bool = False
    gated: bool = False
    """Whether files are refused until terms are accepted; their list stays visible."""
    card: dict[str, Any] = field(default_factory=dict)
    large: frozenset[str] = frozenset()
    """Files the Hub keeps outside git, by their SHA-256."""

    def file(self, name: str) -> Path | None:
        path = self.folder / name
        return path if path.is_file() else None

    def info(self, name: str) -> dict[str, Any]:
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {
            "id": name,
            "sha": self.commit,
            "cardData": self.card,
            "private": self.private,
            "gated": "manual" if self.gated else False,
            "siblings": [self._sibling(path) for path in files],
        }

    def _sibling(self, path: Path) -> dict[str, Any]:
        size, name = path.stat().st_size, str(path.relative_to(self.folder))
        sha, blob = hashes(path)
        entry: dict[str, Any] = {"rfilename": name, "size": size, "blobId": blob}
        if name in self.large:
            entry["lfs"] = {"size": size, "sha256": sha, "pointerSize": 134}
        return entry


def hashes(path: Path) -> tuple[str, str]:
    """SHA-256 of a file, and git's hash; once for each version of it."""
    return _hashes(path, path.stat().st_size, path.stat().st_mtime_ns)


@cache
def _hashes(path: Path, size: int, _changed: int) -> tuple[str, str]:
    sha, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            sha.update(piece)
            blob.update(piece)
    return sha.hexdigest(), blob.hexdigest()


class HubServer:
    """Serves `models` by name until closed; records the requests."""

    handler: "type[Handler] | None" = None
    """The handler class; a test's Hub may have another."""

    def __init__(self) -> None:
        self.models: dict[str, Model] = {}
        self.requests: list[str] = []
        self.sent: Counter[str] = Counter()
        """File -> bytes of its content that were sent."""
        self.ranges = True
        """Whether it answers ranges; a proxy may not."""
        self.answers = threading.Event()
        """While this is cleared, requests get no answer."""
        self.answers.set()
        self.break_off: Callable[[str], int | None] = lambda path: None
        """Path -> bytes after which an answer breaks off."""
        self.status: int | None = None
        """If set, the answer to every request."""
        handler = type("Asked", (self.handler or Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, name: str, folder: Path, **settings: Any) -> str:
        """Offer a folder under a name; returns its commit."""
        commit = hashlib.sha1(f"{name}{len(self.requests)}".encode()).hexdigest()
        self.models[name] = Model(folder, commit, **settings)
        self.models[name].info(name)  # hashes of gigabytes take longer than a client waits
        return commit

    def files(self) -> list[str]:
        """Names of sent files, in order."""
        matches = [FILE.search(line[4:]) for line in self.requests if line.startswith("GET ")]
        return [match[3] for match in matches if match]

    def close(self) -> None:
        """Stop answering."""
        self.answers.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def stand_in(server: HubServer, cache: Path, patch: pytest.MonkeyPatch) -> None:
    """Make huggingface_hub in this process use a local server, with an empty cache."""
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace("https://huggingface.co", server.url)
    patch.setattr(constants, "ENDPOINT", server.url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(constants, "HF_HUB_CACHE", str(cache))
    patch.setattr(constants, "HF_HUB_OFFLINE", False)


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    hub: HubServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:  # noqa: N802
        self._answer(body=False)

    def do_GET(self) -> None:  # noqa: N802
        self._answer(body=True)

    def log_message(self, *args: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        self.hub.answers.wait()
        if self.hub.status is not None:
            self._send(self.hub.status, b"", body=body)
            return
        match = MODEL.search(path) or FILE.search(path)
        model = self.hub.models.get(match[1]) if match else None
        if match is None or model is None:
            self._fail(404, "RepoNotFound", body=body)
        elif match[2] not in (None, "main", model.commit):
            self._fail(404, "RevisionNotFound", body=body)
        elif match.re is MODEL:
            self._send(200, json.dumps(model.info(match[1])).encode(), body=body)
        elif model.gated:
            self._fail(403, "GatedRepo", body=body)
        else:
            self._send_file(path, model, match[3], body=body)

    def _fail(self, status: int, code: str, *, body: bool) -> None:
        self._send(status, b"{}", body=body, headers={"X-Error-Code": code})

    def _send_file(self, path: str, model: Model, name: str, *, body: bool) -> None:
        file = model.file(name)
        if file is None:
            self._fail(404, "EntryNotFound", body=body)
            return
        size = file.stat().st_size
        headers = {
            "ETag": f'"{hashes(file)[0]}"',
            "X-Repo-Commit": model.commit,
            "Accept-Ranges": "bytes",
        }
        range_header = self.headers.get("Range", "") if self.hub.ranges else ""
        byte_range, first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", range_header), 0, size - 1
        if byte_range:
            first, last = int(byte_range[1]), min(int(byte_range[2] or size), size - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        with file.open("rb") as opened:
            opened.seek(first)
            data = opened.read(last + 1 - first)
        if body:
            self.hub.sent[name] += len(data)
        self._send(206 if byte_range else 200, data, body=body, headers=headers, path=path)

    def _send(
        self,
        status: int,
        data: bytes,
        *,
        body: bool,
        headers: dict[str, str] | None = None,
        path: str = "",
    ) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        limit = self.hub.break_off(path) if path and body else None
        if body:
            self.wfile.write(data if limit is None else data[:limit])
        if limit is not None:
            self.close_connection = True
