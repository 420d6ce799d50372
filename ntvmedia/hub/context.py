"""What all streams of a hub share, and the states of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from ntvmedia.config import HubSettings
from ntvmedia.events import EventBus
from ntvmedia.hub.pacing import Pacing
from ntvmedia.hub.rendition import RenditionKey, Serialiser

if TYPE_CHECKING:
    from ntvmedia.hub.stream import Stream


class StreamState(Enum):
    """Where a stream is in its life.

    ::

        ANALYZING --tracks known--> LIVE --publisher lost--> WAITING
            |                        |  <--publisher back--     |
            +--------publisher left--+------> ENDED <--grace over
    """

    ANALYZING = "analyzing"
    LIVE = "live"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class StreamContext:
    """What all streams of a hub share.

    Attributes:
        wall_clock: Seconds since 1970.
        new_session: Returns a number not used before.
        new_serialiser: Makes the serialiser of a rendition; raises `NotFound` for no such format.
        ready: Called when a stream's tracks are known, with the stream.
        ended: Called when a stream is over, with the stream, before its viewers are told.
        finished: The same, after the last of them has left.
    """

    reactor: IReactorTime
    settings: HubSettings
    events: EventBus
    pacing: Pacing
    wall_clock: Callable[[], float]
    new_session: Callable[[], int]
    new_serialiser: Callable[[RenditionKey], Serialiser]
    ready: Callable[[Stream], None]
    ended: Callable[[Stream], None]
    finished: Callable[[Stream], None]
