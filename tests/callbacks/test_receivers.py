"""Callbacks and real receivers on this machine: those that hang, break off, or send a bomb."""

from __future__ import annotations

import gzip
import json
from typing import Any
from unittest.mock import patch

from ntvmedia.access import Action, Verdict
from ntvmedia.callbacks import decisions, delivery
from ntvmedia.callbacks.signing import signature
from tests.callbacks.rig import NOW, RealCase, Receiver, request
from tests.outbound.rig import ok, redirect

SILENCE = Verdict(False, "the authorization server does not answer", rule="third_party")
BOMB = gzip.compress(b"\0" * (64 << 20))


class QuestionTests(RealCase):
    """G-HK-01, F-IN-09: what decides."""

    def deciding(self, receiver: Receiver, **fields: Any) -> None:
        """Have a receiver decide."""
        self.add(receiver, **{"events": ["publish", "play"], "decides": True, **fields})

    def verdict(self, *answers: Any, **fields: Any) -> tuple[Verdict | None, Receiver]:
        """Ask a receiver that answers so."""
        receiver = self.receive(*answers)
        self.deciding(receiver, **fields)
        return self.decide(request()), receiver

    def test_yes(self) -> None:
        """A question is posted, signed, and answered; as SRS answers, or as we do."""
        verdict, receiver = self.verdict(ok(b"0\n"), dialect="srs", secret="s")
        self.assertEqual(verdict, Verdict(True))
        (got,) = receiver.got
        self.assertEqual((got.method, got.path), ("POST", "/h"))
        self.assertEqual(got.fields["action"], "on_play")
        self.assertEqual(got.headers["content-type"], "application/json")
        self.assertEqual(got.headers["x-ntvmedia-signature"], signature("s", int(NOW), got.body))

    def test_get(self) -> None:
        """The same by GET; what is signed is what arrives."""
        verdict, receiver = self.verdict(ok(b'{"allow":true}'), method="GET", secret="s")
        self.assertEqual(verdict, Verdict(True))
        (got,) = receiver.got
        self.assertEqual(got.fields["param"], "?token=a+b")
        expected = signature("s", int(NOW), got.query.encode())
        self.assertEqual(got.headers["x-ntvmedia-signature"], expected)

    def test_hangs(self) -> None:
        """A receiver that says nothing is asked twice, for the time that it has, and no longer."""
        with patch.object(decisions, "TRY_SECONDS", 0.3):
            began = self.reactor.seconds()
            verdict, receiver = self.verdict(None)
            took = self.reactor.seconds() - began
        self.assertEqual(verdict, SILENCE)
        self.assertEqual(len(receiver.got), 2)
        self.assertEqual(receiver.got[0].body, receiver.got[1].body)
        self.assertGreater(took, 0.7)
        self.assertLess(took, 5)

    def test_slow_to_the_end(self) -> None:
        """A body that does not end is no answer."""
        with patch.object(decisions, "TRY_SECONDS", 0.3):
            verdict, _receiver = self.verdict(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n0")
        self.assertEqual(verdict, SILENCE)

    def test_breaks_off(self) -> None:
        """A connection that is reset is asked again, and the second answer counts."""
        verdict, receiver = self.verdict(lambda peer: peer.reset(), ok(b""))
        self.assertEqual(verdict, Verdict(True))
        self.assertEqual(len(receiver.got), 2)
        verdict, _receiver = self.verdict(lambda peer: peer.reset(), name="b")
        self.assertEqual(verdict, SILENCE)

    def test_error(self) -> None:
        """Status 500 is no answer; with `on_failure` "allow" it lets in."""
        error = b"HTTP/1.1 500 No\r\nContent-Length: 1\r\n\r\n0"
        verdict, receiver = self.verdict(error, on_failure="allow", dialect="srs")
        self.assertEqual(verdict, Verdict(True))
        self.assertEqual(len(receiver.got), 2)
        verdict, _receiver = self.verdict(error, name="b")
        self.assertEqual(verdict, SILENCE)

    def test_down(self) -> None:
        """Nobody listens."""
        receiver = self.receive(None)
        self.deciding(receiver)
        self._ports.pop().stopListening()
        self.spin(0.05)
        self.assertEqual(self.decide(request(Action.PUBLISH)), SILENCE)

    def test_elsewhere(self) -> None:
        """No redirect leads to another server; one to the same is followed, with the body."""
        other = self.receive(ok(b"0"))
        for status in (302, 307):
            verdict, _receiver = self.verdict(
                redirect(f"{other.url}/h", status), dialect="srs", name=str(status)
            )
            self.assertEqual(verdict, SILENCE)
        self.assertEqual(other.got, [])
        for callback in tuple(self.callbacks.registry):
            self.wait(self.callbacks.registry.remove(callback))
        verdict, receiver = self.verdict(redirect("/other", 307), ok(b"0"), dialect="srs")
        self.assertEqual(verdict, Verdict(True))
        self.assertEqual([got.path for got in receiver.got], ["/h", "/other"])
        self.assertEqual(receiver.got[0].body, receiver.got[1].body)

    def test_bombs(self) -> None:
        """An answer that is compressed, or longer than 64 KiB, is not read."""
        packed = ok(BOMB, b"Content-Encoding: gzip")
        long = ok(b'{"allow": true, "x": "' + b"x" * (65 << 10) + b'"}')
        endless = b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (1 << 20)
        for answer in (packed, long, endless):
            verdict, receiver = self.verdict(answer, name=str(len(answer)))
            self.assertEqual(verdict, SILENCE)
            self.assertEqual(len(receiver.got), 1)
            for callback in tuple(self.callbacks.registry):
                self.wait(self.callbacks.registry.remove(callback))

    def test_forbidden(self) -> None:
        """F-SS-03: a callback leads to no private network that is not allowed."""
        receiver = self.receive(ok(b"0"))
        port = receiver.port
        for host in ("127.0.0.2", "[::1]", "169.254.169.254", "10.0.0.1", "metadata.example"):
            self.names.known["metadata.example"] = [["169.254.169.254"]]
            self.deciding(receiver, url=f"http://{host}:{port}/", name=host)
            self.assertEqual(self.decide(request()), SILENCE)
            for callback in tuple(self.callbacks.registry):
                (tried,) = self.callbacks.deliveries(callback)
                self.assertIn("outbound.allow", tried.problem)
                self.wait(self.callbacks.registry.remove(callback))
        self.assertEqual(receiver.got, [])

    def test_others_are_not_delayed(self) -> None:
        """G-HK-01: while one receiver hangs, another one decides at once."""
        hangs = self.receive(None)
        self.deciding(hangs, events=["publish"])
        quick = self.receive(ok(b""))
        self.deciding(quick, events=["play"])
        (authorizer,) = self.host.access.authorizers
        slow = [authorizer.decide(request(Action.PUBLISH)) for _number in range(50)]
        began = self.reactor.seconds()
        self.assertEqual(self.decide(request()), Verdict(True))
        self.assertLess(self.reactor.seconds() - began, 2)
        for deciding in slow:
            self.assertFalse(deciding.called)
            deciding.addErrback(lambda _cancelled: None)
            deciding.cancel()


class NotificationTests(RealCase):
    """What is told."""

    def test_told_and_answered_late(self) -> None:
        """What a receiver does not take at first comes again; the order stays."""
        hang = patch.object(delivery, "TRY_SECONDS", 0.3)
        error = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
        receiver = self.receive(None, error, lambda peer: peer.reset(), ok(b"whatever"))
        with hang, patch.object(delivery, "FIRST_PAUSE_SECONDS", 0.05):
            self.add(receiver)
            self.events.play(1)
            self.events.stop(1)
            self.until(lambda: self.callbacks.counts.waiting == 0)
        found = [got.fields["event"] for got in receiver.got]
        self.assertEqual(found, ["play"] * 4 + ["stop"])
        ids = [got.headers["x-ntvmedia-event-id"] for got in receiver.got]
        self.assertEqual(len(set(ids)), 2)

    def test_stop_of_the_server(self) -> None:
        """What happens while the server stops is told before it has stopped."""
        receiver = self.receive(ok(b""))
        self.add(receiver)
        self.events.play(1)
        self.events.stop(1)
        self.wait(self.callbacks.stopService())
        self.assertEqual(len(receiver.got), 2)

    def test_stop_without_a_receiver(self) -> None:
        """A receiver that hangs does not hold the server; what it was not told waits."""
        receiver = self.receive(None)
        self.add(receiver)
        self.events.play(1)
        began = self.reactor.seconds()
        self.wait(self.callbacks.stopService())
        self.assertLess(self.reactor.seconds() - began, 5)
        self.assertEqual(self.callbacks.counts.waiting, 1)

    def test_test(self) -> None:
        """A test is sent at once, whether the callback is enabled or not, and says what came."""
        receiver = self.receive(ok(b""), b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
        added = self.add(receiver, enabled=False, secret="s")
        done = self.wait(self.callbacks.test(added.id))
        self.assertEqual((done.status, done.problem, done.event), (200, "", "play"))
        fields = receiver.got[0].fields
        self.assertEqual((fields["kind"], fields["application"]), ("test", "test"))
        self.assertIn("x-ntvmedia-signature", receiver.got[0].headers)
        done = self.wait(self.callbacks.test(added.id, "server_stop"))
        self.assertEqual((done.status, done.problem), (404, "status 404"))
        self.assertNotIn("stream", json.loads(receiver.got[1].body))
        self._ports.pop().stopListening()
        for peer in tuple(receiver.peers):
            peer.reset()
        self.spin(0.05)
        done = self.wait(self.callbacks.test(added.id, "stop"))
        self.assertEqual(done.status, 0)
        self.assertIn("refused", done.problem)
