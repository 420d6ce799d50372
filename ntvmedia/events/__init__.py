"""What happens in the server, told to whoever asked for it."""

from ntvmedia.events.bus import EventBus
from ntvmedia.events.happenings import (
    ApplicationChanged,
    Event,
    PlayEnded,
    PlayStarted,
    PublishEnded,
    PublishStarted,
    StreamEvent,
    StreamIdle,
    StreamOver,
    StreamReady,
    StreamWanted,
)

__all__ = [
    "ApplicationChanged",
    "Event",
    "EventBus",
    "PlayEnded",
    "PlayStarted",
    "PublishEnded",
    "PublishStarted",
    "StreamEvent",
    "StreamIdle",
    "StreamOver",
    "StreamReady",
    "StreamWanted",
]
