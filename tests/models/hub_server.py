"""A server on this computer that plays the hub, and fails as tests want."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from vae_balance.models.catalog import RemoteFile, RemoteModel
from vae_balance.models.hub import url_of

CDN = "/cdn"


def path_of(file: RemoteFile) -> str:
    """Return the path of a file on a mirror."""
    return url_of(file, "http://mirror").removeprefix("http://mirror")


@dataclass
class HubServer:
    """Serves files by path; as on the hub, a large file is somewhere else, where it redirects to.

    Attributes:
        files: path -> content.
        cuts: after how many bytes the connection breaks, for one request after the other.
        statuses: answers for one request after the other, before anything is served.
        ranges: whether a part of a file can be asked for.
        requests: (path, Range header or "") of each request that was answered with content.
        asked: the path of each request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    requests: list[tuple[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(handler.path)
        if self.statuses:
            handler.send_error(self.statuses.pop(0))
            return
        path = handler.path.removeprefix(CDN)
        if path not in self.files:
            handler.send_error(404)
            return
        if path.endswith(".safetensors") and path == handler.path:
            handler.send_response(302)
            handler.send_header("Location", CDN + path)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        self._send(handler, path, self.files[path])

    def _send(self, handler: BaseHTTPRequestHandler, path: str, content: bytes) -> None:
        wanted = handler.headers.get("Range", "")
        self.requests.append((path, wanted))
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start and start >= len(content):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        if start:
            last = len(content) - 1
            handler.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        body = content[start:]
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)


@dataclass
class Mirror:
    """A hub with small files in the place of those of sd-vae-ft-mse.

    Attributes:
        server: serves them.
        model: the catalog's entry, with their checksums.
    """

    server: HubServer
    model: RemoteModel

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        return (*self.model.vae, *self.model.balancer_parts)

    def content(self, file: RemoteFile) -> bytes:
        return self.server.files[path_of(file)]
