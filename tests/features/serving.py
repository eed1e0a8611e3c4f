"""Servers on this machine, in place of those that models are downloaded from."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Server(ThreadingHTTPServer):
    """Files by their path, and what goes wrong with them.

    files : path to content.
    refused : path to HTTP status.
    requests : (method, path, "Range" header) of everything that was asked for.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.refused: dict[str, int] = {}
        self.refusal_headers: dict[str, str] = {}
        self.requests: list[tuple[str, str, str | None]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add_model(self, name: str, files: dict[str, bytes], licence: str = "apache-2.0") -> None:
        """Answer as the hub does for a model: the list of its files, and each of them."""
        commit = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
        siblings: list[dict[str, Any]] = []
        for file, content in files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            entry: dict[str, Any] = {"rfilename": file, "size": len(content), "blobId": blob}
            if file.endswith(".safetensors"):
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            siblings.append(entry)
            path = f"/{name}/resolve/{commit}/{file}"
            self.files[path] = content
            self.headers[path] = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": commit}
        about = {"id": name, "sha": commit, "siblings": siblings, "cardData": {"license": licence}}
        self.files[f"/api/models/{name}/revision/main"] = json.dumps(about).encode()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        wanted = self.headers.get("Range")
        self.server.requests.append((self.command, path, wanted))
        content = self.server.files.get(path)
        status = self.server.refused.get(path, 404 if content is None else 200)
        start = 0
        if status == 200 and content is not None and wanted:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            status = 206 if start < len(content) else 416
        self.send_response(status)
        if content is None or status >= 400:
            for key, value in self.server.refusal_headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        for key, value in self.server.headers.get(path, {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if body:
            self.wfile.write(content[start:])
        self.close_connection = True


def stand_in_for_the_hub(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send what is meant for the hub to `server`, whatever the environment says of networks."""
    for name in ("SOFTSEG_OFFLINE", "HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    if importlib.util.find_spec("huggingface_hub") is not None:  # reads its variable once, when it is imported
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@contextmanager
def serving() -> Iterator[Server]:
    """A server that runs during the block."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
