"""Tests of ntvmedia.admin.applications: applications in the API."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import BUILT_IN, SECRETS, StoreError, describe
from ntvmedia.admin import make_resource
from ntvmedia.admin.bodies import MAX_BODY_BYTES
from ntvmedia.admin.problems import TYPES
from ntvmedia.admin.site import make_control_resource
from ntvmedia.hub.rendition import RenditionKey
from ntvmedia.hub.viewer import ViewerInfo
from ntvmedia.media import Packet, StreamKey
from tests.admin.streams import AUDIO, FRAME, Publisher, Silent
from tests.admin.web import ELSEWHERE, JSON, LOOPBACK, NOW, Answer, Client, Host, ask

PATH = b"/mserver/api/v1/applications"


class ApplicationTests(SynchronousTestCase):
    """What is answered on the control socket, but for what is said."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.host = Host(Path(folder.name))
        self.resource = make_control_resource(cast(Any, self.host))

    def ask(self, method: bytes, path: bytes = b"", body: object = None, *fields: bytes) -> Answer:
        """Ask about an application, on the control socket."""
        data = None if body is None else json.dumps(body).encode()
        fields = fields or ((JSON,) if data is not None else ())
        return ask(self.resource, self.host.reactor, method, PATH + path, data, *fields)

    def refused(self, answer: Answer, status: int, error: str, field: str | None = None) -> None:
        """Look at a refusal, which changed nothing."""
        found = answer.problem()
        self.assertEqual((answer.status, found["detail"]), (status, error))
        fields = [part["field"] for part in found["errors"]]
        self.assertEqual(fields, [] if field is None else [field])
        self.assertEqual(dict(self.host.applications), BUILT_IN)
        self.assertEqual(set(self.host.store.rows()), set(BUILT_IN))

    def test_list(self) -> None:
        """P-205: all, by name."""
        answer = self.ask(b"GET")
        self.assertEqual(answer.status, 200)
        listed = answer.json()
        found = listed.pop("applications")
        self.assertEqual(listed, {"total": 4, "page": 1, "page_size": 50})
        self.assertEqual([x["name"] for x in found], ["audio", "liveshow", "tv", "vod"])
        self.assertEqual([x["type"] for x in found], ["audio", "live", "time-shift", "vod"])
        self.assertTrue(all(x["built_in"] for x in found))

    def test_one(self) -> None:
        """All fields but the password, when it was made, and what goes on in it."""
        self.host.hub.register_format("raw", lambda options: Silent())
        for name in ("a", "b"):
            publication = self.host.hub.publish(StreamKey("liveshow", name), Publisher())
            publication.track_received(AUDIO)
            for number in range(5):
                at = number * 1152
                publication.packet_received(Packet(AUDIO, at, at, True, FRAME))
            publication.batch_ended()
        self.host.reactor.advance(2)
        outlet = self.host.hub.outlet(StringTransport())
        info = ViewerInfo("test", "192.0.2.5:2", "player", "")
        stream = self.host.hub.streams[StreamKey("liveshow", "a")]
        stream.play(RenditionKey("raw"), outlet, info, lambda reason: None)
        found = self.ask(b"GET", b"/liveshow").json()
        expected = {*describe(BUILT_IN["tv"]), "created_at", "updated_at", "streams", "viewers"}
        self.assertEqual(set(found), expected)
        self.assertEqual(expected & set(SECRETS), set())
        self.assertEqual((found["streams"], found["viewers"]), (2, 1))
        self.assertEqual(found, self.ask(b"GET").json()["applications"][1])
        other = self.ask(b"GET", b"/tv").json()
        self.assertEqual((other["streams"], other["viewers"]), (0, 0))

    def test_add(self) -> None:
        """201 with the application and its address; it is there at once, and for good."""
        answer = self.ask(
            b"POST", b"", {"name": "演播室", "outputs": ["hls"], "publish_password": "sEcReT"}
        )
        self.assertEqual(answer.status, 201)
        self.assertEqual(answer.fields[b"location"], PATH + b"/%E6%BC%94%E6%92%AD%E5%AE%A4")
        found = answer.json()
        self.assertEqual((found["name"], found["outputs"]), ("演播室", ["hls"]))
        self.assertEqual((found["created_at"], found["built_in"]), (NOW, False))
        self.assertEqual(self.host.applications["演播室"].publish_password, "sEcReT")
        self.assertEqual(self.host.store.rows()["演播室"].publish_password, "sEcReT")
        path = b"/%E6%BC%94%E6%92%AD%E5%AE%A4"
        self.assertEqual(self.ask(b"GET", path).json(), found)

    def test_write_only(self) -> None:
        """F-AC-03: the password is in no answer; whether there is one is."""
        for password, is_set in (("sEcReT", True), ("", False)):
            answers = [
                self.ask(b"PATCH", b"/tv", {"publish_password": password}),
                self.ask(b"GET", b"/tv"),
                self.ask(b"GET"),
            ]
            for answer in answers:
                self.assertEqual(answer.status, 200)
                self.assertNotIn(b"sEcReT", answer.body)
                self.assertNotIn(b'"publish_password"', answer.body)
            self.assertIs(answers[0].json()["publish_password_set"], is_set)
            self.assertIs(answers[1].json()["publish_password_set"], is_set)

    def test_key_server(self) -> None:
        """F-AC-03: of its address what is no secret is in an answer, and can not be sent back."""
        url = "https://me:sEcReT@keys.example/{application}/{stream}/{key}?token=sEcReT"
        shown = "https://<hidden>@keys.example/{application}/{stream}/{key}?<hidden>"
        for answer in (
            self.ask(b"PATCH", b"/tv", {"hls_key_url": url, "encrypted": True}),
            self.ask(b"GET", b"/tv"),
        ):
            self.assertEqual(answer.status, 200)
            self.assertNotIn(b"sEcReT", answer.body)
            self.assertNotIn(b'"hls_key_url"', answer.body)
            found = answer.json()
            self.assertEqual((found["hls_key_url_set"], found["hls_key_url_shown"]), (True, shown))
        self.assertNotIn(b"sEcReT", self.ask(b"GET").body)
        self.assertEqual(self.ask(b"PATCH", b"/tv", {"hls_key_url": shown}).status, 400)
        self.assertEqual(self.host.applications["tv"].hls_key_url, url)
        self.assertEqual(self.host.store.rows()["tv"].hls_key_url, url)
        self.assertTrue(self.host.applications["tv"].encrypted)

    def test_fields_of_hls(self) -> None:
        """What was sent is what is answered: lists, numbers, flags."""
        fields = {
            "encrypted": True,
            "hls_key_segments": 3,
            "hls_format": "fmp4",
            "hls_part_seconds": 0.5,
            "hls_blocking": False,
            "hls_variants": ["_720p", "_480p"],
            "hls_audio_variant": False,
        }
        for answer in (
            self.ask(b"POST", b"", {"name": "a", **fields}),
            self.ask(b"GET", b"/a"),
            self.ask(b"PATCH", b"/tv", fields),
        ):
            found = answer.json()
            self.assertEqual({name: found[name] for name in fields}, fields)

    def test_change(self) -> None:
        """200 with the application; what was not named stays."""
        self.ask(b"PATCH", b"/tv", {"hls_segment_count": 9})
        answer = self.ask(b"PATCH", b"/tv", {"enabled": False, "referers": ["Example.org"]})
        self.assertEqual(answer.status, 200)
        found = answer.json()
        self.assertEqual((found["enabled"], found["referers"]), (False, ["example.org"]))
        self.assertEqual(found["hls_segment_count"], 9)
        self.assertFalse(self.host.applications["tv"].enabled)
        self.assertFalse(self.host.store.rows()["tv"].enabled)

    def test_rename_and_delete(self) -> None:
        """A new name has the old one's fields; 204 when it is gone."""
        self.ask(b"POST", b"", {"name": "a", "hls_segment_count": 9})
        found = self.ask(b"PATCH", b"/a", {"name": "b"}).json()
        self.assertEqual((found["name"], found["hls_segment_count"]), ("b", 9))
        self.assertEqual(self.ask(b"GET", b"/a").status, 404)
        answer = self.ask(b"DELETE", b"/b")
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.refused(self.ask(b"DELETE", b"/b"), 404, 'there is no application "b"')

    def test_wrong_fields(self) -> None:
        """400 with the field and one clause; nothing has changed."""
        for fields, error, field in (
            ({"enabled": 1}, "enabled: expected true or false, got a whole number", "enabled"),
            ({"enabledd": True}, "enabledd: unknown field; did you mean enabled?", "enabledd"),
            (
                {"publish_password": "a\nb"},
                "publish_password: expected text of at most 128 printable characters; it has "
                "another character",
                "publish_password",
            ),
            (
                {"hls_format": "dash"},
                "hls_format: expected one of fmp4, ll, ts",
                "hls_format",
            ),
            (
                {"hls_part_seconds": 0},
                "hls_part_seconds: expected a number >= 0.1",
                "hls_part_seconds",
            ),
            (
                {"hls_key_url": "ftp://sEcReT/{key}"},
                "hls_key_url: expected an http:// or https:// address with {key} in it, or "
                "nothing; the address begins with neither http:// nor https://",
                "hls_key_url",
            ),
        ):
            self.refused(self.ask(b"PATCH", b"/tv", fields), 400, error, field)
            self.refused(self.ask(b"POST", b"", {"name": "a", **fields}), 400, error, field)
        self.refused(self.ask(b"POST", b"", {}), 400, "name: is missing", "name")
        self.refused(
            self.ask(b"POST", b"", {"name": 5}),
            400,
            "name: expected text, got a whole number",
            "name",
        )
        answer = self.ask(b"POST", b"", {"name": "a\r\nb\x1b[2J"})
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.problem()["errors"][0]["field"], "name")
        self.assertTrue(answer.problem()["detail"].isprintable())

    def test_conflicts(self) -> None:
        """409 for a name in use, and for what is built in (P-202)."""
        self.refused(
            self.ask(b"POST", b"", {"name": "tv"}), 409, 'there is an application "tv" already'
        )
        for answer, error in (
            (self.ask(b"PATCH", b"/tv", {"name": "a"}), "its name stays"),
            (self.ask(b"PATCH", b"/tv", {"type": "live"}), "its type stays"),
            (self.ask(b"DELETE", b"/tv"), "it can be disabled, not deleted"),
        ):
            self.refused(answer, 409, f'application "tv" is built in: {error}')

    def test_absent(self) -> None:
        """404 for a name that is none or of nobody."""
        for path in (
            b"/none",
            b"/TV",
            b"/mserver",
            b"/.",
            b"/%00",
            b"/a%0d%0ab",
            b"/" + b"x" * 2000,
        ):
            for method in (b"GET", b"PATCH", b"DELETE"):
                answer = self.ask(method, path, {} if method == b"PATCH" else None)
                self.assertEqual(answer.status, 404)
                self.assertTrue(answer.problem()["detail"].isprintable())
                self.assertLess(len(answer.body), 400)

    def test_bodies(self) -> None:
        """F-IN-07: one JSON object, said to be one; no form, no text, no field twice."""
        for kind in (
            b"application/x-www-form-urlencoded",
            b"text/plain",
            b"text/plain; application/json",
            b"application/jsonp",
            b"",
        ):
            for answer in (
                self.ask(b"POST", b"", {"name": "a"}, b"Content-Type: " + kind),
                self.ask(b"PATCH", b"/tv", {"enabled": False}, b"Content-Type: " + kind),
            ):
                self.refused(answer, 415, "the body has to be application/json")
        # `twisted.web` itself looks into these.
        form = b"Content-Type: multipart/form-data; boundary=x"
        self.assertEqual(self.ask(b"POST", b"", {"name": "a"}, form).status, 400)
        answer = self.ask(b"POST", b"", {"name": "a"}, b"X: y")
        self.refused(answer, 415, "the body has to be application/json")
        answer = self.ask(b"POST", b"", {"name": "a"}, JSON, b"Content-Type: text/plain")
        self.refused(answer, 415, "the body has to be application/json")
        for body, error in (
            (b"", "the body is not JSON"),
            (b"{", "the body is not JSON"),
            (b"{} {}", "the body is not JSON"),
            (b'{"name": "\xff"}', "the body is not JSON"),
            (b'\xef\xbb\xbf{"name": "a"}', "the body is not JSON"),
            (b'{"name": "a", "hls_segment_seconds": NaN}', "the body is not JSON"),
            (b'{"name": "a", "hls_segment_count": ' + b"9" * 5000 + b"}", "the body is not JSON"),
            (b"[" * 100_000, "the body is not JSON"),
            (b'["name"]', "the body has to be a JSON object"),
            (b"null", "the body has to be a JSON object"),
        ):
            answer = ask(self.resource, self.host.reactor, b"POST", PATH, body, JSON)
            self.refused(answer, 400, error)
        for body, shown in (
            (b'{"name": "a", "name": "b"}', "name"),
            (b'{"name": "a", "enabled": true, "\\u0065nabled": false}', "enabled"),
            (b'{"name": "a", "\\u001b": 1, "\\u001b": 1}', r"\x1b"),
        ):
            answer = ask(self.resource, self.host.reactor, b"POST", PATH, body, JSON)
            self.refused(answer, 400, f"{shown}: given twice", shown)

    def test_too_long(self) -> None:
        """A body is bounded."""
        body = b'{"name": "a"}'.ljust(MAX_BODY_BYTES + 1)
        answer = ask(self.resource, self.host.reactor, b"POST", PATH, body, JSON)
        self.refused(answer, 413, f"the body is longer than {MAX_BODY_BYTES:,} bytes")
        answer = ask(self.resource, self.host.reactor, b"POST", PATH, body[:-1], JSON)
        self.assertEqual(answer.status, 201)

    def test_type_of_the_body(self) -> None:
        """Parameters and case of the type do not matter."""
        for number, kind in enumerate((b"application/json; charset=utf-8", b"Application/JSON ;")):
            answer = self.ask(b"POST", b"", {"name": f"a{number}"}, b"Content-Type: " + kind)
            self.assertEqual(answer.status, 201)

    def test_database_fails(self) -> None:
        """503 with the reason; reading goes on with what is known."""
        self.host.store.problem = StoreError("the disk of the database is full")
        for method, path, body in (
            (b"POST", b"", {"name": "a"}),
            (b"PATCH", b"/tv", {"enabled": False}),
        ):
            answer = self.ask(method, path, body)
            found = answer.problem()
            self.assertEqual(answer.status, 503)
            self.assertEqual(found["detail"], "the disk of the database is full")
            self.assertEqual(found["type"], f"{TYPES}store-error")
        self.assertEqual(len(self.ask(b"GET").json()["applications"]), 4)
        self.assertTrue(self.ask(b"GET", b"/tv").json()["enabled"])
        self.host.store.problem = None
        self.assertEqual(self.ask(b"PATCH", b"/tv", {"enabled": False}).status, 200)

    def test_bug(self) -> None:
        """What is no refusal is a bug: status 500, and the traceback is in the log only."""
        self.host.store.problem = ZeroDivisionError("sEcReT")
        answer = self.ask(b"POST", b"", {"name": "a"})
        self.assertEqual(answer.status, 500)
        self.assertNotIn(b"sEcReT", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_client_hangs_up(self) -> None:
        """What a client asked for and did not wait for is done, and nothing is logged as a bug."""
        self.host.store.at_once = False
        client = Client(self.resource, self.host.reactor, None)
        client.send(b"POST", PATH, b'{"name": "a"}', JSON)
        self.assertEqual(client.answer().status, 0)
        client.protocol.connectionLost(Failure(ConnectionLost()))
        self.host.store.step()
        self.assertIn("a", self.host.applications)
        self.assertIn("a", self.host.store.rows())

    def test_methods(self) -> None:
        """405 with those that there are."""
        for method, path, allowed in (
            (b"PUT", b"", {b"GET", b"HEAD", b"POST"}),
            (b"DELETE", b"", {b"GET", b"HEAD", b"POST"}),
            (b"POST", b"/tv", {b"GET", b"HEAD", b"PATCH", b"DELETE"}),
        ):
            answer = self.ask(method, path, {})
            self.assertEqual(answer.status, 405)
            self.assertEqual(set(answer.fields[b"allow"].split(b", ")), allowed)

    def test_etag(self) -> None:
        """An edit of what was changed meanwhile is refused, and changes nothing (RFC 9110 13.1)."""
        first = self.ask(b"GET", b"/tv").fields[b"etag"]
        match = b"If-Match: " + first
        second = self.ask(b"PATCH", b"/tv", {"hls_segment_count": 9}, JSON, match).fields[b"etag"]
        self.assertNotEqual(first, second)
        for method, path, body in (
            (b"PATCH", b"/tv", {"hls_segment_count": 5}),
            (b"DELETE", b"/tv", None),
        ):
            answer = self.ask(method, path, body, JSON, match)
            self.assertEqual(
                (answer.status, answer.problem()["title"]), (412, "Precondition Failed")
            )
        self.assertEqual(self.host.applications["tv"].hls_segment_count, 9)
        for match in (b"If-Match: *", b'If-Match: "x", ' + second):
            body = {"hls_segment_count": 9}
            self.assertEqual(self.ask(b"PATCH", b"/tv", body, JSON, match).status, 200)

    def test_etag_is_of_the_fields(self) -> None:
        """Viewers that come and go do not stand in the way of an edit."""
        before = self.ask(b"GET", b"/liveshow")
        publication = self.host.hub.publish(StreamKey("liveshow", "a"), Publisher())
        after = self.ask(b"GET", b"/liveshow")
        self.assertNotEqual(before.json()["streams"], after.json()["streams"])
        self.assertEqual(before.fields[b"etag"], after.fields[b"etag"])
        publication.close("over", lost=False)

    def test_edits_follow_one_another(self) -> None:
        """Of two edits of the same version at the same time, one is refused."""
        match = b"If-Match: " + self.ask(b"GET", b"/tv").fields[b"etag"]
        self.host.store.at_once = False
        clients = []
        for count in (5, 9):
            client = Client(self.resource, self.host.reactor, None)
            body = b'{"hls_segment_count": %d}' % count
            client.send(b"PATCH", PATH + b"/tv", body, JSON, match)
            clients.append(client)
        while self.host.store.waiting:
            self.host.store.step()
        self.assertEqual([client.answer().status for client in clients], [200, 412])
        self.assertEqual(self.host.applications["tv"].hls_segment_count, 5)

    def test_pages(self) -> None:
        """The list is cut, filtered and sorted as asked."""
        for number in range(5):
            self.ask(b"POST", b"", {"name": f"a{number}", "enabled": number != 3})
        for query, names in (
            (b"page_size=2", ["a0", "a1"]),
            (b"page_size=2&page=2", ["a2", "a3"]),
            (b"page_size=500&page=2", []),
            (b"q=A&enabled=true&sort=-name", ["a4", "a2", "a1", "a0", "audio"]),
            (b"type=time-shift", ["tv"]),
            (b"enabled=false", ["a3"]),
        ):
            found = [x["name"] for x in self.ask(b"GET", b"?" + query).json()["applications"]]
            self.assertEqual(sorted(found), sorted(names), query)
        found = [x["name"] for x in self.ask(b"GET", b"?sort=-name").json()["applications"]]
        self.assertEqual(found, sorted(found, reverse=True))
        for query, field in (
            (b"sort=secret", "sort"),
            (b"page=0", "page"),
            (b"page_size=501", "page_size"),
            (b"page=x", "page"),
            (b"none=1", "none"),
            (b"page=1&page=2", "page"),
            (b"type=film", "type"),
        ):
            self.refused_query(query, field)

    def refused_query(self, query: bytes, field: str) -> None:
        """Look at a query that is refused: 400 with the name."""
        answer = self.ask(b"GET", b"?" + query)
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.problem()["errors"][0]["field"], field)

    def test_audit(self) -> None:
        """Each change is in the audit log, with its secrets masked (F-AC-03)."""
        self.ask(b"POST", b"", {"name": "a", "publish_password": "sEcReT"})
        self.ask(b"PATCH", b"/a", {"publish_password": "sEcReT2", "enabled": False})
        self.ask(b"DELETE", b"/a")
        answer = ask(self.resource, self.host.reactor, b"GET", b"/mserver/api/v1/audit?sort=time")
        self.assertNotIn(b"sEcReT", answer.body)
        rows = answer.json()["audit"]
        self.assertEqual(
            [(x["action"], x["subject"], x["who"], x["kind"]) for x in rows],
            [
                (f"applications.{what}", "a", "operator on the host", "control")
                for what in ("add", "change", "delete")
            ],
        )
        self.assertEqual((rows[1]["before"]["enabled"], rows[1]["after"]["enabled"]), (True, False))
        self.assertEqual((rows[0]["before"], rows[2]["after"]), (None, None))

    def test_http_port(self) -> None:
        """F-IN-07: nobody without a right changes or reads anything over HTTP."""
        resource = make_resource(cast(Any, self.host))
        for method, path in (
            (b"GET", b""),
            (b"POST", b""),
            (b"PATCH", b"/tv"),
            (b"DELETE", b"/tv"),
        ):
            for peer in (LOOPBACK, ELSEWHERE):
                body = None if method == b"GET" else b'{"name": "a"}'
                answer = ask(
                    resource, self.host.reactor, method, PATH + path, body, JSON, peer=peer
                )
                self.assertEqual(answer.status, 401)
                answer.problem()
        self.assertEqual(dict(self.host.applications), BUILT_IN)
