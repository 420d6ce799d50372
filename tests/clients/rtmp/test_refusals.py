"""Tests of ntvmedia.clients.rtmp.refusals."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.clients.rtmp.addresses import parse_url
from ntvmedia.clients.rtmp.refusals import MAX_SHOWN, refusal
from ntvmedia.errors import RemoteError

URL = parse_url("rtmp://me:passw0rd@h/liveshow/key1?token=t0ken&vhost=v1")

# Codes and words of servers; the status that they come to, and whether it is for good.
REFUSALS = [
    ("NetStream.Publish.BadName", "Already publishing", 0, False),  # nginx-rtmp
    ("NetStream.Publish.BadName", "liveshow/key1 has a publisher", 0, False),  # this server
    ("NetStream.Publish.BadName", "", 0, False),
    ("NetStream.Publish.BadName", "publishing is not allowed from this address", 403, True),
    ("NetStream.Publish.BadName", "a loop: the stream has passed this server already", 403, True),
    ("NetStream.Publish.Denied", "", 403, True),
    ("NetStream.Publish.Unauthorized", "Authorization required.", 401, True),  # Node-Media-Server
    ("NetStream.Play.BadConnection", "Connection already playing", 0, False),
    ("NetStream.Play.StreamNotFound", "", 404, True),
    ("NetStream.Play.StreamNotFound", "no such stream; try again later", 0, False),
    ("NetStream.Failed", "Invalid stream key", 403, True),
    ("NetConnection.Connect.InvalidApp", "", 404, True),
    ("NetConnection.Connect.Rejected", "", 403, True),
    ("NetConnection.Connect.Rejected", "too many connections", 0, False),
    ("NetConnection.Connect.Rejected", "[ code=403 need auth; authmod=adobe ] : ", 401, True),
    ("NetConnection.Connect.Rejected", "_error(_defaultRoot_, not found)", 404, True),
    ("NetConnection.Connect.Failed", "", 0, False),
    ("NetConnection.Connect.AppShutdown", "Service is shutting down", 0, False),
    ("", "", 0, False),
    ("", "does not exist", 404, True),
    ("", "access denied", 403, True),
]


@pytest.mark.parametrize(("code", "words", "status", "is_permanent"), REFUSALS)
def test_refusals(code: str, words: str, status: int, is_permanent: bool) -> None:
    """E-ST-05: what another try does not mend is told from what passes."""
    error = refusal("it refused", code, words, URL)
    assert (error.status, error.is_permanent) == (status, is_permanent)


def test_nothing_of_the_address() -> None:
    """No user, password, path or query of the address is in the message."""
    words = "me passw0rd rtmp://h/liveshow/key1 liveshow/key1 t0ken v1 key1"
    shown = str(refusal("it refused", "X", words, URL))
    assert shown == f"it refused: X - {' '.join(['(...)'] * 2)} (address) (...)/(...)" + (
        " (...)" * 3
    )
    # What follows a question mark is a query, or what a password is proved with.
    assert "salt" not in str(refusal("it refused", "X", "reason=needauth?user=me&salt=1", URL))


def test_odd_words() -> None:
    """They are one line of ASCII, and short."""
    shown = str(refusal("it refused", "c\n\u2028", "w\x1b[31m" + "x" * 1000, URL))
    assert shown.isprintable()
    assert shown.isascii()
    assert len(shown) < 2 * MAX_SHOWN
    assert str(refusal("it refused", "X", "x" * 100_000, URL)) == "it refused: X"
    assert str(refusal("it refused", "", "", URL)) == "it refused"


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_words(code: str, words: str) -> None:
    """Whatever a server says."""
    error = refusal("it refused", code, words, URL)
    assert isinstance(error, RemoteError)
    assert str(error).isascii()
