"""The events of the live core. Each start has exactly one end, and no end is without a start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ntvmedia.media import StreamKey


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened."""


@dataclass(frozen=True, slots=True)
class StreamEvent(Event):
    """Something happened to a stream.

    Attributes:
        key: The stream.
    """

    key: StreamKey


@dataclass(frozen=True, slots=True)
class StreamReady(StreamEvent):
    """The tracks of a new stream are known: it can be played."""


@dataclass(frozen=True, slots=True)
class StreamOver(StreamEvent):
    """A stream has ended, ready or not, and its viewers have been told."""


@dataclass(frozen=True, slots=True)
class StreamWanted(StreamEvent):
    """Somebody asked to play a stream that is not there, and waits for it.

    Emitted for the first who waits, not for each.

    Attributes:
        hops: Ids of the servers that want it by way of who waits (`ntvmedia.media.hops`).
    """

    hops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamIdle(StreamEvent):
    """A stream has had no viewer for the setting `hub.idle_delay`. Emitted once, till one comes."""


@dataclass(frozen=True, slots=True)
class PublishStarted(StreamEvent):
    """A publisher was accepted.

    Attributes:
        protocol: Such as "rtmp".
        peer: Its address.
        session: Unique in this process; the same in `PublishEnded`.
        request: What it asked for, an `ntvmedia.access.Request`; None where it does not say.
    """

    protocol: str
    peer: str
    session: int
    # There may be a password in it.
    request: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class PublishEnded(StreamEvent):
    """That publisher has gone; its stream may wait for it.

    Attributes:
        session: As in `PublishStarted`.
        reason: One lower-case clause.
        bytes_in: Media bytes that it sent.
    """

    session: int
    reason: str
    bytes_in: int


@dataclass(frozen=True, slots=True)
class PlayStarted(StreamEvent):
    """A viewer was given a stream.

    Attributes:
        protocol: Such as "rtmp" or "flv".
        peer: Its address.
        session: Unique in this process; the same in `PlayEnded`.
        request: As in `PublishStarted`.
    """

    protocol: str
    peer: str
    session: int
    request: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class PlayEnded(StreamEvent):
    """That viewer has left or was cut off.

    Attributes:
        session: As in `PlayStarted`.
        reason: One lower-case clause.
        bytes_out: Bytes that it was sent.
    """

    session: int
    reason: str
    bytes_out: int


@dataclass(frozen=True, slots=True)
class RelayUp(StreamEvent):
    """A relay task has its source: the first media came.

    Attributes:
        key: What is made of it; on another server where `server` says so, and then unchecked.
        relay: The id of the task.
        source: The address, without user, password and query.
        server: The address of the other server, likewise; empty for this one.
    """

    relay: str
    source: str
    server: str = ""


@dataclass(frozen=True, slots=True)
class RelayDown(StreamEvent):
    """That source was lost, or the task was stopped, or goes on with another source.

    Attributes:
        relay: As of `RelayUp`, as are `source` and `server`.
        reason: One lower-case clause.
    """

    relay: str
    source: str
    reason: str
    server: str = ""


@dataclass(frozen=True, slots=True)
class ApplicationChanged(Event):
    """An application was made, changed or deleted; what holds now is known to all already.

    Attributes:
        name: The name it had; for a new one, the name it has.
        after: The name it has now; None when it is gone.
    """

    name: str
    after: str | None


@dataclass(frozen=True, slots=True)
class PreferencesChanged(Event):
    """What is set for the whole server was changed; what holds now is known to all already."""


@dataclass(frozen=True, slots=True)
class AccountsChanged(Event):
    """The server was set up: there is an administrator now; or, after a repair, none any more.

    Attributes:
        is_set_up: Whether there is one.
    """

    is_set_up: bool


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """A session or token of the administration opens nothing any more.

    Attributes:
        session: Its id, as an identity has it.
    """

    session: str


@dataclass(frozen=True, slots=True)
class AccessChanged(Event):
    """A rule of access was made, changed or removed; what holds now is known to all already.

    Attributes:
        what: "ip_rules", "forbidden", "share_links" or "signing_keys".
        id: Which of them: the id of a rule, link or key, or "APP/STREAM"; empty where several may
            have changed.
    """

    what: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class ServerStarted(Event):
    """All services run, and all ports listen."""


@dataclass(frozen=True, slots=True)
class ServerStopping(Event):
    """The server was told to stop; what goes on will end."""
