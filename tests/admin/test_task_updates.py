"""Tests of ntvmedia.admin.task_updates: live updates of relay tasks and pushes."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from ntvmedia.admin.task_updates import TaskUpdates
from ntvmedia.errors import RemoteError
from ntvmedia.media import StreamKey
from ntvmedia.relay.push_service import PushService
from tests.admin.streams import publish
from tests.admin.test_live_updates import events_of
from tests.admin.test_relays import RelayCase
from tests.admin.web import NOW, ROOT, SOCKET, Client
from tests.relay.rig import FakeTarget

PUSH = {"application": "tv", "server": "rtmp://up:hush@cdn.example"}


class UpdateTests(RelayCase):
    """A server with relays and pushes, whose ends are fake."""

    def setUp(self) -> None:
        super().setUp()
        self.target = FakeTarget()
        self.host.pushes = PushService(self.host, lambda: NOW, [self.target], "here.example")
        self.host.pushes.load()
        self.host.pushes.startService()
        self.addCleanup(self.host.pushes.stopService)

    def push(self) -> str:
        """Make a push; returns its id."""
        answer = self.ask("POST", "/pushes", PUSH)
        self.assertEqual(answer.status, 201)
        return str(answer.json()["id"])

    def listen(self, last_id: bytes = b"") -> Client:
        """Begin to listen."""
        client = Client(self.resource, self.clock, SOCKET)
        fields = (b"Last-Event-ID: " + last_id,) if last_id else ()
        client.send(b"GET", ROOT + b"/events", None, *fields)
        return client

    def told(self, client: Client, kind: str) -> list[dict[str, Any]]:
        """Return the events of a type."""
        return [data for name, data in events_of(client) if name == kind]

    def test_relay(self) -> None:
        """A task's states are told, as its end is; what is counted up is no news."""
        client = self.listen()
        made = self.add()
        self.advance(1)
        self.source.last.start()
        self.advance(1)
        for _second in range(3):
            self.source.last.media()
            self.advance(1)
        self.source.last.fail("gone", is_permanent=True)
        self.advance(1)
        self.ask("DELETE", f"/relays/{made['id']}")
        self.advance(1)
        found = self.told(client, "relay")
        self.assertEqual(
            [(x["what"], x.get("state"), x.get("reason")) for x in found],
            [
                ("changed", "connecting", ""),
                ("changed", "running", ""),
                ("changed", "waiting", "gone"),
                ("deleted", None, None),
            ],
        )
        self.assertEqual({x["id"] for x in found}, {made["id"]})
        self.assertGreater(found[2]["next_retry_at"], 0)
        self.assertNotIn("pw@", client.answer().body.decode())

    def test_push(self) -> None:
        """So are those of a push, whichever of its streams they are of."""
        client = self.listen()
        id_ = self.push()
        self.advance(1)
        publish(self.host, StreamKey("tv", "one"))
        self.advance(1)
        self.target.done.errback(RemoteError("wrong key", is_permanent=True))
        self.advance(1)
        found = self.told(client, "push")
        self.assertEqual(
            [(x["id"], x["state"], x["reason"], x["sending"]) for x in found],
            [
                (id_, "idle", "", 0),
                (id_, "running", "", 1),
                (id_, "waiting", "tv/one: wrong key", 1),
            ],
        )

    def test_coalesced(self) -> None:
        """Whatever happens within a second, there is at most one event of each task."""
        client = self.listen()
        path = f"/relays/{self.add()['id']}"
        for _time in range(50):
            self.ask("POST", f"{path}/stop")
            self.ask("POST", f"{path}/start")
        self.ask("PATCH", path, {"description": "x"})
        self.advance(1)
        self.assertEqual(len(self.told(client, "relay")), 1)

    def test_edited(self) -> None:
        """An edit is told, though the state is the same."""
        made = self.add(enabled=False)
        client = self.listen()
        self.advance(5)
        self.assertEqual(self.told(client, "relay"), [])
        self.advance(1)
        self.host.relays.registry._wall_clock = lambda: made["updated_at"] + 5
        self.ask("PATCH", f"/relays/{made['id']}", {"description": "x"})
        self.advance(1)
        self.assertEqual(len(self.told(client, "relay")), 1)

    def test_coming_back(self) -> None:
        """What changed while nobody listened is told to who comes back."""
        client = self.listen()
        lines = client.answer().body.decode().splitlines()
        last_id = next(x[4:] for x in lines if x.startswith("id: "))
        client.protocol.connectionLost(Failure(ConnectionLost()))
        self.add()
        found = self.told(self.listen(last_id.encode()), "relay")
        self.assertEqual([x["state"] for x in found], ["connecting"])

    def test_first(self) -> None:
        """Those that there were already are no news."""
        self.add()
        self.push()
        updates = TaskUpdates(self.host)
        self.assertEqual(updates.changes(), [])
        self.assertEqual(updates.changes(), [])
