"""The documentation: its links lead somewhere, its modules exist, its example works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock, StringTransport
from zope.interface.verify import verifyObject

from ntvmedia.config import SECTIONS, Settings, parse_settings
from ntvmedia.interfaces import IMediaEndpoint, IMediaRoute
from ntvmedia.media import Codec, Packet, Track

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


def example(name: str) -> dict[str, Any]:
    """Run one file of the plugin guide, and return its names."""
    page = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    (code,) = re.findall(rf"```python\n# {name}\n(.*?)```", page, re.DOTALL)
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
