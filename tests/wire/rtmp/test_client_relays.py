"""Tests of a client's session as relays use it: the short way, redirections, hops."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import PeerError
from ntvmedia.media import Packet
from ntvmedia.wire.rtmp.events import Accepted, Ended, Rejected
from ntvmedia.wire.rtmp.handshake import BLOCK_SIZE
from ntvmedia.wire.rtmp.serialiser import RTMPSerialiser
from ntvmedia.wire.rtmp.server import ServerSession
from tests.wire.rtmp.conversation import RANDOM, command, converse, pieces
from tests.wire.rtmp.test_client import (
    AAC,
    AVC,
    DELTA,
    GREETING,
    KEY,
    PARTS,
    SOUND,
    calls,
    client,
    heard,
    raw,
    stream_bytes,
)


def test_further_properties() -> None:
    """E-ST-08: what else the owner wants told stands in `connect`, behind what is always there."""
    ours = client(publishing=False, properties={"ntvHops": "one,two"})
    server = ServerSession(RANDOM)
    converse(ours, server)
    ours = client(publishing=False, properties={"ntvHops": "one,two"})
    raw(ours, GREETING)
    properties = calls(ours.data_to_send()[1 + 2 * BLOCK_SIZE :])[0][2]
    assert properties["ntvHops"] == "one,two"
    assert properties["app"] == "live"


def redirection(code: object = 302.0, **places: str) -> dict[str, object]:
    """Return the information of a refusal that sends the client elsewhere."""
    return {"code": "NetConnection.Connect.Rejected", "ex": {"code": code, **places}}


@pytest.mark.parametrize(
    ("information", "redirect"),
    [
        (redirection(redirect="rtmp://b/live"), "rtmp://b/live"),
        (
            redirection(redirect="rtmp://b/live", redirect2="rtmp://b/live/test"),
            "rtmp://b/live/test",
        ),
        (redirection(403.0, redirect="rtmp://b/live"), ""),
        (redirection(redirect=5), ""),  # type: ignore[arg-type]
        ({"code": "NetConnection.Connect.Rejected", "ex": "rtmp://b"}, ""),
    ],
)
def test_redirections(information: dict[str, object], redirect: str) -> None:
    """As SRS writes them into the answer to `connect`, and forks of nginx-rtmp into a status."""
    for said in (
        command("_error", 1.0, None, information),
        command("onStatus", 0.0, None, information),
    ):
        ours = client(publishing=False)
        rejected = Rejected("NetConnection.Connect.Rejected", "", redirect)
        assert raw(ours, GREETING, said) == [rejected]


def test_the_short_way() -> None:
    """Media is handed on without events, up to what is none; events go on from there."""
    ours, server = client(publishing=False), ServerSession(RANDOM)
    taken: list[object] = []
    assert not ours.receive_media(b"", taken.append, taken.append)
    of_client, _of_server = converse(ours, server)
    assert [type(event) for event in of_client] == [Accepted]
    other = command("onStatus", 0.0, None, {"code": "NetStream.Play.Stop"}, stream_id=1)
    data = stream_bytes(KEY, SOUND) + other + stream_bytes(DELTA)
    assert not ours.receive_media(data, taken.append, taken.append)
    assert not ours.receive_media(b"", taken.append, taken.append)
    ended = list(ours.events())
    assert [type(event) for event in ended][-1] is Ended


def test_the_short_way_stops() -> None:
    """Who leaves in a callback is given nothing more."""
    ours, server = client(publishing=False), ServerSession(RANDOM)
    converse(ours, server)
    taken: list[object] = []

    def leave(packet: Packet) -> None:
        taken.append(packet)
        ours.leave()

    assert not ours.receive_media(stream_bytes(KEY), lambda _packet: None, taken.append)
    list(ours.events())
    taken.clear()
    parts: list[bytes] = []
    serialiser = RTMPSerialiser()
    serialiser.tracks_changed((AVC, AAC), {}, 0)
    for packet in (KEY, SOUND, DELTA):
        serialiser.packet(packet, parts)
    assert ours.receive_media(b"".join(parts), leave, taken.append)
    assert len(taken) == 1
    assert list(ours.events()) == []


@settings(max_examples=40)
@given(st.lists(st.sampled_from(PARTS), max_size=7), st.binary(max_size=40), st.data())
def test_the_short_way_is_the_same(good: list[bytes], junk: bytes, data: st.DataObject) -> None:
    """What comes the short way is what events would have been, and so is the error."""
    stream = GREETING + b"".join(good) + junk
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    ours = client(publishing=False)
    found: list[object] = []
    problem = ""
    try:
        for part in pieces(stream, cuts):
            if not ours.receive_media(part, found.append, found.append):
                found += ours.events()
    except PeerError as error:
        problem = str(error)
    assert (found, problem) == heard([stream])
