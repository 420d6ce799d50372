"""An HTTP server of a few lines, in threads, for the tests beside it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


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
