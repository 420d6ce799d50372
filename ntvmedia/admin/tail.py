"""The last lines of the log, kept in memory for the API."""

from __future__ import annotations

import json
import re
from collections import deque
from itertools import count
from typing import Any, Final, NamedTuple

from twisted.application.service import Service
from twisted.logger import ILogObserver, LogEvent, LogLevel, LogPublisher, globalLogPublisher
from zope.interface import implementer

from ntvmedia.config.logs import json_line

MAX_LINES: Final = 2000
"""Each has at most 4 kB; most have a hundred bytes."""

_HIDDEN: Final = "***"

# What may open something, should it ever get into a line (F-AC-03): it is not written to the log in
# the first place. Each is one scan, with nothing to go back to (F-RE-14).
_SECRETS: Final = (
    (
        re.compile(r"(?i)\b(password|sign|token|share|secret|code|key)=[^&\s\"']+"),
        rf"\1={_HIDDEN}",
    ),
    (re.compile(r"://[^/\s@]{1,200}@"), f"://{_HIDDEN}@"),
    (re.compile(r"\bntv_[A-Za-z0-9_-]{16,}"), f"ntv_{_HIDDEN}"),
)


class Line(NamedTuple):
    """One event of the log.

    Attributes:
        number: Counts up from 1 since the start of the server.
        time: ISO 8601, UTC.
        level: A name of `twisted.logger.LogLevel`.
        system: Which part of the program.
        message: One line.
    """

    number: int
    time: str
    level: str
    system: str
    message: str


@implementer(ILogObserver)
class LogTail(Service):
    """Keeps the last lines of the log: a part of the host, `host.part(LogTail)`.

    Below twistd it is beside what writes the log, and has each line of that, from the first; else
    it has what is logged after `begin`.

    Args:
        host: The server; its settings say what the least level is.
        publisher: Where the events come from.
    """

    def __init__(self, host: Any, publisher: LogPublisher = globalLogPublisher) -> None:
        self.setName("log tail")
        self._level = LogLevel.lookupByName(host.settings.log.level)
        self._publisher = publisher
        self._numbers = count(1)
        self._lines: deque[Line] = deque(maxlen=MAX_LINES)
        self._is_beside = False

    def beside(self, writer: ILogObserver) -> ILogObserver:
        """Return what gives each event to the writer of the log, and to this.

        For who begins the log: what was logged before that is given to its observers then.
        """
        self._is_beside = True
        both: ILogObserver = LogPublisher(writer, self)
        return both

    def begin(self) -> None:
        """Keep lines from now on. Idempotent."""
        if not self._is_beside:
            self._publisher.addObserver(self)

    def end(self) -> None:
        """Keep no more. Idempotent."""
        self._publisher.removeObserver(self)

    def startService(self) -> None:
        super().startService()
        self.begin()

    def stopService(self) -> None:
        super().stopService()
        self.end()

    def __call__(self, event: LogEvent) -> None:
        """Keep an event. In whatever thread it happens."""
        if event.get("log_level", LogLevel.info) < self._level:
            return
        text = json_line(event)
        if text is None:
            return
        found = json.loads(text)
        self._lines.append(
            Line(
                next(self._numbers),
                found["time"],
                found["level"],
                found["system"],
                masked(found["message"]),
            )
        )

    def lines(self) -> list[Line]:
        """Return all that there are, the oldest first."""
        return list(self._lines)


def masked(text: str) -> str:
    """Return a line of the log without what may open something."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text
