"""What a server answers of the servers that its stream has passed, for whoever pulls it (E-ST-08).

Who wants a stream tells by its request which servers it wants it for. That alone does not see a
ring of servers that pull from each other always, and not on demand: each of them asks for itself
alone, and each has the stream still when the next one asks. So what is pulled has to know where it
was before.
"""

from __future__ import annotations

from typing import Any, Final

from ntvmedia.errors import RemoteError
from ntvmedia.media.hops import Loop, answered_hops

LOOP_DETECTED: Final = 508
"""The status of HTTP for it (RFC 5842 section 7.2)."""


def tell_passed(sink: Any, text: str, server_id: str) -> None:
    """Tell a sink which servers its stream has passed.

    Args:
        sink: An `ntvmedia.interfaces.IPullSink`.
        text: What the server answered; empty where it said nothing.
        server_id: Our own; empty where nobody was told it.

    Raises:
        RemoteError: It has passed this server already.
    """
    try:
        hops = answered_hops(text, server_id)
    except Loop as error:
        raise RemoteError(str(error), LOOP_DETECTED, is_permanent=True) from None
    passed = getattr(sink, "passed", None)
    if hops and passed is not None:
        passed(hops)
