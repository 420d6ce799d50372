"""A live stream of this server as a source."""

from __future__ import annotations

from typing import Any

from ntvmedia.errors import RemoteError
from ntvmedia.hub.refusals import NotFound
from ntvmedia.media import Packet, StreamKey
from tests.relay.rig import AUDIO, VIDEO, RelayCase
from tests.relay.test_runner import Publisher, Sink

BASE = StreamKey("liveshow", "base")
COPY = StreamKey("liveshow", "cam")


class LocalTests(RelayCase):
    """`stream:APP/STREAM`."""

    def publish(self) -> Any:
        """Publish the stream as an encoder does."""
        publication = self.host.hub.publish(BASE, Publisher())
        publication.track_received(VIDEO)
        publication.track_received(AUDIO)
        self.send(publication, 0)
        return publication

    def send(self, publication: Any, number: int) -> None:
        """Send half a second."""
        for track in (VIDEO, AUDIO):
            dts = number * track.clock_rate // 2
            publication.packet_received(Packet(track, dts, dts, True, b"x"))
        publication.batch_ended()

    def test_waits(self) -> None:
        """It waits for its stream for as long as it takes, and says so; then it is that stream."""
        id_ = self.add("stream:liveshow/base")
        self.advance(100.0)
        state = self.state(id_)
        self.assertEqual(state[:2], ("connecting", "waiting for liveshow/base"))
        self.assertEqual(state.restarts, 0)
        publication = self.publish()
        self.assertEqual(self.state(id_).state, "running")
        seen: list[int] = []
        for number in range(1, 4):
            self.send(publication, number)
            if number == 1:
                self.stream(COPY).attach(Sink(seen))
        self.assertEqual(len(seen), 3)
        self.assertEqual(self.stream(COPY).tracks, [VIDEO, AUDIO])
        publication.metadata_received({"title": "x"})
        self.assertEqual(self.stream(COPY).metadata, {"title": "x"})
        self.finish()

    def test_there_already(self) -> None:
        """A stream that is there begins with its last keyframe."""
        self.publish()
        id_ = self.add("stream:liveshow/base")
        self.assertEqual(self.state(id_).state, "running")
        self.successResultOf(self.relays.stop(id_))
        self.assertEqual(dict(self.stream(BASE).audience.sinks), {})
        self.finish()

    def test_end(self) -> None:
        """Its end is told, and it waits again."""
        publication = self.publish()
        id_ = self.add("stream:liveshow/base")
        publication.close("done", lost=False)
        self.assertEqual(self.state(id_)[:2], ("waiting", "liveshow/base has ended"))
        self.assertEqual(self.ups()[-1], "down liveshow/base has ended")
        self.advance(2.0)
        self.assertEqual(self.state(id_).state, "connecting")
        self.publish()
        self.assertEqual(self.state(id_).state, "running")
        self.finish()

    def test_stall(self) -> None:
        """E-ST-01: once media came, their absence is noticed as with any source."""
        self.publish()
        id_ = self.add("stream:liveshow/base", stall_seconds=2.0)
        self.advance(2.5)
        self.assertEqual(self.state(id_)[:2], ("waiting", "no media for 2 seconds"))
        self.finish()

    def test_on_demand_chain(self) -> None:
        """A stream that is made of another on demand brings that one too, and lets it go."""
        self.add("fake://h/$1", on_demand=True, target={"stream": "raw-*"})
        self.add("stream:liveshow/raw-$1", on_demand=True, target={"stream": "small-*"})
        waiter = self.host.hub.wait_for(StreamKey("liveshow", "small-a"))
        waiter.addErrback(lambda failure: failure.trap(NotFound))
        self.assertEqual([x.url for x in self.source.open], ["fake://h/a"])
        self.source.last.start()
        self.successResultOf(waiter)
        self.source.last.media(21.5)
        self.assertIsNone(self.stream(StreamKey("liveshow", "small-a")))
        self.source.last.media(22.0)
        self.assertEqual(self.source.open, [])
        self.assertEqual(self.relays.demand.count, 0)
        self.finish()

    def test_addresses(self) -> None:
        """Two slashes do no harm; what is no name is refused for good."""
        source = self.relays.sources.find("stream:a/b")
        source.check("stream://liveshow/base")
        source.check("stream:liveshow/b%C3%A4")
        for url in ("stream:", "stream:a", "stream:a/b/c", "stream:a/..", "stream:mserver/x"):
            with self.assertRaises(RemoteError) as caught:
                source.check(url)
            self.assertTrue(caught.exception.is_permanent)
        self.finish()
