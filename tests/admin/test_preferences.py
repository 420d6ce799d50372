"""Tests of ntvmedia.admin.preferences and ntvmedia.admin.limits."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.admin.site import make_control_resource
from ntvmedia.events import PlayStarted, PublishStarted
from ntvmedia.media import StreamKey
from ntvmedia.preferences import Values
from tests.admin.web import JSON, ROOT, Answer, ask, whole_host


class PreferenceTests(SynchronousTestCase):
    """`/preferences`, `/server-address` and `/limits`, as whoever owns the server sees them."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.host = whole_host(Path(folder.name))
        self.resource = make_control_resource(self.host)

    def ask(self, method: str, path: str, body: bytes | None = None, *fields: bytes) -> Answer:
        """Send a request over the control socket."""
        sent = (JSON, *fields) if body is not None else fields
        where = ROOT + path.encode()
        return ask(self.resource, self.host.reactor, method.encode(), where, body, *sent)

    def audit(self) -> list[Any]:
        """Return what was noted, the newest first: action, before and after."""
        found = self.ask("GET", "/audit").json()["audit"]
        return [(x["action"], x["before"], x["after"]) for x in found]

    def test_all(self) -> None:
        """All that there is to be set, with defaults."""
        found = self.ask("GET", "/preferences").json()
        self.assertEqual(set(found), set(Values.__dataclass_fields__))
        self.assertEqual(found["max_connections_per_address"], 200)
        self.assertEqual((found["trusted_proxies"], found["server_address"]), ([], ""))

    def test_changed(self) -> None:
        """A change holds at once, is kept, and is noted with what was before."""
        body = b'{"trusted_proxies": ["10.0.0.0/8"], "max_players": 7}'
        found = self.ask("PATCH", "/preferences", body).json()
        self.assertEqual((found["trusted_proxies"], found["max_players"]), (["10.0.0.0/8"], 7))
        self.assertEqual(self.host.preferences.values.max_players, 7)
        self.host.preferences.load()
        self.assertEqual(str(self.host.preferences.values.trusted_proxies[0]), "10.0.0.0/8")
        [(action, before, after)] = self.audit()
        self.assertEqual(action, "preferences.change")
        self.assertEqual((before["max_players"], after["max_players"]), (0, 7))

    def test_wrong(self) -> None:
        """400 or 422 that names the field; nothing is changed."""
        for body, field in (
            (b'{"trusted_proxies": ["10.0.0.1/8"]}', "trusted_proxies"),
            (b'{"server_address": "a b"}', "server_address"),
            (b'{"max_players": -1}', "max_players"),
            (b'{"max_players": true}', "max_players"),
            (b'{"no_such": 1}', "no_such"),
        ):
            answer = self.ask("PATCH", "/preferences", body)
            self.assertIn(answer.status, (400, 422), body)
            self.assertIn(field, str(answer.problem()), body)
        self.assertEqual(self.host.preferences.values, Values())

    def test_etag(self) -> None:
        """An edit of what somebody else has changed meanwhile is 412."""
        tag = self.ask("GET", "/preferences").fields[b"etag"]
        for path, body in (("/preferences", b'{"max_players": 1}'), ("/limits", b"{}")):
            mine = self.ask("GET", path).fields[b"etag"]
            self.assertEqual(self.ask("PATCH", path, body, b"If-Match: " + mine).status, 200)
        answer = self.ask("PATCH", "/preferences", b'{"max_players": 2}', b"If-Match: " + tag)
        self.assertEqual(answer.status, 412)
        self.assertEqual(self.host.preferences.values.max_players, 1)

    def test_server_address(self) -> None:
        """P-104: what is shown is what was set, and a machine's name where nothing was."""
        found = self.ask("GET", "/server-address").json()
        self.assertEqual(found["address"], "")
        self.assertTrue(found["shown"])
        answer = self.ask("PATCH", "/server-address", b'{"address": "media.example.org"}')
        self.assertEqual(
            answer.json(), {"address": "media.example.org", "shown": "media.example.org"}
        )
        self.assertEqual(self.host.preferences.values.server_address, "media.example.org")
        self.assertEqual(self.ask("PATCH", "/server-address", b'{"address": "a:1"}').status, 400)

    def test_limits(self) -> None:
        """P-301: limits, how much of them is used, and how many found no room."""
        key = StreamKey("liveshow", "a")
        self.host.events.emit(PublishStarted(key, "rtmp", "192.0.2.1:1", 1))
        for session in (2, 3):
            self.host.events.emit(PlayStarted(key, "flv", "192.0.2.1:1", session))
        self.host.access.refused["liveshow", "flv", "limit"] += 4
        self.host.access.refused["liveshow", "flv", "ip"] += 1
        found = self.ask("PATCH", "/limits", b'{"max_players": 2}').json()
        self.assertEqual(found["players"], {"most": 2, "now": 2})
        self.assertEqual(found["publishers"], {"most": 0, "now": 1})
        self.assertEqual(found["bandwidth_kbps"], {"most": 0, "now": None})
        self.assertEqual(found["refused"], 4)

    def test_limits_of_applications(self) -> None:
        """The same for each application; those with a limit can be had alone."""
        self.ask("PATCH", "/applications/tv", b'{"max_players": 3, "max_bandwidth_kbps": 9}')
        self.host.events.emit(PlayStarted(StreamKey("tv", "a"), "flv", "192.0.2.1:1", 1))
        found = self.ask("GET", "/limits/applications").json()
        self.assertEqual(found["total"], 4)
        found = self.ask("GET", "/limits/applications?limited=true").json()
        [tv] = found["applications"]
        self.assertEqual((tv["name"], tv["players"]), ("tv", {"most": 3, "now": 1}))
        self.assertEqual(tv["bandwidth_kbps"]["most"], 9)
        found = self.ask("GET", "/limits/applications?sort=-players&page_size=1").json()
        self.assertEqual([x["name"] for x in found["applications"]], ["tv"])
