"""The servers that a stream has passed, so that none goes round for ever (E-ST-08).

Each server has an id for as long as it runs. One that asks another for a stream names itself, after
those that want the stream by way of it; one that sends a stream to another likewise, after those
that it came from. A server that finds its own id among them refuses. The list is

* the property `ntvHops` of RTMP's `connect`,
* the header field `X-Ntv-Hops` of requests over RTSP and HTTP:

ids joined by commas. Anybody may write one; all that comes of it is a refusal.

One that names itself, and gets the stream, is told in the same way which servers that has passed:
in the information object of `NetStream.Play.Start`, and in the fields of the answer, over RTSP to
DESCRIBE. Whoever did not name itself, as players do not, is told nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ntvmedia.errors import Refused
from ntvmedia.media.relaying import MAX_HOPS

HOPS_PROPERTY: Final = "ntvHops"
"""Of the object of RTMP's `connect`, and of the status that a play begins with."""

HOPS_FIELD: Final = "X-Ntv-Hops"
"""Of requests over RTSP and HTTP, and of their answers."""

_ID: Final = re.compile("[0-9a-f]{16}")

# With one too many it is still a list, and told to be a loop.
_MOST_IDS: Final = MAX_HOPS + 1
_MOST_CHARACTERS: Final = _MOST_IDS * 20


class Loop(Refused):
    """A stream would go round."""


def read_hops(text: str) -> tuple[str, ...]:
    """Read a list as a peer sent it.

    Args:
        text: The value; empty where there is none. Spaces may follow a comma, as in a header field
            that a proxy has joined.

    Returns:
        The ids, the nearest server last.

    Raises:
        Refused: It is no such list.
    """
    if not text:
        return ()
    if len(text) <= _MOST_CHARACTERS:
        ids = tuple(item.strip(" \t") for item in text.split(","))
        if len(ids) <= _MOST_IDS and all(map(_ID.fullmatch, ids)):
            return ids
    raise Refused("its list of servers is malformed")


def write_hops(hops: Sequence[str]) -> str:
    """Return a list as it is sent; as `read_hops` returns it."""
    return ",".join(hops)


def answered_hops(text: str, own: str) -> tuple[str, ...]:
    """Read the list that a server answered with, which is believed as far as it is one.

    Args:
        text: The value; empty where there is none.
        own: The id of this server.

    Returns:
        As `read_hops`; empty for what is no list.

    Raises:
        Loop: The stream has passed this server already, or too many others.
    """
    try:
        hops = read_hops(text)
    except Refused:
        return ()
    check_hops(hops, own)
    return hops


def check_hops(hops: Sequence[str], own: str) -> None:
    """Refuse what has passed this server already, or too many others.

    Args:
        hops: As read.
        own: The id of this server.

    Raises:
        Loop: It has.
    """
    if own in hops:
        raise Loop("a loop: the stream has passed this server already")
    if len(hops) > MAX_HOPS:
        raise Loop(f"a loop: the stream has passed more than {MAX_HOPS} servers")
