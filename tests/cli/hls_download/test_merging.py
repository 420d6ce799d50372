"""Tests of ntvmedia.cli.hls_download.merging: a process that does what it should not."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.cli.failures import Failed
from ntvmedia.cli.hls_download.merging import job_of, start_worker

JOB = job_of(Path("/x/out.mp4.download"), [{"first": 0}], Path("/x/merged"), trims=True)


class FakeProcess(Clock):
    """A reactor with a clock, whose processes are what a test says.

    Attributes:
        arguments: Of the process.
        protocol: Who talks to it.
        pid: Its number; 0 when it is over.
        written: What it was told.
        is_open: More may be told.
        killed: How often.
    """

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_open = True
        self.killed = 0
        self.pid = 7

    def spawnProcess(self, protocol: Any, program: str, arguments: list[str], env: Any) -> None:
        """Begin."""
        assert (program, env) == (sys.executable, None)
        self.arguments = arguments
        self.protocol = protocol
        protocol.makeConnection(self)

    def write(self, data: bytes) -> None:
        """Take what it is told."""
        assert self.is_open
        self.written += data

    def closeStdin(self) -> None:
        """There is no more of it."""
        self.is_open = False

    def signalProcess(self, name: str) -> None:
        """Kill it; it ends a moment later."""
        assert name == "KILL"
        self.killed += 1

    def say(self, *messages: Any) -> None:
        """Have it write lines."""
        for message in messages:
            line = message if isinstance(message, bytes) else json.dumps(message).encode()
            self.protocol.outReceived(line + b"\n")

    def end(self, code: int | None = 0, number: int | None = None) -> None:
        """End it."""
        self.pid = 0
        error: Exception = ProcessTerminated(code, number, None)
        if code == 0 and number is None:
            error = ProcessDone(0)
        self.protocol.processEnded(Failure(error))


class MergingTests(SynchronousTestCase):
    """The process, as its parent sees it."""

    def setUp(self) -> None:
        self.process = FakeProcess()
        self.seconds: list[float] = []

    def begin(self) -> Deferred[dict[str, Any]]:
        """Start it."""
        return start_worker(self.process).merge(JOB, self.seconds.append)

    def problem(self, done: Deferred[Any]) -> str:
        """Return why it came to nothing; nothing is left of it."""
        self.assertEqual(self.process.getDelayedCalls(), [])
        return str(self.failureResultOf(done, Failed).value)

    def test_good(self) -> None:
        """It is told its job, tells how far it is, and at last what it made."""
        done = self.begin()
        self.assertEqual(json.loads(self.process.written), dict(JOB))
        self.assertEqual(JOB["trims"], True)
        self.assertFalse(self.process.is_open)
        # Whatever lies in the folder that somebody works in, it is not imported.
        self.assertIn("-P", self.process.arguments)
        self.process.say({"done": 1.5}, {"done": 3})
        self.process.say({"seconds": 4.0})
        self.assertNoResult(done)
        self.process.end()
        self.assertEqual(self.successResultOf(done), {"seconds": 4.0})
        self.assertEqual(self.seconds, [1.5, 3])
        self.assertEqual((self.process.killed, self.process.getDelayedCalls()), (0, []))

    def test_pieces(self) -> None:
        """Its lines come in any pieces."""
        done = self.begin()
        for byte in b'{"done": 1}\n{"done": 2}\n{"seconds": 4.0}\n':
            self.process.protocol.outReceived(bytes([byte]))
        self.process.end()
        self.assertEqual(self.successResultOf(done), {"seconds": 4.0})
        self.assertEqual(self.seconds, [1, 2])

    def test_error(self) -> None:
        """What it says that went wrong."""
        done = self.begin()
        self.process.say({"error": "segment 7: no media"})
        self.process.end()
        self.assertEqual(self.problem(done), "segment 7: no media")

    def test_killed(self) -> None:
        """Somebody, the kernel for one, kills it."""
        done = self.begin()
        self.process.say({"done": 1.0})
        self.process.end(None, signal.SIGKILL)
        self.assertEqual(self.problem(done), "the process that merges was killed by signal SIGKILL")

    def test_killed_by_a_number(self) -> None:
        """Not all signals have names."""
        done = self.begin()
        self.process.end(None, signal.SIGRTMIN + 5)
        self.assertIn("killed by signal", self.problem(done))

    def test_dies(self) -> None:
        """It fails with a traceback: its last line is told."""
        done = self.begin()
        self.process.protocol.errReceived(b"Traceback:\n" + b"  line\n" * 1000)
        self.process.protocol.errReceived("KeyError: 'ä'\n".encode())
        self.process.end(1)
        self.assertEqual(self.problem(done), "the process that merges failed: KeyError: 'ä'")

    def test_dies_after_its_result(self) -> None:
        """A result of a process that failed after it is none."""
        done = self.begin()
        self.process.say({"seconds": 4.0})
        self.process.end(1)
        self.assertEqual(self.problem(done), "the process that merges failed: it says nothing")

    def test_says_nothing(self) -> None:
        """It ends well, without a result."""
        done = self.begin()
        self.process.end()
        self.assertEqual(self.problem(done), "the process that merges failed: it says nothing")

    def test_hangs(self) -> None:
        """Two minutes without a word, and it is ended; a word in time, and it is not."""
        done = self.begin()
        for _time in range(3):
            self.process.advance(119.0)
            self.process.say({"done": 1.0})
        self.assertEqual(self.process.killed, 0)
        self.process.advance(119.9)
        self.assertEqual(self.process.killed, 0)
        self.process.advance(0.2)
        self.assertEqual(self.process.killed, 1)
        self.assertNoResult(done)
        self.process.end(None, signal.SIGKILL)
        self.assertEqual(
            self.problem(done),
            "the process that merges did nothing for 120 seconds, and was ended",
        )

    def test_garbage(self) -> None:
        """What is no JSON, or none of ours, ends it, with one reason and no traceback."""
        for line in (b"garbage", b"\xff\xfe", b"5", b"[]", b"null", b'"done"'):
            self.setUp()
            done = self.begin()
            self.process.say({"seconds": 4.0}, line, {"seconds": 4.0})
            self.assertGreaterEqual(self.process.killed, 1, line[:20])
            self.process.end(None, signal.SIGKILL)
            self.assertEqual(
                self.problem(done),
                "the process that merges says what is not understood, and was ended",
            )
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_empty_lines(self) -> None:
        """The end of its output is no line."""
        done = self.begin()
        self.process.say({"seconds": 4.0})
        self.process.protocol.outReceived(b"")
        self.process.end()
        self.successResultOf(done)

    def test_cancelled(self) -> None:
        """Ctrl-C: it is killed, and what it says after that is nobody's."""
        done = self.begin()
        done.cancel()
        self.assertEqual(self.process.killed, 1)
        self.failureResultOf(done, CancelledError)
        self.process.say({"done": 1.0})
        self.process.end(None, signal.SIGKILL)
        self.assertEqual(self.process.getDelayedCalls(), [])

    def test_cancelled_too_late(self) -> None:
        """It is over already."""
        done = self.begin()
        self.process.say({"seconds": 4.0})
        self.process.end()
        done.cancel()
        self.assertEqual(self.process.killed, 0)
        self.successResultOf(done)

    def test_own_folder(self) -> None:
        """The program is ours, and the same Python's."""
        self.begin().addErrback(lambda _failure: None)
        self.assertEqual(self.process.arguments[0], sys.executable)
        self.assertTrue(os.path.isabs(sys.executable))
        self.assertEqual(
            self.process.arguments[-2:], ["-m", "ntvmedia.cli.hls_download.merge_process"]
        )
