"""Tests of ntvmedia.admin.pushes: `/pushes`, as whoever owns the server sees it."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.admin.site import make_control_resource
from ntvmedia.errors import RemoteError
from ntvmedia.media import StreamKey
from ntvmedia.relay.push_service import PushService
from tests.admin.streams import publish
from tests.admin.web import JSON, NOW, ROOT, Answer, ask, whole_host
from tests.relay.rig import FakeTarget

NEW: dict[str, Any] = {
    "description": "cdn",
    "application": "liveshow",
    "server": "rtmp://up:hush@cdn.example",
    "target_application": "in",
    "query": "sig=x1y2&name=$STREAM",
}
KEYED = {"streams": ["one"], "server": "rtmp://yt.example", "target_stream": "abcd-efgh"}
SECRETS = ("hush", "x1y2", "abcd-efgh")
ONE = StreamKey("liveshow", "one")


class PushTests(SynchronousTestCase):
    """A whole server that is not started, but for its pushes, whose targets are fake."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.host = whole_host(Path(folder.name))
        self.target = FakeTarget()
        pushes = PushService(self.host, lambda: NOW, [self.target], "here.example")
        pushes.load()
        pushes.startService()
        self.addCleanup(pushes.stopService)
        self.pushes = self.host.pushes = pushes
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
        answer = self.ask("POST", "/pushes", {**NEW, **fields})
        self.assertEqual(answer.status, 201, answer)
        return answer.json()

    def test_life(self) -> None:
        """A push is made, listed, changed and deleted; each change is noted; no secret is told."""
        answer = self.ask("POST", "/pushes", NEW)
        self.assertEqual(answer.status, 201)
        made = answer.json()
        path = f"/pushes/{made['id']}"
        self.assertEqual(answer.fields[b"location"], ROOT + path.encode())
        shown = {x: made[x] for x in made if x not in ("id", "created_at", "updated_at", "status")}
        self.assertEqual(
            shown,
            {
                "description": "cdn",
                "enabled": True,
                "application": "liveshow",
                "streams": [],
                "server": "rtmp://<hidden>@cdn.example",
                "target_application": "in",
                "target_stream": "$STREAM",
                "query_set": True,
                "transport": "auto",
                "stall_seconds": 10.0,
                "sending": [],
            },
        )
        self.assertEqual(made["status"]["state"], "idle")
        self.assertEqual(self.ask("GET", path).json(), made)
        self.assertEqual(
            self.ask("PATCH", path, {"description": "b", "streams": ["one", "cam-*"]}).json()[
                "streams"
            ],
            ["one", "cam-*"],
        )
        self.assertEqual(self.pushes.registry[made["id"]].server, NEW["server"])
        self.assertEqual(self.pushes.registry[made["id"]].query, NEW["query"])
        self.assertEqual(self.ask("DELETE", path).status, 204)
        self.assertEqual(self.ask("GET", path).status, 404)
        noted = self.ask("GET", "/audit").json()["audit"]
        self.assertEqual(
            [(x["action"], x["subject"]) for x in noted],
            [("pushes.delete", "b"), ("pushes.change", "cdn"), ("pushes.add", "cdn")],
        )
        for secret in SECRETS:
            self.assertNotIn(secret, self.seen)

    def test_sending(self) -> None:
        """Each stream has a state of its own; the push has the worst, and the sums."""
        made = self.add()
        path = f"/pushes/{made['id']}"
        publish(self.host, ONE)
        self.assertEqual(self.target.urls, ["rtmp://up:hush@cdn.example/in/one?sig=x1y2&name=one"])
        self.target.bytes_out, self.target.dropped = 500, 2
        found = self.ask("GET", path).json()
        (sending,) = found["sending"]
        for status in (found["status"], sending):
            self.assertEqual((status["state"], status["bytes_out"]), ("running", 500))
            self.assertEqual(status["dropped"], 2)
        self.assertEqual((sending["application"], sending["stream"]), ONE)
        self.target.done.errback(RemoteError("the key is wrong", 401, is_permanent=True))
        found = self.ask("GET", path).json()
        self.assertEqual(found["sending"][0]["reason"], "the key is wrong")
        self.assertEqual(found["status"]["reason"], "liveshow/one: the key is wrong")
        self.assertTrue(found["status"]["is_permanent"])
        self.assertGreater(found["status"]["next_retry_at"], NOW)
        lines = [x["text"] for x in self.ask("GET", f"{path}/log").json()["lines"]]
        self.assertIn("liveshow/one: the server takes the stream", lines)

    def test_stop_and_start(self) -> None:
        """It is stopped and started by hand, which is noted, and sends what is there."""
        publish(self.host, ONE)
        path = f"/pushes/{self.add()['id']}"
        self.assertEqual(self.ask("POST", f"{path}/stop").json()["state"], "stopped")
        self.assertTrue(self.target.done.called)
        self.assertEqual(self.ask("GET", path).json()["sending"], [])
        self.assertEqual(self.ask("POST", f"{path}/start").json()["state"], "running")
        self.assertEqual(len(self.target.urls), 2)
        noted = self.ask("GET", "/audit?action=pushes").json()["audit"]
        self.assertEqual(
            [(x["action"], x["before"], x["after"]) for x in noted[:2]],
            [
                ("pushes.start", {"state": "stopped"}, {"state": "running"}),
                ("pushes.stop", {"state": "running"}, {"state": "stopped"}),
            ],
        )

    def test_key(self) -> None:
        """F-AC-03: a name that is always the same there may be a key, and is kept as one."""
        made = self.add(**KEYED)
        path = f"/pushes/{made['id']}"
        self.assertEqual(made["target_stream"], "<hidden>")
        self.ask("PATCH", path, {"target_application": "live3"})
        push = self.pushes.registry[made["id"]]
        self.assertEqual((push.target_application, push.target_stream), ("live3", "abcd-efgh"))
        answer = self.ask("PATCH", path, {"target_stream": "<hidden>"})
        self.assertEqual(
            (answer.status, answer.problem()["errors"][0]["field"]), (400, "target_stream")
        )
        self.ask("GET", "/pushes?q=abcd")
        for secret in SECRETS:
            self.assertNotIn(secret, self.seen)

    def test_list(self) -> None:
        """Sorted, searched, filtered and cut."""
        first = self.add()["id"]
        other = self.add(description="a", enabled=False, application="tv", query="")["id"]

        def ids(query: str) -> list[str]:
            return [x["id"] for x in self.ask("GET", f"/pushes?{query}").json()["pushes"]]

        self.assertEqual(ids("sort=description"), [other, first])
        for key in ("created_at", "updated_at", "server", "application", "enabled", "state"):
            self.assertEqual(set(ids(f"sort={key}")), {first, other})
        for key in ("since", "bitrate_kbps", "bytes_out", "dropped", "restarts"):
            self.assertEqual(set(ids(f"sort=-{key}")), {first, other})
        self.assertEqual(ids("q=TV"), [other])
        self.assertEqual(ids("q=hush"), [])
        self.assertEqual(ids("state=stopped"), [other])
        self.assertEqual(ids("enabled=true&application=liveshow"), [first])
        self.assertEqual(ids("application=music"), [])
        self.assertEqual(self.ask("GET", "/pushes?sort=query").status, 400)

    def test_wrong(self) -> None:
        """A wrong field is named, and its value is not told: it may be secret."""
        for fields, field in (
            ({"server": "http://hush"}, "server"),
            ({"server": "rtmp://here.example"}, "server"),
            ({"server": ""}, "server"),
            ({"streams": ["a b"]}, "streams"),
            ({"target_stream": "key", "query": ""}, "target_stream"),
            ({"target_stream": "hu sh"}, "target_stream"),
            ({"query": "hush" * 999}, "query"),
            ({"stall_seconds": 0}, "stall_seconds"),
            ({"id": "1"}, "id"),
        ):
            answer = self.ask("POST", "/pushes", {**NEW, **fields})
            self.assertEqual(answer.status, 400, fields)
            self.assertIn(field, str(answer.problem()["errors"]) + answer.problem()["detail"])
        self.assertNotIn("hush", self.seen)
        self.assertEqual(len(self.pushes.registry), 0)
        for method, path, body in (
            ("GET", "/pushes/none", None),
            ("GET", "/pushes/none/log", None),
            ("DELETE", "/pushes/none", None),
            ("PATCH", "/pushes/none", {}),
            ("POST", "/pushes/none/start", None),
            ("POST", "/pushes/none/stop", None),
        ):
            self.assertEqual(self.ask(method, path, body).status, 404, path)

    def test_taken(self) -> None:
        """E-ST-09: two pushes do not send the same there."""
        self.add()
        self.assertEqual(self.ask("POST", "/pushes", NEW).status, 409)

    def test_edited_meanwhile(self) -> None:
        """An edit of what has changed since it was read is refused; its state is no change."""
        path = f"/pushes/{self.add()['id']}"
        tag = b"If-Match: " + self.ask("GET", path).fields[b"etag"]
        publish(self.host, ONE)
        self.assertEqual(self.ask("PATCH", path, {"description": "b"}, tag).status, 200)
        self.assertEqual(self.ask("PATCH", path, {"description": "c"}, tag).status, 412)
        self.assertEqual(self.ask("DELETE", path, None, tag).status, 412)
