"""A Hub on loopback: what the Hub's client asks for, in memory, with faults as tests want them."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import huggingface_hub as client
import pytest
from huggingface_hub import constants

USER, TOKEN, READER = "mine", "hf_writes", "hf_reads"
LARGE = (".safetensors", ".onnx", ".parquet")  # files that the Hub stores as large ones
Files = dict[str, bytes]


def digest(name: str, content: bytes) -> str:
    """The name that the Hub gives to a content: SHA-256 of large files, else git's of a blob."""
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass
class Repository:
    """Its commits, oldest first: (name, all files)."""

    private: bool = False
    commits: list[tuple[str, Files]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, changes: dict[str, bytes | None]) -> str:
        files = {**self.commits[-1][1], **changes} if self.commits else changes
        kept = {name: content for name, content in files.items() if content is not None}
        oid = hashlib.sha1(repr((len(self.commits), kept)).encode(), usedforsecurity=False).hexdigest()
        self.commits.append((oid, kept))
        return oid

    def at(self, revision: str) -> tuple[str, Files] | None:
        """(commit, its files) of main, a tag or a commit."""
        if revision == "main":
            return self.commits[-1] if self.commits else None
        wanted = self.tags.get(revision, revision)
        return next((commit for commit in self.commits if commit[0] == wanted), None)


class Hub(ThreadingHTTPServer):
    """Repositories by (kind, name). fault: asked first; the status it answers with, or None.

    asked: the requests, as in "GET /api/whoami-v2". damaged: contents to send in place of those of a path.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.damaged: dict[str, bytes] = {}
        self.fault: Callable[[str], int | None] = lambda _: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, kind: str, name: str, files: Files) -> str:
        """A repository with one commit more; returns the commit."""
        return self.repositories.setdefault((kind, name), Repository()).commit({**files})

    def files(self, kind: str, name: str) -> Files:
        return self.repositories[kind, name].commits[-1][1]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def _any(self) -> None:
        self.path = unquote(urlsplit(self.path).path)
        self.body = self._read()
        request = f"{self.command} {self.path}"
        self.server.asked.append(request)
        if (status := self.server.fault(request)) is not None:
            self._fail(status)
            return
        for pattern, answer in ROUTES:
            if found := re.fullmatch(pattern, request):
                answer(self, **found.groupdict())
                return
        self._fail(404)

    do_GET = do_HEAD = do_POST = do_PUT = _any

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", headers.pop("Content_Length", str(len(body))))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(json.dumps(value).encode(), status, Content_Type="application/json")

    def _fail(self, status: int, code: str = "") -> None:
        """0: the connection ends without an answer."""
        self.close_connection = True
        if status:
            headers = {"Connection": "close"} | ({"X_Error_Code": code} if code else {})
            self._send(b'{"error": "so it is"}', status, **headers)

    def _may_write(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self._fail(403 if "Authorization" in self.headers else 401)
        return False

    def whoami(self) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in (TOKEN, READER):
            self._fail(401)
            return
        role = "write" if token == TOKEN else "read"
        self._json({"name": USER, "type": "user", "orgs": [], "auth": {"accessToken": {"role": role}}})

    def create(self) -> None:
        wanted = json.loads(self.body)
        name, kind = f"{wanted['organization']}/{wanted['name']}", wanted["type"]
        if not self._may_write():
            return
        if wanted["organization"] != USER:
            self._fail(403)
            return
        url = f"{self.server.url}/{'datasets/' if kind == 'dataset' else ''}{name}"
        if (kind, name) in self.server.repositories:
            self._json({"url": url}, 409)
            return
        repository = Repository(private=wanted.get("visibility") == "private")
        repository.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        self.server.repositories[kind, name] = repository
        self._json({"url": url})

    def preupload(self, **_: str) -> None:
        modes = {True: "lfs", False: "regular"}
        paths = [file["path"] for file in json.loads(self.body)["files"]]
        files = [{"path": path, "uploadMode": modes[path.endswith(LARGE)]} for path in paths]
        self._json({"files": [{**file, "shouldIgnore": False} for file in files]})

    def batch(self, **_: str) -> None:
        objects = json.loads(self.body)["objects"]
        for one in objects:
            one["actions"] = {"upload": {"href": f"{self.server.url}/large/{one['oid']}"}}
        self._json({"transfer": "basic", "objects": objects})

    def put(self, oid: str) -> None:
        self.server.large[oid] = self.body
        self._send(b"")

    def commit(self, kind: str, name: str, **_: str) -> None:
        if not self._may_write():
            return
        changes: dict[str, bytes | None] = {}
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                changes[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                changes[value["path"]] = self.server.large[value["oid"]]
            elif line["key"] == "deletedFile":
                changes[value["path"]] = None
        oid = self.server.repositories[kind, name].commit(changes)
        self._json({"commitUrl": f"{self.server.url}/{name}/commit/{oid}", "commitOid": oid})

    def _commit(self, kind: str, name: str, revision: str) -> tuple[str, Files] | None:
        repository = self.server.repositories.get((kind, name))
        allowed = repository and (not repository.private or "Authorization" in self.headers)
        if repository is None or not allowed:
            self._fail(404, "RepoNotFound")
            return None
        if (found := repository.at(revision)) is None:
            self._fail(404, "RevisionNotFound")
        return found

    def info(self, kind: str, name: str, revision: str | None = None) -> None:
        if found := self._commit(kind, name, revision or "main"):
            is_private = self.server.repositories[kind, name].private
            siblings = [{"rfilename": path} for path in found[1]]
            self._json({"id": name, "sha": found[0], "private": is_private, "siblings": siblings})

    def tree(self, kind: str, name: str, revision: str) -> None:
        if found := self._commit(kind, name, revision):
            self._json([_entry(path, content) for path, content in found[1].items()])

    def resolve(self, name: str, revision: str, path: str, kind: str | None = None) -> None:
        if not (found := self._commit("dataset" if kind else "model", name, revision)):
            return
        if path not in found[1]:
            self._fail(404, "EntryNotFound")
            return
        content = found[1][path]
        sent = self.server.damaged.get(path, content)
        etag = f'"{digest(path, content)}"'
        self._send(sent, ETag=etag, X_Repo_Commit=found[0], Content_Length=str(len(content)))
        self.close_connection = len(sent) != len(content)

    def log_message(self, *_: object) -> None:
        """Nothing is said on the terminal."""


def _entry(path: str, content: bytes) -> dict[str, Any]:
    name = digest(path, content)
    large = {"lfs": {"oid": name, "size": len(content), "pointerSize": 130}} if len(name) == 64 else {}
    return {"type": "file", "path": path, "size": len(content), "oid": name[:40], **large}


NAME = r"(?P<name>[^/]+/[^/]+)"
API = rf"/api/(?P<kind>model|dataset)s/{NAME}"
ROUTES: list[tuple[str, Callable[..., None]]] = [
    ("GET /api/whoami-v2", Handler.whoami),
    ("POST /api/repos/create", Handler.create),
    ("POST /api/validate-yaml", lambda handler: handler._json({"errors": [], "warnings": []})),
    (rf"POST {API}/preupload/.+", Handler.preupload),
    (r"POST /(datasets/)?[^/]+/[^/]+\.git/info/lfs/objects/batch", Handler.batch),
    (r"PUT /large/(?P<oid>\w+)", Handler.put),
    (rf"POST {API}/commit/.+", Handler.commit),
    (rf"GET {API}(/revision/(?P<revision>.+))?", Handler.info),
    (rf"GET {API}/tree/(?P<revision>[^/]+)", Handler.tree),
    (rf"(GET|HEAD) /(?P<kind>datasets/)?{NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", Handler.resolve),
]


def point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client talk to this Hub, as HF_ENDPOINT does for a process that starts."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@contextmanager
def hub(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Hub]:
    """The Hub that the client talks to until the end of the block, with an empty cache and a token."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    settings: dict[str, Any] = {"HF_HUB_DISABLE_XET": True, "HF_HUB_OFFLINE": False}
    settings |= {"HF_HUB_CACHE": str(cache), "HF_TOKEN_PATH": str(cache / "token")}
    for name, value in settings.items():
        monkeypatch.setattr(constants, name, value)
    with Hub() as server:
        point_to(server.url, monkeypatch)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            client.close_session()
