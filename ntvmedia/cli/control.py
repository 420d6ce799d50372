"""Asks the running server, over the control socket of its data folder."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any, Final, NamedTuple

from ntvmedia.cli.failures import Failed

SOCKET_NAME: Final = "control.sock"

# Longer than the server gives its database.
TIMEOUT_SECONDS: Final = 60.0

# Ten thousand applications are some 10 MB.
_MAX_ANSWER_BYTES: Final = 64 << 20

# `sun_path` of Linux has 108 bytes, the last of them zero (unix(7)).
_MAX_PATH_BYTES: Final = 107


class NotRunning(Exception):
    """No server uses this data folder now."""


class Refusal(Failed):
    """The server answered that it does not do it: problem details (RFC 9457).

    Attributes:
        status: Of HTTP.
        kind: The last part of the problem's type, such as "no-application"; empty where the status
            says it all.
        field: The part of the request that is to blame; empty for none.
    """

    def __init__(self, text: str, status: int, kind: str = "", field: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.kind = kind
        self.field = field


class Content(NamedTuple):
    """What an answer brought.

    Attributes:
        body: As it came.
        media_type: Without parameters, in lower case; empty where there is no body.
    """

    body: bytes
    media_type: str


class ControlClient:
    """Asks one server.

    Args:
        data: Its data folder.
        timeout: Seconds that it has for each step of an answer.
    """

    def __init__(self, data: Path, timeout: float = TIMEOUT_SECONDS) -> None:
        self._data = data
        self._timeout = timeout

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Send a request, and return what the answer says.

        Args:
            method: Of HTTP.
            path: With percent-encoding.
            body: Sent as JSON; `None` for none.

        Returns:
            The JSON of the answer; `None` where it has none.

        Raises:
            NotRunning: Nobody listens; nothing was sent.
            Refusal: The answer says that it was not done.
            Failed: The server does not answer, or not as one of ours.
        """
        data = None if body is None else json.dumps(body).encode("ascii")
        content = self.fetch(method, path, data)
        try:
            return json.loads(content.body) if content.body else None
        except ValueError as error:
            raise Failed(f"the server does not answer: {error}") from None

    def fetch(self, method: str, path: str, body: bytes | None = None) -> Content:
        """Send a request, and return what the answer brings, JSON or not.

        Args:
            method: Of HTTP.
            path: With percent-encoding.
            body: JSON; `None` for none.

        Raises:
            NotRunning: Nobody listens; nothing was sent.
            Refusal: The answer says that it was not done.
            Failed: The server does not answer, or not as one of ours.
        """
        connection = self._connect()
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            if answer.headers.get_content_type() == "text/event-stream":
                raise Failed("this goes on for ever: use curl --unix-socket")
            content = answer.read(_MAX_ANSWER_BYTES)
            if answer.length:
                raise http.client.IncompleteRead(content, answer.length)
            if len(content) == _MAX_ANSWER_BYTES and answer.read(1):
                raise Failed("the answer is too long for this: use curl --unix-socket")
            media_type = answer.headers.get_content_type() if content else ""
        except TimeoutError:
            raise Failed("the server does not answer: it may have done it or not") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise Failed(f"the server does not answer: {reason}") from None
        finally:
            connection.close()
        if answer.status >= 400:
            raise _refusal(answer.status, content)
        return Content(content, media_type)

    def _connect(self) -> http.client.HTTPConnection:
        path = self._data / SOCKET_NAME
        try:
            return _connected(self._data, self._timeout)
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunning from None
        except OSError as error:
            raise Failed(f"{path}: {error.strerror or 'the server does not answer'}") from None


def _refusal(status: int, content: bytes) -> Refusal:
    """Read problem details; whatever else answers is told by its status."""
    try:
        found = json.loads(content)
        errors = found.get("errors") or [{}]
        text, kind = str(found["detail"]), str(found["type"]).rpartition("/")[2]
        field = str(errors[0].get("field", ""))
    except (ValueError, KeyError, AttributeError, TypeError):
        return Refusal(f"the server answers {status}", status)
    return Refusal(text, status, "" if kind == "about:blank" else kind, field)


def _connected(data: Path, timeout: float) -> http.client.HTTPConnection:
    """Connect to the control socket in a folder.

    Raises:
        OSError: It cannot be.
    """
    path, folder = os.fspath(data / SOCKET_NAME), -1
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        peer.settimeout(timeout)
        if len(os.fsencode(path)) > _MAX_PATH_BYTES:
            # An address cannot be as long as a path: go by the open folder.
            folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
            path = f"/proc/self/fd/{folder}/{SOCKET_NAME}"
        peer.connect(path)
    except BaseException:
        peer.close()
        raise
    finally:
        if folder >= 0:
            os.close(folder)
    connection = http.client.HTTPConnection("localhost", timeout=timeout)
    connection.sock = peer
    return connection
