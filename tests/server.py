"""A web server on loopback that offers one file and misbehaves as it is told."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request as the next of `server.answers` says; the last of them goes on."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers.get("Range"))
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        answer(self, self.server.content)

    def send(self, status: int, body: bytes, *, length: int | None = None, **headers: str) -> None:
        """An answer whose body may be shorter than its Content-Length says; the connection then ends."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing is said on the terminal."""


class Server(ThreadingHTTPServer):
    """What it offers, how it answers, and the ranges that it was asked for."""

    daemon_threads = True

    def __init__(self, content: bytes, answers: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.answers, self.ranges = content, answers, []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/archive.zip"


@contextmanager
def serving(content: bytes, *answers: Answer) -> Iterator[Server]:
    """A server until the end of the block."""
    with Server(content, list(answers) or [properly]) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _start(handler: Handler) -> int:
    found = re.match(r"bytes=(\d+)-$", handler.headers.get("Range", ""))
    return int(found[1]) if found else 0


def properly(handler: Handler, content: bytes) -> None:
    """206 with what a range asks for, 416 where there is nothing, else 200."""
    start, total = _start(handler), len(content)
    if start >= total:
        handler.send(416, b"", Content_Range=f"bytes */{total}")
    elif start:
        handler.send(206, content[start:], Content_Range=f"bytes {start}-{total - 1}/{total}")
    else:
        handler.send(200, content)


def cut(after: int) -> Answer:
    """As it should be, but the connection ends after so many bytes."""

    def answer(handler: Handler, content: bytes) -> None:
        start, total = _start(handler), len(content)
        where = {"Content_Range": f"bytes {start}-{total - 1}/{total}"} if start else {}
        handler.send(206 if start else 200, content[start : start + after], length=total - start, **where)

    return answer


def without_ranges(handler: Handler, content: bytes) -> None:
    """200 and everything, whatever was asked for."""
    handler.send(200, content)


def status(code: int) -> Answer:
    """No file, but this."""
    return lambda handler, _: handler.send(code, b"sorry")


def another_range(handler: Handler, content: bytes) -> None:
    """206, but from the first byte on."""
    handler.send(206, content, Content_Range=f"bytes 0-{len(content) - 1}/{len(content)}")


def a_part_as_200(handler: Handler, content: bytes) -> None:
    """What the range asks for, but called the whole."""
    handler.send(200, content[_start(handler) :])


def slowly(handler: Handler, content: bytes) -> None:
    """As it should be, a little every few milliseconds."""
    start, total, pause = _start(handler), len(content), threading.Event()
    where: dict[str, Any] = {"Content_Range": f"bytes {start}-{total - 1}/{total}"} if start else {}
    handler.send(206 if start else 200, b"", length=total - start, **where)
    for place in range(start, total, 1 << 16):
        handler.wfile.write(content[place : place + (1 << 16)])
        pause.wait(0.02)
