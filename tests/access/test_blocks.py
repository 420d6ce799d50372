"""Tests of ntvmedia.access.blocks and ntvmedia.access.page_sessions."""

from __future__ import annotations

from hypothesis import given, strategies as st

from ntvmedia.access.blocks import MAX_BLOCKS, Blocks
from ntvmedia.access.networks import NO_HOST, Host, parse_host
from ntvmedia.access.page_sessions import is_page_session, make_page_session
from ntvmedia.access.requests import Action
from ntvmedia.access.signing import signature
from ntvmedia.media import StreamKey

KEY = StreamKey("liveshow", "a")
OTHER = StreamKey("liveshow", "b")
ONE = parse_host("192.0.2.1")
SECRET = bytes(range(32))
NOW = 1_767_225_600


class Case:
    """Blocks, at a time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.blocks = Blocks(lambda: self.now)


def test_until() -> None:
    """F-AC-09: who is blocked may not come back for so many seconds, and then may."""
    case = Case()
    case.blocks.add(ONE, KEY, Action.PLAY, 10)
    assert case.blocks.seconds(ONE, KEY, Action.PLAY) == 10
    case.now = 109.5
    assert case.blocks.seconds(ONE, KEY, Action.PLAY) == 0.5
    case.now = 110
    assert case.blocks.seconds(ONE, KEY, Action.PLAY) == 0
    assert len(case.blocks) == 0


def test_whom() -> None:
    """It is about one address, stream and action; of IPv6, about a /64; or about all streams."""
    case = Case()
    case.blocks.add(ONE, KEY, Action.PLAY, 10)
    for host, key, action in (
        (parse_host("192.0.2.2"), KEY, Action.PLAY),
        (ONE, OTHER, Action.PLAY),
        (ONE, KEY, Action.PUBLISH),
    ):
        assert not case.blocks.seconds(host, key, action)
    case.blocks.add(parse_host("2001:db8::1"), None, Action.PUBLISH, 10)
    assert case.blocks.seconds(parse_host("2001:db8::ffff:1:2"), OTHER, Action.PUBLISH)
    assert not case.blocks.seconds(parse_host("2001:db8:0:1::1"), OTHER, Action.PUBLISH)
    # Those of a local socket could not be told from each other.
    case.blocks.add(NO_HOST, KEY, Action.PLAY, 10)
    assert not case.blocks.seconds(NO_HOST, KEY, Action.PLAY)


def test_changed() -> None:
    """A later block holds instead of the one before; 0 seconds end it."""
    case = Case()
    case.blocks.add(ONE, KEY, Action.PLAY, 10)
    case.blocks.add(ONE, KEY, Action.PLAY, 5)
    assert case.blocks.seconds(ONE, KEY, Action.PLAY) == 5
    case.blocks.add(ONE, KEY, Action.PLAY, 0)
    assert not case.blocks


def test_bounded() -> None:
    """There is an end of what is kept: what is over goes first, then what is over soonest."""
    case = Case()
    for number in range(MAX_BLOCKS):
        case.blocks.add(Host(4, number), KEY, Action.PLAY, 10 + number)
    case.blocks.add(ONE, KEY, Action.PLAY, 5)
    assert len(case.blocks) == MAX_BLOCKS
    assert not case.blocks.seconds(Host(4, 0), KEY, Action.PLAY)
    assert case.blocks.seconds(Host(4, 1), KEY, Action.PLAY)
    case.now += 100
    case.blocks.add(parse_host("192.0.2.2"), KEY, Action.PLAY, 5)
    assert len(case.blocks) < MAX_BLOCKS - 80


def test_page_session() -> None:
    """P-305: a page's session is good for its stream, until it ends, and by its key only."""
    text = make_page_session(SECRET, KEY, NOW + 10)
    assert is_page_session(SECRET, KEY, text, NOW)
    assert is_page_session(SECRET, KEY, text, NOW + 9.9)
    for key, stream, given_text, now in (
        (SECRET, KEY, text, NOW + 10),
        (SECRET, OTHER, text, NOW),
        (bytes(32), KEY, text, NOW),
        (b"", KEY, make_page_session(b"", KEY, NOW + 10), NOW),
        (SECRET, KEY, f"0{text}", NOW),
        (SECRET, KEY, text[:-1], NOW),
        (SECRET, KEY, text.replace(str(NOW + 10), str(NOW + 11)), NOW),
        # A right to play is none of a page.
        (SECRET, KEY, f"{NOW + 10}.{signature(SECRET, KEY, NOW + 10)}", NOW),
    ):
        assert not is_page_session(key, stream, given_text, now), given_text


@given(st.text(max_size=60))
def test_junk(text: str) -> None:
    """Whatever is sent is none, and raises nothing."""
    assert not is_page_session(SECRET, KEY, text, NOW)
