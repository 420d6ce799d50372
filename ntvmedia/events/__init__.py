"""What happens in the server, told to whoever asked for it."""

from ntvmedia.events.bus import EventBus
from ntvmedia.events.happenings import (
    AccessChanged,
    AccountsChanged,
    ApplicationChanged,
    Event,
    PlayEnded,
    PlayStarted,
    PreferencesChanged,
    PublishEnded,
    PublishStarted,
    ServerStarted,
    ServerStopping,
    SessionEnded,
    StreamEvent,
    StreamIdle,
    StreamOver,
    StreamReady,
    StreamWanted,
)

__all__ = [
    "AccessChanged",
    "AccountsChanged",
    "ApplicationChanged",
    "Event",
    "EventBus",
    "PlayEnded",
    "PlayStarted",
    "PreferencesChanged",
    "PublishEnded",
    "PublishStarted",
    "ServerStarted",
    "ServerStopping",
    "SessionEnded",
    "StreamEvent",
    "StreamIdle",
    "StreamOver",
    "StreamReady",
    "StreamWanted",
]
