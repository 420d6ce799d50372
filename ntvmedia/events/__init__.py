"""What happens in the server, told to whoever asked for it."""

from ntvmedia.events.bus import EventBus
from ntvmedia.events.happenings import (
    Event,
    PlayEnded,
    PlayStarted,
    PublishEnded,
    PublishStarted,
    StreamIdle,
    StreamWanted,
)

__all__ = [
    "Event",
    "EventBus",
    "PlayEnded",
    "PlayStarted",
    "PublishEnded",
    "PublishStarted",
    "StreamIdle",
    "StreamWanted",
]
