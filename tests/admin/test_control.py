"""Tests of ntvmedia.admin.control: the control socket."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from unittest import mock

from twisted.internet.error import CannotListenError
from twisted.internet.testing import StringTransport
from twisted.internet.unix import Port
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.admin import control
from ntvmedia.admin.control import SOCKET_NAME, ControlService
from ntvmedia.errors import ConfigError
from tests.admin.web import JSON, SOCKET, Host


class UnixHost(Host):
    """A server whose reactor listens on real unix sockets, and accepts when it is told to.

    Attributes:
        ports: Those that it listens on.
        modes: What others might do with each socket from the moment that it was there.
    """

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.ports: list[Any] = []
        self.modes: list[int] = []
        self.problem: Exception | None = None
        reactor: Any = self.reactor
        reactor.listenUNIX = self.listen

    def listen(self, address: str, factory: Any, *, mode: int) -> Any:
        """Listen as a reactor does, and look at the socket before its mode is set."""
        if self.problem is not None:
            raise self.problem
        port = Port(os.fsencode(address), factory, mode=mode, reactor=self.reactor)
        with mock.patch("os.chmod", self.looked(address)):
            port.startListening()
        self.ports.append(port)
        return port

    def looked(self, address: str) -> Any:
        """Return a `chmod` that looks before it acts."""
        chmod = os.chmod

        def change(path: Any, mode: int) -> None:
            self.modes.append(stat.S_IMODE(os.stat(address).st_mode))
            chmod(path, mode)

        return change


class ControlTests(SynchronousTestCase):
    """Where it is, who may use it, and who else is there."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = Path(folder.name)
        self.path = self.data / SOCKET_NAME

    def start(self, data: Path | None = None) -> tuple[UnixHost, ControlService]:
        """Start a server."""
        host = UnixHost(data or self.data)
        service = ControlService(cast(Any, host))
        service.privilegedStartService()
        service.startService()
        self.addCleanup(self.stop, host, service)
        return host, service

    def stop(self, host: UnixHost, service: ControlService) -> None:
        """Stop it. May be called again."""
        stopping = service.stopService()
        host.reactor.advance(0)
        self.successResultOf(stopping)
        for port in host.ports:
            if port.connected:
                port.socket.close()

    def refused(self, data: Path | None = None) -> str:
        """Return why a server does not start; it keeps nothing."""
        before = open_files()
        with self.assertRaises(ConfigError) as refused:
            self.start(data)
        self.assertEqual(open_files(), before)
        return str(refused.exception)

    def test_listening(self) -> None:
        """Only its owner may open it, from the first moment; nothing else is made."""
        before = os.umask(0)
        try:
            host, _service = self.start()
            self.assertEqual(os.umask(0), 0)
        finally:
            os.umask(before)
        found = self.path.lstat()
        self.assertTrue(stat.S_ISSOCK(found.st_mode))
        self.assertEqual(stat.S_IMODE(found.st_mode), 0o600)
        self.assertEqual(host.modes, [0o600])
        self.assertNotIn(f"{SOCKET_NAME}.lock", os.listdir(self.data))
        with connected(self.path):
            pass

    def test_answers(self) -> None:
        """F-AC-02: it serves the API, changes too, and asks for nothing but access to it."""
        host, _service = self.start()
        protocol: Any = host.ports[0].factory.buildProtocol(SOCKET)
        transport = StringTransport(peerAddress=SOCKET)
        protocol.makeConnection(transport)
        body = b'{"enabled": false}'
        protocol.dataReceived(
            b"PATCH /mserver/api/v1/applications/tv HTTP/1.1\r\nHost: localhost\r\n"
            + JSON
            + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
            + body
        )
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 200 "))
        self.assertFalse(host.applications["tv"].enabled)

    def test_idle(self) -> None:
        """A client that says nothing is cut off, by the server's own clock."""
        host, _service = self.start()
        protocol: Any = host.ports[0].factory.buildProtocol(SOCKET)
        transport = StringTransport(peerAddress=SOCKET)
        protocol.makeConnection(transport)
        host.reactor.advance(59)
        self.assertFalse(transport.disconnecting)
        host.reactor.advance(2)
        self.assertTrue(transport.disconnecting)

    def test_stopping(self) -> None:
        """It is removed, all files are closed, and another server may start."""
        before = open_files()
        self.stop(*self.start())
        self.assertFalse(self.path.exists())
        self.assertEqual(open_files(), before)
        self.start()

    def test_never_started(self) -> None:
        """A server that did not start stops."""
        self.assertIsNone(
            self.successResultOf(ControlService(cast(Any, Host(self.data))).stopService())
        )

    def test_socket_was_removed(self) -> None:
        """Somebody removed the socket or the whole folder: the server stops nevertheless."""
        host, service = self.start()
        self.path.unlink()
        self.stop(host, service)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_another_server(self) -> None:
        """Two servers cannot have one data folder, and the first one is not disturbed."""
        self.start()
        self.assertEqual(
            self.refused(), f"--data {self.data}: another server uses this data folder"
        )
        with connected(self.path):
            pass

    def test_another_server_that_begins(self) -> None:
        """One that has the folder, and listens only in a moment, counts too."""
        code = (
            "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX);"
            "print(flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code, self.data], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            other.stdout.readline()
            with mock.patch.object(control, "LOCK_SECONDS", 0.05):
                self.assertIn("another server uses this data folder", self.refused())
            # The command line, for one, has it for a moment only.
            killing = threading.Timer(0.2, other.kill)
            killing.start()
            self.start()
            killing.join()

    def test_claim(self) -> None:
        """The folder is this server's before anything in it is used; nobody is told that it is."""
        before = open_files()
        host = UnixHost(self.data)
        service = ControlService(cast(Any, host))
        service.claim()
        self.assertFalse(self.path.exists())
        with mock.patch.object(control, "LOCK_SECONDS", 0.05):
            self.assertIn("another server uses this data folder", self.refused())
        service.claim()
        service.privilegedStartService()
        self.stop(host, service)
        self.assertEqual(open_files(), before)
        service = ControlService(cast(Any, host))
        service.claim()
        self.successResultOf(service.stopService())
        self.assertEqual(open_files(), before)

    def test_busy_server(self) -> None:
        """One that accepts nobody at the moment, since too many wait, is alive."""
        with listening(self.path, 0), contextlib.ExitStack() as waiting:
            for _number in range(2):
                client = waiting.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    client.connect(os.fspath(self.path))
            with mock.patch.object(control, "_CONNECT_SECONDS", 0.05):
                self.assertIn("another server uses this data folder", self.refused())

    def test_no_locks(self) -> None:
        """Where folders cannot be locked, as on some network file systems, the socket tells."""
        no_locks = mock.Mock(wraps=fcntl, LOCK_EX=fcntl.LOCK_EX, LOCK_NB=fcntl.LOCK_NB)
        no_locks.flock.side_effect = OSError(37, "No locks available")
        with mock.patch.object(control, "fcntl", no_locks):
            with listening(self.path):
                self.assertIn("another server uses this data folder", self.refused())
            self.start()
            self.assertIn("another server uses this data folder", self.refused())
        self.assertEqual(no_locks.flock.call_count, 3)

    def test_dead_server(self) -> None:
        """What a killed server left is replaced."""
        with listening(self.path):
            pass
        self.assertTrue(self.path.is_socket())
        self.start()
        with connected(self.path):
            pass

    def test_no_socket(self) -> None:
        """A file of that name is not ours to remove."""
        self.path.write_text("precious")
        self.assertEqual(
            self.refused(),
            f"--data {self.data}: cannot have {SOCKET_NAME}: a file of this name is no socket",
        )
        self.assertEqual(self.path.read_text(), "precious")

    def test_long_path(self) -> None:
        """A folder whose path does not fit into an address is served by way of its number."""
        data = self.data / ("é" * 60) / ("x" * 100)
        data.mkdir(parents=True)
        host, service = self.start(data)
        self.assertTrue((data / SOCKET_NAME).is_socket())
        self.assertEqual(host.modes, [0o600])
        self.assertIn("another server uses this data folder", self.refused(data))
        self.stop(host, service)
        self.assertEqual(os.listdir(data).count(SOCKET_NAME), 0)

    def test_longest_path(self) -> None:
        """Paths on both sides of the limit work."""
        for length in (106, 107, 108):
            data = self.data / ("x" * (length - len(os.fsencode(self.path)) - 1))
            data.mkdir()
            self.assertEqual(len(os.fsencode(data / SOCKET_NAME)), length)
            self.stop(*self.start(data))

    def test_impossible(self) -> None:
        """What an operator has to mend is told with the folder."""
        missing = mock.Mock(settings=mock.Mock(data=self.data / "none"))
        with self.assertRaisesRegex(ConfigError, "^--data .*: cannot have control.sock: No such"):
            ControlService(missing).privilegedStartService()
        host = UnixHost(self.data)
        for problem in (
            CannotListenError(None, b"x", OSError(1, "Operation not permitted")),
            OSError(1, "Operation not permitted"),
        ):
            host.problem = problem
            with self.assertRaisesRegex(ConfigError, "control.sock: Operation not permitted$"):
                ControlService(cast(Any, host)).privilegedStartService()

    def test_leaves_the_reactor_alone(self) -> None:
        """Importing it imports no Klein, which would install a reactor."""
        code = (
            "import sys, ntvmedia.admin.control;"
            "sys.exit('klein' in sys.modules or 'twisted.internet.reactor' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], check=False)
        self.assertEqual(done.returncode, 0)


@contextlib.contextmanager
def listening(path: Path, backlog: int = 5) -> Iterator[None]:
    """Listen on a path that stays when nobody does any more."""
    with socket.socket(socket.AF_UNIX) as port:
        port.bind(os.fspath(path))
        port.listen(backlog)
        yield


@contextlib.contextmanager
def connected(path: Path) -> Iterator[None]:
    """Be a client."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.fspath(path))
        yield


def open_files() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/proc/self/fd"))
