"""Tests of a client's requests: numbers, passwords, second tries, answers that never come."""

from __future__ import annotations

from typing import Any

import pytest

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.wire.rtsp.authentication import Outcome, Verifier
from ntvmedia.wire.rtsp.client_exchange import MAX_PENDING
from ntvmedia.wire.rtsp.events import (
    DescribeRequested,
    Playing,
    Rejected,
)
from ntvmedia.wire.rtsp.server import ServerSession
from tests.wire.rtsp.client_talk import (
    TCP,
    answered,
    client,
    converse,
    follow,
    playing,
    said,
)
from tests.wire.rtsp.conversation import accept, server


@pytest.mark.parametrize("offered", [slice(0, 1), slice(1, 2), slice(2, 3), slice(0, 3)])
@pytest.mark.parametrize("qop", [False, True])
def test_authenticates(offered: slice, qop: bool) -> None:
    """D-RQ-03: SHA-256, MD5 and Basic, as they are asked for; every request is answered for."""
    verifier = Verifier("ntv", b"secret", "peer", qop=qop)
    seen = []

    def answer(session: ServerSession, event: Any) -> None:
        request = event.request
        header = request.headers.get("Authorization")
        users = {"us er": "p:a%"}
        checked = verifier.verify(header, request.method, request.url, users.get, 0.0)
        seen.append(checked.outcome)
        if checked.outcome is Outcome.ACCEPTED:
            accept(session, event)
        else:
            session.challenge(verifier.challenges(0.0)[offered])

    ours = client("rtsp://us%20er:p%3Aa%25@server:8554/live/test")

    def only_asked(session: ServerSession, event: Any) -> None:
        if session.awaits_answer:
            answer(session, event)

    of_client, _of_server = converse(ours, server(), follow(TCP), only_asked)
    assert isinstance(of_client[-1], Playing)
    assert seen == [Outcome.MISSING] + [Outcome.ACCEPTED] * 4


def test_wrong_password() -> None:
    """D-RQ-02: a password that is refused is not tried for ever, and said to be wrong."""
    tries = []

    def answer(session: ServerSession, event: Any) -> None:
        if isinstance(event, DescribeRequested):
            tries.append(event.request.headers.get("Authorization"))
            session.challenge([f'Digest realm="a", nonce="{len(tries)}"'])

    ours = client(user="us", password="wrong")
    (rejected,), _of_server = converse(ours, server(), follow(TCP), answer)
    assert isinstance(rejected, Rejected)
    assert rejected.status == 401
    assert "password" in rejected.description
    assert [bool(header) for header in tries] == [False, True]


@pytest.mark.parametrize(
    "header", ['Digest realm="a", nonce="b", algorithm=SHA-512-256', "Negotiate", "Basic realm=a"]
)
def test_no_password(header: str) -> None:
    """D-RQ-04: who cannot answer says so."""
    session = client(user="us", password="pa", basic=False)
    answered(session)
    (event,) = answered(session, "401", f"WWW-Authenticate: {header}")
    assert isinstance(event, Rejected)
    session = client()
    answered(session)
    (event,) = answered(session, "401", 'WWW-Authenticate: Digest realm="a", nonce="b"')
    assert isinstance(event, Rejected)


def test_stale_nonce() -> None:
    """RFC 7616 3.3: a nonce that was too old is replaced, once or twice, not the password."""
    session = client(user="us", password="pa")
    nonce = 'WWW-Authenticate: Digest realm="a", nonce="%d", stale=true'
    assert answered(session, "401", nonce % 0) == []
    for number, status in ((1, "401"), (2, "401")):
        assert answered(session, status, nonce % number) == []
    (request,) = said(session)
    assert 'nonce="2"' in request.headers.get("Authorization")
    session.receive_data(b"RTSP/1.0 200\r\nCSeq: 3\r\n\r\n")
    assert list(session.events()) == []


@pytest.mark.parametrize(
    "line", ["RTSP/1.0 200", "RTSP/1.0 200 ", "RTSP/1.0 250 Low on Storage Space", "RTSP/1.0 299"]
)
def test_accepted_statuses(line: str) -> None:
    """D-RQ-08: a status without text, and any 2xx; an answer without a number is to the oldest."""
    session = client()
    said(session)
    session.receive_data(f"{line}\n\n".encode())
    assert list(session.events()) == []
    assert [request.method for request in said(session)] == ["DESCRIBE"]


def test_answers_that_are_none() -> None:
    """Answers to what was never asked, and those that say to wait, change nothing."""
    session = client()
    session.receive_data(
        b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\nRTSP/1.0 100 Continue\r\nCSeq: 1\r\n\r\n"
        b"RTSP/1.0 200 OK\r\nCSeq: x\r\n\r\n"
    )
    assert list(session.events()) == []
    assert [request.method for request in said(session)] == ["OPTIONS"]


def test_kept_alive_unanswered() -> None:
    """Cameras that never answer a sign of life are not cut off for it."""
    session = playing("Public: GET_PARAMETER")
    for now in range(1, 1000):
        session.handle_timeout(float(now))
    assert len(said(session)) == 124


def test_too_much_unanswered() -> None:
    """F4: what waits for an answer is limited, however the operator has it."""
    session = playing(keepalive_seconds=1.0, answer_seconds=1000.0)
    with pytest.raises(LimitExceeded) as caught:
        for now in range(1, 1000):
            session.handle_timeout(float(now))
    assert len(said(session)) == caught.value.limit == MAX_PENDING


def test_no_answer() -> None:
    """A server that does not answer is given up, and what it was asked is said."""
    session = client()
    session.handle_timeout(9.9)
    with pytest.raises(PeerError, match="OPTIONS"):
        session.handle_timeout(10.0)
    with pytest.raises(UsageError):
        session.handle_timeout(11.0)
    session = client(answer_seconds=2.0)
    answered(session)
    with pytest.raises(PeerError, match="DESCRIBE"):
        session.handle_timeout(2.0)


def test_password_stays_here() -> None:
    """F-AC-03: the password of an address is in no request but as an answer."""
    session = client("rtsp://us:secret@h/a")
    assert b"secret" not in session.data_to_send()
