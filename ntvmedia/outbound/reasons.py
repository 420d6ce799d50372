"""Why another server did not answer, in a few words instead of Twisted's."""

from __future__ import annotations

from typing import Final

from service_identity import VerificationError
from twisted.internet import error as problems, ssl
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed

from ntvmedia.outbound.failures import Forbidden, Unacceptable

NETWORK_ERRORS: Final = (
    Forbidden,
    Unacceptable,
    OSError,
    RequestTransmissionFailed,
    ResponseFailed,
    # What IDNA says of a name, for one.
    UnicodeError,
    problems.ConnectError,
    problems.ConnectingCancelledError,
    problems.ConnectionClosed,
)
"""What Twisted fails with where a peer or the network is at fault. All else is a bug."""

_TEXTS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (problems.ConnectionRefusedError, "the connection was refused"),
    (problems.TimeoutError, "it cannot be reached"),
    (problems.TCPTimedOutError, "it cannot be reached"),
    (problems.NoRouteError, "it cannot be reached"),
    (problems.DNSLookupError, "its name cannot be looked up"),
    (VerificationError, "its certificate is not for this name"),
    (UnicodeError, "its name is none that may be looked up"),
)

# OpenSSL's own class, without its library, which `config` keeps to itself.
_TLSError: Final = ssl.SSL.Error  # type: ignore[attr-defined]

_CLOSED: Final = (problems.ConnectionClosed, problems.ConnectingCancelledError)


def reason_of(error: BaseException) -> str:
    """Say in one clause what one of `NETWORK_ERRORS` means."""
    return _judged(error)[0]


def is_permanent(error: BaseException) -> bool:
    """Say whether another try would end in the same way, as in `OutboundError`."""
    return _judged(error)[1]


def _judged(error: BaseException) -> tuple[str, bool]:
    for cause in _causes(error):
        if isinstance(cause, Unacceptable):
            return str(cause), cause.is_permanent
        if isinstance(cause, Forbidden):
            return str(cause), True
        for kind, text in _TEXTS:
            if isinstance(cause, kind):
                return text, isinstance(cause, VerificationError | UnicodeError)
        if isinstance(cause, _TLSError):
            reason = _tls_reason(cause)
            # Else it may be the network's fault, such as a bad record.
            return f"TLS failed: {reason}", reason.startswith("certificate")
        if isinstance(cause, _CLOSED):
            return "the connection was closed before the answer was complete", False
        if isinstance(cause, OSError | problems.ConnectError):
            strerror = getattr(cause, "strerror", None)
            return f"no connection: {strerror or type(cause).__name__}", False
    return "the answer is no HTTP", False


def _causes(error: BaseException) -> list[BaseException]:
    """List what an error is made of, the most telling first: that a connection was lost is not."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        cause = waiting.pop(0)
        reasons = getattr(cause, "reasons", None)
        if isinstance(reasons, list):
            waiting.extend(x.value for x in reasons if isinstance(x, Failure) and x.value)
        else:
            found.append(cause)
    return sorted(found, key=lambda cause: isinstance(cause, _CLOSED))


def _tls_reason(error: Exception) -> str:
    """Take the last words of OpenSSL's: it lists library, function and reason."""
    for entry in error.args[0] if error.args and isinstance(error.args[0], list) else ():
        if isinstance(entry, tuple) and entry and entry[-1]:
            return str(entry[-1])
    return "the peer closed the connection"
