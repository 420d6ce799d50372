"""The wrong protocol on each port, and requests whose end is a matter of opinion."""

from __future__ import annotations

import http.client
import io
import random
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.config.pem import make_pair
from tests.e2e.conftest import StartServer
from tests.e2e.hostile import (
    HANDSHAKE,
    Base,
    close_all,
    closing_times,
    connect,
    flv_request,
    undisturbed,
)
from tests.e2e.server import Server, free_port


@pytest.fixture(autouse=True)
def close_peers(start_server: StartServer) -> Iterator[None]:
    """Leave no connection to the next test, nor to the stop of the server."""
    yield
    close_all()


def client_hello() -> bytes:
    """Return what a TLS client says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    talker = context.wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        talker.do_handshake()
    return outgoing.read()


WRONG = {
    "TLS": client_hello(),
    "HTTP": flv_request("liveshow/steady"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "RTMP": HANDSHAKE,
    "RTSP": b"OPTIONS rtsp://127.0.0.1/a RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "PROXY": b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 1935\r\n" + HANDSHAKE,
    "random": random.Random(1).randbytes(5000),
    "zeros": bytes(5000),
    "lines": b"\r\n" * 3000,
    "nothing": b"",
}

RIGHT = {("rtmp", "RTMP"), ("http", "HTTP")}


def test_wrong_protocols(start_server: StartServer, clip: Path, tmp_path: Path) -> None:
    """Whoever speaks something else is told so in one line, soon; nobody else notices."""
    certificate, key = make_pair(tmp_path, "one.example")
    ports = {"rtmps": free_port(), "https": free_port()}
    server = start_server(
        "rtmp.handshake_timeout=1.5",
        "http.head_timeout=1.5",
        *(f"{name}.listen=tcp:{port}:interface=127.0.0.1" for name, port in ports.items()),
        f"tls.certificate={certificate}",
        f"tls.key={key}",
    )
    ports |= {"rtmp": server.rtmp_port, "http": server.http_port}
    with undisturbed(server, clip, tmp_path):
        base = Base(server)
        peers: dict[tuple[str, str], socket.socket] = {}
        names: dict[str, tuple[str, str]] = {}
        for port in ports:
            for kind in WRONG:
                if (port, kind) not in RIGHT:
                    peer = connect(ports[port])
                    names["{}:{}".format(*peer.getsockname())] = (port, kind)
                    peer.sendall(WRONG[kind])
                    peers[port, kind] = peer
        took = closing_times(list(peers.values()), 12)
        assert max(took) < 7, dict(zip(peers, took, strict=True))
        close_all()
        base.wait_until_back()
    lines = [line for line in server.log.splitlines() if "127.0.0.1:" in line]
    for name, what in names.items():
        told = [line for line in lines if f"{name}:" in line or f"{name} " in line]
        assert len(told) <= 1, (what, told)
        # Who says nothing that is wrong, or breaks TLS below us, need not be told of.
        if what[0] in ("rtmp", "http") and what[1] not in ("nothing", "lines"):
            assert len(told) == 1, what
            assert " info " in told[0]


# F-RE-06: each is refused with 400 (or 501) and the connection closed, so that nothing behind it
# is taken for another request.
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
HEADS = {
    "two lengths": b"Content-Length: 4\r\n" + CHUNKED,
    "two Content-Lengths": b"Content-Length: 4\r\nContent-Length: 5\r\n",
    "the same twice": b"Content-Length: 4\r\nContent-Length: 4\r\n",
    "a list of lengths": b"Content-Length: 4, 4\r\n",
    "+4": b"Content-Length: +4\r\n",
    "0x4": b"Content-Length: 0x4\r\n",
    "-1": b"Content-Length: -1\r\n",
    "1_0": b"Content-Length: 1_0\r\n",
    "empty length": b"Content-Length: \r\n",
    "a huge length": b"Content-Length: " + b"9" * 30 + b"\r\n",
    "xchunked": b"Transfer-Encoding: xchunked\r\n",
    "identity, chunked": b"Transfer-Encoding: identity, chunked\r\n",
    "identity": b"Transfer-Encoding: identity\r\n",
    "chunked twice": CHUNKED + CHUNKED,
    "VT before chunked": b"Transfer-Encoding: \x0bchunked\r\n",
    "space before the colon": b"Transfer-Encoding : chunked\r\n",
    "folded": b"X-Fold: a\r\n b\r\n",
    "folded encoding": b"Transfer-Encoding:\r\n chunked\r\n",
    "bare LF": b"X-Line: a\nTransfer-Encoding: chunked\r\n",
    "bare CR": b"X-Line: a\rTransfer-Encoding: chunked\r\n",
    "NUL in a value": b"X-Nul: a\0b\r\n",
    "no colon": b"X-None\r\n",
    "empty name": b": a\r\n",
    "two Hosts": b"Host: a\r\n",
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("path", [b"/mserver/api/v1/status", b"/liveshow/none.flv", b"/healthz"])
def test_heads(shared_server: Server, head: str, path: bytes) -> None:
    """F-RE-06: a head that two readers may read differently is refused, wherever it leads."""
    with connect(shared_server.http_port) as peer:
        peer.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: a\r\n" + HEADS[head] + b"\r\n")
        peer.sendall(b"0\r\n\r\n" + SMUGGLED)
        assert statuses(peer) == [400]


@pytest.mark.parametrize("size", [b"0x2", b"+2", b"1_0", b"-2", b" 2", b"", b"g", b"f" * 20])
def test_chunk_sizes(shared_server: Server, size: bytes) -> None:
    """F-RE-06: nor is a chunk's size what it may be elsewhere."""
    with connect(shared_server.http_port) as peer:
        peer.sendall(
            b"POST /mserver/api/v1/status HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"\r\n"
            + size + b"\r\nab\r\n0\r\n\r\n" + SMUGGLED
        )  # fmt: skip
        assert statuses(peer) == [400]


@pytest.mark.parametrize(
    "line",
    [
        b"GET /health\0z HTTP/1.1",
        b"GET  /healthz HTTP/1.1",
        b"GET /healthz\tHTTP/1.1",
        b"GET /healthz HTTP/1.1 ",
        b"GET /healthz HTTP/9.9",
        b"GET /healthz",
        b"GET http://other.example/healthz HTTP/1.1",
        b"GET * HTTP/1.1",
        b"CONNECT a:80 HTTP/1.1",
        b"get /healthz HTTP/1.1",
    ],
)
def test_request_lines(shared_server: Server, line: bytes) -> None:
    """F-RE-06: a request line is as RFC 9112 has it, byte by byte."""
    with connect(shared_server.http_port) as peer:
        peer.sendall(line + b"\r\nHost: a\r\n\r\n" + SMUGGLED)
        assert statuses(peer) == [400]


def test_no_host(shared_server: Server) -> None:
    """F-RE-06: HTTP/1.1 without Host is refused; HTTP/1.0 need not have one."""
    with connect(shared_server.http_port) as peer:
        peer.sendall(b"GET /healthz HTTP/1.1\r\n\r\n" + SMUGGLED)
        assert statuses(peer) == [400]
    with connect(shared_server.http_port) as peer:
        peer.sendall(b"GET /healthz HTTP/1.0\r\n\r\n" + SMUGGLED)
        assert statuses(peer) == [200]


def test_pipelining(shared_server: Server) -> None:
    """F-RE-06: three at once, of both worlds, are answered in order, with a body in between."""
    path = b"/mserver/api/v1/"
    requests = [
        SMUGGLED,
        b"POST " + path + b"none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nGET /",
        b"GET " + path + b"status HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ]
    for cut in (1, 7, 1000):
        data = b"".join(requests)
        with connect(shared_server.http_port) as peer:
            for place in range(0, len(data), cut):
                peer.sendall(data[place : place + cut])
                if cut < 1000:
                    time.sleep(0.001)
            assert statuses(peer) == [200, 401, 401, 200]


class _Answers(io.BytesIO):
    """All that came on a connection, as `HTTPResponse` takes it: from a socket that stays open."""

    def makefile(self, *_arguments: object) -> _Answers:
        return self

    def close(self) -> None:
        """Stay open: the next answer follows."""


def statuses(peer: socket.socket) -> list[int]:
    """Return the status of each answer, up to the end of the connection, which must come soon."""
    peer.settimeout(5)
    data = b""
    while piece := peer.recv(65536):
        data += piece
    stream, found = _Answers(data), []
    while stream.tell() < len(data):
        answer = http.client.HTTPResponse(stream)  # type: ignore[arg-type]
        answer.begin()
        answer.read()
        found.append(answer.status)
    return found
