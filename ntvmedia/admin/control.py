"""The control socket: the API for the command line, for whoever owns the server's data.

`control.sock` in the data folder can be opened by its owner only, so it asks for no password. It
also tells two servers of one data folder from each other, and the command line whether one runs.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol

from ntvmedia.errors import ConfigError
from ntvmedia.interfaces import IHost

SOCKET_NAME: Final = "control.sock"

# `sun_path` of Linux has 108 bytes, the last of them zero (unix(7)).
_MAX_PATH_BYTES: Final = 107

# The command line has the data folder for less.
LOCK_SECONDS: Final = 5.0

# What the local end has to be asked within, should the other server hang.
_CONNECT_SECONDS: Final = 2.0


class ControlService(Service):
    """Listens on the control socket of a server's data folder.

    Args:
        host: The server. Its data folder exists when this starts.
    """

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._data: Path = host.settings.data
        self._folder = -1
        self._path = ""
        self._port: Any = None  # an IListeningPort

    def claim(self) -> None:
        """Take the data folder for this server, before anything in it is used; blocking.

        It stays this server's until it stops, or the process ends, however it ends. The command
        line has it for a moment when it changes the database of a stopped server: that is waited
        for.

        Raises:
            ConfigError: Another server uses the data folder, or it can have no socket.
        """
        if self._folder >= 0:
            return
        try:
            self._folder = os.open(self._data, os.O_RDONLY | os.O_DIRECTORY)
            self._path = _short_path(self._data, self._folder)
            _take(self._folder, self._path)
        except OSError as error:
            self._unlock()
            raise self._problem(error) from None

    def privilegedStartService(self) -> None:
        """Listen.

        Raises:
            ConfigError: As for `claim`, which is done where it was not.
        """
        super().privilegedStartService()
        self.claim()
        try:
            with _private_files():
                self._port = self._host.reactor.listenUNIX(
                    self._path, _SiteLater(self._make_site), mode=0o600
                )
        except (OSError, CannotListenError) as error:
            self._unlock()
            raise self._problem(error) from None

    def stopService(self) -> Deferred[None]:
        """Stop listening, and remove the socket."""
        super().stopService()
        port, self._port = self._port, None
        if port is None:
            self._unlock()
            return succeed(None)
        if not os.path.lexists(self._path):
            # With the whole data folder, say. Twisted's port fails to stop without its file.
            port.stopReading()
            self._unlock()
            return succeed(None)
        stopping: Deferred[None] = maybeDeferred(port.stopListening)
        return stopping.addBoth(self._stopped)

    def _stopped(self, result: Any) -> Any:
        # Not before: the path of the socket may go through the folder.
        self._unlock()
        return result

    def _problem(self, error: OSError | CannotListenError) -> ConfigError:
        if isinstance(error, _InUse):
            message = "another server uses this data folder"
        else:
            reason = getattr(error, "socketError", error)
            message = f"cannot have {SOCKET_NAME}: {getattr(reason, 'strerror', None) or reason}"
        return ConfigError(message, (f"--data {self._data}",))

    def _unlock(self) -> None:
        folder, self._folder = self._folder, -1
        if folder >= 0:
            os.close(folder)

    def _make_site(self) -> Any:
        # Here, not at the top: importing Klein installs a reactor.
        from twisted.web.server import Site

        from ntvmedia.admin.site import make_control_resource

        return Site(make_control_resource(self._host), reactor=self._host.reactor)


class _InUse(OSError):
    """The data folder is another server's."""


class _SiteLater(Factory):
    """A site that is made when somebody connects: importing Klein takes a quarter of a second.

    It is never started, and so keeps no log of requests.
    """

    noisy = False

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._site: Any = None

    def buildProtocol(self, address: IAddress | None) -> Protocol | None:
        if self._site is None:
            self._site = self._make()
        protocol: Protocol | None = self._site.buildProtocol(address)
        return protocol


def _short_path(data: Path, folder: int) -> str:
    """Return a path of the socket that fits into an address, by way of the open folder if not."""
    path = os.fspath(data / SOCKET_NAME)
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        return f"/proc/self/fd/{folder}/{SOCKET_NAME}"
    return path


def _take(folder: int, path: str) -> None:
    """Lock the data folder, and remove the socket that a dead server left in it.

    Args:
        folder: The open folder.
        path: Of the socket in it.

    Raises:
        OSError: It cannot be; `_InUse` where a server has it.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _is_alive(path) or time.monotonic() >= deadline:
                raise _InUse from None
            time.sleep(0.02)
            continue
        except OSError:
            pass  # network file systems may lock no folders: then the socket alone tells
        break
    if _is_alive(path):
        raise _InUse
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _is_alive(path: str) -> bool:
    """Say whether somebody listens on a socket.

    Raises:
        OSError: It cannot be known, or is no socket.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "a file of this name is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_CONNECT_SECONDS)
            probe.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except (TimeoutError, BlockingIOError):
        return True  # it has more to do than it can
    return True


@contextlib.contextmanager
def _private_files() -> Iterator[None]:
    """Have files made that only their owner may use, from their first moment."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)
