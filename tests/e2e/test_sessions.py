"""Publishers that come back, compete and are refused; players that are; TLS and proxies."""

from __future__ import annotations

import http.client
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.config.pem import make_pair
from tests.e2e.clients import (
    CURL,
    FFMPEG_RTMP,
    PLAY_WAIT,
    RTMPDUMP,
    Command,
    pass_through,
    publish_command,
    wait_for_viewers,
    wait_for_waiting,
)
from tests.e2e.conftest import StartServer
from tests.e2e.media import (
    assert_monotone,
    assert_part,
    assert_same,
    make_clip,
    packets,
    pictures,
)
from tests.e2e.peers import Publisher, read_flv
from tests.e2e.processes import Failed, Program, run, wait_until
from tests.e2e.server import Server, free_port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that does not let players wait for long."""
    server = Server(tmp_path_factory.mktemp("server"), ["hub.play_wait=1"])
    yield server
    server.close()


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of H.264 with B-frames and AAC."""
    return make_clip(tmp_path_factory.mktemp("clip") / "short.flv", 3)


def position(server: Server, name: str) -> float:
    """Return how many seconds of a stream have come; 0 while it is not published."""
    found = [x for x in server.api("streams")["streams"] if x["name"] == name]
    return float(found[0]["position_seconds"]) if found else 0.0


def test_publisher_comes_back(start_server: StartServer, clip: Path, tmp_path: Path) -> None:
    """A-SE-03, B-FL-10: a publisher that is killed and returns in time keeps all its players.

    They get what both sent, on one timeline that only goes forward.
    """
    server = start_server(PLAY_WAIT)
    name = "liveshow/back"
    command = publish_command(clip, server.rtmp(name))
    flv, rtmp = CURL.start(server, name, tmp_path), RTMPDUMP.start(server, name, tmp_path)
    with flv.program, rtmp.program:
        wait_for_waiting(server, 2)
        with Program(command, tmp_path, "publisher") as publisher:
            wait_until(lambda: position(server, name) > 1.5, "it was published")
            publisher.stop(signal.SIGKILL)
        wait_until(lambda: server.api(f"streams/{name}")["publisher"] is None, "it was gone", 10)
        assert server.api(f"streams/{name}")["viewers"] == 2
        run(command, tmp_path)
        paths = [flv.finish(), rtmp.finish()]
    sent = packets(clip)
    for path in paths:
        received = packets(path)
        assert_monotone(received)
        assert_monotone(packets(path, "a"))
        # The second time all of it, and the first time from its beginning to where it was killed.
        assert_same(received[-len(sent) :], sent)
        first = received[: -len(sent)]
        assert assert_part(first, sent, 30) == 0
        # No more than what passed in between.
        gap = received[len(first)].dts - first[-1].dts
        assert 0 < gap < 8000
        assert len(packets(path, "a")) >= len(packets(clip, "a"))
        # It decodes, but for a group of pictures that was cut off in the middle of one.
        assert len(pictures(path)) >= len(received) - 3


def test_second_publisher_is_refused(server: Server, clip: Path, tmp_path: Path) -> None:
    """A-SE-01: with a reason; the first one and its players notice nothing."""
    name = "liveshow/taken"
    command = publish_command(clip, server.rtmp(name))
    with Program(command, tmp_path, "first") as first:
        wait_until(lambda: position(server, name) > 0.5, "it was published")
        recording = CURL.start(server, name, tmp_path)
        with recording.program:
            run(command, tmp_path, status=1)
            with pytest.raises(Failed, match=r"NetStream\.Publish\.BadName.*has a publisher"):
                Publisher(server.rtmp_port, name)
            first.finish()
            path = recording.finish()
    for kind in ("v", "a"):
        received, sent = packets(path, kind), packets(clip, kind)
        start = assert_part(received, sent, len(sent) // 2)
        assert start + len(received) == len(sent)


def test_takeover(start_server: StartServer, clip: Path, short_clip: Path, tmp_path: Path) -> None:
    """A-SE-02: with `hub.publish_policy=takeover` the second wins, and players go on with it."""
    server = start_server("hub.publish_policy=takeover", PLAY_WAIT)
    name = "liveshow/takeover"
    recording = CURL.start(server, name, tmp_path)
    with recording.program:
        wait_for_waiting(server, 1)
        with Program(publish_command(clip, server.rtmp(name)), tmp_path, "first") as first:
            wait_until(lambda: position(server, name) > 1.2, "it was published")
            run(publish_command(short_clip, server.rtmp(name)), tmp_path)
            assert first.wait(10) != 0
        path = recording.finish()
    received, second = packets(path), packets(short_clip)
    assert_same(received[-len(second) :], second)
    assert assert_part(received[: -len(second)], packets(clip), 30) == 0
    assert_monotone(received)
    assert_monotone(packets(path, "a"))


def test_other_stream_under_the_name(
    start_server: StartServer, short_clip: Path, tmp_path: Path
) -> None:
    """A-SE-07: nothing of an earlier stream is left for a later one of the same name."""
    server = start_server(PLAY_WAIT)
    name = "liveshow/again"
    run(publish_command(short_clip, server.rtmp(name), realtime=False), tmp_path)
    wait_until(lambda: not server.api("streams")["streams"], "the first one was over")
    other = tmp_path / "other.flv"
    sound = ("-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1")
    run(["ffmpeg", "-v", "error", "-i", short_clip, "-vn", *sound, other], tmp_path)
    copy = pass_through(server, name, publish_command(other, server.rtmp(name)), tmp_path)
    header, tags = read_flv(copy)
    assert (header.has_audio, header.has_video) == (True, False)
    assert {tag.body[0] >> 4 for tag in tags[1:]} == {7}


def test_publish_again_on_one_connection(server: Server, short_clip: Path, tmp_path: Path) -> None:
    """A-AM-19: what a publisher leaves in order is free at once, also for itself."""
    name = "liveshow/anew"
    for _ in range(3):
        run(publish_command(short_clip, server.rtmp(name), realtime=False), tmp_path)
    assert f"{name} refused" not in server.log


@pytest.mark.parametrize("name", ["nowhere/stream", "liveshow/a/b", "mserver/x"])
def test_refused_names(server: Server, short_clip: Path, tmp_path: Path, name: str) -> None:
    """Unknown applications and bad names are refused to publishers and players, with a reason."""
    run(publish_command(short_clip, server.rtmp(name)), tmp_path, status=1)
    with pytest.raises(Failed, match=r"NetStream\.Publish\.BadName"):
        Publisher(server.rtmp_port, name)
    path = tmp_path / "nothing.flv"
    player = run(["rtmpdump", "-r", server.rtmp(name), "-o", path], tmp_path, status=1)
    assert "NetStream.Play." in player.errors
    assert path.stat().st_size == 0
    status, body = server.get(f"/{name}.flv")
    # What is below /mserver is the administration's, which tells strangers nothing.
    assert status in ((401,) if name.startswith("mserver") else (403, 404))
    if name.startswith("nowhere"):
        assert status == 403
        assert b'there is no application "nowhere"' in body
        server.wait_for_log('refused: there is no application "nowhere"')


def test_missing_stream(server: Server, tmp_path: Path) -> None:
    """A-SE-10: after the wait, Play.StreamNotFound over RTMP and 404 over HTTP."""
    name = "liveshow/missing"
    player = run(
        ["rtmpdump", "-r", server.rtmp(name), "-o", tmp_path / "x.flv"], tmp_path, status=1
    )
    assert "NetStream.Play.StreamNotFound" in player.errors
    status, body = server.get(f"/{name}.flv")
    assert status == 404
    assert b"liveshow/missing" in body
    assert FFMPEG_RTMP.start(server, name, tmp_path).program.wait() != 0


@contextmanager
def ask(
    server: Server, method: str, path: str, **headers: str
) -> Iterator[http.client.HTTPResponse]:
    """Send a request on a connection of its own, and give the answer with its body unread."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
    with closing(connection):
        words = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=words)
        with connection.getresponse() as answer:
            yield answer


def test_http_answers(server: Server, clip: Path, tmp_path: Path) -> None:
    """B-HT-01, 02 and 04: status and fields of live answers, and of those to HEAD and OPTIONS."""
    name = "liveshow/answers"
    path = f"/{name}.flv"
    origin = {"Origin": "https://page.example"}
    with Program(publish_command(clip, server.rtmp(name)), tmp_path, "publisher"):
        wait_until(lambda: position(server, name) > 0.2, "it was published")
        for fields in ({}, {"Range": "bytes=0-99"}, {"Accept_Encoding": "gzip"}):
            with ask(server, "GET", path, **origin, **fields) as answer:
                assert answer.status == 200
                assert answer.headers["Content-Type"] == "video/x-flv"
                assert answer.headers["Transfer-Encoding"] == "chunked"
                assert "no-cache" in answer.headers["Cache-Control"]
                assert answer.headers["Access-Control-Allow-Origin"] == "*"
                assert answer.headers["Content-Length"] is None
                assert answer.headers["Content-Encoding"] is None
                assert answer.read(5) == b"FLV\x01\x05"
        wait_until(lambda: server.api(f"streams/{name}")["viewers"] == 0, "nobody watched", 10)
        with ask(server, "HEAD", path) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "video/x-flv"
            assert answer.read() == b""
        assert server.api(f"streams/{name}")["viewers"] == 0
    preflight = {"Access_Control_Request_Method": "GET", "Access_Control_Request_Headers": "range"}
    with ask(server, "OPTIONS", path, **origin, **preflight) as answer:
        assert answer.status in (200, 204)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "GET" in answer.headers["Access-Control-Allow-Methods"]
        assert answer.headers["Access-Control-Allow-Headers"]
    with ask(server, "GET", "/nowhere/x.flv", **origin) as answer:
        assert answer.status == 403
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    with ask(server, "POST", path) as answer:
        assert answer.status == 405
    with ask(server, "HEAD", "/liveshow/absent.flv") as answer:
        assert answer.status == 404


def test_end_over_http(server: Server, short_clip: Path, tmp_path: Path) -> None:
    """B-HT-09: with the stream the body ends in order, as HTTP/1.1 and 1.0 know it."""
    name = "liveshow/end"
    with Program(publish_command(short_clip, server.rtmp(name)), tmp_path, "publisher"):
        wait_until(lambda: position(server, name) > 0.2, "it was published")
        with socket.create_connection(("127.0.0.1", server.http_port), 20) as old:
            old.sendall(f"GET /{name}.flv HTTP/1.0\r\n\r\n".encode())
            with ask(server, "GET", f"/{name}.flv") as answer:
                # http.client raises IncompleteRead where the last chunk is missing.
                body = answer.read()
            with old.makefile("rb") as stream:
                head, _, other = stream.read().partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert other == body
    assert body.startswith(b"FLV\x01\x05")


@pytest.fixture(scope="module")
def secure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int, int]]:
    """A server with RTMPS and HTTPS; their ports."""
    folder = tmp_path_factory.mktemp("secure")
    certificate, key = make_pair(folder, "localhost")
    rtmps, https = free_port(), free_port()
    server = Server(
        folder,
        [
            PLAY_WAIT,
            f"rtmps.listen=tcp:{rtmps}:interface=127.0.0.1",
            f"https.listen=tcp:{https}:interface=127.0.0.1",
            f"tls.certificate={certificate}",
            f"tls.key={key}",
        ],
    )
    yield server, rtmps, https
    server.close()


def test_tls(secure_server: tuple[Server, int, int], short_clip: Path, tmp_path: Path) -> None:
    """A-HS-11: the same over RTMPS and HTTPS, by FFmpeg and by curl."""
    server, rtmps, https = secure_server
    name = "liveshow/secure"
    address = f"rtmps://127.0.0.1:{rtmps}/{name}"
    copies = {x: tmp_path / f"{x}.flv" for x in ("rtmps", "curl")}
    play: Command = ["ffmpeg", "-v", "error", "-tls_verify", "0", "-i", address]
    play += ["-map", "0", "-c", "copy", copies["rtmps"]]
    fetch: Command = ["curl", "-sS", "-f", "-k", "-o", copies["curl"]]
    fetch += [f"https://127.0.0.1:{https}/{name}.flv"]
    command = publish_command(short_clip, address, "-tls_verify", "0")
    with Program(play, tmp_path, "rtmps") as one, Program(fetch, tmp_path, "curl") as other:
        wait_for_waiting(server, 2)
        run(command, tmp_path)
        one.finish()
        other.finish()
    for path in copies.values():
        for kind in ("v", "a"):
            received = packets(path, kind)
            assert_same(received, packets(short_clip, kind))
            assert_monotone(received)
        assert_same(pictures(path), pictures(short_clip))


def test_proxy_protocol(start_server: StartServer, short_clip: Path, tmp_path: Path) -> None:
    """A-HS-12: the address that a load balancer tells is the publisher's; media are as sent."""
    server = start_server(PLAY_WAIT, "rtmp.proxy_protocol=on", "rtmp.trusted_proxies=127.0.0.1")
    name = "liveshow/proxied"
    # Until there is an administrator, publishers have to come from private networks.
    header = b"PROXY TCP4 10.51.100.7 203.0.113.1 45000 1935\r\n"
    recording = CURL.start(server, name, tmp_path)
    with recording.program:
        wait_for_waiting(server, 1)
        with Publisher(server.rtmp_port, name, first_bytes=header) as publisher:
            _header, tags = read_flv(short_clip)
            publisher.play(tags[:60])
            wait_for_viewers(server, name, 1)
            assert server.api(f"streams/{name}")["publisher"]["peer"] == "10.51.100.7:45000"
            for tag in tags[60:]:
                publisher.send_tag(tag)
        path = recording.finish()
    for kind in ("v", "a"):
        assert_same(packets(path, kind), packets(short_clip, kind))


def test_untrusted_proxy(start_server: StartServer) -> None:
    """A-HS-12: from anywhere else such a header is a bad handshake, and one line in the log."""
    server = start_server("rtmp.proxy_protocol=on", "rtmp.trusted_proxies=192.0.2.1")
    header = b"PROXY TCP4 198.51.100.7 203.0.113.1 45000 1935\r\n"
    with pytest.raises((Failed, OSError)):
        Publisher(server.rtmp_port, "liveshow/x", first_bytes=header)
    server.wait_for_log("no RTMP: the first byte is 0x50, as in HTTP, RTMPT or a PROXY protocol")
    assert "198.51.100.7" not in server.log
