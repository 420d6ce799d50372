"""Tests of ntvmedia.outbound.reasons: what is said of Twisted's errors."""

from __future__ import annotations

import errno
import os

import pytest
from service_identity import VerificationError
from twisted.internet import error, ssl
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived

from ntvmedia.outbound.failures import Forbidden, Unacceptable
from ntvmedia.outbound.reasons import NETWORK_ERRORS, is_permanent, reason_of

TLSError = ssl.SSL.Error  # type: ignore[attr-defined]
CLOSED = "the connection was closed before the answer was complete"


def failed(*causes: Exception) -> ResponseFailed:
    """Return Twisted's error for a request that failed for these reasons."""
    return ResponseFailed([Failure(cause) for cause in causes])


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (error.ConnectionRefusedError(), "the connection was refused"),
        (error.TimeoutError(), "it cannot be reached"),
        (error.TCPTimedOutError(), "it cannot be reached"),
        (error.NoRouteError(), "it cannot be reached"),
        (error.DNSLookupError("secret"), "its name cannot be looked up"),
        (UnicodeError("secret"), "its name is none that may be looked up"),
        (Forbidden("10.0.0.1 is it"), "10.0.0.1 is it"),
        (error.ConnectError(errno.EMFILE, "secret"), "no connection: ConnectError"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "no connection: Too many open files"),
        (failed(error.ConnectionDone()), CLOSED),
        (ResponseNeverReceived([Failure(error.ConnectionLost())]), CLOSED),
        (RequestTransmissionFailed([Failure(error.ConnectionAborted())]), CLOSED),
        (failed(error.ConnectionLost(), Unacceptable("too much")), "too much"),
        (failed(failed(error.ConnectionDone(), VerificationError([]))), "its certificate is not "),
        (failed(ValueError("secret")), "the answer is no HTTP"),
        (failed(TLSError([("SSL routines", "", "unknown ca")])), "TLS failed: unknown ca"),
        (failed(TLSError([])), "TLS failed: the peer closed the connection"),
        (failed(TLSError(-1, "Unexpected EOF")), "TLS failed: the peer closed the connection"),
    ],
)
def test_said(problem: Exception, said: str) -> None:
    """Each is one clause, with nothing in it that a peer chose."""
    assert isinstance(problem, NETWORK_ERRORS)
    assert reason_of(problem).startswith(said)
    assert "secret" not in reason_of(problem)


@pytest.mark.parametrize("bug", [TypeError, KeyError, AttributeError, AssertionError])
def test_bugs(bug: type[Exception]) -> None:
    """A bug of ours is no failure of the network."""
    assert not isinstance(bug(), NETWORK_ERRORS)


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (UnicodeError(), True),
        (Forbidden("10.0.0.1 is it"), True),
        (failed(error.ConnectionDone(), Forbidden("it is")), True),
        (Unacceptable("too much", is_permanent=True), True),
        (Unacceptable("cut"), False),
        (VerificationError([]), True),
        (failed(TLSError([("SSL routines", "", "certificate verify failed")])), True),
        (failed(TLSError([("SSL routines", "", "bad record mac")])), False),
        (failed(TLSError([])), False),
        (error.ConnectionRefusedError(), False),
        (error.DNSLookupError("a"), False),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), False),
        (failed(error.ConnectionLost()), False),
        (failed(ValueError()), False),
    ],
)
def test_permanent(problem: Exception, expected: bool) -> None:
    """Another try makes sense where the network was at fault, or a server for the moment."""
    assert is_permanent(problem) is expected
