"""Tests of ntvmedia.admin.callbacks: `/callbacks`, as whoever owns the server sees it."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.admin.site import make_control_resource
from ntvmedia.callbacks import registry
from ntvmedia.media import StreamKey
from tests.admin.web import JSON, ROOT, Answer, ask, whole_host
from tests.callbacks.rig import FakeOutbound

NEW = {
    "name": "billing",
    "url": "https://me:pw@r.example/h?token=t",
    "events": ["play", "stop"],
    "secret": "topsecret",
}


class CallbackTests(SynchronousTestCase):
    """Made, shown, changed, tested and deleted."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.host = whole_host(Path(folder.name))
        self.outbound = FakeOutbound()
        self.host.callbacks._sender._outbound = self.outbound
        self.resource = make_control_resource(self.host)
        self.seen = ""

    def ask(self, method: str, path: str, body: Any = None, *fields: bytes) -> Answer:
        """Send a request over the control socket; what came back is kept in `seen`."""
        data = None if body is None else json.dumps(body).encode()
        sent = (JSON, *fields) if body is not None else fields
        where = ROOT + path.encode()
        answer = ask(self.resource, self.host.reactor, method.encode(), where, data, *sent)
        self.seen += answer.body.decode()
        return answer

    def add(self, **fields: Any) -> Any:
        """Make one, and return what is shown of it."""
        answer = self.ask("POST", "/callbacks", {**NEW, **fields})
        self.assertEqual(answer.status, 201, answer)
        return answer.json()

    def test_life(self) -> None:
        """A callback is made, listed, changed and deleted; each change is noted."""
        answer = self.ask("POST", "/callbacks", NEW)
        self.assertEqual(answer.status, 201)
        made = answer.json()
        path = f"/callbacks/{made['id']}"
        self.assertEqual(answer.fields[b"location"], ROOT + path.encode())
        self.assertEqual(
            {name: made[name] for name in made if name not in ("id", "created_at", "updated_at")},
            {
                "name": "billing",
                "url": "https://<hidden>@r.example/h?<hidden>",
                "events": ["play", "stop"],
                "method": "POST",
                "dialect": "ntvmedia",
                "secret_set": True,
                "decides": False,
                "on_failure": "deny",
                "enabled": True,
                "waiting": 0,
            },
        )
        self.assertEqual(self.ask("GET", path).json(), made)
        found = self.ask("GET", "/callbacks?q=BILL&enabled=true").json()
        self.assertEqual((found["total"], found["callbacks"]), (1, [made]))
        self.assertEqual(self.ask("GET", "/callbacks?enabled=false").json()["total"], 0)
        changed = self.ask("PATCH", path, {"name": "b", "decides": True}).json()
        self.assertEqual((changed["name"], changed["decides"]), ("b", True))
        self.assertEqual(self.host.callbacks.registry[made["id"]].secret, "topsecret")
        self.assertEqual(self.ask("DELETE", path).status, 204)
        self.assertEqual(self.ask("GET", path).status, 404)
        noted = self.ask("GET", "/audit").json()["audit"]
        self.assertEqual(
            [(x["action"], x["subject"]) for x in noted],
            [
                ("callbacks.delete", "b"),
                ("callbacks.change", "billing"),
                ("callbacks.add", "billing"),
            ],
        )
        self.assertEqual((noted[1]["before"]["name"], noted[1]["after"]["name"]), ("billing", "b"))
        self.assertIsNone(noted[0]["after"])
        # F-AC-03: neither in an answer nor in the log of changes.
        for secret in ("topsecret", "pw@", "token=t"):
            self.assertNotIn(secret, self.seen)

    def test_wrong(self) -> None:
        """A wrong field is named, and its value is not when it may be secret."""
        for fields, field in (
            ({"url": "ftp://hush"}, "url"),
            ({"url": "https://<hidden>@r.example/h?<hidden>"}, "url"),
            ({"events": []}, "events"),
            ({"events": ["nothing"]}, "events"),
            ({"secret": "hush" * 99}, "secret"),
            ({"decides": True, "events": ["stop"]}, "decides"),
            ({"dialect": "srs", "method": "GET"}, "method"),
            ({"id": "1"}, "id"),
        ):
            answer = self.ask("POST", "/callbacks", {**NEW, **fields})
            self.assertIn(answer.status, (400, 422), fields)
            self.assertIn(field, str(answer.problem()["errors"]) + answer.problem()["detail"])
        self.assertNotIn("hush", self.seen)
        self.assertEqual(len(self.host.callbacks.registry), 0)
        for method, path in (
            ("GET", "/callbacks/none"),
            ("DELETE", "/callbacks/none"),
            ("GET", "/callbacks/none/deliveries"),
        ):
            self.assertEqual(self.ask(method, path).status, 404)
        self.assertEqual(self.ask("PATCH", "/callbacks/none", {}).status, 404)
        self.assertEqual(self.ask("POST", "/callbacks/none/test", {}).status, 404)

    def test_too_many(self) -> None:
        """There is a bound."""
        with patch.object(registry, "MAX_CALLBACKS", 1):
            self.add()
            self.assertEqual(self.ask("POST", "/callbacks", NEW).status, 409)

    def test_edited_meanwhile(self) -> None:
        """An edit of what has changed since it was read is refused."""
        path = f"/callbacks/{self.add()['id']}"
        tag = b"If-Match: " + self.ask("GET", path).fields[b"etag"]
        self.assertEqual(self.ask("PATCH", path, {"name": "b"}, tag).status, 200)
        self.assertEqual(self.ask("PATCH", path, {"name": "c"}, tag).status, 412)
        self.assertEqual(self.ask("DELETE", path, None, tag).status, 412)

    def test_test(self) -> None:
        """A test says what came of it, and is listed."""
        path = f"/callbacks/{self.add(enabled=False)['id']}"
        body = json.dumps({"event": "stop"}).encode()
        where = ROOT + path.encode() + b"/test"
        from tests.admin.web import SOCKET, Client

        client = Client(self.resource, self.host.reactor, SOCKET)
        client.send(b"POST", where, body, JSON)
        self.assertEqual(client.answer().status, 0)
        (asked,) = self.outbound.asked
        self.assertEqual((asked.got.fields["kind"], asked.got.fields["event"]), ("test", "stop"))
        asked.reply(503)
        done = client.answer().json()
        self.assertEqual((done["status"], done["problem"]), (503, "status 503"))
        self.assertEqual(self.ask("GET", f"{path}/deliveries").json(), {"deliveries": [done]})
        answer = self.ask("POST", f"{path}/test", {"event": "nothing"})
        self.assertIn(answer.status, (400, 422))

    def test_counts(self) -> None:
        """What waits is counted, for all and for each."""
        made = self.add()
        self.host.callbacks._courier.start(self.host.callbacks.registry)
        self.host.callbacks.notify("play", StreamKey("a", "b"))
        self.assertEqual(self.ask("GET", f"/callbacks/{made['id']}").json()["waiting"], 1)
        self.assertEqual(
            self.ask("GET", "/callbacks/counts").json(),
            {
                "waiting": 1,
                "delivered": 0,
                "failed": 0,
                "dropped": {},
                "asked": {"allowed": 0, "denied": 0, "failed": 0},
            },
        )
