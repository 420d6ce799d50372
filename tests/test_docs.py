"""The documentation: its links lead somewhere, its modules exist, its example works."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs, formatEvent
from zope.interface.verify import verifyObject

from ntvmedia.access import (
    BUILT_IN,
    FIELDS,
    Action,
    Application,
    Request,
    Verdict,
    read_fields,
)
from ntvmedia.config import SECTIONS, Settings, Text, parse_settings
from ntvmedia.endpoints.http.hls.packaging import FMP4_CODECS, MPEGTS_CODECS
from ntvmedia.hub.sinks import PacketSink
from ntvmedia.interfaces import IAuthorizer, IMediaEndpoint, IMediaRoute
from ntvmedia.media import Codec, Packet, StreamKey, Track
from tests.hub.cases import HubCase
from tests.hub.fakes import audio, video

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    """Every link to a file of the repository leads to one."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings(page: Path) -> None:
    """Every setting that a page names exists."""
    settings = Settings()
    name = rf"[`\s]({'|'.join(SECTIONS)})\.(?!py`)([a-z_]+)[`=\s]"
    for section, key in re.findall(name, page.read_text("utf-8")):
        assert hasattr(getattr(settings, section), key), f"{section}.{key}"


def test_modules_of_the_specifications() -> None:
    """Every module in the table exists, and every pure one that is named for a format is there."""
    page = (ROOT / "docs" / "specifications.md").read_text("utf-8")
    named: set[Path] = set()
    for row in page.splitlines():
        if row.startswith("| ") and not row.startswith("| document"):
            folder = ""
            for path in re.findall(r"`([\w/]+\.py)`", row.rpartition("|")[0].rpartition("|")[2]):
                folder = path.rpartition("/")[0] if "/" in path else folder
                module = ROOT / "ntvmedia" / folder / path.rpartition("/")[2]
                assert module.exists(), f"{row}: {module}"
                named.add(module)
    codecs = set((ROOT / "ntvmedia" / "codecs").glob("[!_]*.py"))
    assert codecs - named == {ROOT / "ntvmedia" / "codecs" / "bits.py"}


def test_packages_of_the_architecture() -> None:
    """The table of packages lists those that there are."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = set(re.findall(r"^\| \w* ?\| `(\w+)` \|", page, re.MULTILINE))
    assert named == {path.parent.name for path in (ROOT / "ntvmedia").glob("*/__init__.py")}


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without the line of titles."""
    text = (ROOT / "docs" / page).read_text("utf-8").partition(f"\n## {heading}\n")[2]
    table = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)[0]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()[2:]]


def test_fields_of_applications() -> None:
    """The table names exactly the fields that there are, in their order, with their defaults."""
    table = {
        cells[0].strip("`"): cells[1].strip("`") for cells in rows("applications.md", "Fields")
    }
    assert tuple(table) == FIELDS
    written = {name: Text("" if value == "none" else value) for name, value in table.items()}
    assert written.pop("name") == ""
    assert Application("any", **read_fields(written)) == Application("any")


def test_built_in_applications() -> None:
    """Those that every server has are listed, with their types."""
    table = rows("applications.md", "The four that are built in")
    assert {name.strip("`"): kind.strip("`") for name, kind, _text in table} == {
        name: application.type.value for name, application in BUILT_IN.items()
    }


def test_codecs_of_hls() -> None:
    """The table of outputs says of HLS what its segments take."""
    names = {"H.264": "h264", "E-AC-3": "eac3", "AC-3": "ac3"}
    table = rows("addresses.md", "What each output carries")
    for column, codecs in ((3, MPEGTS_CODECS), (4, FMP4_CODECS)):
        said = {names.get(cells[0], cells[0].lower()) for cells in table if cells[column]}
        assert said == {codec.value for codec in codecs}


def example(name: str) -> dict[str, Any]:
    """Run one example of the plugin guide, a file or one that has a text, and return its names."""
    page = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (code,) = [x for x in blocks if x.startswith(f"# {name}\n") or f"class {name}:\n" in x]
    names: dict[str, Any] = {"__name__": name.removesuffix(".py")}
    exec(compile(code, f"docs/plugins.md: {name}", "exec", dont_inherit=True), names)
    return names


def test_example_listener() -> None:
    """The listener of the guide listens where its section says, and does what it is said to do."""
    endpoint = example("ntv_count.py")["CountEndpoint"]()
    verifyObject(IMediaEndpoint, endpoint)
    raw = {"count": {"listen": "tcp:8000:interface=127.0.0.1"}}
    settings = parse_settings(raw, {"count": endpoint.parse_settings}).endpoints["count"]

    class Host:
        reactor = MemoryReactorClock()
        hub = type("Hub", (), {"streams": {1: 1, 2: 2}})

    service = endpoint.make_service(Host, settings)
    service.privilegedStartService()
    ((port, factory, _backlog, interface),) = Host.reactor.tcpServers
    assert (port, interface) == (8000, "127.0.0.1")
    protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
    transport = StringTransport()
    assert protocol is not None
    protocol.makeConnection(transport)
    assert transport.value() == b"2\n"
    assert transport.disconnecting


def test_example_output() -> None:
    """The output of the guide provides what a route provides, and writes what it says."""
    names = example("ntv_lines.py")
    verifyObject(IMediaRoute, names["LinesRoute"]())
    serialiser = names["LinesSerialiser"](chunked=True)
    audio = Track(Codec.AAC, clock_rate=48000)
    serialiser.tracks_changed([audio], {}, 0)
    assert serialiser.frame(serialiser.header(0)) == b"14\r\ntracks at 0 ms: aac\n\r\n"
    assert serialiser.frame(b"") == b""
    parts: list[bytes] = []
    serialiser.packet(Packet(audio, 72000, 72000, True, bytes(10)), parts)
    assert parts == [b"1.500 aac 10\n"]


def test_example_authorizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The authorizer of the guide provides what one provides, and opens and closes."""
    names = example("OfficeHours")
    authorizer = names["OfficeHours"]()
    verifyObject(IAuthorizer, authorizer)

    def decided(application: str, hour: int) -> Any:
        monkeypatch.setattr(names["time"], "localtime", lambda: SimpleNamespace(tm_hour=hour))
        request = Request(Action.PLAY, StreamKey(application, "test"), "flv", "192.0.2.1:50000")
        return authorizer.decide(request).result

    assert decided("liveshow", 3) is None
    assert decided("office", 8) == Verdict(True, lifetime=600)
    assert decided("office", 18) == Verdict(False, "the office is closed")


class SinkTests(HubCase):
    """The sink of the guide has the methods of a sink, and logs what it says."""

    def test_keyframes(self) -> None:
        """It is told of each stream, from the backlog on, and to its end."""
        names = example("Keyframes")
        methods = {name for name in vars(PacketSink) if not name.startswith("_")}
        self.assertLessEqual(methods, set(vars(names["KeyframeSink"])))
        names["Keyframes"](SimpleNamespace(hub=self.hub, events=self.bus))
        publication, stream = self.live()
        for milliseconds in range(500, 6500, 500):
            is_keyframe = milliseconds in (2000, 5000, 6000)
            self.send(publication, video(milliseconds, key=is_keyframe), audio(milliseconds))
        with capturedLogs() as logged:
            stream.end("over")
        self.assertIn("liveshow/test: 3.0 s between keyframes", map(formatEvent, logged))
        self.end()
