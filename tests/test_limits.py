"""P-301: how many may be there, and how much may be sent."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from ntvmedia.access import BUILT_IN, Access, Action, Application, Request, Verdict
from ntvmedia.events import ApplicationChanged
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.viewer import ViewerInfo
from ntvmedia.limits import Limits
from ntvmedia.media import Packet, StreamKey
from ntvmedia.preferences import Values
from tests.hub.cases import FLV, KEY, HubCase
from tests.hub.fakes import VIDEO, FakeConnection, FakePublisher, FakeSerialiser, video

OTHER = StreamKey("tv", "news")


class WholeSerialiser(FakeSerialiser):
    """Writes all that it is given."""

    def packet(self, packet: Packet, parts: list[bytes]) -> None:
        """Write the frame as it is."""
        parts.append(packet.payload)


class LimitsCase(HubCase):
    """A hub with limits."""

    def setUp(self) -> None:
        super().setUp()
        self.applications: dict[str, Application] = dict(BUILT_IN)
        self.host: Any = SimpleNamespace(
            hub=self.hub,
            events=self.bus,
            applications=self.applications,
            preferences=SimpleNamespace(values=Values()),
            access=Access(self.applications),
        )
        self.limits = Limits(self.host)
        self.hub.register_format("flv", WholeSerialiser)

    def set(self, name: str = "liveshow", **fields: Any) -> None:
        """Change an application."""
        self.applications[name] = replace(self.applications[name], **fields)
        self.bus.emit(ApplicationChanged(name, name))

    def prefer(self, **fields: Any) -> None:
        """Change the server's."""
        self.host.preferences.values = Values(**fields)

    def reason(self, key: StreamKey = KEY, action: Action = Action.PLAY, **verdict: Any) -> str:
        """Return why there is no room for one more."""
        request = Request(action, key, "flv", "192.0.2.1:1")
        full = self.limits(request, Verdict(True, **verdict) if verdict else None)
        if full is None:
            return ""
        assert (full.allowed, full.rule) == (False, "limit")
        return full.reason

    def open(self, key: StreamKey = KEY) -> Publication:
        """Have a stream."""
        publication = self.hub.publish(key, FakePublisher())
        publication.track_received(VIDEO)
        self.feed(publication, 0, 2)
        self.reactor.advance(2)
        assert self.hub.streams[key].is_ready
        return publication

    def feed(self, publication: Publication, start: int, end: int, size: int = 0) -> None:
        """Send a picture of some bytes for each second."""
        for second in range(start, end):
            publication.packet_received(video(second * 1000, key=True, size=max(size, 3)))
            publication.batch_ended()

    def play(self, key: StreamKey = KEY, protocol: str = "flv", **verdict: Any) -> Any:
        """Have somebody play; what it was told at its end is in `ends`."""
        stream = self.hub.streams[key]
        request = Request(Action.PLAY, key, protocol, "192.0.2.1:1")
        info = ViewerInfo(protocol, request.peer, "", "", request, Verdict(True, **verdict))
        ends: list[str] = []
        viewer: Any
        if protocol == "hls":
            viewer = stream.visit(info, ends.append)
        else:
            transport = FakeConnection(self.reactor)
            transport.outlet = self.hub.outlet(transport)
            viewer = stream.play(FLV, transport.outlet, info, ends.append)
        return SimpleNamespace(viewer=viewer, ends=ends)


class CountTests(LimitsCase):
    """How many."""

    def test_none(self) -> None:
        """Without a limit there is always room."""
        self.open()
        for _viewer in range(5):
            self.play()
        self.assertEqual(self.reason(), "")
        self.assertEqual(self.limits.load_of(), (5, 1, 0))

    def test_players(self) -> None:
        """Of the server, of an application, of a stream; who leaves makes room, however."""
        self.open()
        self.open(OTHER)
        viewers = [self.play().viewer, self.play(protocol="hls").viewer]
        self.prefer(max_players=2)
        self.assertIn("the server has as many players as it may have (2)", self.reason(OTHER))
        self.prefer()
        self.set(max_players=2)
        self.assertIn('application "liveshow" has as many players', self.reason())
        self.assertEqual(self.reason(OTHER), "")
        self.set(max_players=0, max_stream_players=2)
        self.assertIn("the stream has as many players", self.reason())
        self.assertEqual(self.reason(StreamKey("liveshow", "more")), "")
        viewers.pop().kick("away")
        self.assertEqual(self.reason(), "")
        viewers.pop().leave()
        self.assertEqual(self.limits.load_of("liveshow"), (0, 1, 0))

    def test_end_of_a_stream(self) -> None:
        """G-RS-03: the counter falls with the stream too, and nothing is left behind."""
        publication = self.open()
        for protocol in ("flv", "hls"):
            self.play(protocol=protocol, limit=5, ticket="share:1")
        self.assertEqual(self.limits.viewers_of("share:1"), 2)
        publication.close("over", lost=False)
        self.assertEqual(self.limits.load_of(), (0, 0, 0))
        self.assertEqual(self.limits.viewers_of("share:1"), 0)
        left = {k: v for k, v in vars(self.limits).items() if k.startswith("_") and k != "_host"}
        self.assertEqual([k for k, v in left.items() if hasattr(v, "__len__") and len(v)], [])

    def test_publishers(self) -> None:
        """Of the server and of an application; another one for a stream takes a place."""
        publication = self.open()
        self.prefer(max_publishers=1)
        self.assertIn(
            "the server has as many publishers as it may have (1)",
            self.reason(OTHER, Action.PUBLISH),
        )
        self.assertEqual(self.reason(KEY, Action.PUBLISH), "")
        self.prefer()
        self.set(max_publishers=1)
        more = StreamKey("liveshow", "more")
        self.assertIn(
            '"liveshow" has as many publishers as it may have (1)',
            self.reason(more, Action.PUBLISH),
        )
        self.assertEqual(self.reason(OTHER, Action.PUBLISH), "")
        publication.close("lost", lost=True)
        self.assertEqual(self.reason(more, Action.PUBLISH), "")

    def test_ticket(self) -> None:
        """A signed address or share link has its own number of viewers."""
        self.open()
        self.play(limit=1, ticket="share:1")
        self.assertIn(
            "has as many viewers as it may have (1)", self.reason(limit=1, ticket="share:1")
        )
        self.assertEqual(self.reason(limit=1, ticket="share:2"), "")

    def test_multicast_group(self) -> None:
        """What a multicast group is sent is no player: its members are."""
        self.open()
        stream = self.hub.streams[KEY]
        transport = FakeConnection(self.reactor)
        transport.outlet = self.hub.outlet(transport)
        stream.play(FLV, transport.outlet, ViewerInfo("rtsp", "239.0.0.1:1"), lambda _reason: None)
        self.assertEqual(self.limits.load_of().players, 0)

    def test_renamed(self) -> None:
        """Where a verdict names another stream, that one's limits count."""
        self.open(OTHER)
        self.set("tv", max_players=1)
        self.play(OTHER)
        self.assertIn('"tv"', self.reason(rename=OTHER))
        self.assertEqual(self.reason(), "")


class BandwidthTests(LimitsCase):
    """How much."""

    def setUp(self) -> None:
        super().setUp()
        self.publication = self.open()
        self.second = 2

    def run_for(self, seconds: int, kbps: int) -> None:
        """Have the stream sent at a rate, and the server's clockwork run."""
        for _second in range(seconds):
            self.feed(self.publication, self.second, self.second + 1, kbps * 1000 // 8)
            self.second += 1
            self.reactor.advance(1)
            self.hub.tick()
            self.limits.tick(self.reactor.seconds())

    def test_not_measured(self) -> None:
        """Where nothing is limited nothing is measured."""
        self.play()
        self.run_for(8, 1000)
        self.assertEqual(self.limits.load_of().bandwidth_kbps, 0)

    def test_refused(self) -> None:
        """Who would be one too many is refused, in the same second as others came."""
        self.set(max_bandwidth_kbps=2500)
        viewers = [self.play()]
        self.run_for(8, 1000)
        self.assertAlmostEqual(self.limits.load_of("liveshow").bandwidth_kbps, 1000, delta=30)
        self.assertEqual(self.reason(), "")
        viewers.append(self.play(protocol="hls"))
        self.assertIn('bandwidth of application "liveshow"', self.reason())
        self.run_for(3, 1000)
        self.assertAlmostEqual(self.limits.load_of("liveshow").bandwidth_kbps, 2000, delta=60)
        viewers.pop(0).viewer.leave()
        self.run_for(1, 1000)
        self.assertEqual(self.reason(), "")

    def test_server(self) -> None:
        """The same for the whole server."""
        self.prefer(max_bandwidth_kbps=1500)
        self.play()
        self.run_for(8, 1000)
        self.assertIn("the server's bandwidth, 1,500 kbit/s", self.reason())
        self.assertAlmostEqual(self.limits.load_of().bandwidth_kbps, 1000, delta=30)

    def test_rise(self) -> None:
        """When a stream grows, the newest viewers are told and go first, and no more of them."""
        self.set(max_bandwidth_kbps=3500)
        viewers = [self.play(), self.play(protocol="hls"), self.play()]
        self.run_for(8, 1000)
        self.assertEqual([x.ends for x in viewers], [[], [], []])
        self.run_for(6, 1500)
        reason = 'the bandwidth of application "liveshow" is used up'
        self.assertEqual([x.ends for x in viewers], [[], [], [reason]])
        self.assertTrue(viewers[2].viewer.kicked)
        self.run_for(8, 3000)
        self.assertEqual([x.ends for x in viewers], [[], [reason], [reason]])
        refused = self.host.access.refused
        self.assertEqual(refused["liveshow", "flv", "limit"], 1)
        self.assertEqual(refused["liveshow", "hls", "limit"], 1)

    def test_rise_elsewhere(self) -> None:
        """One application's rise is not another's business."""
        self.open(OTHER)
        self.set("tv", max_bandwidth_kbps=1)
        mine = self.play()
        self.run_for(12, 5000)
        self.assertEqual(mine.ends, [])

    def test_short_rise(self) -> None:
        """A large picture now and then is no rise."""
        self.set(max_bandwidth_kbps=1500)
        mine = self.play()
        for _group in range(6):
            self.run_for(1, 2000)
            self.run_for(3, 200)
        self.assertEqual(mine.ends, [])

    def test_limit_taken_away(self) -> None:
        """With the limit the measuring ends."""
        self.set(max_bandwidth_kbps=5000)
        self.play()
        self.run_for(4, 1000)
        self.set(max_bandwidth_kbps=0)
        self.run_for(1, 1000)
        self.assertEqual(self.limits.load_of("liveshow").bandwidth_kbps, 0)

    def test_loaded(self) -> None:
        """Limits that were there at the start count."""
        self.applications["liveshow"] = replace(
            self.applications["liveshow"], max_bandwidth_kbps=500
        )
        self.limits.load()
        mine = self.play()
        self.run_for(8, 1000)
        self.assertEqual(len(mine.ends), 1)
