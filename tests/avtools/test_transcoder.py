"""Tests of ntvmedia.avtools.transcoder, with a real child process."""

from __future__ import annotations

import os
import signal

from zope.interface.verify import verifyObject

from ntvmedia.avtools.job import FileInput, Job
from ntvmedia.avtools.process import run_job
from ntvmedia.avtools.transcoder import Transcoder
from ntvmedia.errors import RemoteError
from ntvmedia.interfaces import IPullSink
from ntvmedia.media.relaying import AudioOptions, OutputOptions, VideoOptions
from tests.avtools.rig import Kept, ProcessCase, make_media

SMALL = OutputOptions(VideoOptions("h264", width=32, height=32), AudioOptions("opus"))


class TranscoderTests(ProcessCase):
    """A source of the server's that is encoded anew."""

    async def source(self) -> Kept:
        """Return a second of media."""
        make_media(self.folder / "a.mp4", "mp4", 25)
        kept = Kept()
        await run_job(self.reactor, Job(FileInput("a.mp4", (str(self.folder),))), [kept]).done
        return kept

    async def test_two(self) -> None:
        """One source becomes two streams; both are told what is said of it."""
        source = await self.source()
        sinks = [Kept(), Kept()]
        transcoder = Transcoder(self.reactor, [(SMALL, sinks[0]), (OutputOptions(), sinks[1])])
        self.addCleanup(transcoder.stop)
        verifyObject(IPullSink, transcoder)
        transcoder.metadata_received({"title": "one"})
        transcoder.noted("a line")
        for track in source.tracks:
            transcoder.track_received(track)
        for packet in source.packets:
            transcoder.packet_received(packet)
        transcoder.batch_ended()
        transcoder.end()
        await transcoder.done
        self.assertEqual([x.metadata for x in sinks], [[{"title": "one"}]] * 2)
        self.assertEqual(sinks[0].notes, ["a line"])
        self.assertEqual({x.codec.value for x in sinks[0].tracks}, {"h264", "opus"})
        self.assertEqual(
            sorted(x.payload for x in sinks[1].packets), sorted(x.payload for x in source.packets)
        )
        self.assertEqual(transcoder.dropped, 0)
        transcoder.metadata_received({"title": "late"})
        transcoder.noted("late")
        self.assertEqual((len(sinks[0].metadata), len(sinks[0].notes)), (1, 1))

    async def test_killed(self) -> None:
        """A crash of the encoders is an error of theirs; what is given then goes nowhere."""
        source = await self.source()
        transcoder = Transcoder(self.reactor, [(SMALL, Kept())])
        self.addCleanup(transcoder.stop)
        os.kill(transcoder.pid, signal.SIGKILL)
        with self.assertRaises(RemoteError):
            await transcoder.done
        for track in source.tracks:
            transcoder.track_received(track)
        for packet in source.packets:
            transcoder.packet_received(packet)
        transcoder.end()

    async def test_hang(self) -> None:
        """Encoders that stand still are ended, though packets come; without any, they may wait."""
        source = await self.source()
        sink = Kept()
        transcoder = Transcoder(self.reactor, [(SMALL, sink)])
        self.addCleanup(transcoder.stop)
        for track in source.tracks:
            transcoder.track_received(track)
        for packet in source.packets:
            transcoder.packet_received(packet)
        await self.until(lambda: bool(sink.packets))
        await self.pause(0.5)
        os.kill(transcoder.pid, signal.SIGSTOP)
        limits = transcoder._job._job.limits._replace(stall_seconds=0.5)
        transcoder._job._job = transcoder._job._job._replace(limits=limits)
        await self.pause(2.5)
        self.assertFalse(transcoder.done.called)
        transcoder.packet_received(source.packets[0])
        with self.assertRaisesRegex(RemoteError, "no media for 0.5 seconds"):
            await transcoder.done
