"""Tests of the operations on rules of access: IP rules, forbidden streams, share links, keys."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import Action, Request, Verdict
from ntvmedia.accounts import Identity, Role
from ntvmedia.admin.ip_rules import IPRuleOperations, NewIPRule
from ntvmedia.admin.operations import Call
from ntvmedia.admin.site import make_control_resource
from ntvmedia.events import AccessChanged
from ntvmedia.media import StreamKey
from ntvmedia.media.names import parse_path
from tests.admin.web import JSON, ROOT, Answer, ask, whole_host

KEY = StreamKey("liveshow", "a")
OWNER = Identity("admin", Role.ADMINISTRATOR, "session")


class AccessTests(SynchronousTestCase):
    """What the API does is what decisions look at."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.host = whole_host(Path(folder.name))
        self.resource = make_control_resource(self.host)
        self.heard: list[str] = []
        self.host.events.subscribe(AccessChanged, lambda event: self.heard.append(event.what))

    def ask(self, method: str, path: str, body: Any = None, *fields: bytes) -> Answer:
        """Send a request over the control socket."""
        data = None if body is None else json.dumps(body).encode()
        sent = (JSON, *fields) if body is not None else fields
        where = ROOT + path.encode()
        return ask(self.resource, self.host.reactor, method.encode(), where, data, *sent)

    def decide(self, query: str = "", *, peer: str = "127.0.0.1:5", again: bool = False) -> Verdict:
        """Decide about a player."""
        wanted = parse_path(f"/{KEY}?{query}").query
        request = Request(Action.PLAY, KEY, "flv", peer, wanted)
        verdict: Verdict = self.successResultOf(self.host.access.decide(request, again=again))
        return verdict

    def audit(self) -> list[Any]:
        """Return what was noted, the newest first: action, before and after."""
        found = self.ask("GET", "/audit").json()["audit"]
        return [(x["action"], x["before"], x["after"]) for x in found]

    def test_where_it_is(self) -> None:
        """RFC 9110 15.3.2: what was made says where it is found."""
        for path, new in (
            ("/ip-rules", {"network": "192.0.2.0/24", "action": "block", "scopes": ["play"]}),
            ("/share-links", {"name": "x", "application": "liveshow", "stream": "a"}),
            ("/signing-keys", {}),
        ):
            made = self.ask("POST", path, new)
            where = made.fields[b"location"].decode()
            self.assertEqual(where, f"{ROOT.decode()}{path}/{made.json()['id']}")
            self.assertEqual(self.ask("GET", where.removeprefix(ROOT.decode())).status, 200)

    def test_ip_rules(self) -> None:
        """P-307: made, listed, changed with ETag, removed; each is noted and counts at once."""
        new = {"network": "127.0.0.0/8", "action": "block", "scopes": ["play"]}
        made = self.ask("POST", "/ip-rules", new)
        self.assertEqual(made.status, 201)
        id = made.json()["id"]
        self.assertEqual(self.decide().rule, "ip")
        listed = self.ask("GET", "/ip-rules").json()
        self.assertEqual((listed["total"], listed["ip_rules"]), (1, [made.json()]))
        shown = self.ask("GET", f"/ip-rules/{id}")
        self.assertEqual(shown.fields[b"etag"], made.fields[b"etag"])
        match = b"If-Match: " + shown.fields[b"etag"]
        changed = self.ask("PATCH", f"/ip-rules/{id}", {"action": "trust"}, match)
        self.assertEqual((changed.status, changed.json()["action"]), (200, "trust"))
        self.assertTrue(self.decide().trusted)
        self.assertEqual(self.ask("PATCH", f"/ip-rules/{id}", {"comment": "x"}, match).status, 412)
        self.assertEqual(self.ask("DELETE", f"/ip-rules/{id}", None, match).status, 412)
        self.assertEqual(self.ask("DELETE", f"/ip-rules/{id}").status, 204)
        self.assertEqual(self.ask("GET", f"/ip-rules/{id}").problem()["status"], 404)
        self.assertEqual(self.heard, ["ip_rules"] * 3)
        actions = [action for action, _before, _after in self.audit()]
        self.assertEqual(actions, ["ip_rules.delete", "ip_rules.change", "ip_rules.add"])
        self.assertEqual(self.audit()[1][1]["action"], "block")
        self.assertEqual(self.audit()[1][2]["action"], "trust")

    def test_wrong_ip_rules(self) -> None:
        """F-AC-06: a bad entry is refused with its field, and nothing changes."""
        good = {"network": "10.0.0.0/8", "action": "block", "scopes": ["play"]}
        for wrong, field in (
            ({"network": "10.0.0.1/8"}, "network"),
            ({"network": "example.org"}, "network"),
            ({"network": ""}, "network"),
            ({"comment": "a\nb"}, "comment"),
        ):
            found = self.ask("POST", "/ip-rules", {**good, **wrong})
            self.assertEqual(found.status, 400)
            self.assertEqual(found.problem()["errors"][0]["field"], field)
        others: list[dict[str, Any]] = [
            {"action": "allow"},
            {"scopes": []},
            {"scopes": ["record"]},
            {"x": 1},
        ]
        for other in others:
            self.assertIn(self.ask("POST", "/ip-rules", {**good, **other}).status, (400, 422))
        self.assertEqual((self.heard, self.audit()), ([], []))

    def test_not_locked_out(self) -> None:
        """Nobody blocks his own address from the console over HTTP; others he does."""
        rules = IPRuleOperations(self.host)

        def add(network: str, scopes: list[Any], peer_host: str = "192.0.2.1") -> int | None:
            body = NewIPRule(network=network, action="block", scopes=scopes)
            call = Call({}, None, body, OWNER, peer_host, None, None, lambda *_what: None)
            done = Deferred.fromCoroutine(rules.add(call))
            failures: list[Any] = []
            done.addErrback(failures.append)
            return failures[0].value.status if failures else None

        self.assertEqual(add("192.0.2.0/24", ["console"]), 409)
        self.assertEqual(add("all", ["play", "console"]), 409)
        self.assertEqual(add("all", ["console"], "2001:db8::1"), 409)
        self.assertIsNone(add("192.0.2.0/24", ["play"]))
        self.assertIsNone(add("198.51.100.0/24", ["console"]))
        self.assertTrue(self.host.access.is_console_blocked("198.51.100.7:1"))
        self.assertFalse(self.host.access.is_console_blocked("192.0.2.1"))
        # Over the control socket there is no address to be kept out.
        self.assertIsNone(add("all", ["console"], ""))

    def test_forbidden(self) -> None:
        """P-404: a forbidden stream is refused until it is allowed again; names are checked."""
        new = {"application": "liveshow", "stream": "a", "comment": "not licensed"}
        made = self.ask("POST", "/forbidden", new)
        self.assertEqual(made.status, 201)
        self.assertEqual(self.decide().rule, "forbidden")
        self.assertEqual(self.ask("GET", "/forbidden").json()["forbidden"], [made.json()])
        self.assertEqual(self.ask("POST", "/forbidden", {**new, "comment": ""}).json(), made.json())
        self.assertEqual(self.ask("DELETE", "/forbidden/liveshow/a").status, 204)
        self.assertTrue(self.decide().allowed)
        for method, path, body, status in (
            ("DELETE", "/forbidden/liveshow/a", None, 404),
            ("DELETE", "/forbidden/mserver/a", None, 400),
            ("POST", "/forbidden", {"application": "none", "stream": "a"}, 404),
            ("POST", "/forbidden", {"application": "liveshow", "stream": "a/b"}, 400),
        ):
            self.assertEqual(self.ask(method, path, body).problem()["status"], status)
        self.assertEqual(
            [action for action, *_rest in self.audit()], ["forbidden.delete", "forbidden.add"]
        )

    def test_share_links(self) -> None:
        """A link plays what needs a signature, until it is revoked; also for who is there."""
        self.successResultOf(self.host.applications.change("liveshow", {"signed": True}))
        new = {"name": "Ann", "application": "liveshow", "stream": "a", "max_viewers": 2}
        made = self.ask("POST", "/share-links", new).json()
        self.assertEqual((made["viewers"], made["max_viewers"]), (0, 2))
        query = f"share={made['token']}"
        self.assertEqual(self.decide().rule, "signature")
        self.assertEqual(self.decide(query).share, made["id"])
        path = f"/share-links/{made['id']}"
        shown = self.ask("GET", path)
        self.assertEqual(shown.json(), made)
        match = b"If-Match: " + shown.fields[b"etag"]
        changed = self.ask("PATCH", path, {"name": "Bob", "expires_at": 1.0}, match).json()
        self.assertEqual((changed["name"], changed["token"]), ("Bob", made["token"]))
        self.assertEqual(self.decide(query).reason, "the share link has expired")
        self.assertTrue(self.decide(query, again=True).allowed)
        self.assertEqual(self.ask("GET", "/share-links").json()["share_links"], [changed])
        self.assertEqual(self.ask("DELETE", path).status, 204)
        self.assertEqual(self.decide(query, again=True).rule, "share")
        for method, where, body, status in (
            ("GET", path, None, 404),
            ("POST", "/share-links", {**new, "application": "none"}, 404),
            ("POST", "/share-links", {**new, "name": " "}, 400),
        ):
            self.assertEqual(self.ask(method, where, body).problem()["status"], status)
        # Nobody reads a link out of the audit log.
        self.assertNotIn(made["token"], json.dumps(self.ask("GET", "/audit").json()))

    def test_signing_keys(self) -> None:
        """F-AC-08: keys are made, shown once, disabled and removed; what they signed ends."""
        self.successResultOf(self.host.applications.change("liveshow", {"signed": True}))
        made = self.ask("POST", "/signing-keys", {"comment": "shop"}).json()
        secret, id = made.pop("secret"), made["id"]
        self.assertEqual(len(bytes.fromhex(secret)), 32)
        wanted = {"application": "liveshow", "stream": "a", "seconds": 60}
        own = self.ask("POST", "/signed-addresses", wanted).json()["query"]
        other = self.ask(
            "POST", "/signed-addresses", {**wanted, "kid": id, "ip": "127.0.0.1", "viewers": 3}
        ).json()["query"]
        self.assertIn(f"&ip=127.0.0.1&viewers=3&kid={id}", other)
        self.assertTrue(self.decide(own).allowed)
        self.assertEqual(self.decide(other).limit, 3)
        self.assertEqual(self.decide(other, peer="127.0.0.2:1").rule, "signature")
        shown = self.ask("GET", f"/signing-keys/{id}")
        self.assertEqual(shown.json(), made)
        listed = self.ask("GET", "/signing-keys").json()["signing_keys"]
        self.assertEqual([key["id"] for key in listed], ["default", id])
        self.ask("PATCH", f"/signing-keys/{id}", {"enabled": False})
        self.assertEqual(self.decide(other, again=True).rule, "signature")
        self.ask("PATCH", f"/signing-keys/{id}", {"enabled": True})
        self.assertTrue(self.decide(other, again=True).allowed)
        self.assertEqual(self.ask("DELETE", f"/signing-keys/{id}").status, 204)
        self.assertEqual(self.decide(other, again=True).rule, "signature")
        # The server's own can be disabled, and not removed.
        self.assertEqual(self.ask("DELETE", "/signing-keys/default").problem()["status"], 409)
        self.ask("PATCH", "/signing-keys/default", {"enabled": False})
        self.assertEqual(self.decide(own).rule, "signature")
        everything = json.dumps(self.ask("GET", "/audit").json()) + json.dumps(listed)
        self.assertNotIn(secret, everything)

    def test_wrong_keys(self) -> None:
        """What is wrong names its field."""
        wanted = {"application": "liveshow", "stream": "a", "seconds": 60}
        for path, body, status in (
            ("/signing-keys", {"secret": "00"}, (400, 422)),
            ("/signing-keys", {"application": "none"}, (404,)),
            ("/signed-addresses", {**wanted, "ip": "localhost"}, (400,)),
            ("/signed-addresses", {**wanted, "kid": "none"}, (404,)),
            ("/signed-addresses", {**wanted, "seconds": 0}, (400, 422)),
            ("/signed-addresses", {**wanted, "application": "none"}, (404,)),
        ):
            self.assertIn(self.ask("POST", path, body).problem()["status"], status, (path, body))
