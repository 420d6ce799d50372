"""Tests of the API's setup, sessions, users, tokens and audit log."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.address import IPv6Address
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.accounts import Role
from ntvmedia.admin import make_resource
from ntvmedia.admin.problems import TYPES
from ntvmedia.admin.site import make_control_resource
from ntvmedia.errors import LimitExceeded
from ntvmedia.store import StoreError
from tests.admin.test_identification import Case
from tests.admin.web import (
    ELSEWHERE,
    JSON,
    LOOPBACK,
    PASSWORD,
    ROOT,
    Answer,
    Client,
    Host,
    ask,
)

ANN = b'{"name": "ann", "password": "%s"}' % PASSWORD.encode()


class ETagTests(Case):
    """Edits that do not undo one another, whatever way they come."""

    def test_both_ways(self) -> None:
        """Of two edits of what both read, by HTTP and by the command line, one is refused."""
        control = make_control_resource(cast(Any, self.host))
        shown = self.token(Role.ADMINISTRATOR)
        load = SimpleNamespace(players=0, publishers=0, bandwidth_kbps=0)
        cast(Any, self.host).limits = SimpleNamespace(load_of=lambda: load)
        for path, other_path, body, other_body in (
            ("/preferences", "/preferences", {"max_publishers": 7}, {"max_publishers": 8}),
            ("/limits", "/preferences", {"max_players": 7}, {"max_publishers": 9}),
            ("/users/vera", "/users/vera", {"enabled": False}, {"role": "operator"}),
        ):
            asked = []
            self.host.store.at_once = False
            for resource, where, change in (
                (self.resource, path, body),
                (control, other_path, other_body),
            ):
                url = ROOT + where.encode()
                etag = self.ask(b"GET", where.encode(), None, shown).fields[b"etag"]
                client = Client(resource, self.host.reactor, ELSEWHERE)
                fields = (JSON, shown, b"If-Match: " + etag)
                client.send(b"PATCH", url, json.dumps(change).encode(), *fields)
                asked.append(client)
            while self.host.store.waiting:
                self.host.store.step()
            self.host.store.at_once = True
            self.assertEqual([x.answer().status for x in asked], [200, 412], path)

    def test_what_has_none(self) -> None:
        """RFC 9110 13.1.1: what has no ETag has not the one that is asked for; "*" is any."""
        browser = self.browser("ann")
        (session,) = self.host.accounts.sessions("ann")
        for path in (f"/sessions/{session.id}", "/session", "/forbidden/liveshow/a"):
            answer = browser.ask("DELETE", path, None, b'If-Match: "x"')
            self.assertEqual(answer.status, 412, path)
        self.assertEqual(browser.ask("DELETE", "/session", None, b"If-Match: *").status, 204)

    def test_name_of_a_field(self) -> None:
        """What is wrong with a new password is said of the field that it came in."""
        change = {"old": PASSWORD, "new": "password1"}
        answer = self.browser("vera").ask("POST", "/session/password", change)
        (wrong,) = answer.problem()["errors"]
        self.assertEqual((answer.status, wrong["field"]), (400, "new"))


class SetupTests(SynchronousTestCase):
    """P-102: the first administrator, by the owner, once."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.host = Host(Path(folder.name))
        self.resource = make_resource(cast(Any, self.host))

    def set_up(self, *fields: bytes, body: bytes = ANN, peer: Any = LOOPBACK) -> Answer:
        """Try to set up."""
        path = ROOT + b"/setup"
        return ask(self.resource, self.host.reactor, b"POST", path, body, JSON, *fields, peer=peer)

    def state(self, *fields: bytes, peer: Any = LOOPBACK) -> Any:
        """Return what is said of it."""
        path = ROOT + b"/setup"
        return ask(self.resource, self.host.reactor, b"GET", path, None, *fields, peer=peer).json()

    def test_on_this_machine(self) -> None:
        """Somebody on the machine itself needs no code; and it is done once."""
        self.assertEqual(self.state(), {"is_set_up": False, "needs_code": False})
        answer = self.set_up()
        self.assertEqual(answer.status, 201)
        self.assertEqual(answer.json()["role"], "administrator")
        self.assertNotIn(PASSWORD.encode(), answer.body)
        self.assertEqual(self.state(), {"is_set_up": True, "needs_code": False})
        again = self.set_up()
        self.assertEqual((again.status, again.problem()["title"]), (409, "Already set up"))
        self.assertEqual(len(self.host.accounts.users()), 1)

    def test_elsewhere(self) -> None:
        """Everybody else shows the code: from elsewhere, by a proxy, by another name."""
        proxied = (b"X-Forwarded-For: 127.0.0.1",)
        rebound = (b"Host: evil.example",)  # F-AC-11
        v6 = IPv6Address("TCP", "2001:db8::1", 5)
        for fields, peer in (((), ELSEWHERE), (proxied, LOOPBACK), (rebound, LOOPBACK), ((), v6)):
            self.assertTrue(self.state(*fields, peer=peer)["needs_code"])
            found = self.set_up(*fields, peer=peer)
            self.assertEqual(found.status, 403)
            self.assertEqual(found.problem()["errors"][0]["field"], "code")
            wrong = ANN[:-1] + b', "code": "aaaaa-bbbbb-ccccc-ddddd"}'
            self.assertEqual(self.set_up(*fields, body=wrong, peer=peer).status, 403)
        self.assertFalse(self.host.accounts.is_set_up)
        right = ANN[:-1] + b', "code": "%s"}' % self.host.accounts.setup_code.encode()
        self.assertEqual(self.set_up(*proxied, body=right).status, 201)

    def test_guessing(self) -> None:
        """F-AC-04: codes are not tried without end."""
        wrong = ANN[:-1] + b', "code": "x"}'
        statuses = [self.set_up(body=wrong, peer=ELSEWHERE).status for _number in range(20)]
        self.assertEqual(statuses[0], 403)
        self.assertEqual(statuses[-1], 429)

    def test_other_sites(self) -> None:
        """F-IN-07: a page that a browser on this machine shows sets nothing up."""
        for field in (b"Origin: http://evil.example", b"Sec-Fetch-Site: cross-site"):
            self.assertEqual(self.set_up(field).status, 403)
        path = ROOT + b"/setup"
        for kind in (b"text/plain", b"application/x-www-form-urlencoded"):
            sent = b"Content-Type: " + kind
            found = ask(self.resource, self.host.reactor, b"POST", path, ANN, sent, peer=LOOPBACK)
            self.assertEqual(found.status, 415)
        self.assertFalse(self.host.accounts.is_set_up)

    def test_wrong_values(self) -> None:
        """What is no name or password is told with the field, and never quoted."""
        for body, field in (
            (b'{"name": "-a", "password": "correct horse"}', "name"),
            (b'{"name": "a", "password": "sEcReT"}', "password"),
            (b'{"name": "a", "password": "password1"}', "password"),
            (b'{"name": "a"}', "password"),
        ):
            found = self.set_up(body=body)
            self.assertEqual(found.status, 400)
            self.assertEqual(found.problem()["errors"][0]["field"], field)
            self.assertNotIn(b"sEcReT", found.body)

    def test_over_the_control_socket(self) -> None:
        """Whoever owns the data is the owner."""
        resource = make_control_resource(cast(Any, self.host))
        found = ask(resource, self.host.reactor, b"POST", ROOT + b"/setup", ANN, JSON)
        self.assertEqual(found.status, 201)


class SessionTests(Case):
    """Logging in, and who is."""

    def test_wrong_password(self) -> None:
        """One answer for all that is wrong, and a while to wait after some of them."""
        browser = self.browser()
        answers = [browser.log_in("ann", "wrong one"), browser.log_in("nobody", "wrong one")]
        self.assertEqual(answers[0].status, 401)
        self.assertEqual(answers[0].body, answers[1].body)
        self.assertEqual(answers[0].problem()["type"], f"{TYPES}wrong-password")
        self.assertNotIn(b"set-cookie", answers[0].fields)
        for _number in range(20):
            last = browser.log_in("ann", "wrong one")
        self.assertEqual(last.status, 429)
        self.assertGreater(int(last.fields[b"retry-after"]), 0)

    def test_busy(self) -> None:
        """When too many passwords wait, it is said: 503."""
        self.patch(self.host.accounts, "log_in", _busy)
        self.assertEqual(self.browser().log_in("ann").status, 503)

    def test_who(self) -> None:
        """Each learns who it is."""
        browser = self.browser("oscar")
        found = browser.ask("GET", "/session").json()
        self.assertEqual(
            (found["name"], found["role"], found["kind"]), ("oscar", "operator", "session")
        )
        self.assertEqual(found["csrf_token"], browser.csrf)
        found = self.ask(b"GET", b"/session", None, self.token(Role.VIEWER)).json()
        self.assertEqual((found["kind"], found["csrf_token"]), ("token", ""))

    def test_list(self) -> None:
        """One's own; an administrator's list has all, and shows which one is asking."""
        ann, vera = self.browser("ann"), self.browser("vera")
        found = vera.ask("GET", "/sessions").json()
        self.assertEqual([x["owner"] for x in found["sessions"]], ["vera"])
        self.assertTrue(found["sessions"][0]["is_this_one"])
        found = ann.ask("GET", "/sessions?sort=owner").json()["sessions"]
        self.assertEqual(
            [(x["owner"], x["is_this_one"]) for x in found], [("ann", True), ("vera", False)]
        )
        self.assertEqual(found[0]["peer_host"], "192.0.2.1")
        self.assertNotIn("secret_hash", found[0])

    def test_revoke(self) -> None:
        """An own one, or an administrator anybody's; nobody else's."""
        ann, vera, other = self.browser("ann"), self.browser("vera"), self.browser("vera")
        ids = {x["owner"]: x["id"] for x in ann.ask("GET", "/sessions").json()["sessions"]}
        self.assertEqual(vera.ask("DELETE", "/sessions/" + ids["ann"]).status, 404)
        self.assertEqual(ann.ask("GET", "/session").status, 200)
        self.assertEqual(vera.ask("DELETE", "/sessions/" + ids["vera"]).status, 204)
        self.assertEqual(ann.ask("DELETE", "/sessions/" + ids["vera"]).status, 404)
        self.assertEqual(
            [vera.ask("GET", "/session").status, other.ask("GET", "/session").status], [200, 401]
        )
        ids = {x["owner"]: x["id"] for x in ann.ask("GET", "/sessions").json()["sessions"]}
        self.assertEqual(ann.ask("DELETE", "/sessions/" + ids["vera"]).status, 204)
        self.assertEqual(vera.ask("GET", "/session").status, 401)

    def test_tokens_are_no_users(self) -> None:
        """A viewer's token does not see or end the sessions of its owner, nor make tokens."""
        shown = self.token(Role.VIEWER)
        new = b'{"name": "x", "role": "viewer"}'
        for method, path, body in (
            (b"GET", b"/sessions", None),
            (b"GET", b"/tokens", None),
            (b"DELETE", b"/sessions/x", None),
            (b"DELETE", b"/tokens/x", None),
            (b"DELETE", b"/session", None),
            (b"POST", b"/tokens", new),
            (b"POST", b"/session/password", b'{"old": "a", "new": "another horse"}'),
        ):
            found = self.ask(method, path, body, shown, *((JSON,) if body else ()))
            self.assertEqual(found.status, 403, path)

    def test_password(self) -> None:
        """One's own, for who knows the old one; the other sessions end, this one goes on."""
        browser, other = self.browser("vera"), self.browser("vera")
        wrong = browser.ask("POST", "/session/password", {"old": "x", "new": "another horse"})
        self.assertEqual((wrong.status, wrong.problem()["errors"][0]["field"]), (403, "old"))
        body = {"old": PASSWORD, "new": "another horse"}
        self.assertEqual(browser.ask("POST", "/session/password", body).status, 204)
        self.assertEqual(
            [browser.ask("GET", "/session").status, other.ask("GET", "/session").status], [200, 401]
        )
        self.assertEqual(self.browser().log_in("vera").status, 401)
        self.assertEqual(self.browser().log_in("vera", "another horse").status, 201)
        weak = browser.ask("POST", "/session/password", {"old": "another horse", "new": "12345678"})
        self.assertEqual(weak.status, 400)


class UserTests(Case):
    """P-103: users, for administrators."""

    def setUp(self) -> None:
        super().setUp()
        self.ann = self.browser("ann")

    def test_list(self) -> None:
        """All, in pages; no hash is shown."""
        answer = self.ann.ask("GET", "/users")
        self.assertEqual([x["name"] for x in answer.json()["users"]], ["ann", "oscar", "vera"])
        self.assertNotIn(b"argon2", answer.body)
        found = self.ann.ask("GET", "/users?q=R&sort=-role").json()
        self.assertEqual(
            ([x["name"] for x in found["users"]], found["total"]), (["vera", "oscar"], 2)
        )

    def test_life(self) -> None:
        """Made, shown, changed, deleted; each is in the audit log."""
        new = {"name": "Böb", "password": PASSWORD, "role": "viewer"}
        made = self.ann.ask("POST", "/users", new)
        self.assertEqual((made.status, made.fields[b"location"]), (201, ROOT + b"/users/B%C3%B6b"))
        shown = self.ann.ask("GET", "/users/b%C3%B6b")
        self.assertEqual(shown.json(), made.json())
        self.assertEqual(shown.fields[b"etag"], made.fields[b"etag"])
        changed = self.ann.ask("PATCH", "/users/B%C3%B6b", {"role": "operator", "enabled": False})
        self.assertEqual((changed.json()["role"], changed.json()["enabled"]), ("operator", False))
        self.assertEqual(self.ann.ask("DELETE", "/users/B%C3%B6b").status, 204)
        self.assertEqual(self.ann.ask("GET", "/users/B%C3%B6b").status, 404)
        answer = self.ann.ask("GET", "/audit?action=users&subject=B%C3%B6b&sort=time")
        self.assertEqual(
            [(x["action"], x["subject"], x["who"]) for x in answer.json()["audit"]],
            [(f"users.{what}", "Böb", "ann") for what in ("add", "change", "delete")],
        )
        self.assertNotIn(b"argon2", answer.body)
        self.assertNotIn(PASSWORD.encode(), answer.body)

    def test_etag(self) -> None:
        """Logging in is no edit; an edit is."""
        etag = self.ann.ask("GET", "/users/vera").fields[b"etag"]
        self.browser("vera")
        self.assertEqual(self.ann.ask("GET", "/users/vera").fields[b"etag"], etag)
        match = b"If-Match: " + etag
        self.assertEqual(
            self.ann.ask("PATCH", "/users/vera", {"role": "operator"}, match).status, 200
        )
        for method, body in (("PATCH", {"role": "viewer"}), ("DELETE", None)):
            self.assertEqual(self.ann.ask(method, "/users/vera", body, match).status, 412)

    def test_refusals(self) -> None:
        """Conflicts are told; the last administrator stays."""
        new = {"name": "Vera", "password": PASSWORD, "role": "viewer"}
        self.assertEqual(self.ann.ask("POST", "/users", new).status, 409)
        changes: list[tuple[str, Any]] = [
            ("DELETE", None),
            ("PATCH", {"enabled": False}),
            ("PATCH", {"role": "viewer"}),
        ]
        for method, body in changes:
            found = self.ann.ask(method, "/users/ann", body)
            self.assertEqual((found.status, found.problem()["title"]), (409, "Last administrator"))
        wrong: list[tuple[Any, str]] = [
            ({**new, "role": "king"}, "role"),
            ({**new, "password": "short"}, "password"),
            ({**new, "name": ""}, "name"),
            ({**new, "name": "a/b"}, "name"),
            ({**new, "admin": True}, "admin"),
        ]
        for body, field in wrong:
            found = self.ann.ask("POST", "/users", body)
            self.assertEqual((found.status, found.problem()["errors"][0]["field"]), (400, field))

    def test_database_fails(self) -> None:
        """503, and nothing has changed."""
        self.host.store.problem = StoreError("the disk of the database is full")
        self.assertEqual(self.ann.ask("DELETE", "/users/vera").status, 503)
        self.assertEqual(self.ann.ask("GET", "/audit").status, 503)
        self.assertEqual(self.ann.ask("GET", "/users/vera").status, 200)


class TokenTests(Case):
    """Tokens of programs."""

    def test_life(self) -> None:
        """Its text is shown once; it works; revoked, it does not."""
        vera = self.browser("vera")
        made = vera.ask("POST", "/tokens", {"name": "robot", "role": "viewer"})
        self.assertEqual(made.status, 201)
        text = made.json()["token"]
        self.assertTrue(text.startswith("ntv_"))
        shown = b"Authorization: Bearer " + text.encode()
        self.assertEqual(self.ask(b"GET", b"/status", None, shown).status, 200)
        listed = vera.ask("GET", "/tokens")
        self.assertEqual([x["name"] for x in listed.json()["tokens"]], ["robot"])
        self.assertNotIn(text.encode(), listed.body)
        self.assertNotIn(text.encode(), self.browser("ann").ask("GET", "/audit").body)
        id = made.json()["id"]
        self.assertEqual(self.browser("oscar").ask("DELETE", f"/tokens/{id}").status, 404)
        self.assertEqual(vera.ask("DELETE", f"/tokens/{id}").status, 204)
        self.assertEqual(self.ask(b"GET", b"/status", None, shown).status, 401)

    def test_no_more_than_oneself(self) -> None:
        """Nobody makes a token that may do more, or one of somebody else, but administrators."""
        oscar = self.browser("oscar")
        for refused in (
            {"name": "x", "role": "administrator"},
            {"name": "x", "role": "viewer", "owner": "ann"},
        ):
            self.assertEqual(oscar.ask("POST", "/tokens", refused).status, 403)
        ann = self.browser("ann")
        body: Any = {"name": "x", "role": "viewer", "owner": "oscar"}
        self.assertEqual(ann.ask("POST", "/tokens", body).json()["owner"], "oscar")
        for body, field in (
            ({"name": "x", "role": "administrator", "owner": "vera"}, "role"),
            ({"name": "x", "role": "viewer", "expires_at": 5}, "expires_at"),
            ({"name": "", "role": "viewer"}, "name"),
        ):
            found = ann.ask("POST", "/tokens", body)
            self.assertEqual((found.status, found.problem()["errors"][0]["field"]), (400, field))
        body = {"name": "x", "role": "viewer", "owner": "none"}
        self.assertEqual(ann.ask("POST", "/tokens", body).status, 404)

    def test_control(self) -> None:
        """Over the control socket it is said whose it is."""
        resource = make_control_resource(cast(Any, self.host))
        for body, status in (
            (b'{"name": "x", "role": "operator"}', 400),
            (b'{"name": "x", "role": "operator", "owner": "ann"}', 201),
        ):
            found = ask(resource, self.host.reactor, b"POST", ROOT + b"/tokens", body, JSON)
            self.assertEqual(found.status, status)


class AuditTests(Case):
    """Who changed what."""

    def test_filters(self) -> None:
        """By user, action, subject, time and text; the latest first."""
        ann = self.browser("ann")
        for name in ("a", "b"):
            ann.ask("POST", "/applications", {"name": name})
            self.host.now += 10
        found = ann.ask("GET", "/audit").json()
        self.assertEqual([x["subject"] for x in found["audit"]][:2], ["b", "a"])
        start = self.host.now - 20
        for query, subjects in (
            ("action=applications.add", ["b", "a"]),
            ("action=applications&page_size=1", ["b"]),
            ("action=applications&page_size=1&page=2", ["a"]),
            ("subject=a&who=ann", ["a"]),
            ("who=vera", []),
            (f"action=applications&since={start + 10}", ["b"]),
            (f"action=applications&until={start + 10}", ["a"]),
            ("q=ICATIONS.A&sort=time", ["a", "b"]),
            ("q=%25", []),
        ):
            found = ann.ask("GET", f"/audit?{query}").json()
            self.assertEqual([x["subject"] for x in found["audit"]], subjects, query)
        for query in ("sort=who", "since=x", "since=nan", "since=-1", "until=1e300"):
            self.assertEqual(ann.ask("GET", f"/audit?{query}").status, 400, query)

    def test_before_and_after(self) -> None:
        """What changed, and nothing else."""
        ann = self.browser("ann")
        ann.ask("PATCH", "/users/vera", {"role": "operator"})
        (row,) = ann.ask("GET", "/audit?action=users.change").json()["audit"]
        self.assertEqual((row["before"]["role"], row["after"]["role"]), ("viewer", "operator"))
        self.assertNotIn("name", row["before"])
        self.assertEqual((row["peer_host"], row["kind"]), ("192.0.2.1", "session"))


def _busy(*_arguments: Any, **_more: Any) -> Any:
    raise LimitExceeded("too many passwords wait", reference="P-103", limit=1)
