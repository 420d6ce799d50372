"""Tests of ntvmedia.tap and of ntvmedia.server, which it composes."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from twisted.application.service import Application, IService, Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent, globalLogPublisher
from twisted.plugin import IPlugin
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ntvmedia import __version__, tap
from ntvmedia.admin.tail import LogTail
from ntvmedia.config import Network, RTMPSettings, Settings, parse_section
from ntvmedia.errors import ConfigError
from ntvmedia.interfaces import IHost, IMediaEndpoint, IMediaRoute
from ntvmedia.outbound import OutboundError
from ntvmedia.preferences import Values
from ntvmedia.server import NOTICE_SECONDS
from tests.config.pem import make_pair


class FakeService(Service):
    """The service of an endpoint that opens nothing."""

    def __init__(self, host: Any, settings: RTMPSettings) -> None:
        self.host = host
        self.settings = settings
        self.problem: Exception | None = None
        self.stopped: Deferred[None] = Deferred()
        self.draining_at_stop = False

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        if self.problem is not None:
            raise self.problem

    def stopService(self) -> Deferred[None]:
        super().stopService()
        self.draining_at_stop = self.host.draining
        return self.stopped


@implementer(IPlugin, IMediaEndpoint)
class FakeEndpoint:
    """An endpoint that keeps the services which it made."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.made: list[FakeService] = []

    def parse_settings(self, raw: Mapping[str, object]) -> RTMPSettings:
        return parse_section(RTMPSettings, self.name, raw)

    def make_service(self, host: IHost, settings: object) -> IService:
        assert isinstance(settings, RTMPSettings)
        service = FakeService(host, settings)
        self.made.append(service)
        return service


@implementer(IPlugin, IMediaRoute)
class FakeRoute:
    """An output over HTTP."""

    extensions = ("flv",)
    methods = ("GET", "HEAD")

    def make_handler(self, host: IHost) -> Any:
        return None


class Twistd(usage.Options):
    """As much of twistd's command line as its plugins see."""

    optFlags = [["nodaemon", "n", "Stay in the foreground."], ["syslog", None, "Use syslog."]]
    optParameters = [
        ["logfile", "l", None, "Where to."],
        ["logger", None, None, "How."],
        ["pidfile", None, "", "Where the number goes."],
    ]
    subCommands = [["ntvmedia", None, tap.Options, "The server."]]


class TapCase(SynchronousTestCase):
    """A folder, and two endpoints that open nothing."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.rtmp, self.extra = FakeEndpoint("rtmp"), FakeEndpoint("extra")
        self.plugins: dict[Any, list[Any]] = {
            IMediaEndpoint: [self.rtmp, self.extra],
            IMediaRoute: [FakeRoute()],
        }
        for module in ("tap", "server"):
            finding = mock.patch(
                f"ntvmedia.{module}.getPlugins", lambda kind: iter(self.plugins[kind])
            )
            finding.start()
            self.addCleanup(finding.stop)

    def options(self, *arguments: str) -> tap.Options:
        """Parse a command line, with the data in a folder of the test."""
        options = tap.Options()
        options.parseOptions(["--data", str(self.folder / "data"), *arguments])
        return options

    def logged(self) -> list[str]:
        """Collect the lines that the server logs from now on."""
        lines: list[str] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event.get("log_namespace", "").startswith("ntvmedia.server"):
                lines.append(f"{event['log_level'].name}: {formatEvent(event)}")

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        return lines


class OptionsTests(TapCase):
    """Settings are checked before anything is opened."""

    def refusal(self, *arguments: str) -> str:
        """Return the one line that refuses a command line."""
        line = str(self.assertRaises(usage.UsageError, self.options, *arguments))
        self.assertTrue(line.isprintable(), line)
        return line

    def write(self, text: str | bytes) -> str:
        """Write a configuration file."""
        path = self.folder / "ntv.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    def test_defaults(self) -> None:
        """Without options the settings are the default ones."""
        options = tap.Options()
        options.parseOptions([])
        defaults = {"rtmp": RTMPSettings(), "extra": RTMPSettings()}
        expected = Settings(data=Path.cwd() / "data", endpoints=defaults)
        self.assertEqual(options["settings"], expected)
        self.assertEqual(options["grace"], 10.0)
        self.assertIsNone(options["certificates"])

    def test_file_and_overrides(self) -> None:
        """The command line wins over the file, and the file over the defaults."""
        path = self.write('[rtmp]\nchunk_size = 4096\nlisten = "tcp:1"\n[hub]\nlatency = "low"\n')
        options = self.options("-c", path, "--set", "rtmp.listen=tcp:2", "--set=extra.listen=tcp:3")
        settings = options["settings"]
        self.assertEqual(settings.hub.latency, "low")
        self.assertEqual(settings.rtmp.chunk_size, 4096)
        self.assertEqual(settings.rtmp.listen, ("tcp:2",))
        self.assertEqual(settings.endpoints["rtmp"], settings.rtmp)
        self.assertEqual(settings.endpoints["extra"].listen, ("tcp:3",))

    def test_refusals(self) -> None:
        """What is wrong is named in one line, with what is allowed."""
        missing = self.folder / "missing.toml"
        file = self.folder / "file"
        file.write_text("")
        for arguments, line in [
            (["--grace", "0"], "--grace: expected seconds, above 0 to 3,600"),
            (["--grace", "nan"], "--grace: expected seconds, above 0 to 3,600"),
            (["--set", "rtmp"], "--set rtmp: expected SECTION.KEY=VALUE"),
            (["--set", "rtmp.lisen=x"], "rtmp.lisen: unknown setting; did you mean listen?"),
            (["--set", "extra.lisen=x"], "extra.lisen: unknown setting; did you mean listen?"),
            (["--set", "hub.latency=no"], 'hub.latency: expected "auto" or "low", not \'no\''),
            (["--set", "htp.x=1"], "htp: unknown section; did you mean http?"),
            (["--config", str(missing)], f"--config {missing}: cannot be read: No such file"),
            (["--data", str(file)], f"--data {file}: {file} is no folder"),
            (["--data", str(file / "below")], f"--data {file}/below: {file} is no folder"),
            (
                ["--set", "tls.certificate=/no", "--set", "tls.key=/no"],
                "tls.certificate: cannot read /no: No such file or directory",
            ),
        ]:
            self.assertTrue(self.refusal(*arguments).startswith(line), self.refusal(*arguments))

    def test_bad_files(self) -> None:
        """A file that is no TOML is named with the place of its mistake."""
        files: list[tuple[str | bytes, str]] = [
            ("[hub\n", "line 1"),
            ("[hub]\nlatency = low\n", "line 2"),
            (b"\xff\xfe", "utf-8"),
            ("hub = 3\n", "hub: expected a section"),
            ("x = " + "[" * 100_000, "recursion"),
            (b"#" * (1 << 20) + b"\n", "larger than 1,048,576 bytes"),
        ]
        for text, reason in files:
            self.assertIn(reason, self.refusal("--config", self.write(text)))

    def test_folder_not_writable(self) -> None:
        """G-LC-07: a data folder on a read-only disk is named."""
        with mock.patch("ntvmedia.tap.os.access", lambda path, mode: mode != os.W_OK | os.X_OK):
            line = self.refusal()
        self.assertEqual(line, f"--data {self.folder}/data: {self.folder} is not writable")
        self.assertFalse((self.folder / "data").exists())

    def test_certificates(self) -> None:
        """A good pair of files is loaded when the settings are checked."""
        certificate, key = make_pair(self.folder, "one.example")
        options = self.options(f"--set=tls.certificate={certificate}", f"--set=tls.key={key}")
        self.assertIsNotNone(options["certificates"])

    def test_two_plugins_of_one_name(self) -> None:
        """It is said, not decided by chance."""
        self.plugins[IMediaEndpoint].append(FakeEndpoint("extra"))
        self.assertEqual(self.refusal(), "extra: two plugins have this name")

    def test_check_and_version(self) -> None:
        """Both say one line and end well, with nothing made."""
        for arguments, text in [
            (["--check"], "the settings are good\n"),
            (["--version"], f"NTV Media Server {__version__}\n"),
        ]:
            with mock.patch("ntvmedia.tap.sys.stdout") as stdout:
                error = self.assertRaises(SystemExit, self.options, *arguments)
            self.assertEqual(error.code, 0)
            stdout.write.assert_called_once_with(text)
        self.assertFalse((self.folder / "data").exists())


class BelowTwistdTests(TapCase):
    """What twistd does with the options."""

    def parse(self, twistd: Sequence[str], ours: Sequence[str] = ()) -> Twistd:
        """Parse a whole command line."""
        options = Twistd()
        data = ["--data", str(self.folder / "data")]
        options.parseOptions([*twistd, "ntvmedia", *data, *ours])
        return options

    def test_one_line(self) -> None:
        """A wrong setting is one line and status 1, without twistd's list of options."""
        error = self.assertRaises(SystemExit, self.parse, ["-n"], ["--set", "hub.latency=no"])
        # The interpreter prints what is no number, and ends with status 1.
        self.assertEqual(error.code, 'ntvmedia: hub.latency: expected "auto" or "low", not \'no\'')

    def observer(self, options: Twistd) -> Any:
        """Build the application as twistd does, and return what it will log with."""
        application = Application("ntvmedia")
        root: Any = tap.makeService(options.subOptions, MemoryReactorClock())
        root.setServiceParent(application)
        return application.getComponent(ILogObserver, None)

    def test_log(self) -> None:
        """The log goes where twistd would have written it, in the format that is set."""
        path = self.folder / "ntv.log"
        options = self.parse(["-n", "-l", str(path)], ["--set", "log.format=json"])
        observer = self.observer(options)
        self.addCleanup(options.subOptions["log"].close)
        Logger("ntvmedia.test", observer=observer).info("hello")
        self.assertIn('"message": "hello"', path.read_text("utf-8"))

    def test_log_tail(self) -> None:
        """`GET /log` has the lines from the first on, long before a port is open."""
        options = self.parse(["-n", "-l", str(self.folder / "ntv.log")])
        application = Application("ntvmedia")
        root: Any = tap.makeService(options.subOptions, MemoryReactorClock())
        root.setServiceParent(application)
        self.addCleanup(options.subOptions["log"].close)
        Logger("ntvmedia.test", observer=application.getComponent(ILogObserver)).info("early")
        tail = root._host.part(LogTail)
        self.assertEqual([line.message for line in tail.lines()], ["early"])

    def test_log_tail_of_another_log(self) -> None:
        """Of a log that an operator brings along it has what comes after the start begins."""
        root: Any = tap.makeService(self.options(), FileReactor())
        tail = root._host.part(LogTail)
        self.addCleanup(tail.end)
        (self.folder / "data").write_bytes(b"in the way")
        self.assertRaises(SystemExit, root.privilegedStartService)
        self.assertIn("not started: ", tail.lines()[-1].message)
        Logger("ntvmedia.test", observer=globalLogPublisher).info("late")
        self.assertNotEqual(tail.lines()[-1].message, "late")

    def test_log_of_a_daemon(self) -> None:
        """In the background it is twistd.log, as twistd's manual says."""
        with mock.patch("ntvmedia.config.logs.LogFile.fromFullPath") as opened:
            self.observer(self.parse([]))
        opened.assert_called_once_with("twistd.log")

    def test_other_log(self) -> None:
        """An operator who wants syslog, or an observer of his own, gets it."""
        for arguments in (["--syslog"], ["--logger", "mine"], ["-l", "-"]):
            self.assertIsNone(self.observer(self.parse(arguments)))


class FileReactor(MemoryReactorClock):
    """A reactor whose unix sockets are at least files, as a real one's are."""

    def listenUNIX(self, address: Any, *arguments: Any, **options: Any) -> Any:
        """Make the file."""
        Path(address).touch()
        return super().listenUNIX(address, *arguments, **options)


class TreeTests(TapCase):
    """The tree that is built."""

    def build(self, *arguments: str) -> tuple[Any, MemoryReactorClock]:
        """Build the tree on a reactor of the test."""
        reactor = FileReactor()
        return tap.makeService(self.options(*arguments), reactor), reactor

    def test_host(self) -> None:
        """Plugins get the whole server, and their own section."""
        _root, reactor = self.build("--set", "rtmp.chunk_size=4096")
        (service,) = self.rtmp.made
        verifyObject(IHost, service.host)
        self.assertIs(service.host.reactor, reactor)
        self.assertEqual(service.settings.chunk_size, 4096)
        self.assertEqual(service.host.settings.data, self.folder / "data")
        self.assertEqual(len(service.host.random(16)), 16)
        self.assertEqual(service.host.media_routes(), self.plugins[IMediaRoute])
        self.assertFalse(service.host.draining)

    def test_database_that_is_none(self) -> None:
        """An address that no database has is a mistake in the settings, not one at the start."""
        for url in ("mysql://host/name", "nonsense"):
            error = self.assertRaises(
                usage.UsageError, self.options, "--set", f"database.url={url}"
            )
            self.assertTrue(str(error).startswith("database.url: "), error)

    def test_nothing_is_opened_before_the_start(self) -> None:
        """Building makes no folder and binds no port."""
        self.build()
        self.assertFalse((self.folder / "data").exists())
        self.assertFalse(self.rtmp.made[0].running)

    def test_start(self) -> None:
        """The folder is made, and the log says where to publish to and to play from."""
        root, _reactor = self.build(
            "--set=server.address=media.example", "--set=rtmp.listen=tcp:1936"
        )
        lines = self.logged()
        root.privilegedStartService()
        root.startService()
        self.assertTrue((self.folder / "data").is_dir())
        self.assertTrue(self.extra.made[0].running)
        self.assertEqual(
            lines,
            [
                "info: publish to rtmp://media.example:1936/liveshow/STREAM",
                "info: play from rtmp://media.example:1936/liveshow/STREAM",
                "info: watch at http://media.example:8080/liveshow/STREAM",
                "info: play from http://media.example:8080/liveshow/STREAM.flv",
                "info: publish to rtsp://media.example:8554/liveshow/STREAM",
                "info: play from rtsp://media.example:8554/liveshow/STREAM",
            ],
        )

    def test_outbound(self) -> None:
        """Other servers are asked as the settings say, and not any more after the stop."""
        root, reactor = self.build("--set=outbound.timeout=5", "--set=outbound.allow=127.0.0.1")
        root.privilegedStartService()
        root.startService()
        outbound = self.rtmp.made[0].host.outbound
        waiting = outbound.get("http://192.0.2.1/", limit_bytes=1)
        reactor.advance(5)
        error = self.failureResultOf(waiting, OutboundError)
        self.assertEqual(str(error.value), "http://192.0.2.1: no answer within 5 seconds")
        waiting = outbound.get("http://192.0.2.1/", limit_bytes=1)
        stopping = root.stopService()
        reactor.advance(10)
        self.successResultOf(stopping)
        for late in (waiting, outbound.get("http://192.0.2.1/", limit_bytes=1)):
            error = self.failureResultOf(late, OutboundError)
        self.assertEqual(str(error.value), "http://192.0.2.1: the server stops")
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_one_policy(self) -> None:
        """F-SS-03: what the preference names may be asked at once, by HTTP and by streams alike."""
        root, reactor = self.build("--set=outbound.timeout=1")
        root.privilegedStartService()
        root.startService()
        host = self.rtmp.made[0].host
        # To which the reactor of this test looks up everything.
        named: tuple[Network, ...] = (ip_network("127.0.0.0/8"),)
        for networks in (), named, ():
            host.preferences.values = Values(outbound_networks=networks)
            waiting = [
                host.outbound.get("http://10.0.0.1/", limit_bytes=1),
                host.connector.connect("10.0.0.1", 1935, Factory(), timeout_seconds=1),
            ]
            reactor.advance(1)
            for one in waiting:
                error = self.failureResultOf(one, OutboundError).value
                self.assertEqual("the preference outbound_networks" in str(error), not networks)
        stopping = root.stopService()
        reactor.advance(10)
        self.successResultOf(stopping)

    def test_port_in_use(self) -> None:
        """G-LC-07: one line that names setting and address, status 1, no traceback."""
        in_use = OSError(98, "Address already in use")
        for problem, line in [
            (
                CannotListenError("127.0.0.1", 1936, in_use),
                "rtmp.listen: cannot listen on 127.0.0.1, port 1936: Address already in use",
            ),
            (
                CannotListenError("::", 1935, in_use),
                "rtmp.listen: cannot listen on any address, port 1935: Address already in use",
            ),
            (CannotListenError("x", 1, "odd"), "rtmp.listen: cannot listen on x, port 1: odd"),
            (OverflowError("port must be 0-65535."), "rtmp.listen: cannot listen: port must be"),
            (ConfigError("is no good", ("rtmp", "listen")), "rtmp.listen: is no good"),
        ]:
            # Each with a folder of its own: that of a process is given back with its end.
            root, _reactor = self.build("--data", str(self.folder / str(len(self.rtmp.made))))
            self.rtmp.made[-1].problem = problem
            lines = self.logged()
            error = self.assertRaises(SystemExit, root.privilegedStartService)
            self.assertEqual(error.code, 1)
            self.assertEqual(len(lines), 1)
            self.assertTrue(lines[0].startswith(f"critical: not started: {line}"), lines[0])

    def test_folder_cannot_be_made(self) -> None:
        """G-LC-07: as with a port."""
        root, _reactor = self.build()
        (self.folder / "data").write_text("in the way")
        lines = self.logged()
        self.assertRaises(SystemExit, root.privilegedStartService)
        data = self.folder / "data"
        self.assertEqual(
            lines, [f"critical: not started: --data {data}: cannot be made: File exists"]
        )

    def test_process_file_of_a_failed_start(self) -> None:
        """It is removed, or the next start might believe that the server runs."""
        pid_file = self.folder / "twistd.pid"
        pid_file.write_text("1")
        options = Twistd()
        data = str(self.folder / "data")
        options.parseOptions(["-n", "--pidfile", str(pid_file), "ntvmedia", "--data", data])
        root: Any = tap.makeService(options.subOptions, MemoryReactorClock())
        self.rtmp.made[0].problem = CannotListenError("", 1935, OSError(13, "Permission denied"))
        self.assertRaises(SystemExit, root.privilegedStartService)
        self.assertFalse(pid_file.exists())

    def test_failed_start_in_the_background(self) -> None:
        """An ordinary exception, which twistd hands to the terminal: else it would hang."""
        options = Twistd()
        options.parseOptions(["ntvmedia", "--data", str(self.folder / "data")])
        root: Any = tap.makeService(options.subOptions, MemoryReactorClock())
        self.rtmp.made[0].problem = CannotListenError("", 1935, OSError(13, "Permission denied"))
        lines = self.logged()
        error = self.assertRaises(ConfigError, root.privilegedStartService)
        self.assertEqual(lines, [f"critical: not started: {error}"])

    def test_stop(self) -> None:
        """G-LC-01: the server is draining before anything stops, and each has the grace."""
        root, reactor = self.build("--grace", "3")
        root.privilegedStartService()
        root.startService()
        stopping = root.stopService()
        for endpoint in (self.rtmp, self.extra):
            self.assertTrue(endpoint.made[0].draining_at_stop)
        reactor.advance(2.999)
        self.assertNoResult(stopping)
        reactor.advance(0.001)
        self.successResultOf(stopping)
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_notice(self) -> None:
        """G-LC-01: with streams it is not ready first, then there is a while, then the end."""
        root, reactor = self.build("--grace", "8")
        root.privilegedStartService()
        root.startService()
        made = self.rtmp.made[0]
        made.host.hub.streams["one"] = mock.MagicMock()
        stopping = root.stopService()
        self.assertTrue(made.host.draining)
        reactor.advance(NOTICE_SECONDS - 0.001)
        self.assertFalse(made.draining_at_stop)
        reactor.advance(0.001)
        self.assertTrue(made.draining_at_stop)
        made.host.hub.streams.clear()
        reactor.advance(8 - NOTICE_SECONDS - 0.001)
        self.assertNoResult(stopping)
        reactor.advance(0.001)
        self.successResultOf(stopping)


class ClockTests(SynchronousTestCase):
    """The reactor's clock."""

    def reactor(self) -> SelectReactor:
        """Make a reactor that never runs."""
        reactor = SelectReactor()

        def close() -> None:
            reactor.removeAll()
            for end in (reactor.waker.i, reactor.waker.o):
                assert isinstance(end, int | socket.socket)
                os.close(end) if isinstance(end, int) else end.close()

        self.addCleanup(close)
        return reactor

    def test_wall_clock_does_not_matter(self) -> None:
        """G-RS-05: when the wall clock is set back an hour, a timer still fires in time."""
        reactor = self.reactor()
        tap.use_monotonic_clock(reactor)
        fired: list[float] = []
        started = time.monotonic()
        with mock.patch("time.time", lambda: 0.0):
            reactor.callLater(0.01, lambda: fired.append(time.monotonic()))
            while not fired and time.monotonic() < started + 5:
                reactor.runUntilCurrent()
        self.assertGreaterEqual(fired[0] - started, 0.01)

    def test_running_timers(self) -> None:
        """A reactor that has timers keeps its clock: theirs would be off by decades."""
        reactor = self.reactor()
        before = reactor.seconds
        call = reactor.callLater(1000, list)
        tap.use_monotonic_clock(reactor)
        self.assertIs(reactor.seconds, before)
        call.cancel()

    def test_clock_of_a_test(self) -> None:
        """A clock that is no real reactor's stays."""
        reactor = MemoryReactorClock()
        tap.use_monotonic_clock(reactor)
        self.assertEqual(reactor.seconds(), 0.0)
