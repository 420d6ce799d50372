"""Tests of the API's frame: what goes for all requests, the server's status, and metrics."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from ntvmedia import __version__
from ntvmedia.admin import make_resource
from ntvmedia.admin.owner import is_local
from ntvmedia.admin.server_status import ServerStatus
from ntvmedia.admin.site import make_control_resource
from ntvmedia.admin.totals import Uptime
from ntvmedia.callbacks.service import Counts
from ntvmedia.media import StreamKey
from tests.admin.streams import play, publish
from tests.admin.web import ELSEWHERE, LOOPBACK, ROOT, SOCKET, Answer, Host, ask


class SiteTests(SynchronousTestCase):
    """What is answered on the control socket, but for what is said."""

    def setUp(self) -> None:
        self.host = self.make_host()
        self.resource = make_control_resource(cast(Any, self.host))

    def make_host(self) -> Any:
        """Return a server of its own."""
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Host(Path(folder.name))

    def ask(self, path: bytes, *fields: bytes, method: bytes = b"GET") -> Answer:
        """Ask the operator's way."""
        return ask(self.resource, self.host.reactor, method, path, None, *fields)

    def test_every_answer(self) -> None:
        """F-IN-03: nothing is a page, is kept by caches, is guessed at, or names the program."""
        for path in (ROOT + b"/status", b"/metrics", b"/nothing", ROOT + b"/%ff"):
            for resource in (self.resource, make_resource(self.host)):
                found = ask(resource, self.host.reactor, b"GET", path, peer=ELSEWHERE)
                self.assertEqual(found.fields[b"cache-control"], b"no-store")
                self.assertEqual(found.fields[b"x-content-type-options"], b"nosniff")
                self.assertIn(b"default-src 'none'", found.fields[b"content-security-policy"])
                self.assertNotIn(b"server", found.fields)
                self.assertNotIn(b"html", found.fields[b"content-type"])
                self.assertEqual([x for x in found.fields if x.startswith(b"access-control")], [])

    def test_names_are_data(self) -> None:
        """F-IN-03: what looks like a page is JSON, however it is asked for."""
        answer = self.ask(ROOT + b"/applications/%3Cimg%20src=x%20onerror=alert(1)%3E")
        self.assertEqual(answer.status, 404)
        self.assertIn("<img", answer.problem()["detail"])
        answer = self.ask(b"/%3Cscript%3E")
        self.assertEqual((answer.status, answer.problem()["detail"]), (404, "not found"))
        self.assertNotIn(b"script", answer.body)

    def test_no_jsonp(self) -> None:
        """F-IN-04: no answer is a script."""
        for name in (b"callback", b"jsonp"):
            answer = self.ask(ROOT + b"/status?" + name + b"=%3Cscript%3E")
            self.assertEqual(answer.status, 400)
            self.assertNotIn(b"script>", answer.body)

    def test_no_redirection(self) -> None:
        """F-IN-05: nothing sends anybody elsewhere, whatever the path and its parameters."""
        for path in (
            ROOT + b"//status",
            ROOT + b"/status/",
            b"//evil.example/" + ROOT,
            b"/mserver?next=//evil.example",
            b"/%0d%0aLocation:%20x",
            b"/\\evil.example",
        ):
            answer = self.ask(path)
            self.assertEqual(answer.status, 404, path)
            self.assertNotIn(b"location", answer.fields)

    def test_hosts(self) -> None:
        """F-AC-11: one host that is one, or nothing."""
        for fields in ((), (b"Host: a", b"Host: a"), (b"Host: a b",), (b"Host: a/b",)):
            for resource in (self.resource, make_resource(self.host)):
                found = ask(
                    resource, self.host.reactor, b"GET", ROOT + b"/status", None,
                    *(fields or (b"Host:",)), peer=ELSEWHERE,
                )  # fmt: skip
                self.assertEqual(found.status, 400, fields)
        for name in (b"localhost", b"a.example:8080", b"[::1]:8080", b"192.0.2.1", b"a_b.example"):
            self.assertEqual(self.ask(ROOT + b"/status", b"Host: " + name).status, 200)

    def test_hostile_paths(self) -> None:
        """What is no path in UTF-8 is refused, and nothing is logged as a bug."""
        self.assertEqual(self.ask(ROOT + b"/%ff").status, 400)
        self.assertEqual(self.ask(ROOT + b"/applications/%00").status, 404)
        self.assertEqual(self.ask(ROOT + b"/" + b"a" * 4000).status, 404)
        self.assertEqual(self.ask(ROOT + b"/applications/%2e%2e").status, 404)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_methods(self) -> None:
        """What there is not is told with what there is."""
        for method in (b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"X"):
            found = self.ask(ROOT + b"/status", method=method)
            self.assertEqual((found.status, found.fields[b"allow"]), (405, b"GET, HEAD"))
        self.assertEqual(self.ask(ROOT + b"/status", method=b"A" * 30).status, 400)

    def test_head(self) -> None:
        """HEAD is GET without the body."""
        found = self.ask(ROOT + b"/status", method=b"HEAD")
        self.assertEqual((found.status, found.body), (200, b""))

    def test_status(self) -> None:
        """The server as a whole."""
        publish(self.host, StreamKey("liveshow", "a"))
        play(self.host, StreamKey("liveshow", "a"))
        self.host.hub.wait_for(StreamKey("liveshow", "b")).addErrback(lambda failure: None)
        found = self.ask(ROOT + b"/status").json()
        self.assertEqual((found["version"], found["uptime_seconds"]), (__version__, 2.0))
        self.assertEqual(
            [found[name] for name in ("streams", "publishers", "viewers", "waiting")], [1, 1, 1, 1]
        )
        self.assertEqual((found["bytes_in"], found["draining"]), (500, False))
        self.assertGreater(found["bytes_out"], 0)
        self.host.draining = True
        self.assertTrue(self.ask(ROOT + b"/status").json()["draining"])

    def test_lag(self) -> None:
        """G-RS-13: how late the reactor is, and the most since the start."""
        self.host.hub.lag.measured(0.25, 10.0)
        self.host.hub.lag.measured(0.001, 11.0)
        status, found = self.ask(ROOT + b"/status").json(), self.metrics()
        for last, largest in (
            (status["reactor_lag_seconds"], status["largest_reactor_lag_seconds"]),
            (
                found["ntvmedia_reactor_lag_seconds", ""],
                found["ntvmedia_reactor_lag_largest_seconds", ""],
            ),
        ):
            self.assertEqual((last, largest), (0.001, 0.25))

    def metrics(self) -> dict[tuple[str, str], float]:
        """Return the metrics, by name and stream."""
        answer = self.ask(b"/metrics")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.fields[b"content-type"].startswith(b"text/plain; version="))
        return {
            (sample.name, sample.labels.get("stream", "")): sample.value
            for family in text_string_to_metric_families(answer.body.decode())
            for sample in family.samples
        }

    def test_metrics(self) -> None:
        """Prometheus reads the hub's counters; what came in is counted on when a stream ends."""
        publication = publish(self.host, StreamKey("liveshow", "a"))
        play(self.host, StreamKey("liveshow", "a"))
        found = self.metrics()
        self.assertEqual(found["ntvmedia_streams", ""], 1)
        self.assertEqual(found["ntvmedia_viewers", ""], 1)
        self.assertEqual(found["ntvmedia_received_bytes_total", ""], 500)
        self.assertEqual(found["ntvmedia_stream_received_bytes_total", "a"], 500)
        self.assertEqual(found["ntvmedia_stream_viewers", "a"], 1)
        self.assertIn(("process_resident_memory_bytes", ""), found)
        self.assertEqual(found["ntvmedia_sent_bytes_total", ""], 500)
        self.assertEqual(found["ntvmedia_stream_sent_bytes_total", "a"], 500)
        publication.close("publisher stopped", lost=False)
        found = self.metrics()
        self.assertEqual((found["ntvmedia_streams", ""], found["ntvmedia_viewers", ""]), (0, 0))
        self.assertEqual(found["ntvmedia_received_bytes_total", ""], 500)
        self.assertNotIn(("ntvmedia_stream_viewers", "a"), found)

    def test_metrics_of_callbacks(self) -> None:
        """P-303: what became of the messages of callbacks, by reason and outcome."""
        dropped, asked = {"full": 3, "age": 4}, {"allowed": 5, "denied": 6, "failed": 7}
        self.host.callbacks.counts = Counts(1, 2, 8, dropped, asked)
        found = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(self.ask(b"/metrics").body.decode())
            for sample in family.samples
            if sample.name.startswith("ntvmedia_callbacks")
        }
        expected = {
            ("ntvmedia_callbacks_waiting",): 1,
            ("ntvmedia_callbacks_delivered_total",): 2,
            ("ntvmedia_callbacks_failed_total",): 8,
            ("ntvmedia_callbacks_dropped_total", "full"): 3,
            ("ntvmedia_callbacks_dropped_total", "age"): 4,
            ("ntvmedia_callbacks_asked_total", "allowed"): 5,
            ("ntvmedia_callbacks_asked_total", "denied"): 6,
            ("ntvmedia_callbacks_asked_total", "failed"): 7,
        }
        self.assertEqual(found, expected)

    def test_uptime(self) -> None:
        """It counts from the start of the server, whoever asks first, and by whatever way."""
        host = self.make_host()
        host.part(Uptime)
        host.reactor.advance(60)
        for make in (make_control_resource, make_resource):
            status = ServerStatus(host).status(cast(Any, None))
            self.assertEqual(status.uptime_seconds, 60)
            make(host)

    def test_bytes_that_are_no_text(self) -> None:
        """F-RE-15: fields of other encodings are refused or read, and end in no traceback."""
        names = (b"Host", b"Authorization", b"Cookie", b"If-Match", b"User-Agent", b"Origin")
        more = (b"X-CSRF-Token", b"Sec-Fetch-Site", b"X-Forwarded-For", b"Last-Event-ID", b"X-\xff")
        for name in names + more:
            for resource, peer in ((make_resource(self.host), ELSEWHERE), (self.resource, SOCKET)):
                found = ask(
                    *(resource, self.host.reactor, b"DELETE", ROOT + b"/users/x", None),
                    name + b": \xff\xfe",
                    peer=peer,
                )
                self.assertIn(found.status, (400, 401, 404), name)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_text_that_is_none(self) -> None:
        """F-IN-06: half of a surrogate pair, as a peer may have sent it, is told by its number."""
        publish(self.host, StreamKey("liveshow", "a"))
        play(self.host, StreamKey("liveshow", "a"), agent="x\udcff")
        (viewer,) = self.ask(ROOT + b"/viewers").json()["viewers"]
        self.assertEqual(viewer["user_agent"], "x\udcff")

    def test_metrics_need_a_right(self) -> None:
        """F-AC-02: not even this machine reads them without one."""
        for peer in (LOOPBACK, ELSEWHERE):
            found = ask(make_resource(self.host), self.host.reactor, b"GET", b"/metrics", peer=peer)
            self.assertEqual(found.status, 401)
            found.problem()

    def test_two_servers(self) -> None:
        """Nothing is global: two servers in one process have metrics of their own."""
        other = self.make_host()
        make_resource(other)
        publish(other, StreamKey("liveshow", "a"))
        self.assertEqual(self.metrics()["ntvmedia_streams", ""], 0)


def test_klein_stays_unimported() -> None:
    """What declares operations imports no Klein, which would install a reactor."""
    code = (
        "import sys, ntvmedia.admin.resources, ntvmedia.admin.openapi, ntvmedia.cli.api;"
        "sys.exit('klein' in sys.modules or 'twisted.internet.reactor' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("peer", "fields", "local"),
    [
        ("127.0.0.1", {"Host": ["127.0.0.1"]}, True),
        ("127.0.0.1", {"Host": ["localhost:8080"]}, True),
        ("127.0.0.2", {"Host": ["LOCALHOST"]}, True),
        ("::1", {"Host": ["[::1]:8080"]}, True),
        ("::1", {"Host": ["[::1]"]}, True),
        ("::ffff:127.0.0.1", {"Host": ["127.0.0.1:80"]}, True),
        ("192.0.2.1", {"Host": ["127.0.0.1"]}, False),
        ("::ffff:192.0.2.1", {"Host": ["127.0.0.1"]}, False),
        ("fe80::1", {"Host": ["[::1]"]}, False),
        ("", {"Host": ["localhost"]}, False),
        ("127.0.0.1", {}, False),
        ("127.0.0.1", {"Host": [""]}, False),
        ("127.0.0.1", {"Host": ["example.org"]}, False),
        ("127.0.0.1", {"Host": ["localhost.example.org"]}, False),
        ("127.0.0.1", {"Host": ["localhost", "localhost"]}, False),
        ("127.0.0.1", {"Host": ["localhost:x"]}, False),
        ("127.0.0.1", {"Host": ["0.0.0.0"]}, False),
        ("127.0.0.1", {"Host": ["localhost"], "Via": ["1.1 x"]}, False),
        ("127.0.0.1", {"Host": ["localhost"], "Forwarded": ["for=127.0.0.1"]}, False),
        ("127.0.0.1", {"Host": ["localhost"], "X-Real-IP": ["127.0.0.1"]}, False),
        ("127.0.0.1", {"Host": ["localhost"], "X-Forwarded-For": ["127.0.0.1"]}, False),
        ("127.0.0.1", {"Host": ["localhost"], "x-forwarded-proto": [""]}, False),
        ("127.0.0.1", {"Host": ["localhost"], "X-Forwarded": ["a"]}, False),
    ],
)
def test_is_local(peer: str, fields: dict[str, list[str]], local: bool) -> None:
    """F-AC-05, F-AC-11: peer, Host and the traces of proxies decide together."""
    assert is_local(peer, Headers(cast(Any, fields))) is local


def test_nginx() -> None:
    """F-AC-05: nginx as it is installed: HTTP/1.0, a loopback Host, and nothing added."""
    headers = Headers({"host": ["127.0.0.1:8080"], "connection": ["close"]})
    assert is_local("127.0.0.1", headers)
    assert not is_local("127.0.0.1", headers, b"HTTP/1.0")
