"""A Hub on this machine that takes uploads: repositories, large files by their SHA-256, commits.

Implements the LFS protocol of huggingface_hub; writes need the token.
"""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

from tests.helpers.hub_server import Handler, HubServer, Model, stand_in

TOKEN = "hf_aTokenThatNobodyMaySee"
_PREUPLOAD = re.compile(r"/api/models/([^/]+/[^/]+)/preupload/main")
_COMMIT = re.compile(r"/api/models/([^/]+/[^/]+)/commit/main")
_BATCH = re.compile(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch")


class _Writer(Handler):
    hub: "WritableHub"

    def do_GET(self) -> None:  # noqa: N802
        if urlsplit(self.path).path == "/api/whoami-v2":
            self._take(lambda body: self._json(self.hub.me))
        else:
            super().do_GET()

    def do_POST(self) -> None:  # noqa: N802
        path = unquote(urlsplit(self.path).path)
        self._take(self._handler_of(path))

    def do_PUT(self) -> None:  # noqa: N802
        oid = self.path.removeprefix("/lfs/")
        self._take(lambda body: self._keep(oid, body), needs_token=False)

    def do_DELETE(self) -> None:  # noqa: N802
        self._take(self._remove)

    def _handler_of(self, path: str) -> Callable[[bytes], None]:
        fixed: dict[str, Callable[[bytes], None]] = {
            "/api/repos/create": self._create,
            "/api/validate-yaml": lambda body: self._json({"errors": [], "warnings": []}),
            "/lfs-verify": self._verify,
        }
        if path in fixed:
            return fixed[path]
        for pattern, act in (
            (_PREUPLOAD, self._preupload),
            (_COMMIT, self._commit),
            (_BATCH, self._batch),
        ):
            match = pattern.fullmatch(path)
            if match and match[1] in self.hub.models:
                name = match[1]
                return lambda body, act=act: act(name, body)  # type: ignore[misc]
        return lambda body: self._refuse(404, "Repository not found")

    def _take(self, act: Callable[[bytes], None], *, needs_token: bool = True) -> None:
        body, path = self._body(), unquote(urlsplit(self.path).path)
        line = f"{self.command} {path}"
        self.hub.requests.append(line)
        for pattern, status in self.hub.refuse.items():
            if re.search(pattern, line):
                self._refuse(status, f"no, {self.headers.get('Authorization')}, says the test")
                return
        if needs_token and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "Invalid username or password.")
            return
        act(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _json(self, value: Any) -> None:
        headers = {"Content-Type": "application/json"}
        self._send(200, json.dumps(value).encode(), body=True, headers=headers)

    def _refuse(self, status: int, message: str) -> None:
        self._send(status, b"{}", body=True, headers={"X-Error-Message": message})

    def _create(self, body: bytes) -> None:
        request = json.loads(body)
        name = f"{request['organization']}/{request['name']}"
        if name in self.hub.models:
            self._refuse(409, "You already created this model repo")
            return
        folder = self.hub.root / name
        folder.mkdir(parents=True)
        self.hub.models[name] = Model(folder, "0" * 40, request.get("visibility") == "private")
        self._json({"url": f"{self.hub.url}/{name}"})

    def _remove(self, body: bytes) -> None:
        request = json.loads(body)
        model = self.hub.models.pop(f"{request['organization']}/{request['name']}")
        shutil.rmtree(model.folder)
        self._json({})

    def _preupload(self, name: str, body: bytes) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self._json({"files": files})

    def _batch(self, name: str, body: bytes) -> None:
        actions = {"verify": {"href": f"{self.hub.url}/lfs-verify"}}
        objects = [
            {
                **item,
                "actions": {**actions, "upload": {"href": f"{self.hub.url}/lfs/{item['oid']}"}},
            }
            for item in json.loads(body)["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _keep(self, oid: str, body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            self._refuse(400, "other content than announced")
            return
        self.hub.large[oid] = body
        self._json({})

    def _verify(self, body: bytes) -> None:
        request = json.loads(body)
        if len(self.hub.large.get(request["oid"], b"")) != request["size"]:
            self._refuse(400, "not here")
            return
        self._json({})

    def _commit(self, name: str, body: bytes) -> None:
        model = self.hub.models[name]
        for line in body.splitlines():
            item = json.loads(line)
            kind, value = item["key"], item["value"]
            place = model.folder / value.get("path", "")
            place.parent.mkdir(exist_ok=True)
            if kind == "file":
                place.write_bytes(base64.b64decode(value["content"]))
            elif kind == "lfsFile":
                place.write_bytes(self.hub.large[value["oid"]])
            elif kind == "deletedFile":
                place.unlink()
            else:
                assert kind == "header", kind
        model.commit = hashlib.sha1(body).hexdigest()
        url = f"{self.hub.url}/{name}/commit/{model.commit}"
        self._json({"commitUrl": url, "commitOid": model.commit})


class WritableHub(HubServer):
    """A Hub that takes uploads with `TOKEN`.

    Args:
        root: Where new repositories lie.
    """

    handler = _Writer

    def __init__(self, root: Path) -> None:
        self.root = root
        self.large: dict[str, bytes] = {}
        """SHA-256 -> content of large files."""
        self.refuse: dict[str, int] = {}
        """Pattern of "METHOD path" -> the status of its answer."""
        self.me: dict[str, Any] = {
            "type": "user",
            "name": "ada",
            "orgs": [
                {"name": "lab", "roleInOrg": "write"},
                {"name": "museum", "roleInOrg": "read"},
            ],
            "auth": {"type": "access_token", "accessToken": {"role": "write"}},
        }
        super().__init__()

    def changes(self) -> list[str]:
        """The requests that change something, in order."""
        return [
            line
            for line in self.requests
            if line.startswith(("POST", "PUT", "DELETE")) and "validate-yaml" not in line
        ]


def writable_hub(folder: Path, monkeypatch: pytest.MonkeyPatch, token: str | None) -> WritableHub:
    """Replace the real Hub by one that takes uploads; the caller closes it.

    Args:
        folder: Where it stores uploads; empty.
        monkeypatch: Undoes it all.
        token: The login of this computer; None without a login.
    """
    server = WritableHub(folder / "hub")
    stand_in(server, folder / "cache", monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # another protocol, and compiled
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "no-token"))
    if token is None:
        monkeypatch.delenv("HF_TOKEN", raising=False)
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    return server
