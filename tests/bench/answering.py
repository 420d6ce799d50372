"""HTTP servers of a few lines, in threads, for the tests beside them."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from bench.hlsloop import multivariant_path

INIT: Final = b"\0\0\0\x08ftyp\0\0\0\x08moov"
FRAGMENT: Final = b"\0\0\0\x08moof\0\0\0\x09mdatx"


def answer_with(body: bytes) -> bytes:
    """Write an answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nDate: x\r\n\r\n%s" % (len(body), body)


def serve(connection: socket.socket, answer: Callable[[str], bytes]) -> None:
    """Answer the requests of one connection."""
    with connection, connection.makefile("rb") as requests:
        for line in requests:
            if line.startswith(b"GET "):
                data = answer(line.split(b" ")[1].decode())
                if not data:
                    return
                connection.sendall(data)


@contextmanager
def server(answer: Callable[[str], bytes]) -> Iterator[int]:
    """Serve from threads; what is yielded is the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _peer = listener.accept()
                except OSError:
                    return
                threading.Thread(target=guarded, args=(connection,), daemon=True).start()

        def guarded(connection: socket.socket) -> None:
            try:
                serve(connection, answer)
            except OSError:
                return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


class LowLatency:
    """A stream with a part each 50 ms and a segment each four, and a session for each who asks.

    Attributes:
        paths: How often each was asked for.
    """

    part_seconds: Final = 0.05
    per_segment: Final = 4

    def __init__(self) -> None:
        self.paths: Counter[str] = Counter()
        # Two segments are there.
        self._started = time.monotonic() - 2 * self.per_segment * self.part_seconds
        self._lock = threading.Lock()

    def __call__(self, path: str) -> bytes:
        with self._lock:
            self.paths[path] += 1
            count = self.paths[path]
        if path == multivariant_path("ll"):
            return answer_with(b"#EXTM3U\nbench0/~%d/ll-av/index.m3u8\n" % count)
        name, _mark, query = path.partition("?")
        if not name.endswith("index.m3u8"):
            return answer_with(INIT if name.endswith(".mp4") else FRAGMENT)
        if query:
            directives = dict(pair.split("=") for pair in query.split("&"))
            wanted = int(directives["_HLS_msn"]) * self.per_segment + int(directives["_HLS_part"])
            ready_at = self._started + (wanted + 1) * self.part_seconds
            time.sleep(max(0.0, ready_at - time.monotonic()))
        return answer_with(self._playlist())

    def _playlist(self) -> bytes:
        count = int((time.monotonic() - self._started) / self.part_seconds)
        first = max(0, count // self.per_segment - 3)
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        lines.append('#EXT-X-MAP:URI="init0.mp4"')
        for number in range(first * self.per_segment, count):
            segment, part = divmod(number, self.per_segment)
            lines.append(f'#EXT-X-PART:DURATION=0.05,URI="{segment}.{part}.m4s"')
            if part == self.per_segment - 1:
                lines += ["#EXTINF:0.2,", f"{segment}.m4s"]
        return "\n".join([*lines, ""]).encode()
