"""The log: one line for each event, as text or JSON, whatever a peer made it say.

twistd writes its log with this; so everything that Twisted itself logs is in it too.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, Any, Final

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
)
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile

from ntvmedia.config.sections import LogSettings

# A line is read by people and by log collectors, some of which cut at 16 KiB.
MAX_MESSAGE_CHARACTERS: Final = 4096

# A field that is longer adds nothing to the message.
_MAX_FIELD_CHARACTERS: Final = 512

_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0))} | {
    code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F))
}
"""What would break a line or, with a terminal, hide what it says."""


def text_line(event: LogEvent) -> str | None:
    """Format an event as text: time, level, where from, message; then any traceback, indented.

    Returns:
        None for an event without a message: nothing is to be written.
    """
    message = _message(event)
    if message is None:
        return None
    level = event.get("log_level", LogLevel.info).name
    line = f"{_time(event)} {level:8} [{_system(event)}] {message}\n"
    return line + "".join(f"\t{row}\n" for row in _traceback(event).splitlines())


def json_line(event: LogEvent) -> str | None:
    """Format an event as one JSON object: the message, and the fields that it was made of.

    Keys `time` (ISO 8601, UTC), `level`, `system`, `message`; `traceback` where there is one;
    the fields under `fields`.

    Returns:
        None for an event without a message.
    """
    message = _message(event)
    if message is None:
        return None
    record: dict[str, object] = {
        "time": _time(event),
        "level": event.get("log_level", LogLevel.info).name,
        "system": _system(event),
        "message": message,
    }
    fields = {
        key: _plain(value)
        for key, value in event.items()
        if not key.startswith("log_") and key not in _LEGACY_FIELDS
    }
    if fields:
        record["fields"] = fields
    traceback = _traceback(event)
    if traceback:
        record["traceback"] = traceback
    return json.dumps(record, ensure_ascii=False) + "\n"


# What Twisted adds to each event for observers of its old logging.
_LEGACY_FIELDS: Final = frozenset(
    {"format", "isError", "message", "system", "time", "failure", "why", "logLevel"}
)

_FORMATS: Final[dict[str, Callable[[LogEvent], str | None]]] = {
    "text": text_line,
    "json": json_line,
}


class Log:
    """Where the log goes.

    Args:
        settings: Format and level.
        path: A file, which is begun anew at some size and the old one kept; empty or "-" is the
            terminal.
    """

    def __init__(self, settings: LogSettings, path: str = "") -> None:
        self._settings = settings
        self._path = path
        self._file: LogFile | None = None

    def observer(self) -> ILogObserver:
        """Open the log. Called by twistd, once, before it goes into the background."""
        stream: IO[Any] | LogFile = sys.stdout
        if self._path not in ("", "-"):
            self._file = stream = LogFile.fromFullPath(self._path)
        return self.observer_for(stream)

    def observer_for(self, stream: Any) -> ILogObserver:
        """Return what writes events of the level and above to `stream`."""
        levels = LogLevelFilterPredicate(LogLevel.lookupByName(self._settings.level))
        writer = FileLogObserver(stream, _FORMATS[self._settings.format])
        return FilteringLogObserver(writer, [levels])

    def reopen(self) -> None:
        """Go on in a new file where the old one was moved away; on the terminal nothing."""
        if self._file is not None:
            self._file.reopen()

    def close(self) -> None:
        """Close the file; the log is over."""
        if self._file is not None:
            self._file.close()


def _time(event: LogEvent) -> str:
    moment = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(event: LogEvent) -> str | None:
    if "log_failure" not in event and _failure(event) is not None:
        # Twisted's old logging puts the traceback into the message.
        return _one_line(str(event.get("why") or "Unhandled Error"), MAX_MESSAGE_CHARACTERS)
    message = formatEvent(event)
    if not message and _failure(event) is None:
        return None
    return _one_line(message, MAX_MESSAGE_CHARACTERS)


def _system(event: LogEvent) -> str:
    namespace = event.get("log_namespace", "-")
    if namespace == "log_legacy":
        namespace = event.get("log_system", "-")
    return _one_line(str(namespace), _MAX_FIELD_CHARACTERS)


def _failure(event: LogEvent) -> Failure | None:
    failure = event.get("log_failure") or event.get("failure")
    return failure if isinstance(failure, Failure) else None


def _one_line(text: str, characters: int) -> str:
    cut = text if len(text) <= characters else text[:characters] + "..."
    return cut.encode("utf-8", "backslashreplace").decode("utf-8").translate(_CONTROLS)


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int) or _is_finite(value):
        return value
    try:
        return _one_line(str(value), _MAX_FIELD_CHARACTERS)
    except Exception:
        return f"<{type(value).__name__} that cannot be shown>"


def _is_finite(value: object) -> bool:
    # JSON has no number for the others; Python would write what no other reader takes.
    return isinstance(value, float) and math.isfinite(value)


def _traceback(event: LogEvent) -> str:
    failure = _failure(event)
    if failure is None:
        return ""
    try:
        return failure.getTraceback()
    except Exception:
        return "(the traceback cannot be shown)"
