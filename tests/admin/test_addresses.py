"""Tests of ntvmedia.admin.addresses: where a stream is found, and how that is shown."""

from __future__ import annotations

import re
import struct
import zlib
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
import segno
from hypothesis import given, settings, strategies as st
from twisted.internet.address import IPv4Address

from ntvmedia.accounts import Role
from ntvmedia.admin.addresses import embed_code, qr_code, stream_addresses, without_port
from ntvmedia.admin.problems import Problem
from ntvmedia.config import parse_settings
from ntvmedia.config.addresses import Base
from ntvmedia.media.names import parse_path
from tests.admin.stream_rig import KEY, StreamTestCase
from tests.admin.web import ask, result_of

STREAM = "/streams/liveshow/a"
ALL = ("rtmp", "flv", "ts", "hls", "rtsp")

# P-501, and how it is called.
EXPECTED = {
    "rtmp": "rtmp://tv.example:1936/liveshow/a",
    "rtmps": "rtmps://tv.example/liveshow/a",
    "http-flv": "http://tv.example:8080/liveshow/a.flv",
    "https-flv": "https://tv.example/liveshow/a.flv",
    "ws-flv": "ws://tv.example:8080/liveshow/a.flv",
    "wss-flv": "wss://tv.example/liveshow/a.flv",
    "http-ts": "http://tv.example:8080/liveshow/a.ts",
    "https-ts": "https://tv.example/liveshow/a.ts",
    "http-hls": "http://tv.example:8080/liveshow/a.m3u8",
    "https-hls": "https://tv.example/liveshow/a.m3u8",
    "rtsp": "rtsp://tv.example:8554/liveshow/a",
    "rtsps": "rtsps://tv.example:8322/liveshow/a",
    "http-page": "http://tv.example:8080/liveshow/a",
    "https-page": "https://tv.example/liveshow/a",
    "http-embed": "http://tv.example:8080/embed/liveshow/a",
    "https-embed": "https://tv.example/embed/liveshow/a",
}
BASES = [
    Base("rtmp", "rtmp://tv.example:1936"),
    Base("rtmps", "rtmps://tv.example"),
    Base("http", "http://tv.example:8080"),
    Base("https", "https://tv.example"),
    Base("rtsp", "rtsp://tv.example:8554"),
    Base("rtsps", "rtsps://tv.example:8322"),
]


def test_all_addresses() -> None:
    """P-501: one of each kind, with and without TLS, with ports where they are not the default."""
    found = stream_addresses(BASES, KEY, ALL)
    assert {x.id: x.url for x in found} == EXPECTED
    assert [x.id for x in found] == list(EXPECTED)
    secure = {id for id, url in EXPECTED.items() if url.partition(":")[0][-1] == "s"}
    assert {x.id for x in found if x.secure} == secure - {"ws-flv"}
    assert {x.id for x in found if x.publish} == {"rtmp", "rtmps", "rtsp", "rtsps"}


def test_outputs() -> None:
    """What an application does not give has no address; pages need something that they play."""

    def outputs(*names: str) -> set[str]:
        return {x.output for x in stream_addresses(BASES, KEY, names)}

    assert outputs("rtmp") == {"rtmp"}
    assert outputs("hls") == {"hls", "page", "embed"}
    assert outputs("ts", "rtsp") == {"ts", "rtsp"}
    assert outputs() == set()


def test_several_ports() -> None:
    """Two ports of one scheme have two addresses, each with an id of its own."""
    bases = [Base("rtmp", "rtmp://a"), Base("rtmp", "rtmp://a:1936"), Base("rtmp", "rtmp://b")]
    found = stream_addresses(bases, KEY, ALL)
    assert [(x.id, x.url) for x in found] == [
        ("rtmp", "rtmp://a/liveshow/a"),
        ("rtmp-2", "rtmp://a:1936/liveshow/a"),
        ("rtmp-3", "rtmp://b/liveshow/a"),
    ]


names = st.text(
    alphabet=st.characters(categories=["Lu", "Ll", "Lo", "Nd"]), min_size=1, max_size=12
).filter(lambda name: name.lower() not in ("embed", "static", "metrics", "healthz", "readyz"))


@settings(max_examples=60, deadline=None)
@given(application=names, stream=names)
def test_names_come_back(application: str, stream: str) -> None:
    """F-PA-01: what is shown is ASCII, and means the same stream to whoever is asked for it."""
    try:
        key = parse_path(f"/{application}/{stream}").key
    except Exception:
        return
    for address in stream_addresses(BASES, key, ALL, "share=x1"):
        assert address.url.isascii()
        path = "/" + address.url.partition("://")[2].partition("/")[2]
        path = path.removeprefix("/embed")
        for ending in (".flv", ".ts", ".m3u8"):
            path = path.replace(f"{ending}?", "?")
        assert parse_path(path).key == key
        assert parse_path(path).query == {"share": "x1"}


@pytest.mark.parametrize(
    ("field", "host"),
    [
        ("a.example", "a.example"),
        ("a.example:8080", "a.example"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:8080", "2001:db8::1"),
    ],
)
def test_hosts(field: str, host: str) -> None:
    """The field Host without the port."""
    assert without_port(field) == host


class _Frames(HTMLParser):
    """Takes the attributes of the one iframe that there is."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    "url", ["https://a.example/embed/a/b", "http://a/?x=1&y=2", '"><script>alert(1)</script>']
)
def test_embed_code(url: str) -> None:
    """F-IN-03: an iframe with the size that was asked for, and nothing else, whatever the names."""
    parser = _Frames()
    parser.feed(embed_code(url, 640, 360, title="<b>\"'"))
    [(tag, attributes)] = parser.tags
    assert tag == "iframe"
    assert (attributes["src"], attributes["title"]) == (url, "<b>\"'")
    assert (attributes["width"], attributes["height"]) == ("640", "360")


def png_modules(data: bytes, scale: int) -> list[list[bool]]:
    """Read the modules of a code from a PNG (ISO/IEC 15948): grey or palette, without filters.

    True is dark.
    """
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, packed = 8, b""
    width = height = depth = 0
    while place < len(data):
        [size] = struct.unpack(">I", data[place : place + 4])
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        if kind == b"IHDR":
            width, height, depth = struct.unpack(">IIB", body[:9])
        elif kind == b"IDAT":
            packed += body
        place += 12 + size
    assert depth == 1
    rows = zlib.decompress(packed)
    stride = 1 + (width + 7) // 8
    found = []
    for row in range(0, height, scale):
        line = rows[row * stride : (row + 1) * stride]
        assert line[0] == 0
        bits = "".join(f"{byte:08b}" for byte in line[1:])[:width]
        found.append([bit == "0" for bit in bits[::scale]])
    return found


def test_qr_png() -> None:
    """The picture has the modules of the code of that text, within its quiet zone."""
    url = "https://tv.example/liveshow/%E4%BE%8B?share=abc"
    modules = png_modules(qr_code(url, "png", 3), 3)
    expected = [
        [bool(cell) for cell in row]
        for row in segno.make(url, error="m", micro=False).matrix_iter(border=4)
    ]
    assert modules == expected
    assert not any(modules[0] + modules[3])
    assert all(modules[4][4:11])


def test_qr_svg() -> None:
    """The drawing is well-formed, has no script, and the size that was asked for."""
    root = ElementTree.fromstring(qr_code("rtmp://a/b/c", "svg", 5))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("width") == str((21 + 8) * 5)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {"svg", "path"}


def test_qr_of_too_much() -> None:
    """A code has room for some 2,300 characters."""
    with pytest.raises(Problem) as caught:
        qr_code("x" * 3000, "png", 1)
    assert caught.value.status == 400


class AddressTests(StreamTestCase):
    """As the API tells them."""

    def set_up(self, raw: dict[str, Any]) -> None:
        """Give the server other settings."""
        self.host.settings = parse_settings(raw, {}, self.host.settings.data)

    def urls(self, query: str = "", host: str = "") -> dict[str, str]:
        """Return the addresses, by id."""
        found = self.ask("GET", f"{STREAM}/addresses{query}", host=host).json()
        return {x["id"]: x["url"] for x in found["addresses"]}

    def test_machine(self) -> None:
        """Over the control socket nobody has said how the server is reached."""
        found = self.ask("GET", f"{STREAM}/addresses").json()
        assert found["server_address_from"] == "machine"
        assert found["server_address"]
        assert found["signed"] is False
        assert (found["application"], found["stream"]) == ("liveshow", "a")

    def test_order_of_hosts(self) -> None:
        """The preferences come first, then the settings, then the host of the request."""
        resource = self.make_resource(is_control=False)
        accounts = self.host.accounts
        result_of(accounts.set_up("root", "correct horse", peer=""))
        token = result_of(accounts.add_token("root", "console", Role.VIEWER, None))
        secret = token[1] if isinstance(token, tuple) else token

        def found() -> tuple[str, str, list[str]]:
            answer = ask(
                resource,
                self.host.reactor,
                b"GET",
                b"/mserver/api/v1/streams/liveshow/a/addresses",
                None,
                b"Host: [2001:db8::1]:8080",
                f"Authorization: Bearer {secret}".encode(),
                peer=IPv4Address("TCP", "192.0.2.1", 5),
            ).json()
            hosts = {x["url"].partition("://")[2].partition("/")[0] for x in answer["addresses"]}
            bare = {re.sub(r":[0-9]+$", "", host) for host in hosts}
            return answer["server_address_from"], answer["server_address"], sorted(bare)

        assert found() == ("request", "2001:db8::1", ["[2001:db8::1]"])
        self.set_up({"server": {"address": "set.example"}})
        assert found()[:2] == ("settings", "set.example")
        result_of(self.host.preferences.change({"server_address": "tv.example"}))
        assert found() == ("preferences", "tv.example", ["tv.example"])

    def test_interfaces(self) -> None:
        """A port behind a proxy on this machine is shown with the public address."""
        self.set_up(
            {
                "rtmp": {"listen": ["tcp:1935"]},
                "http": {"listen": ["tcp:8080:interface=127.0.0.1"]},
            }
        )
        assert self.urls()["http-flv"] == "http://127.0.0.1:8080/liveshow/a.flv"
        result_of(self.host.preferences.change({"server_address": "tv.example"}))
        urls = self.urls()
        assert urls["rtmp"] == "rtmp://tv.example/liveshow/a"
        assert urls["http-flv"] == "http://tv.example:8080/liveshow/a.flv"

    def test_queries(self) -> None:
        """What signs or shares an address is put behind all of them, and is nothing else."""
        urls = self.urls("?query=share%3Dab12%26track%3D1")
        assert all(url.endswith("?share=ab12&track=1") for url in urls.values())
        for bad in ("%22%3E%3Cscript%3E", "a%0d%0ab", "%23x", "x" * 513, "%20", "%EF%BC%9D"):
            assert self.ask("GET", f"{STREAM}/addresses?query={bad}").status == 400, bad

    def test_missing(self) -> None:
        """A stream need not be published; its application and a good name it has to have."""
        for path in ("/streams/none/a", "/streams/liveshow/a.flv", "/streams/liveshow/..%2fa"):
            for what in ("addresses", "qr.svg", "qr.png", "embed"):
                assert self.ask("GET", f"{path}/{what}").status == 404, (path, what)

    def test_codes(self) -> None:
        """Each address has a code, as SVG and as PNG."""
        found = self.ask("GET", f"{STREAM}/qr.svg?address=rtmp&scale=2")
        assert found.fields[b"content-type"] == b"image/svg+xml"
        assert found.body == qr_code(self.urls()["rtmp"], "svg", 2)
        found = self.ask("GET", f"{STREAM}/qr.png?address=http-hls&query=share%3Dx")
        assert found.fields[b"content-type"] == b"image/png"
        assert found.body == qr_code(self.urls("?query=share%3Dx")["http-hls"], "png", 8)
        found = self.ask("GET", f"{STREAM}/qr.png?address=gopher")
        assert (found.status, found.problem()["errors"][0]["field"]) == (400, "address")
        for query in ("scale=0", "scale=41", "scale=x", "x=1"):
            assert self.ask("GET", f"{STREAM}/qr.svg?{query}").status == 400, query

    def test_few_codes_at_a_time(self) -> None:
        """Codes are drawn in threads, a few at a time; what is too much is told when to come back.

        The place is given back, whether a code was drawn or not.
        """
        waiting: list[Any] = []

        class Busy:
            def callInThreadWithCallback(self, done: Any, work: Any, *arguments: Any) -> None:
                waiting.append(lambda: done(True, work(*arguments)))

        pool = self.host.reactor.getThreadPool
        self.host.reactor.getThreadPool = Busy
        for _number in range(4):
            assert self.ask("GET", f"{STREAM}/qr.png?address=rtmp").status == 0
        found = self.ask("GET", f"{STREAM}/qr.png?address=rtmp")
        assert (found.status, found.fields[b"retry-after"]) == (503, b"1")
        for done in waiting:
            done()
        self.host.reactor.getThreadPool = pool
        assert self.ask("GET", f"{STREAM}/qr.png?address=rtmp").status == 200

    def test_embed(self) -> None:
        """The player over TLS where there is one, in the size that was asked for."""
        found = self.ask("GET", f"{STREAM}/embed").json()
        assert (found["width"], found["height"]) == (640, 360)
        assert found["url"] == self.urls()["http-embed"]
        tls = {"certificate": "/c.pem", "key": "/k.pem"}
        self.set_up({"https": {"listen": ["tcp:443"]}, "tls": tls})
        found = self.ask("GET", f"{STREAM}/embed?width=1920&height=1080&query=share%3Dx").json()
        assert found["url"].startswith("https://")
        assert 'width="1920" height="1080"' in found["html"]
        assert "/embed/liveshow/a?share=x" in found["html"]
        for query in ("width=0", "height=10001", "width=%22"):
            assert self.ask("GET", f"{STREAM}/embed?{query}").status == 400

    def test_no_player(self) -> None:
        """An application without an output for browsers has nothing to embed."""
        result_of(self.host.applications.change("liveshow", {"outputs": ["rtmp"]}))
        assert self.ask("GET", f"{STREAM}/embed").status == 404
        assert set(self.urls()) == {"rtmp"}

    def test_signed(self) -> None:
        """A client is told that the addresses alone do not play."""
        result_of(self.host.applications.change("liveshow", {"signed": True}))
        assert self.ask("GET", f"{STREAM}/addresses").json()["signed"] is True
