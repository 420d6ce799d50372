"""Tests of ntvmedia.admin.relays: `/relays`, as whoever owns the server sees it."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.admin.site import make_control_resource
from ntvmedia.avtools.job import Probe, ProbedTrack
from ntvmedia.errors import RemoteError
from ntvmedia.relay.states import RelayState
from tests.admin.web import JSON, ROOT, SOCKET, Answer, Client, ask, whole_host
from tests.relay.rig import FakeSource

SOURCE = "fake://me:pw@cam.example/one?token=t"
NEW: dict[str, Any] = {
    "description": "door",
    "source": SOURCE,
    "target": {"application": "liveshow", "stream": "door"},
}
AWAY = {
    "server": "rtmps://up:hush@a.example",
    "application": "live2",
    "stream": "abcd-efgh",
    "query": "sig=x1y2",
}
SECRETS = ("pw@", "token=t", "hush", "abcd-efgh", "x1y2")


class RelayCase(SynchronousTestCase):
    """A whole server that is not started, but for its relays, whose sources are fake."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.host = whole_host(Path(folder.name))
        self.clock = self.host.reactor
        self.source = FakeSource(self)
        self.host.relays.sources._plugins = (self.source,)
        self.host.relays.startService()
        self.resource = make_control_resource(self.host)
        self.seen = ""

    def tearDown(self) -> None:
        self.host.relays.stopService()

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        self.clock.advance(seconds)

    def ask(self, method: str, path: str, body: Any = None, *fields: bytes) -> Answer:
        """Send a request over the control socket; what came back is kept in `seen`."""
        data = None if body is None else json.dumps(body).encode()
        sent = (JSON, *fields) if body is not None else fields
        where = ROOT + path.encode()
        answer = ask(self.resource, self.clock, method.encode(), where, data, *sent)
        self.seen += answer.body.decode()
        return answer

    def add(self, **fields: Any) -> Any:
        """Make one, and return what is shown of it."""
        answer = self.ask("POST", "/relays", {**NEW, **fields})
        self.assertEqual(answer.status, 201, answer)
        return answer.json()


class RelayTests(RelayCase):
    """Made, shown, changed, started, stopped, looked into and deleted."""

    def test_life(self) -> None:
        """A task is made, started, changed and deleted; each change is noted; no secret is told."""
        answer = self.ask("POST", "/relays", NEW)
        self.assertEqual(answer.status, 201)
        made = answer.json()
        path = f"/relays/{made['id']}"
        self.assertEqual(answer.fields[b"location"], ROOT + path.encode())
        self.assertEqual(made["source"], "fake://<hidden>@cam.example/one?<hidden>")
        self.assertEqual(made["video"]["codec"], "copy")
        self.assertEqual(
            made["target"],
            {"server": "", "application": "liveshow", "stream": "door", "query_set": False},
        )
        self.assertEqual(made["status"]["state"], "connecting")
        self.assertEqual(self.source.last.url, SOURCE)
        self.assertEqual(self.ask("GET", path).json(), made)
        changed = self.ask("PATCH", path, {"description": "gate"}).json()
        self.assertEqual(changed["description"], "gate")
        self.assertEqual(self.host.relays.registry[made["id"]].source, SOURCE)
        self.assertEqual(self.ask("DELETE", path).status, 204)
        self.assertEqual(self.ask("GET", path).status, 404)
        noted = self.ask("GET", "/audit").json()["audit"]
        self.assertEqual(
            [(x["action"], x["subject"]) for x in noted],
            [
                ("relays.delete", "gate"),
                ("relays.change", "door"),
                ("relays.add", "liveshow/door"),
            ],
        )
        for secret in SECRETS:
            self.assertNotIn(secret, self.seen)

    def test_states(self) -> None:
        """What runs is shown with its numbers; what is stopped says by whom."""
        made = self.add()
        path = f"/relays/{made['id']}"
        self.advance(1)
        self.source.last.start()
        self.source.last.media(10)
        status = self.ask("GET", path).json()["status"]
        self.assertEqual((status["state"], status["source"], status["restarts"]), ("running", 0, 0))
        self.assertGreater(status["bytes_in"], 100)
        self.assertEqual(status["instances"], {})
        stopped = self.ask("POST", f"{path}/stop").json()
        self.assertEqual((stopped["state"], stopped["uptime_seconds"]), ("stopped", 0.0))
        self.assertEqual(stopped["reason"], "stopped by an operator")
        self.assertEqual(self.ask("POST", f"{path}/start").json()["state"], "connecting")
        lines = self.ask("GET", f"{path}/log").json()["lines"]
        self.assertIn("stopped: stopped by an operator", [x["text"] for x in lines])
        noted = self.ask("GET", "/audit?action=relays").json()["audit"]
        self.assertEqual(
            [(x["action"], x["before"], x["after"]) for x in noted[:2]],
            [
                ("relays.start", {"state": "stopped"}, {"state": "connecting"}),
                ("relays.stop", {"state": "running"}, {"state": "stopped"}),
            ],
        )

    def test_waiting(self) -> None:
        """Why it waits is told, whether that is for good, and until when."""
        path = f"/relays/{self.add()['id']}"
        self.source.last.fail("401 unauthorised", is_permanent=True)
        status = self.ask("GET", path).json()["status"]
        self.assertEqual((status["state"], status["is_permanent"]), ("waiting", True))
        self.assertEqual(status["reason"], "401 unauthorised")
        self.assertGreater(status["next_retry_at"], status["since"])

    def test_instances(self) -> None:
        """A pattern has its streams below it, by name."""
        made = self.add(
            source="fake://nvr.example/$1",
            on_demand=True,
            target={"application": "liveshow", "stream": "cams-*"},
        )
        one = RelayState("waiting", "refused", True, 5.0)
        state = one._replace(instances={"cams-1": one})
        self.host.relays.state = lambda _id: state
        status = self.ask("GET", f"/relays/{made['id']}").json()["status"]
        self.assertEqual(list(status["instances"]), ["cams-1"])
        self.assertEqual(status["instances"]["cams-1"]["reason"], "refused")
        self.assertEqual(self.ask("POST", f"/relays/{made['id']}/probe").status, 400)

    def test_list(self) -> None:
        """Sorted, searched, filtered and cut."""
        second = {"application": "liveshow", "stream": "yard"}
        first = self.add()["id"]
        other = self.add(description="a yard", enabled=False, target=second)["id"]

        def ids(query: str) -> list[str]:
            found = self.ask("GET", f"/relays?{query}").json()
            self.assertGreaterEqual(found["total"], len(found["relays"]))
            return [x["id"] for x in found["relays"]]

        self.assertEqual(ids("sort=description"), [other, first])
        self.assertEqual(ids("sort=-description"), [first, other])
        for key in ("created_at", "updated_at", "source", "target", "enabled", "state", "since"):
            self.assertEqual(set(ids(f"sort={key}")), {first, other})
        for key in ("bitrate_kbps", "bytes_in", "restarts"):
            self.assertEqual(set(ids(f"sort=-{key}")), {first, other})
        self.assertEqual(ids("q=LIVESHOW/YARD"), [other])
        self.assertEqual(ids("q=cam.example&page_size=1&page=2&sort=target"), [other])
        # Nobody finds out a password by looking for its letters.
        self.assertEqual(ids("q=token=t"), [])
        self.assertEqual(ids("state=stopped"), [other])
        self.assertEqual(ids("enabled=true"), [first])
        self.assertEqual(self.ask("GET", "/relays?sort=secret").status, 400)
        self.assertEqual(self.ask("GET", "/relays?state=happy").status, 400)

    def test_other_server(self) -> None:
        """The name on another server may be a key: it is kept as a password is (F-AC-03)."""
        made = self.add(target=AWAY, enabled=False)
        path = f"/relays/{made['id']}"
        self.assertEqual(
            made["target"],
            {
                "server": "rtmps://<hidden>@a.example",
                "application": "live2",
                "stream": "<hidden>",
                "query_set": True,
            },
        )
        self.ask("PATCH", path, {"target": {"application": "live3"}})
        target = self.host.relays.registry[made["id"]].target
        self.assertEqual((target.application, target.stream), ("live3", "abcd-efgh"))
        self.assertEqual((target.server, target.query), (AWAY["server"], AWAY["query"]))
        answer = self.ask("PATCH", path, {"target": {"stream": "<hidden>"}})
        self.assertEqual(
            (answer.status, answer.problem()["errors"][0]["field"]), (400, "target.stream")
        )
        self.ask("GET", "/relays?q=abcd")
        for secret in SECRETS:
            self.assertNotIn(secret, self.seen)

    def test_parts(self) -> None:
        """Of a part only what is given changes; of renditions all."""
        low = {"stream": "door-low", "video": {"codec": "h264", "height": 360}}
        made = self.add(enabled=False, video={"codec": "h264", "width": 640}, renditions=[low])
        self.assertEqual(made["renditions"][0]["audio"]["codec"], "copy")
        path = f"/relays/{made['id']}"
        changed = self.ask("PATCH", path, {"video": {"bitrate_kbps": 900}}).json()
        self.assertEqual((changed["video"]["width"], changed["video"]["bitrate_kbps"]), (640, 900))
        self.assertEqual(changed["renditions"], made["renditions"])
        self.assertEqual(self.ask("PATCH", path, {"renditions": []}).json()["renditions"], [])

    def test_wrong(self) -> None:
        """A wrong field is named, and its value is not told: it may be secret."""
        target = NEW["target"]
        for fields, field in (
            ({"source": "fake://hush@x y/"}, "source"),
            ({"source": "none:hush"}, "source"),
            ({"source": "fake://<hidden>@r.example/h?<hidden>"}, "source"),
            ({"source": "fake://x/bad"}, "source"),
            ({"source": ""}, "source"),
            ({"fallbacks": ["hush"] * 9}, "fallbacks"),
            ({"video": {"codec": "theora"}}, "codec"),
            ({"video": {"width": 641, "codec": "h264"}}, "video.width"),
            ({"video": {"colour": 1}}, "video"),
            ({"target": {"application": "liveshow", "stream": "a b/"}}, "target.stream"),
            ({"target": {"server": "http://hush"}}, "target"),
            ({"target": {**target, "query": "a=hush"}}, "target.query"),
            ({"renditions": [{"stream": "door"}]}, "renditions[0].stream"),
            ({"stall_seconds": 0}, "stall_seconds"),
            ({"id": "1"}, "id"),
        ):
            answer = self.ask("POST", "/relays", {**NEW, **fields})
            self.assertEqual(answer.status, 400, fields)
            self.assertIn(field, str(answer.problem()["errors"]) + answer.problem()["detail"])
        self.assertNotIn("hush", self.seen)
        self.assertEqual(len(self.host.relays.registry), 0)
        for method, path, body in (
            ("GET", "/relays/none", None),
            ("GET", "/relays/none/log", None),
            ("DELETE", "/relays/none", None),
            ("PATCH", "/relays/none", {}),
            ("POST", "/relays/none/start", None),
            ("POST", "/relays/none/stop", None),
            ("POST", "/relays/none/probe", None),
        ):
            self.assertEqual(self.ask(method, path, body).status, 404, path)

    def test_taken(self) -> None:
        """E-ST-09: two tasks do not make the same stream."""
        self.add()
        answer = self.ask("POST", "/relays", {**NEW, "source": "fake://other.example/"})
        self.assertEqual(answer.status, 409)
        self.assertTrue(answer.problem()["type"].endswith("/target-taken"))

    def test_edited_meanwhile(self) -> None:
        """An edit of what has changed since it was read is refused; its state is no change."""
        path = f"/relays/{self.add()['id']}"
        tag = b"If-Match: " + self.ask("GET", path).fields[b"etag"]
        self.source.last.fail()
        self.assertEqual(self.ask("PATCH", path, {"description": "b"}, tag).status, 200)
        self.assertEqual(self.ask("PATCH", path, {"description": "c"}, tag).status, 412)
        self.assertEqual(self.ask("DELETE", path, None, tag).status, 412)


class ProbeTests(RelayCase):
    """What is in a source."""

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[tuple[str, str]] = []
        self.found: Deferred[Probe] = succeed(
            Probe("mpegts", 0.0, 900, (ProbedTrack("video", "h264", "High", 640, 360, 25.0),))
        )
        self.host.relays.probe = self.probe

    def probe(self, url: str, transport: str) -> Deferred[Probe]:
        """Answer as the test wants."""
        self.asked.append((url, transport))
        return self.found

    def test_any(self) -> None:
        """An address that somebody typed is looked into."""
        body = {"source": SOURCE, "transport": "tcp"}
        found = self.ask("POST", "/relays/probe", body).json()
        self.assertEqual(self.asked, [(SOURCE, "tcp")])
        self.assertEqual((found["format"], found["bitrate_kbps"]), ("mpegts", 900))
        (track,) = found["tracks"]
        self.assertEqual((track["codec"], track["width"], track["channels"]), ("h264", 640, 0))

    def test_of_a_task(self) -> None:
        """The source of a task is looked into, with its secrets."""
        made = self.add(enabled=False)
        self.assertEqual(self.ask("POST", f"/relays/{made['id']}/probe").status, 200)
        self.assertEqual(self.asked, [(SOURCE, "auto")])

    def test_failed(self) -> None:
        """A source that does not answer is no fault of who asks."""
        self.found = fail(RemoteError("no media came"))
        answer = self.ask("POST", "/relays/probe", {"source": SOURCE})
        self.assertEqual((answer.status, answer.problem()["detail"]), (502, "no media came"))

    def test_slow(self) -> None:
        """It takes as long as it takes."""
        waiting: Deferred[Probe] = Deferred()
        self.found = waiting
        client = Client(self.resource, self.clock, SOCKET)
        client.send(b"POST", ROOT + b"/relays/probe", b'{"source": "fake://x/"}', JSON)
        self.assertEqual(client.answer().status, 0)
        waiting.callback(Probe("flv"))
        self.assertEqual(client.answer().json()["tracks"], [])


class RealProbeTests(RelayCase):
    """The service's own words."""

    def test_wrong_address(self) -> None:
        """What is no address is the fault of who asks, as what nobody can pull is."""
        answer = self.ask("POST", "/relays/probe", {"source": "fake://<hidden>@x/"})
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.problem()["errors"][0]["field"], "source")
        answer = self.ask("POST", "/relays/probe", {"source": "gopher://x/"})
        self.assertEqual(answer.status, 400)
        self.assertIn('no source for "gopher:"', answer.problem()["detail"])
