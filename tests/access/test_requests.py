"""What is kept of a request for as long as its peer is there."""

from __future__ import annotations

from ntvmedia.access import Action, Request
from ntvmedia.media import StreamKey


def made(name: bytes) -> Request:
    """Make a request whose texts are new ones, as if they had just been read."""
    return Request(
        Action.PLAY,
        StreamKey(b"live".decode(), name.decode()),
        "rtmp",
        "192.0.2.1:50000",
        user_agent=b"VLC/3.0".decode(),
        address=b"rtmp://live.example.org".decode(),
    )


def test_shared() -> None:
    """Many who play the same share what is the same; what only looks so stays its own."""
    one, two, other = made(b"shared one"), made(b"shared one"), made(b"shared two")
    assert one == two != other
    assert one.key.stream is two.key.stream
    assert one.user_agent is two.user_agent is other.user_agent
    assert one.address is two.address
    assert one.query is two.query
    assert dict(one.query) == {}
    assert (other.key.stream, other.user_agent) == ("shared two", "VLC/3.0")


def test_own_query() -> None:
    """A query is the peer's own."""
    query = {"password": "geheim"}
    request = Request(Action.PLAY, StreamKey("live", "one"), "flv", "192.0.2.1:1", query)
    assert request.query is query
