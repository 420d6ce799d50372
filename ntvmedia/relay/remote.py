"""Tasks whose target is another server: their streams are kept in a hub that nobody else sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ntvmedia.events import EventBus
from ntvmedia.hub.streams import Hub
from ntvmedia.media import StreamKey
from ntvmedia.media.relaying import PushOptions
from ntvmedia.relay import push
from ntvmedia.relay.attempt import Surroundings
from ntvmedia.relay.parts import Target
from ntvmedia.relay.task import Relay

# No application has this name, which keeps the log clear.
_APPLICATION = "relay-target"


class Remote:
    """The hub, and what sends from it.

    Args:
        surroundings: The server, publishing in its own hub.
        find_target: Returns the `ITarget` of an address; raises `RemoteError`.

    Attributes:
        hub: Of the streams that go to other servers.
        surroundings: The server, publishing in that hub.
    """

    def __init__(self, surroundings: Surroundings, find_target: Callable[[str], Any]) -> None:
        host = surroundings.host
        self._events = EventBus()
        self._wanted = push.Surroundings(
            host, find_target, surroundings.wall_clock, surroundings.fraction
        )
        self._server_id = host.server_id
        self.hub = Hub(host.reactor, host.settings.hub, self._events, surroundings.wall_clock)
        self.surroundings = replace(
            surroundings, streams=self.hub.streams, publish=self.hub.publish
        )

    def key(self, relay: Relay) -> StreamKey:
        """Return the name of a task's stream in the hub."""
        return StreamKey(_APPLICATION, relay.id)

    def push(self, relay: Relay, noted: Callable[[str], None]) -> push.Pusher:
        """Send a task's stream to its server from now on, whenever it is there.

        Args:
            relay: The task.
            noted: Takes a line for the operator.
        """
        pusher = push.Pusher(
            self._wanted,
            self.hub,
            self._events,
            self.key(relay),
            target_url(relay.target),
            PushOptions(relay.transport, relay.stall_seconds, (self._server_id,)),
            noted=noted,
        )
        pusher.start()
        return pusher

    def tick(self) -> None:
        """Look after the streams; about once a second."""
        self.hub.tick()

    def stop(self) -> None:
        """End what is left."""
        self.hub.stop("server is stopping")


def target_url(target: Target) -> str:
    """Return the address on another server, with all secrets; the query once (E-ST-12)."""
    url = f"{target.server}/{target.application}/{target.stream}"
    if not target.query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{target.query.removeprefix('?')}"
