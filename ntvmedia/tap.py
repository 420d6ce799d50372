"""`twistd ntvmedia`: the command line, and the one place where everything is put together."""

from __future__ import annotations

import os
import secrets
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from twisted.application.service import IService
from twisted.internet.base import ReactorBase
from twisted.plugin import getPlugins
from twisted.python import usage

from ntvmedia import __version__
from ntvmedia.access import Access, Applications
from ntvmedia.accounts import Accounts
from ntvmedia.admin.control import ControlService
from ntvmedia.admin.tail import LogTail
from ntvmedia.admin.totals import Uptime
from ntvmedia.callbacks import Callbacks
from ntvmedia.config import Settings, override, parse_settings
from ntvmedia.config.certificates import Certificates
from ntvmedia.config.logs import Log
from ntvmedia.enforcement import Enforcement
from ntvmedia.errors import ConfigError
from ntvmedia.events import EventBus
from ntvmedia.hub.clockwork import HubService
from ntvmedia.hub.streams import Hub
from ntvmedia.interfaces import IMediaEndpoint
from ntvmedia.labels import Labels
from ntvmedia.limits import Limits
from ntvmedia.outbound.client import Outbound
from ntvmedia.outbound.policy import Policy
from ntvmedia.outbound.streams import StreamConnector
from ntvmedia.preferences import Preferences
from ntvmedia.relay.push_service import PushService
from ntvmedia.relay.service import RelayService
from ntvmedia.server import Endpoints, Host, Server
from ntvmedia.services import SignalService
from ntvmedia.statistics import Statistics
from ntvmedia.store import Store
from ntvmedia.store.postgresql import check_url

# A configuration file of a thousand settings is some 50 kB.
_MAX_CONFIG_BYTES: Final = 1 << 20

# For as long as this server runs: a stream that was passed on does not outlive it.
_SERVER_ID_BYTES: Final = 8


class Options(usage.Options):
    """The command line: where the settings are, and single overrides of them.

    After `parseOptions`, `self["settings"]` is good, and `self["certificates"]` and `self["log"]`
    are made; either may be None.
    """

    synopsis = "[options]"
    longdesc = "Serve live media by RTMP, HTTP-FLV, HTTP-TS and HLS."
    optParameters = [
        ["config", "c", None, "Read settings from this TOML file.", Path],
        ["data", "d", Path("data"), "The folder for what the server keeps.", Path],
        ["grace", "g", 10.0, "Seconds that viewers and publishers have when it stops.", float],
    ]
    optFlags = [["check", None, "Check the settings and exit."]]

    def __init__(self) -> None:
        super().__init__()
        self._assignments: list[str] = []

    def opt_set(self, assignment: str) -> None:
        """Set one setting, as in --set rtmp.listen=tcp:1936; repeat it for more."""
        self._assignments.append(assignment)

    def opt_version(self) -> None:
        """Print the version and exit."""
        sys.stdout.write(f"NTV Media Server {__version__}\n")
        raise SystemExit(0)

    def postOptions(self) -> None:
        """Check everything that can be checked before anything is opened.

        Raises:
            SystemExit: Below twistd, with one line that names what is wrong (twistd itself would
                print all its options before the line), or with 0 after `--check`.
            UsageError: The same without twistd.
        """
        try:
            self._check()
        except ConfigError as error:
            if self.parent is None:
                raise usage.UsageError(str(error)) from error
            raise SystemExit(f"ntvmedia: {error}") from None
        if self["check"]:
            sys.stdout.write("the settings are good\n")
            raise SystemExit(0)
        self["log"] = self._log_of_twistd()

    def _check(self) -> None:
        # A comparison that is false for NaN too.
        if not 0 < self["grace"] <= 3600:
            raise ConfigError("expected seconds, above 0 to 3,600", ("--grace",))
        self["endpoints"] = endpoints = _find_endpoints()
        self["settings"] = settings = parse_settings(
            override(self._read(), self._assignments),
            {name: endpoint.parse_settings for name, endpoint in endpoints.items()},
            self["data"].absolute(),
        )
        if settings.database.url:
            check_url(settings.database.url)
        self["certificates"] = Certificates(settings.tls) if settings.tls.certificate else None
        _check_folder(settings.data)

    def _read(self) -> Mapping[str, object]:
        path: Path | None = self["config"]
        if path is None:
            return {}
        where = (f"--config {path}",)
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_CONFIG_BYTES + 1)
            if len(data) > _MAX_CONFIG_BYTES:
                raise ConfigError(f"larger than {_MAX_CONFIG_BYTES:,} bytes", where)
            return tomllib.loads(data.decode("utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror}", where) from None
        except (ValueError, RecursionError) as error:
            raise ConfigError(" ".join(str(error).split()), where) from None

    def _log_of_twistd(self) -> Log | None:
        """Return what replaces twistd's log, or `None` where it was told another way to log."""
        twistd = self.parent
        if twistd is None or twistd.get("logger") or twistd.get("syslog"):
            return None
        path = twistd.get("logfile") or ("" if twistd.get("nodaemon") else "twistd.log")
        return None if path == "-" else Log(self["settings"].log, path)


def _find_endpoints() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for endpoint in getPlugins(IMediaEndpoint):
        if found.setdefault(endpoint.name, endpoint) is not endpoint:
            raise ConfigError("two plugins have this name", (endpoint.name,))
    return found


def _check_folder(path: Path) -> None:
    """Refuse a data folder that cannot be used, without making it yet."""
    where = (f"--data {path}",)
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    if not existing.is_dir():
        raise ConfigError(f"{existing} is no folder", where)
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"{existing} is not writable", where)


def use_monotonic_clock(reactor: Any) -> None:
    """Have the reactor's timers follow a clock that nobody sets (G-RS-05).

    Before anything is scheduled: a timer that is already set would keep the time of the wall
    clock. A clock that a test brings along stays.
    """
    if isinstance(reactor, ReactorBase) and not reactor.getDelayedCalls():
        reactor.seconds = time.monotonic


def makeService(options: Options, reactor: Any = None) -> IService:
    """Build the tree. Nothing is opened until it starts."""
    if reactor is None:
        # Here, not at the top: twistd installs the reactor after it has imported the plugins.
        from twisted.internet import reactor
    use_monotonic_clock(reactor)
    settings: Settings = options["settings"]
    events = EventBus()
    hub = Hub(reactor, settings.hub, events, time.time)
    store = Store(reactor, settings.database.url, settings.data)
    preferences = Preferences(store, events, time.time, reactor)
    accounts = Accounts(store, events, time.time, reactor, settings.data)
    applications = Applications(store, events, time.time, reactor)
    # One for all that goes out: HTTP, pulls and pushes.
    policy = Policy(settings.outbound.allow, lambda: preferences.values.outbound_networks)
    outbound = Outbound(reactor, settings.outbound, policy=policy)
    access = Access(
        applications,
        settings.data,
        time.time,
        store=store,
        events=events,
        reactor=reactor,
        outbound=outbound,
        is_set_up=lambda: accounts.is_set_up,
    )
    host = Host(
        reactor,
        hub,
        access,
        applications,
        events,
        settings,
        options["certificates"],
        outbound,
        store,
        preferences,
        accounts,
        StreamConnector(reactor, settings.outbound, policy=policy),
        secrets.token_hex(_SERVER_ID_BYTES),
    )
    host.callbacks = Callbacks(host)
    host.statistics = Statistics(host)
    host.labels = Labels(store, events, reactor)
    host.limits = limits = Limits(host)
    access.limits, access.watching = limits, limits.viewers_of
    enforcement = Enforcement(host, limits)
    host.relays = RelayService(host)
    host.pushes = PushService(host)
    # Before anybody asks: from the start on.
    host.part(LogTail)
    host.part(Uptime)
    twistd: Mapping[str, Any] = options.parent or {}
    log: Log | None = options["log"]
    control = ControlService(host)
    root = Server(
        host,
        store,
        control,
        options["grace"],
        log,
        pid_file=twistd.get("pidfile") or "",
        in_background=options.parent is not None and not twistd.get("nodaemon"),
    )

    def reload() -> None:
        if log is not None:
            log.reopen()
        if host.certificates is not None:
            host.certificates.reload()

    if isinstance(reactor, ReactorBase):
        SignalService(reactor, reload, lambda: host.draining).setServiceParent(root)
    HubService(reactor, hub).setServiceParent(root)
    enforcement.setName("enforcement")
    enforcement.setServiceParent(root)
    control.setName("control")
    control.setServiceParent(root)
    accounts.setName("accounts")
    accounts.setServiceParent(root)
    outbound.setName("outbound")
    outbound.setServiceParent(root)
    host.statistics.setName("statistics")
    host.statistics.setServiceParent(root)
    host.callbacks.setName("callbacks")
    host.callbacks.setServiceParent(root)
    host.relays.setName("relays")
    host.relays.setServiceParent(root)
    host.parts.setName("parts")
    host.parts.setServiceParent(root)
    endpoints = Endpoints()
    endpoints.setName("endpoints")
    for name, endpoint in options["endpoints"].items():
        service = endpoint.make_service(host, settings.endpoints[name])
        service.setName(name)
        service.setServiceParent(endpoints)
    endpoints.setServiceParent(root)
    # Stopped first, while there are streams: the servers that get them are told goodbye.
    host.pushes.setName("pushes")
    host.pushes.setServiceParent(root)
    return root
