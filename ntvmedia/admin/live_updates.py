"""What happens, told as it happens: Server-Sent Events (HTML, "Server-sent events").

A client that takes what it is sent too slowly loses the oldest, and is told how many: it then reads
the lists again. One that comes back says what it had last, and is told what it missed. Its stream
ends with its session.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from ntvmedia.accounts import Role
from ntvmedia.admin.feed import Feed, lost
from ntvmedia.admin.listener import Listener
from ntvmedia.admin.operations import Call, Operations, Streaming, operation
from ntvmedia.admin.problems import Problem


class LiveUpdates(Operations):
    """What happens, as it happens.

    Args:
        host: The server.
    """

    tag = "events"

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        # From now on: what happens before the first client comes is of use to one who comes back.
        self._feed: Feed = host.part(Feed)

    @operation("GET", "/events", role=Role.VIEWER, media_type="text/event-stream", errors=(503,))
    def events(self, call: Call) -> Streaming:
        """Tell what happens, as Server-Sent Events.

        The types of the events are `stream`, `viewer`, `application`, `relay`, `push` and `server`;
        their data are JSON objects. `stream` and `viewer` have `what` ("published", "ready",
        "unpublished", "over", "idle", "wanted"; "started", "ended"), `application`, `stream`, and
        what else is known. `application` has `name` and `after`, the name it has now, null where it
        is gone. `relay` and `push` have `what` ("changed" or "deleted"), `id`, `state`, `reason`
        and more of their status, at most once a second for each; they tell of edits too, whose
        fields are read from `/relays` and `/pushes`. `server` has the numbers of `/status`, every 5
        seconds.

        Each event has an id. A client that comes back with `Last-Event-ID`, as an `EventSource`
        does by itself, is first told what it missed, but for `server` and "wanted". If that is
        more than the last 512 events, or of an earlier run of the server, it gets one event `lost`
        instead, whose `count` says how many it missed, null where that is not known; and so does a
        client that is too slow. What it knows is old then: it reads the lists again.
        """
        if not self._feed.has_room(call.identity.name):
            raise Problem(503, "there are too many listeners", headers={"Retry-After": "10"})
        given = call.request.requestHeaders.getRawHeaders("last-event-id", [])
        last_id = given[0] if given else None
        return Streaming(lambda request: self._begin(request, call, last_id))

    def _begin(self, request: Any, call: Call, last_id: str | None) -> Deferred[None]:
        listener = Listener(request, call.identity, call.peer_host, self._feed.leave, lost)
        self._feed.join(listener, last_id)
        return listener.done
