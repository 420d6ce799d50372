"""The running server: what its plugins see of it, and the root of its service tree."""

from __future__ import annotations

import contextlib
import gc
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from twisted.application.service import IService
from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, Logger
from twisted.plugin import getPlugins
from zope.interface import implementer

from ntvmedia.access import Access, Applications
from ntvmedia.accounts import Accounts
from ntvmedia.admin.control import ControlService
from ntvmedia.admin.tail import LogTail
from ntvmedia.callbacks import Callbacks
from ntvmedia.config import Settings
from ntvmedia.config.addresses import base_addresses
from ntvmedia.config.certificates import Certificates
from ntvmedia.config.logs import Log
from ntvmedia.errors import ConfigError
from ntvmedia.events import EventBus, ServerStarted, ServerStopping
from ntvmedia.hub.streams import Hub
from ntvmedia.interfaces import IHost, IMediaRoute
from ntvmedia.labels import Labels
from ntvmedia.limits import Limits
from ntvmedia.outbound.client import Outbound
from ntvmedia.outbound.streams import StreamConnector
from ntvmedia.preferences import Preferences
from ntvmedia.relay.push_service import PushService
from ntvmedia.relay.service import RelayService
from ntvmedia.services import ParallelService, StagedService
from ntvmedia.statistics import Statistics
from ntvmedia.store import Store

# Objects made between two looks at the young ones, and looks before the older ones have a turn. By
# default, 700: twenty times a second with 200 publishers.
GARBAGE_THRESHOLDS: Final = (20_000, 20, 20)


# SRS waits 2.3 s; load balancers ask every few seconds.
NOTICE_SECONDS: Final = 2.0
NOTICE_SHARE: Final = 0.25


@implementer(IHost)
@dataclass(slots=True)
class Host:
    """The server, as its plugins see it."""

    reactor: Any
    hub: Hub
    access: Access
    applications: Applications
    events: EventBus
    settings: Settings
    certificates: Certificates | None
    outbound: Outbound
    store: Store
    preferences: Preferences
    accounts: Accounts
    connector: StreamConnector
    server_id: str
    callbacks: Callbacks = field(init=False)
    statistics: Statistics = field(init=False)
    limits: Limits = field(init=False)
    labels: Labels = field(init=False)
    relays: RelayService = field(init=False)
    pushes: PushService = field(init=False)
    draining: bool = False
    random: Callable[[int], bytes] = secrets.token_bytes
    parts: ParallelService = field(default_factory=ParallelService)
    _parts: dict[object, Any] = field(default_factory=dict)
    _resource: Any = None

    def web_resource(self) -> Any:
        if self._resource is None:
            # Here, not at the top: importing Klein installs a reactor, and twistd has yet to
            # choose one when it imports this module.
            from ntvmedia.admin import make_resource

            self._resource = make_resource(self)
        return self._resource

    def media_routes(self) -> list[Any]:
        return list(getPlugins(IMediaRoute))

    def part(self, kind: Callable[[IHost], Any]) -> Any:
        found = self._parts.get(kind)
        if found is None:
            found = self._parts[kind] = kind(self)
            if IService.providedBy(found):
                found.setServiceParent(self.parts)
        return found


class Server(StagedService):
    """The root of the tree.

    What an operator has to mend, such as a port in use, ends the start with one line in the log
    and status 1.

    Args:
        host: Stopping is told to it.
        store: The database: opened first of all, closed last.
        control: Makes sure before that no other server uses it.
        grace: As in `StagedService`.
        log: What twistd shall write the log with, or `None` for its own way.
        pid_file: The file that twistd has written its number into; empty for none.
        in_background: twistd has left the terminal.
    """

    _log = Logger()

    def __init__(
        self,
        host: Host,
        store: Store,
        control: ControlService,
        grace: float,
        log: Log | None = None,
        *,
        pid_file: str = "",
        in_background: bool = False,
    ) -> None:
        super().__init__(host.reactor, grace)
        self._host = host
        self._store = store
        self._control = control
        self._log_writer = log
        self._pid_file = Path(pid_file).absolute() if pid_file else None
        self._in_background = in_background

    def setServiceParent(self, parent: Any) -> None:
        """Join the application; from there twistd takes the observer that writes the log."""
        super().setServiceParent(parent)
        if self._log_writer is not None:
            tail: LogTail = self._host.part(LogTail)
            parent.setComponent(ILogObserver, tail.beside(self._log_writer.observer()))

    def privilegedStartService(self) -> None:
        data = self._host.settings.data
        tail: LogTail = self._host.part(LogTail)
        tail.begin()
        try:
            try:
                data.mkdir(mode=0o750, parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(
                    f"cannot be made: {error.strerror}", (f"--data {data}",)
                ) from None
            self._control.claim()
            self._store.open()
            self._host.preferences.load()
            self._host.accounts.load()
            self._host.labels.load()
            self._host.applications.load()
            self._host.access.load()
            self._host.callbacks.load()
            self._host.relays.load()
            self._host.pushes.load()
            self._host.statistics.load()
            super().privilegedStartService()
        except ConfigError as error:
            self._log.critical("not started: {error}", error=error)
            tail.end()
            if self._in_background:
                # twistd hands its message to the process that waits on the terminal, for ever if
                # there is none.
                raise
            # twistd removes it only when a start fails with an ordinary exception.
            if self._pid_file is not None:
                with contextlib.suppress(OSError):
                    self._pid_file.unlink()
            raise SystemExit(1) from None

    def startService(self) -> None:
        super().startService()
        if isinstance(self._host.reactor, ReactorBase):
            self._host.reactor.callWhenRunning(settle_garbage_collector)
        routes = self._host.media_routes()
        address = self._host.preferences.values.server_address
        for base in base_addresses(self._host.settings, socket.gethostname(), address):
            if not base.scheme.startswith("http"):
                self._log.info("publish to {url}", url=f"{base.text}/liveshow/STREAM")
                self._log.info("play from {url}", url=f"{base.text}/liveshow/STREAM")
                continue
            self._log.info("watch at {url}", url=f"{base.text}/liveshow/STREAM")
            for extension in (extension for route in routes for extension in route.extensions):
                self._log.info("play from {url}", url=f"{base.text}/liveshow/STREAM.{extension}")
        self._host.events.emit(ServerStarted())

    def stopService(self) -> Deferred[None]:
        """Say that the server is not ready; then close the ports, and end what goes on.

        With streams there is a while between the two, so that a load balancer sees the 503 of
        `/readyz` and sends nobody else.
        """
        self._host.draining = True
        self._host.events.emit(ServerStopping())
        if not self._host.hub.streams:
            return self._stop_all()
        wait = min(NOTICE_SECONDS, self._grace * NOTICE_SHARE)
        self._grace -= wait
        notice: Deferred[None] = deferLater(self._host.reactor, wait)
        return notice.addCallback(lambda _none: self._stop_all())

    def _stop_all(self) -> Deferred[None]:
        stopping: Deferred[None] = super().stopService()
        return stopping.addCallback(lambda _none: self._store.close())


def settle_garbage_collector() -> None:
    """Keep the collector from stopping the server for longer than a frame may wait.

    Modules and what else is there at the start never become garbage: they are not looked at
    again. Media is freed by counting references; cycles are made by connections, and are few.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


class Endpoints(ParallelService):
    """The services of the endpoint plugins, each named as its section."""

    def privilegedStartService(self) -> None:
        """Bind all ports.

        Raises:
            ConfigError: One cannot be bound.
        """
        for service in self.services:
            try:
                service.privilegedStartService()
            except CannotListenError as error:
                interface = "" if error.interface in ("::", "0.0.0.0") else error.interface  # noqa: S104
                address = f"{interface or 'any address'}, port {error.port}"
                reason = getattr(error.socketError, "strerror", None) or error.socketError
                message = f"cannot listen on {address}: {reason}"
                raise ConfigError(message, (str(service.name), "listen")) from None
            except (OSError, OverflowError) as error:
                message = f"cannot listen: {error}"
                raise ConfigError(message, (str(service.name), "listen")) from None
