"""All relay tasks of a server: put together, started and stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ntvmedia.access.refusals import WrongField
from ntvmedia.avtools.job import Probe
from ntvmedia.config.reading import WrongValue
from ntvmedia.errors import RemoteError
from ntvmedia.events import (
    AccessChanged,
    ApplicationChanged,
    PreferencesChanged,
    PublishEnded,
)
from ntvmedia.hub.publication import Publication
from ntvmedia.media import StreamKey
from ntvmedia.media.relaying import OutputOptions, PullOptions
from ntvmedia.relay import probing
from ntvmedia.relay.addresses import read_source
from ntvmedia.relay.attempt import Surroundings
from ntvmedia.relay.backoff import fractions
from ntvmedia.relay.gate import Gate
from ntvmedia.relay.local import LocalSource
from ntvmedia.relay.on_demand import OnDemand
from ntvmedia.relay.registry import Relays
from ntvmedia.relay.remote import Remote
from ntvmedia.relay.schemes import Targets
from ntvmedia.relay.sources import Sources
from ntvmedia.relay.states import LogLine, RelayState
from ntvmedia.relay.task import Relay
from ntvmedia.relay.tasks import Task, all_of

MAX_PROBES: Final = 4
"""Sources that are looked at at a time, by hand: each may be a process that takes a processor."""

TICK_SECONDS: Final = 1.0

SPREAD_SECONDS: Final = 5.0
"""Over which tasks are started with the server, so that it does not ask all at once."""

APART_SECONDS: Final = 0.1
"""Between two of them, where there are few."""


class RelayService(Service):
    """Runs the tasks that there are.

    Args:
        host: The server.
        wall_clock: Returns the seconds since 1970.
        sources: Plugins of `ISource`; by default, those that are installed.
        targets: Likewise of `ITarget`.
        make_transcoder: As of `Surroundings`; by default `ntvmedia.avtools.transcoder.Transcoder`.

    Attributes:
        registry: The tasks: to be listed, made, changed and deleted. One that is enabled is started
            when it is made, and one that is changed goes on with what holds now.
        sources: Who can pull, by scheme.
        targets: Who can push, by scheme.
        demand: Which streams are wanted; see `OnDemand.hold`.
    """

    _log = Logger()

    def __init__(
        self,
        host: Any,
        wall_clock: Callable[[], float] = time.time,
        sources: Sequence[Any] | None = None,
        targets: Sequence[Any] | None = None,
        make_transcoder: Callable[..., Any] | None = None,
    ) -> None:
        self._host = host
        self._reactor = host.reactor
        settings = host.settings.relay
        self._gate = Gate(host)
        self._tasks: dict[str, Task] = {}
        self.demand = OnDemand(host, self._tasks, settings.max_on_demand)
        self.sources = Sources([LocalSource(self.demand.hold)], sources)
        self.targets = Targets((), targets)
        self.registry = Relays(
            host.store,
            wall_clock,
            host.random,
            self._changed,
            self.sources,
            settings.max_relays,
            host.reactor,
        )
        self._surroundings = Surroundings(
            host,
            self.sources,
            host.hub.streams,
            self._publish,
            _transcoder if make_transcoder is None else make_transcoder,
            wall_clock,
            fractions(host.random),
        )
        self._remote = Remote(self._surroundings, self.targets.find)
        self._loop = LoopingCall(self._tick)
        self._loop.clock = host.reactor
        # Of tasks that are gone and have not given everything back.
        self._closing: set[Deferred[None]] = set()
        self._probes: set[Deferred[Probe]] = set()
        self._looking: Any = None
        events = host.events
        self._subscriptions = [
            events.subscribe(kind, self._something_changed)
            for kind in (ApplicationChanged, AccessChanged, PreferencesChanged, PublishEnded)
        ]

    def load(self) -> None:
        """Read the tasks; blocking, at the start.

        Raises:
            ConfigError: The database cannot be read.
        """
        self.registry.load()
        self._tasks.clear()
        for id_, relay in self.registry.items():
            self._tasks[id_] = self._task(relay)

    def startService(self) -> None:
        super().startService()
        self._loop.start(TICK_SECONDS, now=False).addErrback(
            lambda failure: self._log.failure("looking after relays failed", failure)
        )
        enabled = [task for task in self._tasks.values() if task.relay.enabled]
        apart = min(APART_SECONDS, SPREAD_SECONDS / max(1, len(enabled)))
        for number, task in enumerate(enabled):
            task.start(number * apart)

    def stopService(self) -> Deferred[None]:
        """End all streams, and give everything back."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions.clear()
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
        self.demand.stop()
        for probe in tuple(self._probes):
            probe.cancel()
        stopping = [task.stop("the server is stopping") for task in self._tasks.values()]
        return all_of([*stopping, *self._closing]).addCallback(self._stopped)

    # To be called

    def start(self, id_: str) -> None:
        """Start a task, whether it is enabled or not; one that is on demand waits for viewers.

        It stays started until `stop`, the end of its source, or the end of the server.

        Raises:
            NoRelay: There is none.
        """
        self.registry.find(id_)
        task = self._tasks[id_]
        task.start()
        if task.relay.on_demand:
            self.demand.look_for(task)

    def stop(self, id_: str) -> Deferred[None]:
        """Stop a task, and end its streams, until it is started again or the server is.

        Returns:
            Fires when everything has been given back.

        Raises:
            NoRelay: There is none.
        """
        self.registry.find(id_)
        self.demand.forget(id_)
        return self._tasks[id_].stop("stopped by an operator")

    def state(self, id_: str) -> RelayState:
        """Return how a task is doing.

        Raises:
            NoRelay: There is none.
        """
        self.registry.find(id_)
        return self._tasks[id_].state()

    def log(self, id_: str) -> tuple[LogLine, ...]:
        """Return the last lines of a task's log, the oldest first.

        Raises:
            NoRelay: There is none.
        """
        self.registry.find(id_)
        return self._tasks[id_].log.lines

    def probe(self, url: str, transport: str = "auto") -> Deferred[Probe]:
        """Find out what is in a source.

        Args:
            url: As an operator typed it.
            transport: As of a task.

        Returns:
            Fires with what was found. Fails with `RemoteError`, or with `WrongField` for what is no
            address. Cancel it when nobody waits any more.
        """
        try:
            options = PullOptions(transport, False, hops=(self._host.server_id,))  # type: ignore[arg-type]
            self.sources.check(read_source(url))
            if len(self._probes) >= MAX_PROBES:
                raise RemoteError(
                    f"at most {MAX_PROBES} sources are looked at at a time; try again"
                )
            probe = probing.probe(self._host, self.sources.find(url), url, options)
        except WrongValue as error:
            return fail(WrongField(str(error), "source"))
        except RemoteError as error:
            return fail(error)
        self._probes.add(probe)
        return probe.addBoth(self._probed, probe)

    # Inside

    def _probed(self, result: Any, probe: Deferred[Probe]) -> Any:
        self._probes.discard(probe)
        return result

    def _task(self, relay: Relay) -> Task:
        return Task(self._surroundings, self._remote, self._gate.problem, relay)

    def _publish(self, key: StreamKey, publisher: Any) -> Publication:
        publication: Publication = self._host.hub.publish(
            key, publisher, audio_only=self._gate.is_audio_only(key)
        )
        return publication

    def _changed(self, ids: set[str]) -> None:
        """Go on with what holds now."""
        for id_ in ids:
            relay = self.registry.get(id_)
            task = self._tasks.get(id_)
            if relay is None:
                self.demand.forget(id_)
                if task is not None:
                    del self._tasks[id_]
                    self._close(task.stop("the task was deleted"))
            elif task is None:
                self._tasks[id_] = task = self._task(relay)
                if relay.enabled and self.running:
                    self.start(id_)
            else:
                self._change(task, relay)

    def _change(self, task: Task, relay: Relay) -> None:
        before = task.relay
        # One that was stopped by hand, and is edited, was not started by that.
        starts = relay.enabled and not before.enabled
        if not task.take_note_of(relay):
            starts = starts or task.is_active
            self.demand.forget(relay.id)
            lost = task.is_active and task.makes_the_same(relay)
            self._close(task.stop("the task was changed", lost=lost))
            task.relay = relay
        if before.enabled and not relay.enabled:
            self._close(task.stop("the task was disabled"))
        elif starts and self.running:
            self.start(relay.id)

    def _close(self, closing: Deferred[None]) -> None:
        if not closing.called:
            self._closing.add(closing)
            closing.addBoth(lambda _result: self._closing.discard(closing))

    def _stopped(self, _result: None) -> None:
        self._remote.stop()

    def _something_changed(self, _event: object) -> None:
        # Once for all that happens now, and not while it happens.
        if self._looking is None and self.running:
            self._looking = self._reactor.callLater(0, self._look_again)

    def _look_again(self) -> None:
        self._looking = None
        for task in tuple(self._tasks.values()):
            task.look_again()

    def _tick(self) -> None:
        now = self._reactor.seconds()
        try:
            for task in tuple(self._tasks.values()):
                for runner in tuple(task.runners.values()):
                    runner.tick(now)
            self.demand.tick(now)
            self._remote.tick()
        except Exception:  # a bug there is no reason to look after nobody any more
            self._log.failure("looking after relays failed")


def _transcoder(reactor: Any, outputs: Sequence[tuple[OutputOptions, Any]]) -> Any:
    # Here, not at the top: few servers transcode.
    from ntvmedia.avtools.transcoder import Transcoder

    return Transcoder(reactor, outputs)
