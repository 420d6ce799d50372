"""Tests of ntvmedia.outbound.client: what is posted, and redirects that keep to one server."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from ntvmedia.outbound.exchange import Answer
from tests.callbacks.rig import Receiver
from tests.outbound.rig import OutboundCase, ok, redirect


class PostTests(OutboundCase):
    """Bodies that are handed over."""

    def receive(self, *answers: Any) -> Receiver:
        """Have a receiver listen."""
        receiver: Any = Receiver(*answers)
        listening: Any = self.listen(receiver)
        found: Receiver = listening
        return found

    def post(self, url: str, body: bytes = b"{}", **options: Any) -> Deferred[Answer]:
        """Hand something over."""
        headers = {"Content-Type": "application/json", "X-Me": "yes"}
        return self.outbound.post(url, body, headers=headers, limit_bytes=1000, **options)

    def test_posted(self) -> None:
        """The body arrives as it is, with its length and fields; the connection is kept."""
        receiver = self.receive(ok(b"thanks"))
        for body in (b'{"a":1}', b"", bytes(range(256)) * 200):
            answer = self.wait(self.post(f"{receiver.url}/p?q=1", body))
            self.assertEqual((answer.status, answer.body), (200, b"thanks"))
            got = receiver.got[-1]
            self.assertEqual((got.method, got.path, got.query), ("POST", "/p", "q=1"))
            self.assertEqual(got.body, body)
            self.assertEqual(got.headers["content-length"], str(len(body)))
            self.assertEqual(got.headers["content-type"], "application/json")
            self.assertEqual(got.headers["x-me"], "yes")
        self.assertEqual(len(receiver.peers), 1)

    def test_not_sent_twice(self) -> None:
        """A post whose connection breaks off is not repeated: it may have been taken."""
        receiver = self.receive(ok(b""), lambda peer: peer.reset(), ok(b""))
        self.wait(self.post(receiver.url))
        self.wait_for_error(self.post(receiver.url))
        self.assertEqual(len(receiver.got), 2)

    def test_redirects(self) -> None:
        """307 and 308 of the same server keep the body; all others end the request."""
        for status in (307, 308):
            receiver = self.receive(redirect("/b", status), ok(b"1"))
            self.assertEqual(self.wait(self.post(f"{receiver.url}/a", b"body")).body, b"1")
            self.assertEqual([got.path for got in receiver.got], ["/a", "/b"])
            self.assertEqual(receiver.got[1].body, b"body")
            self.assertEqual(receiver.got[1].headers["x-me"], "yes")
        for status in (301, 302, 303):
            receiver = self.receive(redirect("/b", status), ok(b"1"))
            problem = self.wait_for_error(self.post(f"{receiver.url}/a"))
            self.assertIn("would leave out what is posted", problem)
            self.assertEqual(len(receiver.got), 1)
        other = self.receive(ok(b"1"))
        receiver = self.receive(redirect(f"{other.url}/b", 307))
        self.assertIn("to another server", self.wait_for_error(self.post(receiver.url)))
        self.assertEqual(other.got, [])

    def test_endless_redirects(self) -> None:
        """There is an end of them."""
        receiver = self.receive(redirect("/a", 307))
        self.assertIn("redirects", self.wait_for_error(self.post(receiver.url)))
        self.assertLess(len(receiver.got), 10)

    def test_same_server(self) -> None:
        """A GET that keeps to one server follows what stays there, and nothing else."""
        other = self.serve(ok(b"1"))
        server = self.serve(redirect("/b"), ok(b"here"))
        self.assertEqual(self.body(server.url, same_server=True), b"here")
        server = self.serve(redirect(other.url))
        self.assertIn("to another server", self.problem(server.url, same_server=True))
        self.assertEqual(other.requests, [])

    def test_limits(self) -> None:
        """Time, length and policy are those of any request."""
        receiver = self.receive(None)
        problem = self.wait_for_error(self.post(receiver.url, timeout_seconds=0.2))
        self.assertIn("no answer within 0.2 seconds", problem)
        receiver = self.receive(ok(b"x" * 1001))
        self.assertIn("longer than 1,000 bytes", self.wait_for_error(self.post(receiver.url)))
        problem = self.wait_for_error(self.post("http://10.0.0.1/"))
        self.assertIn("outbound.allow", problem)
