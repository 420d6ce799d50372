"""What a task makes of a source: one stream or several, copied or encoded, here or elsewhere."""

from __future__ import annotations

from ntvmedia.avtools.transcoder import Transcoder
from ntvmedia.errors import RemoteError
from ntvmedia.events import (
    PublishEnded,
    PublishStarted,
)
from tests.relay.rig import AUDIO, FakeTranscoder, RelayCase
from tests.relay.test_runner import Publisher

SHOWN = "fake://<hidden>@h/s?<hidden>"


class OutputTests(RelayCase):
    """What is made of a source."""

    def test_left_out(self) -> None:
        """Video or audio that is "none" is left out, with nothing encoded."""
        self.add(video={"codec": "none"})
        self.source.last.start()
        self.source.last.media(2.0)
        self.assertEqual([x.codec for x in self.stream().tracks], [AUDIO.codec])
        self.assertEqual(self.transcoders, [])
        self.finish()

    def test_renditions(self) -> None:
        """A source is pulled once for all streams; what is encoded is by one transcoder."""
        id_ = self.add(
            renditions=[
                {"stream": "cam_360p", "video": {"codec": "h264", "height": 360}},
                {"stream": "cam_sound", "video": {"codec": "none"}, "audio": {"codec": "opus"}},
            ]
        )
        self.assertEqual(len(self.source.pulls), 1)
        [transcoder] = self.transcoders
        self.assertEqual([x.video.height for x in transcoder.outputs], [360, 0])
        self.source.last.start()
        self.source.last.media(2.0)
        names = sorted(key.stream for key in self.host.hub.streams)
        self.assertEqual(names, ["cam", "cam_360p", "cam_sound"])
        self.assertEqual(len(self.ups()), 1)
        self.successResultOf(self.relays.stop(id_))
        self.assertTrue(transcoder.is_stopped)
        self.assertEqual(self.host.hub.streams, {})
        self.finish()

    def test_transcoder_fails(self) -> None:
        """A transcoder that crashes costs this task one restart."""
        id_ = self.add(audio={"codec": "aac"})
        self.source.last.start()
        self.transcoders[0].done.errback(RemoteError("the helper process crashed (SIGSEGV)"))
        self.assertEqual(self.state(id_)[:2], ("waiting", "the helper process crashed (SIGSEGV)"))
        self.assertEqual(self.source.open, [])
        self.advance(1.5)
        self.assertEqual(len(self.transcoders), 2)
        self.finish()

    def test_end_of_what_is_encoded(self) -> None:
        """A source's end is that of the stream when the last picture is encoded, not before."""
        id_ = self.add(video={"codec": "h264"}, loop=False)
        self.source.last.start()
        self.source.last.end()
        [transcoder] = self.transcoders
        self.assertTrue(transcoder.is_ending)
        self.assertEqual(self.state(id_).state, "running")
        transcoder.done.callback(None)
        self.assertEqual(self.state(id_)[:2], ("stopped", "the source has ended"))
        self.assertTrue(transcoder.is_stopped)
        self.finish()

    def test_source_that_transcodes(self) -> None:
        """One that encodes itself is given all outputs; for a plain copy it is pulled plainly."""
        id_ = self.add("coded://h/x", video={"codec": "h264"})
        self.assertEqual([x.video.codec for x in self.coded.outputs], ["h264"])
        self.coded.last.start()
        self.assertEqual(self.state(id_).state, "running")
        self.assertEqual(self.transcoders, [])
        self.finish()

    def test_other_server(self) -> None:
        """A target on another server gets the stream; nobody can watch it here."""
        id_ = self.add(
            target={
                "server": "rtmp://u:p@other.example",
                "application": "live",
                "stream": "key?a=1",
                "query": "token=2",
            }
        )
        self.source.last.sink.passed(("far",))
        self.source.last.start()
        self.source.last.media(3.0)
        self.assertEqual(self.host.hub.streams, {})
        # E-ST-12: the query stands there once.
        self.assertEqual(self.target.urls, ["rtmp://u:p@other.example/live/key?a=1&token=2"])
        self.assertGreater(len(self.target.got), 4)
        # E-ST-08: what sends it to us, or gets it from us, sees that it was here.
        self.assertEqual(self.target.hops, ("far", self.host.server_id))
        self.assertEqual(self.state(id_).state, "running")
        [up] = [x for x in self.events if not isinstance(x, PublishStarted | PublishEnded)]
        self.assertEqual(up.server, "rtmp://<hidden>@other.example")  # type: ignore[attr-defined]
        self.target.done.errback(RemoteError("refused: 403", is_permanent=True))
        state = self.state(id_)
        self.assertEqual(state[:3], ("waiting", "refused: 403", True))
        self.assertEqual(len(self.source.open), 1)
        self.finish()

    def test_other_server_after_the_end(self) -> None:
        """One that came to its end and is started again sends its stream once, as before."""
        target = {"server": "rtmp://other.example", "application": "live", "stream": "s"}
        id_ = self.add(target=target, loop=False)
        for number in range(1, 4):
            self.source.last.start()
            self.source.last.media(3.0)
            self.assertEqual(len(self.target.urls), number)
            self.source.last.end()
            self.assertEqual(self.state(id_).state, "stopped")
            self.relays.start(id_)
        self.finish()

    def test_transcoder_of_a_test(self) -> None:
        """The stand-in is asked as the real one is."""
        for name in ("track_received", "packet_received", "batch_ended", "end", "stop"):
            self.assertTrue(callable(getattr(Transcoder, name)))
        self.assertTrue(FakeTranscoder(None, [(None, Publisher())]).stop().called)
