"""All callbacks of a server: put together, started and stopped."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from itertools import count
from typing import Any, Final, NamedTuple

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError
from twisted.logger import Logger

from ntvmedia.access.refusals import WrongField
from ntvmedia.callbacks.attendance import Attendance
from ntvmedia.callbacks.callback import EVENTS, SRS_ACTIONS, Callback
from ntvmedia.callbacks.decisions import Decisions
from ntvmedia.callbacks.delivery import TRY_SECONDS, Courier
from ntvmedia.callbacks.facts import client_facts, relay_facts, stream_facts
from ntvmedia.callbacks.messages import TEST, Notice
from ntvmedia.callbacks.queue import Queue
from ntvmedia.callbacks.refusals import NoCallback
from ntvmedia.callbacks.registry import CallbackRegistry
from ntvmedia.callbacks.sending import Delivery, Sender
from ntvmedia.events import (
    PlayEnded,
    PlayStarted,
    PublishEnded,
    PublishStarted,
    RelayDown,
    RelayUp,
    ServerStarted,
    ServerStopping,
    StreamIdle,
    StreamWanted,
)
from ntvmedia.media import StreamKey
from ntvmedia.outbound import OutboundError

STOP_SECONDS: Final = 2.0
"""What the last notifications have when the server stops; the rest waits for the next start."""

_RUN_BYTES: Final = 6
_TEST_KEY: Final = StreamKey("test", "test")


class Counts(NamedTuple):
    """What became of messages since the start.

    Attributes:
        waiting: Notifications that are still to be told.
        delivered: Notifications that were taken.
        failed: Tries that were not.
        dropped: Notifications that were never told, by reason: "full", "unsaved", "flood", "age".
        asked: Questions by what came of them: "allowed", "denied", "failed".
    """

    waiting: int
    delivered: int
    failed: int
    dropped: Mapping[str, int]
    asked: Mapping[str, int]


class Callbacks(Service):
    """Decides by asking, and delivers what happened.

    Args:
        host: An `ntvmedia.interfaces.IHost`.
        wall_clock: Returns the seconds since 1970.

    Attributes:
        registry: The callbacks: to be listed, made, changed and deleted.
        service_id: Names this run of the server; that of the next start is another.
    """

    _log = Logger()

    def __init__(self, host: Any, wall_clock: Callable[[], float] = time.time) -> None:
        self._host = host
        self._wall_clock = wall_clock
        self.service_id = host.random(_RUN_BYTES).hex()
        self._server_facts = {"server_id": _server_id(host), "service_id": self.service_id}
        self._numbers = count(1)
        reactor = host.reactor
        self.registry = CallbackRegistry(
            host.store, wall_clock, host.random, self._changed, reactor
        )
        self._queue = Queue(host.store, reactor)
        self._sender = Sender(host.outbound, reactor.seconds, wall_clock, self.registry)
        self._courier = Courier(reactor, self._queue, self._sender, wall_clock, self._chance)
        self._attendance = Attendance(
            reactor, self.registry, self._new_client_id, self._tell_of_stream
        )
        self._decisions = Decisions(
            reactor,
            self._sender,
            self._attendance,
            host.applications,
            self.registry,
            self._server_facts,
            wall_clock,
        )
        host.access.authorizers.append(self._decisions)
        events = host.events
        events.subscribe(PublishStarted, self._attendance.publish_started)
        events.subscribe(PublishEnded, self._attendance.publish_ended)
        events.subscribe(PlayStarted, self._attendance.play_started)
        events.subscribe(PlayEnded, self._attendance.play_ended)
        events.subscribe(StreamWanted, self._wanted)
        events.subscribe(StreamIdle, self._idle)
        events.subscribe(RelayUp, self._relay_up)
        events.subscribe(RelayDown, self._relay_down)
        events.subscribe(ServerStarted, lambda _event: self.notify("server_start", None))
        events.subscribe(ServerStopping, lambda _event: self.notify("server_stop", None))

    def load(self) -> None:
        """Read them, and what they are still to be told; blocking, at the start.

        Raises:
            ConfigError: The database cannot be read, or has a callback that decides and is not
                understood.
        """
        self.registry.load()
        self._queue.load()

    def startService(self) -> None:
        super().startService()
        self._courier.start(self.registry)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def notify(self, event: str, key: StreamKey | None, **facts: object) -> None:
        """Have all callbacks told that want to know; quick, and never fails.

        Args:
            event: One of `EVENTS`, such as "record_file".
            key: The stream that it is about, or None. What is about one stream is told in order.
            facts: Texts, numbers and flags.
        """
        about = {} if key is None else stream_facts(key)
        self._notify(event, "" if key is None else str(key), {**about, **facts})

    def test(self, id_: str, event: str = "") -> Deferred[Delivery]:
        """Send a callback a made-up event at once, once, whether it is enabled or not.

        In our own dialect its `kind` is "test". A receiver of SRS's cannot tell it from others but
        by its application and stream, "test" and "test".

        Args:
            id_: The callback's id.
            event: Which event; by default the first that it is told of.

        Returns:
            Fires with what came of it, good or bad.

        Raises:
            NoCallback: There is none with this id.
            WrongField: There is no such event, or its dialect has it not.
        """
        callback = self.registry.find(id_)
        event = event or callback.events[0]
        known = SRS_ACTIONS if callback.dialect == "srs" else EVENTS
        if event not in known:
            raise WrongField(f"expected one of {', '.join(known)}", "event")
        facts: dict[str, object] = dict(self._server_facts)
        if event.startswith("relay_"):
            reason = "test" if event == "relay_down" else None
            facts |= relay_facts(_TEST_KEY, "test", "test:", "", reason)
        elif not event.startswith("server_"):
            facts |= client_facts(_TEST_KEY, self._new_client_id(), None, "test", "192.0.2.1:50000")
        notice = Notice(TEST, event, str(uuid.uuid4()), self._wall_clock(), facts)
        sending = self._sender.submit(callback, notice, TRY_SECONDS)
        sending.addErrback(lambda failure: failure.trap(OutboundError))
        return sending.addCallback(lambda _answer: self._delivery(id_, notice.event_id))

    def deliveries(self, id_: str) -> list[Delivery]:
        """List the last tries to tell or ask a callback, the newest first.

        Raises:
            NoCallback: There is none with this id.
        """
        return list(self._sender.last.get(self.registry.find(id_).id, ()))

    def waiting(self, id_: str) -> int:
        """Count what a callback is still to be told."""
        return self._courier.waiting(id_)

    @property
    def counts(self) -> Counts:
        """What became of messages so far."""
        return Counts(
            len(self._queue),
            self._courier.delivered,
            self._courier.failed,
            dict(self._queue.dropped),
            dict(self._decisions.asked),
        )

    async def _stop(self) -> None:
        self._attendance.stop()
        await self._queue.settled()
        try:
            await self._courier.idle().addTimeout(STOP_SECONDS, self._host.reactor)
        except TimeoutError:
            self._log.info("{count} notifications wait for the next start", count=len(self._queue))
        self._courier.stop()
        await self._queue.settled()
        self._queue.stop()

    def _delivery(self, id_: str, event_id: str) -> Delivery:
        """Return the last try with an event.

        Raises:
            NoCallback: It has been deleted meanwhile.
        """
        for delivery in self.deliveries(id_):
            if delivery.event_id == event_id:
                return delivery
        raise NoCallback("its deliveries are gone")

    def _changed(self) -> None:
        if self.running:
            self._courier.callbacks_changed(self.registry)

    def _wanted(self, event: StreamWanted) -> None:
        self.notify("stream_not_found", event.key)

    def _idle(self, event: StreamIdle) -> None:
        self.notify("nobody_watching", event.key)

    def _relay_up(self, event: RelayUp) -> None:
        facts = relay_facts(event.key, event.relay, event.source, event.server)
        self._notify("relay_up", _lane(event), facts)

    def _relay_down(self, event: RelayDown) -> None:
        facts = relay_facts(event.key, event.relay, event.source, event.server, event.reason)
        self._notify("relay_down", _lane(event), facts)

    def _notify(self, event: str, lane: str, facts: Mapping[str, object]) -> None:
        callbacks = [x for x in self.registry.values() if x.enabled and event in x.events]
        if callbacks:
            self._tell(event, lane, facts, callbacks)

    def _tell_of_stream(
        self,
        event: str,
        key: StreamKey,
        facts: Mapping[str, object],
        callbacks: Iterable[Callback],
    ) -> None:
        self._tell(event, str(key), facts, callbacks)

    def _tell(
        self,
        event: str,
        lane: str,
        facts: Mapping[str, object],
        callbacks: Iterable[Callback],
    ) -> None:
        event_id = str(uuid.uuid4())
        now = self._wall_clock()
        text = json.dumps({**self._server_facts, **facts}, separators=(",", ":"))
        for callback in callbacks:
            self._queue.add(callback.id, event_id, event, lane, now, text)

    def _new_client_id(self) -> str:
        return f"{self.service_id}-{next(self._numbers)}"

    def _chance(self) -> float:
        number: int = int.from_bytes(self._host.random(4), "big")
        return number / 2**32


def _lane(event: RelayUp | RelayDown) -> str:
    # Told in order with what else happens to the stream; one of another server is none of ours.
    return f"relay {event.relay}" if event.server else str(event.key)


def _server_id(host: Any) -> str:
    """Return what names this server, over restarts."""
    place = f"{socket.gethostname()}\n{host.settings.data}"
    return "vid-" + sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:12]
