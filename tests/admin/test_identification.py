"""Tests of ntvmedia.admin.identification: who asks, by what, and what browsers are made to send."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.accounts import LIFETIME_SECONDS, Role
from ntvmedia.admin import make_resource
from tests.admin.web import (
    ELSEWHERE,
    JSON,
    LOOPBACK,
    PASSWORD,
    ROOT,
    Answer,
    Browser,
    Host,
    ask,
    result_of,
)

BEARER = b"Authorization: Bearer "


class Case(SynchronousTestCase):
    """A server with an administrator, an operator and a viewer."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.host = Host(Path(folder.name))
        accounts = self.host.accounts
        result_of(accounts.set_up("ann", PASSWORD, peer=""))
        result_of(accounts.add_user("oscar", PASSWORD, Role.OPERATOR))
        result_of(accounts.add_user("vera", PASSWORD, Role.VIEWER))
        self.resource = make_resource(cast(Any, self.host))

    def ask(self, method: bytes, path: bytes, body: bytes | None, *fields: bytes) -> Answer:
        """Ask from elsewhere, with these fields and no others."""
        return ask(
            self.resource, self.host.reactor, method, ROOT + path, body, *fields, peer=ELSEWHERE
        )

    def browser(self, name: str = "") -> Browser:
        """Return a browser, in which somebody has logged in."""
        browser = Browser(self.resource, self.host.reactor)
        if name:
            self.assertEqual(browser.log_in(name).status, 201)
        return browser

    def token(self, role: Role, owner: str = "ann", expires_at: float | None = None) -> bytes:
        """Make a token; returns the field that shows it."""
        _token, text = result_of(self.host.accounts.add_token(owner, "x", role, expires_at))
        return BEARER + cast(bytes, text.encode())


class TokenTests(Case):
    """`Authorization: Bearer ...`."""

    def test_roles(self) -> None:
        """P-103: a token may do what its role says, and no more."""
        for role, statuses in (
            (Role.VIEWER, (200, 403, 403)),
            (Role.OPERATOR, (200, 200, 403)),
            (Role.ADMINISTRATOR, (200, 200, 200)),
        ):
            shown = self.token(role)
            found = [
                self.ask(b"GET", path, None, shown) for path in (b"/status", b"/log", b"/users")
            ]
            self.assertEqual(tuple(x.status for x in found), statuses)
            for answer in found:
                if answer.status == 403:
                    self.assertIn("this needs the role ", answer.problem()["detail"])

    def test_no_csrf(self) -> None:
        """A token is not sent by browsers of themselves: it needs nothing besides."""
        shown = self.token(Role.ADMINISTRATOR)
        answer = self.ask(b"POST", b"/applications", b'{"name": "a"}', JSON, shown)
        self.assertEqual(answer.status, 201)

    def test_bad_tokens(self) -> None:
        """What is none, is over, or is given twice: 401 or 400, and not the cookie instead."""
        good = self.token(Role.VIEWER)
        cookie = b"Cookie: ntvmedia_session=" + self.browser("vera").cookie.encode()
        for field in (
            b"Authorization: Bearer ntv_x",
            BEARER,
            b"Authorization: Basic " + good.removeprefix(BEARER),
            BEARER + b"a" * 10_000,
            b"Authorization: " + good.removeprefix(BEARER),
        ):
            answer = self.ask(b"GET", b"/status", None, field, cookie)
            self.assertEqual(answer.status, 401, field)
            self.assertEqual(answer.fields[b"www-authenticate"], b'Bearer realm="ntvmedia"')
        self.assertEqual(self.ask(b"GET", b"/status", None, good, good).status, 400)
        self.assertEqual(self.ask(b"GET", b"/status?token=" + good[22:], None).status, 401)

    def test_expiry(self) -> None:
        """One that is over opens nothing."""
        shown = self.token(Role.VIEWER, expires_at=self.host.now + 100)
        self.assertEqual(self.ask(b"GET", b"/status", None, shown).status, 200)
        self.host.now += 100
        self.assertEqual(self.ask(b"GET", b"/status", None, shown).status, 401)


class CSRFTests(Case):
    """F-IN-07: what pages of other sites have a browser send, with the cookie of somebody."""

    def change(self, *fields: bytes, kind: bytes = JSON) -> int:
        """Return the status of a change, with the cookie of an administrator."""
        cookie = b"Cookie: ntvmedia_session=" + self.ann.cookie.encode()
        body = b'{"enabled": false}'
        return self.ask(b"PATCH", b"/applications/tv", body, cookie, kind, *fields).status

    def setUp(self) -> None:
        super().setUp()
        self.ann = self.browser("ann")

    def test_token(self) -> None:
        """The token of the session proves it; any other text does not."""
        csrf = self.ann.csrf.encode()
        self.assertEqual(self.change(), 403)
        for wrong in (b"", b"x", csrf[:-1], csrf + b"0", self.browser("ann").csrf.encode()):
            self.assertEqual(self.change(b"X-CSRF-Token: " + wrong), 403)
        self.assertTrue(self.host.applications["tv"].enabled)
        twice = (b"X-CSRF-Token: " + csrf, b"X-CSRF-Token: " + csrf)
        self.assertEqual(self.change(*twice), 403)
        self.assertEqual(self.change(b"X-CSRF-Token: " + csrf), 200)

    def test_what_browsers_say(self) -> None:
        """Else the browser says itself that a page of this server asks: both fields, and right."""
        site, origin = b"Sec-Fetch-Site: same-origin", b"Origin: http://localhost"
        for fields in (
            (site,),
            (origin,),
            (site, b"Origin: http://evil.example"),
            (site, b"Origin: null"),
            (site, b"Origin: http://localhost:81"),
            (site, b"Origin: http://localhost.evil.example"),
            (site, b"Origin: ftp://localhost"),
            (site, origin, b"Origin: http://evil.example"),
            (b"Sec-Fetch-Site: same-site", origin),
            (b"Sec-Fetch-Site: cross-site", origin),
            (b"Sec-Fetch-Site: none", origin),
            (site, origin, b"X-CSRF-Token: wrong"),
        ):
            self.assertEqual(self.change(*fields), 403, fields)
        self.assertTrue(self.host.applications["tv"].enabled)
        self.assertEqual(self.change(site, origin), 200)
        self.assertEqual(self.change(site, b"Origin: https://localhost"), 200)

    def test_forms(self) -> None:
        """A form or a text, which need no permission across sites, is no body."""
        csrf = b"X-CSRF-Token: " + self.ann.csrf.encode()
        for kind in (b"application/x-www-form-urlencoded", b"text/plain", b"text/plain; json"):
            self.assertEqual(self.change(csrf, kind=b"Content-Type: " + kind), 415)
        self.assertTrue(self.host.applications["tv"].enabled)

    def test_reading_changes_nothing(self) -> None:
        """GET is GET, whatever its query says."""
        for query in (b"?_method=DELETE", b"?method=PATCH&enabled=false"):
            cookie = b"Cookie: ntvmedia_session=" + self.ann.cookie.encode()
            override = b"X-HTTP-Method-Override: DELETE"
            found = self.ask(b"GET", b"/applications/tv" + query, None, cookie, override)
            self.assertEqual(found.status, 400)
            found = self.ask(b"GET", b"/applications/tv", None, cookie, override)
            self.assertEqual(found.status, 200)
        self.assertTrue(self.host.applications["tv"].enabled)

    def test_preflight(self) -> None:
        """A browser that asks whether another site may is told nothing."""
        answer = self.ask(
            b"OPTIONS", b"/applications", None,
            b"Origin: http://evil.example", b"Access-Control-Request-Method: POST",
        )  # fmt: skip
        self.assertEqual(answer.status, 401)
        self.assertEqual([x for x in answer.fields if x.startswith(b"access-control")], [])

    def test_log_in(self) -> None:
        """Nor does another site log a browser in, into an account of its own."""
        body = b'{"name": "vera", "password": "%s"}' % PASSWORD.encode()
        for field in (b"Origin: http://evil.example", b"Sec-Fetch-Site: cross-site"):
            self.assertEqual(self.ask(b"POST", b"/session", body, JSON, field).status, 403)
        self.assertEqual(self.ask(b"POST", b"/session", body, JSON).status, 201)


class CookieTests(Case):
    """F-IN-08: the life of a session."""

    def test_flags(self) -> None:
        """No script reads it, no other site's page sends it, media never get it."""
        answer = Browser(self.resource, self.host.reactor).log_in("ann")
        parts = answer.fields[b"set-cookie"].split(b"; ")
        self.assertEqual(set(parts[2:]), {b"Path=/mserver", b"HttpOnly", b"SameSite=Strict"})
        self.assertTrue(parts[1].startswith(b"Expires="))

    def test_secure(self) -> None:
        """Under TLS it stays under TLS, also where a proxy that is believed ends it."""
        self.host.preferences.values = self.host.preferences.values.__class__(
            trusted_proxies=(ip_network("192.0.2.0/24"),)
        )
        body = b'{"name": "ann", "password": "%s"}' % PASSWORD.encode()
        for peer, is_secure in ((ELSEWHERE, True), (IPv4Address("TCP", "203.0.113.1", 5), False)):
            found = ask(
                self.resource, self.host.reactor, b"POST", ROOT + b"/session", body,
                JSON, b"X-Forwarded-Proto: https", peer=peer,
            )  # fmt: skip
            self.assertEqual(b"Secure" in found.fields[b"set-cookie"], is_secure)

    def test_fixation(self) -> None:
        """Each log-in has a new id; what the browser had before, whoever gave it, is over."""
        first = self.browser("ann")
        planted = first.cookie
        first.log_in("ann")
        self.assertNotEqual(first.cookie, planted)
        thief = self.browser()
        thief.cookie = planted
        self.assertEqual(thief.ask("GET", "/session").status, 401)
        self.assertEqual(first.ask("GET", "/session").status, 200)
        made_up = self.browser()
        made_up.cookie = "A" * 43
        made_up.log_in("vera")
        self.assertNotEqual(made_up.cookie, "A" * 43)

    def test_log_out(self) -> None:
        """It ends at the server; a copy of the cookie is worth nothing."""
        browser = self.browser("ann")
        copy = browser.cookie
        answer = browser.ask("DELETE", "/session")
        self.assertEqual(answer.status, 204)
        self.assertIn(b"ntvmedia_session=; Max-Age=0; Path=/mserver", answer.fields[b"set-cookie"])
        browser.cookie = copy
        found = browser.ask("GET", "/session")
        self.assertEqual(found.status, 401)
        self.assertEqual(found.problem()["detail"], "the session is over: log in again")

    def test_several_at_once(self) -> None:
        """Browsers do not disturb one another; with two cookies of the name nobody is known."""
        one, other = self.browser("ann"), self.browser("ann")
        for browser in (one, other):
            self.assertEqual(browser.ask("GET", "/session").json()["name"], "ann")
        both = b"Cookie: ntvmedia_session=%s; ntvmedia_session=%s" % (
            one.cookie.encode(),
            other.cookie.encode(),
        )
        self.assertEqual(self.ask(b"GET", b"/session", None, both).status, 401)

    def test_too_old(self) -> None:
        """It ends after a while, used or not."""
        browser = self.browser("ann")
        for _day in range(29):
            for _half in range(3):
                self.host.now += 8 * 3600
                self.assertEqual(browser.ask("GET", "/session").status, 200)
        self.host.now += LIFETIME_SECONDS - 29 * 24 * 3600
        self.assertEqual(browser.ask("GET", "/session").status, 401)

    def test_role_of_now(self) -> None:
        """Who is disabled is out at once."""
        browser = self.browser("oscar")
        self.assertEqual(browser.ask("GET", "/log").status, 200)
        result_of(self.host.accounts.change_user("oscar", enabled=False))
        self.assertEqual(browser.ask("GET", "/log").status, 401)


class PlaceTests(Case):
    """Where a request comes from gives no right, and is not believed from everybody."""

    def test_no_place_is_trusted(self) -> None:
        """F-AC-02: this machine, with all that a proxy may add, is nobody."""
        for fields in ((), (b"X-Forwarded-For: 127.0.0.1",), (b"X-Real-IP: 127.0.0.1",)):
            for peer in (LOOPBACK, ELSEWHERE):
                found = ask(
                    self.resource, self.host.reactor, b"GET", ROOT + b"/status", None, *fields,
                    peer=peer,
                )  # fmt: skip
                self.assertEqual(found.status, 401)

    def test_spoofed_addresses(self) -> None:
        """F-AC-05: the audit log has the peer, unless a proxy that is believed says another."""
        browser = self.browser("ann")
        spoof = b"X-Forwarded-For: 198.51.100.7"
        browser.ask("POST", "/applications", {"name": "a"}, spoof)
        self.host.preferences.values = self.host.preferences.values.__class__(
            trusted_proxies=(ip_network("192.0.2.0/24"),)
        )
        browser.ask("POST", "/applications", {"name": "b"}, spoof)
        found = browser.ask("GET", "/audit?action=applications&sort=time").json()["audit"]
        self.assertEqual([x["peer_host"] for x in found], ["192.0.2.1", "198.51.100.7"])

    def test_blocked_address(self) -> None:
        """P-307: a rule keeps an address out of all of it, whoever asks from there."""
        browser = self.browser("ann")
        rules = self.host.access.ip_rules
        made = result_of(rules.add("192.0.2.0/24", "block", ["console"]))
        for path in ("/session", "/setup", "/openapi.json", "/nothing"):
            found = browser.ask("GET", path)
            self.assertEqual((found.status, found.problem()["title"]), (403, "Blocked address"))
        other = Browser(self.resource, self.host.reactor, LOOPBACK)
        self.assertEqual(other.ask("GET", "/setup").status, 200)
        result_of(rules.change(made.id, {"action": "trust"}))
        self.assertEqual(browser.ask("GET", "/session").status, 200)
        # To be trusted opens nothing here.
        self.assertEqual(self.ask(b"GET", b"/status", None).status, 401)

    def test_rebinding(self) -> None:
        """F-AC-11: a page whose name was made to point here has no cookie of ours: it is nobody.

        The browser says that page and request have one origin, for it believes so.
        """
        evil = (
            b"Host: evil.example:8080",
            b"Origin: http://evil.example:8080",
            b"Sec-Fetch-Site: same-origin",
        )
        found = self.ask(b"PATCH", b"/applications/tv", b'{"enabled": false}', JSON, *evil)
        self.assertEqual(found.status, 401)
        self.assertEqual(self.ask(b"GET", b"/status", None, *evil).status, 401)
