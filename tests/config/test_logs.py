"""Tests of ntvmedia.config.logs."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, strategies as st
from twisted.logger import Logger, LogLevel, globalLogPublisher
from twisted.python import log
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.config import LogSettings
from ntvmedia.config.logs import MAX_MESSAGE_CHARACTERS, Log, json_line, text_line

# 2001-09-09, the second that everybody knows.
EVENT = {
    "log_time": 1_000_000_000.25,
    "log_level": LogLevel.info,
    "log_namespace": "ntvmedia.hub",
    "log_format": "{peer}: {reason}",
    "peer": "192.0.2.1:5000",
    "reason": "left",
}


def test_text() -> None:
    """Time in UTC with milliseconds, level, where from, message."""
    assert text_line(EVENT) == (
        "2001-09-09T01:46:40.250Z info     [ntvmedia.hub] 192.0.2.1:5000: left\n"
    )


def test_json() -> None:
    """The same as one object, with the fields by themselves."""
    line = json_line({**EVENT, "count": 3, "ratio": 0.5, "none": None, "path": Path("/x")})
    assert line is not None
    assert line.endswith("}\n")
    assert json.loads(line) == {
        "time": "2001-09-09T01:46:40.250Z",
        "level": "info",
        "system": "ntvmedia.hub",
        "message": "192.0.2.1:5000: left",
        "fields": {
            "peer": "192.0.2.1:5000",
            "reason": "left",
            "count": 3,
            "ratio": 0.5,
            "none": None,
            "path": "/x",
        },
    }


def test_no_number() -> None:
    """What JSON has no number for is text, so that every reader takes the line."""
    line = json_line({**EVENT, "rate": float("nan"), "most": float("inf")})
    assert line is not None
    assert "NaN" not in line
    assert json.loads(line)["fields"]["rate"] == "nan"
    assert json.loads(line)["fields"]["most"] == "inf"


def test_nothing_to_say() -> None:
    """An event without a message is no line."""
    assert text_line({"log_time": 0.0}) is None
    assert json_line({"log_time": 0.0}) is None


def test_traceback() -> None:
    """A bug keeps its traceback: indented in text, a member in JSON."""
    try:
        raise ValueError("it broke")
    except ValueError:
        event = {**EVENT, "log_failure": Failure(), "log_level": LogLevel.critical}
    text, record = text_line(event), json_line(event)
    assert text is not None
    assert record is not None
    first, *rest = text.splitlines()
    assert first.endswith("critical [ntvmedia.hub] 192.0.2.1:5000: left")
    assert rest[0].startswith("\tTraceback")
    assert all(row.startswith("\t") for row in rest)
    assert "ValueError: it broke" in rest[-1]
    assert "ValueError: it broke" in json.loads(record)["traceback"]


@given(st.text())
def test_one_line(said: str) -> None:
    """F-IN-06: whatever a peer says, an event is one line and no control character passes."""
    event = {**EVENT, "reason": said}
    text, record = text_line(event), json_line(event)
    assert text is not None
    assert record is not None
    for line in (text, record):
        assert line.endswith("\n")
        assert len(line[:-1].splitlines()) == 1
        assert not any(
            ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in line[:-1]
        )
        line.encode("utf-8")
    json.loads(record)


def test_long_message() -> None:
    """A message of a megabyte is cut."""
    event = {**EVENT, "reason": "x" * 1_000_000}
    text, record = text_line(event), json_line(event)
    assert text is not None
    assert record is not None
    assert len(text) < MAX_MESSAGE_CHARACTERS + 100
    assert len(record) < 2 * MAX_MESSAGE_CHARACTERS


class Rude:
    """A value that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_rude_value() -> None:
    """A field that raises when it is shown loses itself, not the line."""
    line = json_line({**EVENT, "value": Rude()})
    assert line is not None
    assert json.loads(line)["fields"]["value"] == "<Rude that cannot be shown>"


class LogTests(SynchronousTestCase):
    """The log writes what it was told to write, where it was told to."""

    def written(self, settings: LogSettings) -> list[str]:
        """Log one event of each level and return the lines."""
        stream = StringIO()
        observer = Log(settings).observer_for(stream)
        logger = Logger("ntvmedia.test", observer=observer)
        for level in ("debug", "info", "warn", "error", "critical"):
            logger.emit(LogLevel.lookupByName(level), "said {what}", what=level)
        return stream.getvalue().splitlines()

    def test_level(self) -> None:
        """Events below the level are not written."""
        levels: tuple[Any, ...] = ("debug", "info", "warn", "error", "critical")
        for dropped, level in enumerate(levels):
            lines = self.written(LogSettings(level=level))
            self.assertEqual([line.split()[-1] for line in lines], list(levels[dropped:]))

    def test_format(self) -> None:
        """Each line of a JSON log is an object."""
        lines = self.written(LogSettings(format="json"))
        self.assertEqual(
            [json.loads(line)["message"] for line in lines],
            ["said info", "said warn", "said error", "said critical"],
        )

    def test_old_logging(self) -> None:
        """What Twisted logs in its old way reads like the rest, any traceback behind the line."""
        stream = StringIO()
        observer = Log(LogSettings()).observer_for(stream)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        log.msg("hello", system="a,1")
        log.err(Failure(ValueError("it broke")), system="a,1")
        log.err(Failure(ValueError("it broke")), "while testing", system="a,1")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)
        lines = [line for line in stream.getvalue().splitlines() if not line.startswith("\t")]
        self.assertEqual(
            [line.partition(" ")[2] for line in lines],
            [
                "info     [a,1] hello",
                "critical [a,1] Unhandled Error",
                "critical [a,1] while testing",
            ],
        )
        self.assertEqual(stream.getvalue().count("\tFailure: builtins.ValueError: it broke\n"), 2)

    def test_file_moved_away(self) -> None:
        """G-RS-12: after `mv` and `reopen` the log goes on under its name."""
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name, "ntv.log")
        writer = Log(LogSettings(), str(path))
        self.addCleanup(writer.close)
        logger = Logger("ntvmedia.test", observer=writer.observer())
        logger.info("before {what}", what="Ü")
        moved = path.rename(path.with_name("old.log"))
        writer.reopen()
        logger.info("after")
        self.assertIn("before Ü", moved.read_text("utf-8"))
        self.assertIn("after", path.read_text("utf-8"))

    def test_terminal_is_not_reopened(self) -> None:
        """A log on the terminal takes `reopen` calmly."""
        writer = Log(LogSettings())
        writer.observer()
        writer.reopen()
