"""A Hub on the loopback address: enough of its protocol to hand out the files of one folder.

``FOLDER/models/ORG/NAME/...`` and ``FOLDER/datasets/ORG/NAME/...`` are repositories with one commit each.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def fake_hub(folder: Path) -> Iterator[str]:
    """Serve the folder; gives the address for HF_ENDPOINT."""
    handler = type("Handler", (_Handler,), {"folder": folder})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    folder: Path

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        sent = self.rfile.read(length).decode()
        self._paths = (
            json.loads(sent).get("paths", [])
            if sent.startswith("{")
            else parse_qs(sent).get("paths", [])
        )
        self._answer(body=True)

    def log_message(self, *args: object) -> None:
        pass

    def _answer(self, body: bool) -> None:
        parts = unquote(urlparse(self.path).path).strip("/").split("/")
        if parts == [""]:
            self._send(b"", body)
        elif parts[0] == "api" and parts[1] in ("models", "datasets"):
            self._describe(parts[1], parts[2:], body)
        elif "resolve" in parts:
            at = parts.index("resolve")
            kind, repository = (
                (parts[0], parts[1:at]) if parts[0] == "datasets" else ("models", parts[:at])
            )
            self._file(self.folder.joinpath(kind, *repository, *parts[at + 2 :]), body)
        else:
            self._missing()

    def _describe(self, kind: str, parts: list[str], body: bool) -> None:
        root = self.folder.joinpath(kind, *parts[:2])
        if not root.is_dir():
            return self._missing("RepoNotFound")
        what = parts[2] if len(parts) > 2 else ""
        files = [file for file in sorted(root.rglob("*")) if file.is_file()]
        if what == "tree":
            under = root.joinpath(*parts[4:])
            found = under.rglob("*") if "recursive=true" in self.path.lower() else under.glob("*")
            entries = [_entry(path, root) for path in sorted(found)]
            return self._json(entries, body) if entries else self._missing("EntryNotFound")
        if what == "paths-info":
            return self._json(
                [_entry(root / path, root) for path in self._paths if (root / path).exists()], body
            )
        siblings = [{"rfilename": file.relative_to(root).as_posix()} for file in files]
        name = "/".join(parts[:2])
        return self._json(
            {
                "id": name,
                "sha": COMMIT,
                "siblings": siblings,
                "private": False,
                "tags": [],
                "downloads": 0,
            },
            body,
        )

    def _file(self, file: Path, body: bool) -> None:
        if not file.is_file():
            return self._missing("EntryNotFound")
        content = file.read_bytes()
        return self._send(
            content,
            body,
            {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT},
        )

    def _json(self, value: object, body: bool) -> None:
        self._send(json.dumps(value).encode(), body, {"Content-Type": "application/json"})

    def _missing(self, code: str = "EntryNotFound") -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, content: bytes, body: bool, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        for key, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


def _entry(path: Path, root: Path) -> dict[str, object]:
    name = path.relative_to(root).as_posix()
    if path.is_dir():
        return {"type": "directory", "path": name, "oid": COMMIT, "size": 0}
    content = path.read_bytes()
    return {
        "type": "file",
        "path": name,
        "oid": hashlib.sha1(content).hexdigest(),
        "size": len(content),
    }
