"""Tests of ntvmedia.admin.live_updates, feed and listener: Server-Sent Events."""

from __future__ import annotations

import json
from typing import Any, cast

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from ntvmedia.accounts import Role
from ntvmedia.admin import feed
from ntvmedia.admin.feed import MAX_KEPT, MAX_LISTENERS, MAX_LISTENERS_OF_ONE
from ntvmedia.admin.listener import MAX_WAITING
from ntvmedia.admin.site import make_control_resource
from ntvmedia.events import ApplicationChanged, StreamWanted
from ntvmedia.media import StreamKey
from tests.admin.streams import play, publish
from tests.admin.test_identification import Case
from tests.admin.web import ELSEWHERE, ROOT, SOCKET, Client, result_of


def events_of(client: Client) -> list[tuple[str, Any]]:
    """Return the events that came, by type and what they say."""
    found = []
    for block in client.answer().body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            found.append((fields.get("event", "message"), json.loads(fields["data"])))
    return found


def ids_of(client: Client) -> list[str]:
    """Return the ids of the events that came."""
    lines = client.answer().body.decode().splitlines()
    return [line[4:] for line in lines if line.startswith("id: ")]


class LiveTests(Case):
    """What is told as it happens."""

    def listen(self, *fields: bytes, method: bytes = b"GET") -> Client:
        """Begin to listen."""
        client = Client(self.resource, self.host.reactor, ELSEWHERE)
        client.send(method, ROOT + b"/events", None, *fields)
        return client

    def test_what_is_told(self) -> None:
        """Streams, viewers, applications; and the state of the server at once and every 5 s."""
        client = self.listen(self.token(Role.VIEWER))
        answer = client.answer()
        self.assertEqual(
            (answer.status, answer.fields[b"content-type"]), (200, b"text/event-stream")
        )
        self.assertEqual(answer.fields[b"cache-control"], b"no-store")
        self.assertEqual([kind for kind, _data in events_of(client)], ["server"])
        publication = publish(self.host, StreamKey("liveshow", "中"))
        play(self.host, StreamKey("liveshow", "中")).kick("enough")
        publication.close("over", lost=False)
        self.host.events.emit(ApplicationChanged("a", None))
        found = events_of(client)
        told = [(kind, data.get("what")) for kind, data in found if kind in ("stream", "viewer")]
        self.assertEqual(
            told,
            [
                ("stream", "published"),
                ("stream", "ready"),
                ("viewer", "started"),
                ("viewer", "ended"),
                ("stream", "unpublished"),
                ("stream", "over"),
            ],
        )
        viewer = next(data for kind, data in found if kind == "viewer")
        self.assertEqual((viewer["application"], viewer["stream"]), ("liveshow", "中"))
        self.assertEqual((viewer["protocol"], viewer["peer"]), ("test", "192.0.2.5:2"))
        self.assertEqual(found[-1], ("application", {"name": "a", "after": None}))
        for _second in range(10):
            self.host.reactor.advance(1)
        kinds = [kind for kind, _data in events_of(client)]
        self.assertEqual(kinds.count("server"), 3)

    def come_back(self, last_id: str) -> list[tuple[str, Any]]:
        """Listen after an event, and return what is told at once, but for the state."""
        client = self.listen(self.token(Role.VIEWER), b"Last-Event-ID: " + last_id.encode())
        found = events_of(client)
        client.protocol.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(found.pop()[0], "server")
        return found

    def test_ids(self) -> None:
        """Each event has an id of its own; the state of the server has that of the last one."""
        client = self.listen(self.token(Role.VIEWER))
        for name in ("a", "b"):
            self.change(name)
        self.assertEqual([x.partition("-")[2] for x in ids_of(client)], ["0", "1", "2"])
        self.assertEqual(len({x.partition("-")[0] for x in ids_of(client)}), 1)

    def change(self, name: str) -> None:
        """Let an application change."""
        self.host.events.emit(ApplicationChanged(name, name))

    def test_coming_back(self) -> None:
        """Who says what it had last is told what it missed, once, in order, and nothing else."""
        client = self.listen(self.token(Role.VIEWER))
        for name in "abcd":
            self.change(name)
        ids = ids_of(client)
        for at, last_id in enumerate(ids):
            missed = [data["name"] for _kind, data in self.come_back(last_id)]
            self.assertEqual(missed, list("abcd")[at:])
        self.assertEqual(self.come_back(ids[-1]), [])
        self.assertEqual(events_of(self.listen(self.token(Role.VIEWER)))[0][0], "server")

    def test_coming_back_to_an_empty_house(self) -> None:
        """What happens while nobody listens is told as well."""
        client = self.listen(self.token(Role.VIEWER))
        (last_id,) = ids_of(client)
        client.protocol.connectionLost(Failure(ConnectionLost()))
        self.change("a")
        self.assertEqual([data["name"] for _kind, data in self.come_back(last_id)], ["a"])

    def test_away_too_long(self) -> None:
        """Of those whose events are not kept any more each gets one event that says so."""
        client = self.listen(self.token(Role.VIEWER))
        for number in range(MAX_KEPT):
            self.change(f"a{number}")
        first, second, *_rest = ids_of(client)
        self.assertEqual(len(self.come_back(first)), MAX_KEPT)
        self.change("last")
        self.assertEqual(self.come_back(first), [("lost", {"count": MAX_KEPT + 1})])
        self.assertEqual(len(self.come_back(second)), MAX_KEPT)

    def test_another_run(self) -> None:
        """An id of a server that was started before, or of nobody, is of no event of this one."""
        self.change("a")
        (last_id,) = ids_of(self.listen(self.token(Role.VIEWER)))
        run = last_id.partition("-")[0]
        strange = ("f" * 8 + "-1", f"{run}-2", f"{run}-", run, "1", "", f"{run}-" + "1" * 5000)
        for text in (*strange, f"{run}--1", f"{run}-\u0661", f"{run}-1 "):
            expected = [] if text.strip() == last_id else [("lost", {"count": None})]
            self.assertEqual(self.come_back(text), expected, text[:40])

    def test_floods_are_not_kept(self) -> None:
        """Whoever asks for made-up names does not drive out what happened."""
        client = self.listen(self.token(Role.VIEWER))
        self.change("a")
        for number in range(MAX_KEPT):
            self.host.events.emit(StreamWanted(StreamKey("liveshow", f"x{number}")))
        told = [data["what"] for kind, data in events_of(client) if kind == "stream"]
        self.assertEqual(told, ["wanted"] * MAX_KEPT)
        self.assertEqual([x[0] for x in self.come_back(ids_of(client)[0])], ["application"])

    def test_one_feed(self) -> None:
        """Those on the control socket count too, and an id of one way is good on the other."""
        self.patch(feed, "MAX_LISTENERS", 2)
        control = make_control_resource(cast(Any, self.host))
        clients = []
        for resource, peer in ((control, SOCKET), (self.resource, ELSEWHERE), (control, SOCKET)):
            clients.append(Client(resource, self.host.reactor, peer))
            clients[-1].send(b"GET", ROOT + b"/events", None, self.token(Role.VIEWER))
        self.assertEqual([x.answer().status for x in clients], [200, 200, 503])
        self.assertEqual(ids_of(clients[0]), ids_of(clients[1]))

    def test_half_characters(self) -> None:
        """F-IN-06: what a peer sent may be none of any encoding; it is told all the same."""
        client = self.listen(self.token(Role.VIEWER))
        self.change("\udcff\n")
        self.assertEqual(events_of(client)[-1][1]["name"], "\udcff\n")

    def test_nobody(self) -> None:
        """F-AC-02: who has no right hears nothing."""
        client = self.listen()
        self.assertEqual(client.answer().status, 401)

    def test_session_ends(self) -> None:
        """The stream ends with the session or the token, at once."""
        browser = self.browser("vera")
        client = self.listen(b"Cookie: ntvmedia_session=" + browser.cookie.encode())
        other = self.listen(self.token(Role.VIEWER))
        browser.ask("DELETE", "/session")
        self.assertTrue(_is_over(client))
        self.host.events.emit(ApplicationChanged("a", "a"))
        self.assertNotIn("application", [kind for kind, _data in events_of(client)])
        self.assertFalse(_is_over(other))
        (token,) = self.host.accounts.tokens()
        result_of(self.host.accounts.revoke_token(token.id))
        self.assertTrue(_is_over(other))

    def test_session_dies_of_age(self) -> None:
        """Also when nobody ends it: a page that only listens does not keep a session alive."""
        client = self.listen(self.token(Role.VIEWER, expires_at=self.host.now + 60))
        for _second in range(10):
            self.host.reactor.advance(1)
        self.assertFalse(_is_over(client))
        self.host.now += 60
        for _second in range(5):
            self.host.reactor.advance(1)
        self.assertTrue(_is_over(client))

    def test_slow_client(self) -> None:
        """One that takes nothing costs no more than so many events, and is told what it missed."""
        client = self.listen(self.token(Role.VIEWER))
        producer: Any = client.transport.producer
        producer.pauseProducing()
        before = len(client.transport.value())
        for number in range(MAX_WAITING + 7):
            self.host.events.emit(ApplicationChanged(f"a{number}", None))
        self.assertEqual(len(client.transport.value()), before)
        producer.resumeProducing()
        found = events_of(client)[1:]
        self.assertEqual(found[0], ("lost", {"count": 7}))
        self.assertEqual(found[1], ("application", {"name": "a7", "after": None}))
        self.assertEqual(len(found), 1 + MAX_WAITING)

    def test_client_leaves(self) -> None:
        """One that hangs up makes room, and the last one stops the clock."""
        shown = self.token(Role.VIEWER)
        for _number in range(3):
            client = self.listen(shown)
            waiting = map(str, self.host.reactor.getDelayedCalls())
            self.assertEqual(sum("Feed._tick" in call for call in waiting), 1)
            client.protocol.connectionLost(Failure(ConnectionLost()))
        waiting = map(str, self.host.reactor.getDelayedCalls())
        ticks = [call for call in waiting if "Feed._tick" in call]
        self.assertEqual(ticks, [])
        self.host.events.emit(ApplicationChanged("a", "a"))

    def test_too_many(self) -> None:
        """So many, and no more."""
        self.patch(feed, "MAX_LISTENERS", 2)
        self.assertEqual(MAX_LISTENERS, 100)
        shown = self.token(Role.VIEWER)
        clients = [self.listen(shown) for _number in range(3)]
        self.assertEqual([x.answer().status for x in clients], [200, 200, 503])
        clients[0].protocol.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.listen(shown).answer().status, 200)

    def test_too_many_of_one(self) -> None:
        """One user cannot keep all others from listening."""
        self.patch(feed, "MAX_LISTENERS_OF_ONE", 2)
        self.assertLess(4 * MAX_LISTENERS_OF_ONE, MAX_LISTENERS + 1)
        shown = self.token(Role.VIEWER)
        clients = [self.listen(shown) for _number in range(3)]
        self.assertEqual([x.answer().status for x in clients], [200, 200, 503])
        self.assertEqual(self.listen(self.token(Role.VIEWER)).answer().status, 503)
        self.assertEqual(self.listen(self.token(Role.VIEWER, "vera")).answer().status, 200)

    def test_kept_out(self) -> None:
        """P-307: an address that a rule keeps out hears no more."""
        client = self.listen(self.token(Role.VIEWER))
        blocked: list[str] = []
        self.patch(self.host.access, "is_console_blocked", blocked.__contains__)
        for _second in range(5):
            self.host.reactor.advance(1)
        self.assertFalse(_is_over(client))
        blocked.append(ELSEWHERE.host)
        for _second in range(5):
            self.host.reactor.advance(1)
        self.assertTrue(_is_over(client))

    def test_server_stops(self) -> None:
        """A server that stops is not held up by who listens."""
        client = self.listen(self.token(Role.VIEWER))
        self.host.draining = True
        self.host.reactor.advance(1)
        self.assertTrue(_is_over(client))
        self.assertEqual(self.listen(self.token(Role.VIEWER)).answer().status, 503)

    def test_head(self) -> None:
        """HEAD is over at once."""
        client = self.listen(self.token(Role.VIEWER), method=b"HEAD")
        answer = client.answer()
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_control(self) -> None:
        """The operator on the host may listen too."""
        resource = make_control_resource(cast(Any, self.host))
        client = Client(resource, self.host.reactor, SOCKET)
        client.send(b"GET", ROOT + b"/events")
        self.assertEqual([kind for kind, _data in events_of(client)], ["server"])


def _is_over(client: Client) -> bool:
    """Say whether the answer is complete: its last chunk is there."""
    return bool(client.transport.value().endswith(b"0\r\n\r\n"))
