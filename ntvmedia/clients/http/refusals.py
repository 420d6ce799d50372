"""What it means that a server gives no stream over HTTP."""

from __future__ import annotations

from typing import Final

from ntvmedia.errors import RemoteError
from ntvmedia.outbound import OutboundError, origin_of

# Refusals that may be others in a moment, of all that begin with a 4 (RFC 9110 15.5).
_PASSING: Final = frozenset({408, 423, 425, 429})


def refusal(status: int) -> RemoteError:
    """Say in a clause what an answer without a stream means.

    Args:
        status: Of the answer, another than 200.
    """
    is_permanent = (400 <= status < 500 and status not in _PASSING) or status == 508
    if status in (401, 403):
        words = f"the server refuses it ({status})"
    elif status in (404, 410):
        words = f"the server does not have it ({status})"
    elif status == 508:
        words = "the server says that the stream goes round in a loop (508)"
    else:
        words = f"the server answers {status}"
    return RemoteError(words, status, is_permanent=is_permanent)


def without_origin(error: OutboundError, url: str) -> RemoteError:
    """Return an error without the address, which is told by whoever keeps the task.

    Args:
        error: Of a request of ours.
        url: Who was asked last.
    """
    why = str(error).removeprefix(f"{origin_of(url)}: ")
    return RemoteError(why, error.status, is_permanent=error.is_permanent)
