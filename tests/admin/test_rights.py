"""F-AC-02: the whole table of routes, with every method: who may do what, and nobody else."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.accounts import Accounts, Passwords, Role
from ntvmedia.admin import make_resource
from ntvmedia.admin.operations import READING, ROOT, Operation
from ntvmedia.admin.resources import RESOURCES
from ntvmedia.events import EventBus
from tests.admin.web import (
    CHEAP,
    ELSEWHERE,
    JSON,
    LOOPBACK,
    PASSWORD,
    Browser,
    ask,
    result_of,
    whole_host,
)
from tests.store.slow import SlowStore

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "X")

OPEN = {
    ("GET", "/openapi.json"),
    ("GET", "/setup"),
    ("POST", "/setup"),
    ("POST", "/session"),
}
"""All that is open over HTTP; besides `/healthz` and `/readyz`, which are the HTTP front's."""


OPEN_PATHS = {f"{ROOT}{path}".encode() for _method, path in OPEN}


def operations() -> list[Operation]:
    """Return all that the API can do."""
    return [operation for kind in RESOURCES for operation in kind.declared()]


def address(path: str) -> bytes:
    """Return an address of a route."""
    return (ROOT + re.sub(r"\{[a-z_]+\}", "x", path)).encode()


def test_the_list() -> None:
    """What is open is exactly what is meant to be."""
    assert {(x.method, x.path) for x in operations() if x.role is None} == OPEN


def test_changes_need_a_role() -> None:
    """A viewer changes nothing but what is its own."""
    found = {
        f"{x.method} {x.path}"
        for x in operations()
        if x.role is Role.VIEWER and x.method not in READING
    }
    assert found == {
        "DELETE /session",
        "DELETE /sessions/{id}",
        "DELETE /tokens/{id}",
        "POST /session/password",
        "POST /tokens",
    }


class RightsTests(SynchronousTestCase):
    """A whole server, put together as it is run."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = Path(folder.name)

    def make(self) -> tuple[Any, Any]:
        """Return a host, and its resource of the HTTP ports."""
        host = whole_host(self.data)
        return host, make_resource(host)

    def set_up(self) -> str:
        """Make an administrator and a viewer; returns a token of the viewer."""
        accounts = Accounts(
            SlowStore(self.data), EventBus(), lambda: 1.0, None, self.data,
            passwords=Passwords(None, CHEAP),
        )  # fmt: skip
        accounts.load()
        result_of(accounts.set_up("ann", PASSWORD, peer=""))
        result_of(accounts.add_user("vera", PASSWORD, Role.VIEWER))
        _token, text = result_of(accounts.add_token("vera", "x", Role.VIEWER, None))
        return str(text)

    def refused(self, host: Any, resource: Any, *fields: bytes, open_to_all: Any) -> None:
        """Walk the table with every method."""
        paths = {address(x.path): x.path for x in operations()}
        paths |= {path: path.decode() for path in (b"/metrics", b"/mserver", b"/", b"/mserver/x")}
        declared = {(x.method, x.path) for x in operations()}
        declared |= {("HEAD", path) for method, path in declared if method == "GET"}
        for sent, path in paths.items():
            for method in METHODS:
                if (method.replace("HEAD", "GET"), path) in open_to_all:
                    continue
                body = None if method in ("GET", "HEAD", "TRACE") else b"{}"
                for peer in (LOOPBACK, ELSEWHERE):
                    found = ask(
                        resource, host.reactor, method.encode(), sent, body, JSON, *fields,
                        peer=peer,
                    )  # fmt: skip
                    # What is open to all has no secret methods; nothing is done there either.
                    is_known = sent in OPEN_PATHS and (method, path) not in declared
                    self.assertEqual(found.status, 405 if is_known else 401, (method, sent))

    def test_nobody(self) -> None:
        """Whoever shows nothing is refused everything: 401."""
        self.set_up()
        self.refused(*self.make(), open_to_all=OPEN)

    def test_other_spellings(self) -> None:
        """A proxy that keeps "/mserver" from strangers keeps all of it: there is one spelling."""
        host, resource = self.make()
        for path in (
            b"//mserver/api/v1/setup",
            b"/%6Dserver/api/v1/setup",
            b"/mserver%2fapi%2Fv1%2fsetup",
            b"/mserver/api/v1%2Fsetup",
            b"/mserver/api/v%31/setup",
        ):
            for method, body in ((b"GET", None), (b"POST", b"{}")):
                found = ask(resource, host.reactor, method, path, body, JSON, peer=LOOPBACK)
                self.assertEqual(found.status, 401, path)
        shown = b"Authorization: Bearer " + self.set_up().encode()
        host, resource = self.make()
        for path in (b"//metrics", b"/%6Detrics", b"//mserver/api/v1/status"):
            found = ask(resource, host.reactor, b"GET", path, None, shown, peer=ELSEWHERE)
            self.assertEqual(found.status, 404, path)
        for path in (b"/metrics", b"/mserver/api/v1/status"):
            found = ask(resource, host.reactor, b"GET", path, None, shown, peer=ELSEWHERE)
            self.assertEqual(found.status, 200, path)

    def test_before_setup(self) -> None:
        """P-102: before there is an administrator, nobody can do more; nor log in."""
        host, resource = self.make()
        self.assertFalse(host.accounts.is_set_up)
        self.refused(host, resource, open_to_all=OPEN)
        body = b'{"name": "ann", "password": "x"}'
        path = ROOT.encode() + b"/session"
        found = ask(resource, host.reactor, b"POST", path, body, JSON, peer=LOOPBACK)
        self.assertEqual(found.status, 401)
        self.assertIn("not set up yet", found.problem()["detail"])

    def test_bad_credentials(self) -> None:
        """Nor does whoever shows what is none."""
        self.set_up()
        host, resource = self.make()
        for field in (b"Authorization: Bearer ntv_x", b"Cookie: ntvmedia_session=x"):
            self.refused(host, resource, field, open_to_all=OPEN)

    def test_viewer(self) -> None:
        """A viewer's token is refused all that needs more: 403, and nothing is looked at before."""
        shown = b"Authorization: Bearer " + self.set_up().encode()
        host, resource = self.make()
        count = 0
        for operation in operations():
            if operation.role in (None, Role.VIEWER):
                continue
            sent = address(operation.path)
            found = ask(
                resource, host.reactor, operation.method.encode(), sent, b"[", shown,
                peer=ELSEWHERE,
            )  # fmt: skip
            self.assertEqual(found.status, 403, (operation.method, sent))
            count += 1
        self.assertGreater(count, 10)

    def test_open(self) -> None:
        """What is open is served; a wrong body of it is only a wrong body."""
        self.set_up()
        host, resource = self.make()
        browser = Browser(resource, host.reactor)
        self.assertEqual(browser.ask("GET", "/openapi.json").status, 200)
        self.assertEqual(browser.ask("GET", "/setup").status, 200)
        self.assertEqual(browser.ask("POST", "/setup", {}).status, 400)
        self.assertEqual(browser.ask("POST", "/session", {}).status, 400)
