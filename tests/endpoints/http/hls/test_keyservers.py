"""Tests of ntvmedia.endpoints.http.hls.keyservers: keys that another server makes (C-AE-05)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.config import Settings
from ntvmedia.endpoints.http.hls import keyservers
from ntvmedia.endpoints.http.hls.keys import Key, KeySource
from ntvmedia.endpoints.http.hls.keyservers import LONGEST_WAIT_SECONDS
from ntvmedia.media import StreamKey
from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.exchange import Answer
from tests.outbound.rig import OutboundCase, ok, redirect

STREAM = StreamKey("liveshow", "tést")
TEMPLATE = "https://keys.example/{application}/{stream}?id={key}&again={key}&{other}"
OTHER_TEMPLATE = "https://other.example/{key}"
VALUE = b"0123456789abcdef"
DOWN = OutboundError("https://keys.example: the connection was refused")


class Client:
    """Stands in for the HTTP client.

    Attributes:
        asked: Addresses, and where the answers go; those that were cancelled too.
        cancelled: Addresses.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, Deferred[Answer]]] = []
        self.cancelled: list[str] = []

    def get(self, url: str, *, limit_bytes: int) -> Deferred[Answer]:
        """Note the question."""
        assert limit_bytes == 16
        answer: Deferred[Answer] = Deferred(lambda _answer: self.cancelled.append(url))
        self.asked.append((url, answer))
        return answer


class Host:
    """As much of a server as its keys need.

    Attributes:
        chance: What all random bytes are.
    """

    chance = b"\x80"

    def __init__(self, data: Path, reactor: Any, outbound: Any) -> None:
        self.settings = Settings(data=data)
        self.reactor = reactor
        self.outbound = outbound

    def random(self, count: int) -> bytes:
        """Return what is not random at all."""
        return self.chance * count


def lines_of(events: Sequence[LogEvent]) -> list[str]:
    """Return what was logged of keys."""
    ours = (event for event in events if "keyservers" in str(event.get("log_namespace")))
    return [f"{event['log_level'].name}: {formatEvent(event)}" for event in ours]


class KeyServerCase(SynchronousTestCase):
    """The keys of a server, and a client that answers as it is told to."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.clock = Clock()
        self.client = Client()
        self.host = Host(Path(folder.name), self.clock, self.client)
        self.keys = KeySource(cast(Any, self.host))
        self.keys.privilegedStartService()
        self.keys.startService()
        logs = capturedLogs()
        self._events = logs.__enter__()
        self.addCleanup(logs.__exit__, None, None, None)

    @property
    def lines(self) -> list[str]:
        """What was logged."""
        return lines_of(self._events)

    def make(self, number: int = 1, template: str = TEMPLATE) -> Deferred[Key]:
        """Ask for a key until it is there."""
        return self.keys.make(STREAM, number, template)

    def find(self, key: Key | str, template: str = TEMPLATE) -> Deferred[Key | None]:
        """Ask for a key by name."""
        return self.keys.find(STREAM, key if isinstance(key, str) else key.name, template)

    def answer(self, body: bytes = VALUE, status: int = 200, number: int = -1) -> None:
        """Answer a question, the last one unless told otherwise."""
        self.client.asked[number][1].callback(Answer(status, {}, body))

    def fail_request(self, error: Exception = DOWN, number: int = -1) -> None:
        """Fail a question."""
        self.client.asked[number][1].errback(error)

    def made(self, number: int = 1) -> Key:
        """Have a key made at once."""
        making = self.make(number)
        self.answer()
        return self.successResultOf(making)


class AskingTests(KeyServerCase):
    """What is asked, and how often."""

    def test_made(self) -> None:
        """The key server is told the names, percent-encoded, and gives the key."""
        making = self.make(7)
        [(url, answer)] = self.client.asked
        answer.callback(Answer(200, {}, VALUE))
        key = self.successResultOf(making)
        self.assertEqual(key.value, VALUE)
        self.assertRegex(key.name, r"\A7-[0-9a-f]{16}\.key\Z")
        name = key.name.removesuffix(".key")
        self.assertEqual(
            url, f"https://keys.example/liveshow/t%C3%A9st?id={name}&again={name}&{{other}}"
        )
        self.assertEqual(self.lines, [])

    def test_remembered(self) -> None:
        """A key that was had is not asked for again."""
        key = self.made()
        self.assertEqual(self.successResultOf(self.make()), key)
        self.assertEqual(self.successResultOf(self.find(key)), key)
        self.assertEqual(len(self.client.asked), 1)

    def test_remembered_keys_are_bounded(self) -> None:
        """Those that were not used for longest are forgotten, and asked for when wanted."""
        self.patch(keyservers, "MAX_KEPT", 3)
        keys = [self.made(number) for number in range(3)]
        self.successResultOf(self.find(keys[0]))
        self.made(3)
        self.assertEqual(self.successResultOf(self.find(keys[0])), keys[0])
        self.assertEqual(len(self.client.asked), 4)
        finding = self.find(keys[1])
        self.assertEqual(len(self.client.asked), 5)
        self.answer(b"f" * 16)
        self.assertEqual(self.successResultOf(finding), Key(keys[1].name, b"f" * 16))

    def test_shared(self) -> None:
        """All that want a key at the same time share one request."""
        name = self.made().name
        self.keys = KeySource(cast(Any, self.host))  # a restart: nothing is remembered
        waiting: list[Deferred[Any]] = [self.make(), self.find(name), self.make(), self.find(name)]
        self.assertEqual(len(self.client.asked), 2)
        self.answer()
        self.assertEqual([self.successResultOf(x) for x in waiting], [Key(name, VALUE)] * 4)

    def test_shared_failure(self) -> None:
        """Who only looked is told at once; who needs the key waits on."""
        name = self.made().name
        self.keys = KeySource(cast(Any, self.host))
        making, finding = self.make(), self.find(name)
        self.fail_request()
        self.assertEqual(str(self.failureResultOf(finding, OutboundError).value), str(DOWN))
        self.assertNoResult(making)
        self.clock.advance(LONGEST_WAIT_SECONDS)
        self.answer()
        self.assertEqual(self.successResultOf(making), Key(name, VALUE))

    def test_found_meanwhile(self) -> None:
        """A key that somebody else was given meanwhile is not asked for again."""
        name = self.made().name
        self.keys = KeySource(cast(Any, self.host))
        making = self.make()
        self.fail_request()
        finding = self.find(name)
        self.answer()
        self.successResultOf(finding)
        asked = len(self.client.asked)
        self.clock.advance(LONGEST_WAIT_SECONDS)
        self.assertEqual(self.successResultOf(making), Key(name, VALUE))
        self.assertEqual(len(self.client.asked), asked)

    def test_left(self) -> None:
        """The request goes on while anybody waits, and ends with the last of them."""
        first, second = self.make(), self.make()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(self.client.cancelled, [])
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertEqual(self.client.cancelled, [self.client.asked[0][0]])
        third = self.make()
        self.assertEqual(len(self.client.asked), 2)
        self.answer()
        self.assertEqual(self.successResultOf(third).value, VALUE)

    def test_left_while_it_waits(self) -> None:
        """Nothing is asked any more when nobody waits."""
        making = self.make()
        self.fail_request()
        making.cancel()
        self.failureResultOf(making, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped(self) -> None:
        """When the server stops, nobody waits any more and nothing is asked."""
        asking, waiting = self.make(1), self.make(2)
        self.fail_request()
        self.keys.stopService()
        self.failureResultOf(asking, CancelledError)
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.client.cancelled, [self.client.asked[0][0]])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bug(self) -> None:
        """What is no failure of a peer is not hidden by trying again."""
        making = self.make()
        self.fail_request(KeyError("a bug"))
        self.failureResultOf(making, KeyError)


class NameTests(KeyServerCase):
    """Which key a name stands for."""

    def test_forged(self) -> None:
        """The key server is not asked for what was never given out."""
        key = self.made()
        for name in (f"2{key.name[1:]}", "1-0123456789abcdef.key", "1.key", f"{key.name}/../x"):
            self.assertIsNone(self.successResultOf(self.find(name)))
        other = self.keys.find(StreamKey("liveshow", "other"), key.name, TEMPLATE)
        self.assertIsNone(self.successResultOf(other))
        self.assertEqual(len(self.client.asked), 1)

    def test_found_after_a_restart(self) -> None:
        """A key that the last run of the server gave out is asked for once."""
        key = self.made()
        self.keys = KeySource(cast(Any, self.host))
        finding = self.find(key)
        self.answer()
        self.assertEqual(self.successResultOf(finding), key)
        finding = self.find(key)
        self.assertEqual(self.successResultOf(finding), key)
        self.assertEqual(len(self.client.asked), 2)

    def test_other_key_server(self) -> None:
        """What was encrypted before the setting was changed still has its key."""
        key = self.made()
        self.assertEqual(self.successResultOf(self.find(key, OTHER_TEMPLATE)), key)
        self.assertEqual(self.successResultOf(self.find(key, "")), key)
        self.assertEqual(len(self.client.asked), 1)

    def test_own_key_after_the_change(self) -> None:
        """A key of our own is found when the application has a key server now."""
        key = self.successResultOf(self.make(template=""))
        self.assertEqual(self.successResultOf(self.find(key)), key)
        self.assertEqual(self.client.asked, [])

    def test_no_key_server_any_more(self) -> None:
        """A key that is not remembered, and has no server any more, is none."""
        key = self.made()
        self.keys = KeySource(cast(Any, self.host))
        self.assertIsNone(self.successResultOf(self.find(key, "")))


class FailureTests(KeyServerCase):
    """C-AE-05: the key server is down, or answers nonsense."""

    def waits(self, count: int) -> list[float]:
        """Fail that often, and return how long each wait was."""
        waits = []
        for _time in range(count):
            asked = len(self.client.asked)
            self.fail_request()
            [call] = self.clock.getDelayedCalls()
            waits.append(call.getTime() - self.clock.seconds())
            self.assertEqual(len(self.client.asked), asked)
            self.clock.advance(waits[-1])
            self.assertEqual(len(self.client.asked), asked + 1)
        return waits

    def test_waits(self) -> None:
        """It is asked again after a second or two, and ever more seldom up to half a minute."""
        self.host.chance = b"\xff"
        making = self.make()
        self.assertEqual(self.waits(6), [2, 4, 8, 16, 30, 30])
        making.cancel()
        self.failureResultOf(making, CancelledError)
        self.host.chance = b"\0"
        making = self.make()
        self.assertEqual(self.waits(6), [1, 2, 4, 8, 15, 15])
        self.answer()
        self.assertEqual(self.successResultOf(making).value, VALUE)

    def test_one_line_each_way(self) -> None:
        """However many keys wait, and however long: one line when it fails, one when it is back."""
        making = [self.make(number) for number in range(5)]
        for turn in range(20):
            for number in range(5):
                self.fail_request(number=number - 5)
            if turn == 10:
                making.append(self.make(5))
                self.fail_request()
                making[5].cancel()
                self.failureResultOf(making.pop(), CancelledError)
            self.clock.advance(LONGEST_WAIT_SECONDS)
        begins = f"warn: keys for encrypted HLS cannot be had, and are asked for again: {DOWN}"
        self.assertEqual(self.lines, [begins])
        for number in range(5):
            self.assertEqual(self.lines, [begins])
            self.answer(number=number - 5)
        for request in making:
            self.assertEqual(self.successResultOf(request).value, VALUE)
        back = "info: https://keys.example gives keys for encrypted HLS again"
        self.assertEqual(self.lines, [begins, back])
        self.make(9)
        self.fail_request()
        self.assertEqual(self.lines, [begins, back, begins])

    def test_left_while_it_fails(self) -> None:
        """A server that was left alone while it failed still fails, until it was heard of."""
        for _time in range(3):
            making = self.make()
            self.fail_request()
            making.cancel()
            self.failureResultOf(making, CancelledError)
        self.assertEqual(len(self.lines), 1)
        self.made()
        self.assertEqual(len(self.lines), 2)
        self.made(2)
        self.assertEqual(len(self.lines), 2)

    def test_each_server(self) -> None:
        """Each server has its own lines; how many are remembered is bounded."""
        self.patch(keyservers, "_MAX_FAILING", 2)
        for number in range(4):
            making = self.make(template=f"https://s{number}.example/{{key}}")
            self.fail_request()
            making.cancel()
            self.failureResultOf(making, CancelledError)
        self.assertEqual(len(self.lines), 4)
        self.make(template="https://s0.example/{key}")
        self.fail_request()
        self.assertEqual(len(self.lines), 5)
        self.make(2, template="https://s3.example/{key}")
        self.fail_request()
        self.assertEqual(len(self.lines), 5)

    def test_nonsense(self) -> None:
        """C-AE-05: what is no key of sixteen bytes is not used as one."""
        making = self.make()
        for body, status in ((b"", 200), (VALUE[:15], 200), (VALUE, 404), (VALUE, 500), (b"", 204)):
            self.answer(body, status)
            self.assertNoResult(making)
            self.clock.advance(LONGEST_WAIT_SECONDS)
        self.assertIn("https://keys.example: 0 bytes instead of a key of 16", self.lines[0])
        self.answer()
        self.assertEqual(self.successResultOf(making).value, VALUE)

    def test_nonsense_is_told(self) -> None:
        """Who looks for a key is told why there is none; that is no news for the log."""
        key = self.made()
        self.keys = KeySource(cast(Any, self.host))
        for body, status, why in (
            (VALUE, 403, "https://keys.example: status 403 instead of a key"),
            (VALUE[1:], 200, "https://keys.example: 15 bytes instead of a key of 16"),
        ):
            finding = self.find(key)
            self.answer(body, status)
            self.assertEqual(str(self.failureResultOf(finding, OutboundError).value), why)
        self.assertEqual(self.lines, [])


class RealServerTests(OutboundCase):
    """With the real client, and key servers on this machine."""

    def setUp(self) -> None:
        super().setUp()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.patch(keyservers, "FIRST_WAIT_SECONDS", 0.05)
        self.patch(keyservers, "LONGEST_WAIT_SECONDS", 0.05)
        self.keys = KeySource(cast(Any, Host(Path(folder.name), self.reactor, self.outbound)))
        self.keys.privilegedStartService()
        self.addCleanup(self.keys.stopService)

    def test_down_and_back(self) -> None:
        """C-AE-05: a server that fails in every way, and comes back, has two lines in the log."""
        server = self.serve(
            b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            lambda peer: peer.send(b"", close=True),
            lambda peer: peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n01", close=True),
            ok(VALUE + b"\n"),
            ok(VALUE[:15]),
            ok(b"<html>" * 1000),
            redirect("http://169.254.169.254/latest/meta-data/{key}"),
            redirect("file:///etc/passwd"),
            b"nonsense\r\n\r\n",
            ok(VALUE),
        )
        with capturedLogs() as events:
            key = self.wait(self.keys.make(STREAM, 1, f"{server.url}/?secret={{key}}"))
        self.assertEqual(key.value, VALUE)
        # Of the second, a connection that was kept, Twisted makes another try by itself.
        self.assertGreaterEqual(len(server.requests), 10)
        lines = lines_of(events)
        self.assertEqual(len(lines), 2)
        self.assertRegex(lines[0], f"^warn: .*: {server.url}: status 503 instead of a key$")
        self.assertRegex(lines[1], f"^info: {server.url} gives keys")
        self.assertNotIn("secret", "".join(lines))

    def test_forbidden(self) -> None:
        """F-SS-03: a key server in the private network is asked only where that is allowed."""
        template = "http://user:secret@127.0.0.2:1/{stream}/{key}"
        with capturedLogs() as events:
            making = self.keys.make(STREAM, 1, template)
            self.until(lambda: lines_of(events))
            self.spin(0.1)
            making.cancel()
        self.failureResultOf(making, CancelledError)
        [line] = lines_of(events)
        self.assertIn("127.0.0.2 is a loopback address, which outbound.allow does not name", line)
        self.assertNotIn("secret", line)

    def test_no_address(self) -> None:
        """An address that is none is asked for no more quickly than a server that is down."""
        with capturedLogs() as events:
            making = self.keys.make(STREAM, 1, "keys.example/{key}")
            self.spin(0.3)
            making.cancel()
        self.failureResultOf(making, CancelledError)
        [line] = lines_of(events)
        self.assertIn("the address begins with neither http:// nor https://", line)
