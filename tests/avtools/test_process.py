"""Tests of ntvmedia.avtools.process and of the child, with real processes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError

from ntvmedia.avtools import process, watching
from ntvmedia.avtools.job import (
    CardInput,
    DatagramInput,
    DataInput,
    FileInput,
    Job,
    Limits,
    PacketsInput,
)
from ntvmedia.avtools.probing import probe
from ntvmedia.avtools.process import RunningJob, run_job
from ntvmedia.errors import RemoteError
from ntvmedia.media.packets import MediaKind
from ntvmedia.media.relaying import AudioOptions, OutputOptions, VideoOptions
from tests.avtools.rig import (
    Kept,
    ProcessCase,
    descriptors,
    free_udp_port,
    is_alive,
    make_media,
)

ROOT = Path(process.__file__).parents[2]


class FileTests(ProcessCase):
    """A file that is copied."""

    def start(self, name: str, *, loop: bool = False) -> tuple[RunningJob, Kept]:
        """Start a job with a file of the folder."""
        sink = Kept()
        source = FileInput(name, (str(self.folder),), loop)
        return self.watch(run_job(self.reactor, Job(source), [sink])), sink

    async def test_once(self) -> None:
        """A file's tracks and packets come, at the speed of life, and then it is over."""
        make_media(self.folder / "a.mp4", "mp4", 50)
        began = self.reactor.seconds()
        job, sink = self.start("a.mp4")
        await job.done
        self.assertEqual({x.codec.value for x in sink.tracks}, {"h264", "aac"})
        video = [x for x in sink.packets if x.track.kind is MediaKind.VIDEO]
        self.assertEqual(len(video), 50)
        self.assertEqual([x.is_keyframe for x in video][::10], [True] * 5)
        self.assertEqual(sorted(x.pts for x in video), list(range(0, 50 * 3600, 3600)))
        # Two seconds, of which one may be ahead.
        self.assertGreater(self.reactor.seconds() - began, 0.9)
        self.assertGreater(sink.batches, 5)
        self.assertEqual(job.pid, 0)

    async def test_loop(self) -> None:
        """E-SR-06: over the joint of a loop, times go on by exactly one frame, in each track."""
        make_media(self.folder / "a.ts", "mpegts", 25)
        job, sink = self.start("a.ts", loop=True)
        await self.until(lambda: len([x for x in sink.packets if x.track.id == 0]) >= 60)
        await job.stop()
        # The sound is the longest track, which has no gap at the joint; of the picture it is as
        # long as the sound is longer.
        sound = [x.pts for x in sink.packets if x.track.kind is MediaKind.AUDIO]
        self.assertLessEqual({b - a for a, b in pairwise(sound)}, {1023, 1024, 1025})
        times = sorted(x.pts for x in sink.packets if x.track.kind is MediaKind.VIDEO)[:50]
        self.assertLess(max(b - a for a, b in pairwise(times)), 3600 + 90 * 50)
        for track in {x.track.id for x in sink.packets}:
            decoded = [x.dts for x in sink.packets if x.track.id == track]
            self.assertEqual(decoded, sorted(set(decoded)))

    async def test_loop_of_pictures(self) -> None:
        """E-SR-06: without sound, the pictures go on by exactly one frame."""
        make_media(self.folder / "a.mp4", "mp4", 10, audio="")
        job, sink = self.start("a.mp4", loop=True)
        await self.until(lambda: len(sink.packets) >= 40)
        await job.stop()
        self.assertEqual({b.dts - a.dts for a, b in pairwise(sink.packets)}, {3600})
        times = sorted(x.pts for x in sink.packets)[:35]
        self.assertEqual({b - a for a, b in pairwise(times)}, {3600})

    async def test_outside(self) -> None:
        """A file beside the folders is refused, and for good."""
        job, _sink = self.start("/etc/passwd")
        error = await self.error_of(job)
        self.assertIn("relay.folders", str(error))
        self.assertTrue(error.is_permanent)

    async def test_playlist(self) -> None:
        """F-SS-01: a playlist by the name of a film is opened by no demuxer."""
        text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
        for data in (text, "ffconcat version 1.0\nfile a.ts\n", "<?xml version='1.0'?><MPD/>"):
            (self.folder / "up.mp4").write_text(data)
            job, _sink = self.start("up.mp4")
            error = await self.error_of(job)
            self.assertEqual(str(error), "the file is of no known format")

    async def test_broken(self) -> None:
        """A file that is cut off in its header is an error in words, without its name."""
        make_media(self.folder / "a.mp4", "mp4", 10)
        (self.folder / "b.mp4").write_bytes((self.folder / "a.mp4").read_bytes()[:100])
        job, _sink = self.start("b.mp4")
        error = await self.error_of(job)
        self.assertNotIn("b.mp4", str(error))

    async def test_probe(self) -> None:
        """What is in a file is told, and nothing is pulled."""
        make_media(self.folder / "a.mkv", "matroska", 50)
        found = await probe(self.reactor, Job(FileInput("a.mkv", (str(self.folder),))))
        self.assertIn("matroska", found.format)
        self.assertTrue(2.0 <= found.duration_seconds < 2.1, found)
        video, audio = found.tracks
        self.assertEqual((video.kind, video.codec, video.width), ("video", "h264", 64))
        self.assertEqual((audio.codec, audio.sample_rate, audio.channels), ("aac", 48000, 1))

    async def test_probe_fails(self) -> None:
        """What cannot be opened is an error of a probe too."""
        with self.assertRaises(RemoteError):
            await probe(self.reactor, Job(FileInput("none.mp4", (str(self.folder),))))


class LifeTests(ProcessCase):
    """What becomes of a process."""

    def start(self, limits: Limits | None = None) -> tuple[RunningJob, Kept]:
        """Start a test card."""
        sink = Kept()
        job = Job(CardInput(64, 48), limits=limits or Limits())
        return self.watch(run_job(self.reactor, job, [sink])), sink

    async def running(self, limits: Limits | None = None) -> tuple[RunningJob, Kept]:
        """Start a test card, and wait for packets."""
        job, sink = self.start(limits)
        await self.until(lambda: len(sink.packets) > 5)
        return job, sink

    async def test_killed(self) -> None:
        """A process that is killed is an error of its job, and the sink is left alone after it."""
        job, sink = await self.running()
        os.kill(job.pid, signal.SIGKILL)
        error = await self.error_of(job)
        self.assertEqual(str(error), "the helper process crashed (SIGKILL)")
        self.assertFalse(error.is_permanent)
        count = len(sink.packets)
        await self.pause(0.1)
        self.assertEqual(len(sink.packets), count)

    async def test_killed_while_it_starts(self) -> None:
        """One that is gone before the server has it in hand is one like any other."""
        spawn = self.reactor.spawnProcess

        def spawn_late(*args: Any, **options: Any) -> Any:
            made = spawn(*args, **options)
            os.kill(made.pid, signal.SIGKILL)
            while made.pid is not None:
                made.reapProcess()
            return made

        self.patch(self.reactor, "spawnProcess", spawn_late)
        job = self.watch(run_job(self.reactor, Job(CardInput()), [Kept()]))
        self.assertEqual(str(await self.error_of(job)), "the helper process crashed (SIGKILL)")
        self.assertEqual(job.pid, 0)

    async def test_segmentation_fault(self) -> None:
        """So is a crash."""
        job, _sink = await self.running()
        os.kill(job.pid, signal.SIGSEGV)
        self.assertEqual(str(await self.error_of(job)), "the helper process crashed (SIGSEGV)")

    async def test_hang(self) -> None:
        """E-ST-01, E-ST-03: a process that stands still is killed when no media came for a while.

        It is watched from outside: none of FFmpeg's own deadlines could end one that is stopped.
        """
        job, _sink = await self.running(Limits(stall_seconds=0.5))
        pid = job.pid
        os.kill(pid, signal.SIGSTOP)
        self.assertEqual(str(await self.error_of(job)), "no media for 0.5 seconds")
        self.assertFalse(is_alive(pid))

    async def test_stop(self) -> None:
        """A job that is stopped ends well, and twice is once."""
        job, sink = await self.running()
        pid = job.pid
        await job.stop()
        await job.stop()
        await job.done
        self.assertFalse(is_alive(pid))
        self.assertEqual(job.pid, 0)
        count = len(sink.packets)
        await self.pause(0.1)
        self.assertEqual(len(sink.packets), count)

    async def test_stop_while_it_starts(self) -> None:
        """A job may be stopped before its process has done anything."""
        job, sink = self.start()
        await job.stop()
        await job.done
        self.assertEqual(sink.tracks, [])

    async def test_cancelled(self) -> None:
        """To cancel `done` ends the process."""
        job, _sink = await self.running()
        pid = job.pid
        job.done.cancel()
        with self.assertRaises(CancelledError):
            await job.done
        await job.stop()
        self.assertFalse(is_alive(pid))

    async def test_fifty(self) -> None:
        """Fifty starts and stops leave no descriptor and no process behind."""
        # The first one has Twisted open what it keeps.
        await self.start()[0].stop()
        before = descriptors()
        for _round in range(10):
            jobs = [self.start()[0] for _number in range(5)]
            for job in jobs:
                await job.stop()
        await self.pause(0)
        self.assertEqual(descriptors(), before)

    async def test_nothing_inherited(self) -> None:
        """The process has its three pipes, and none of the server's files or surroundings."""
        os.environ["NTVMEDIA_TEST_SECRET"] = "secret"
        self.addCleanup(os.environ.pop, "NTVMEDIA_TEST_SECRET")
        read, write = os.pipe()
        os.set_inheritable(write, True)
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        job, _sink = await self.running()
        place = Path(f"/proc/{job.pid}")
        pipes = {os.readlink(x) for x in (place / "fd").iterdir()}
        self.assertEqual(len(pipes), 3, pipes)
        self.assertTrue(all(x.startswith("pipe:") for x in pipes), pipes)
        self.assertNotIn(b"SECRET", (place / "environ").read_bytes())
        self.assertTrue(os.readlink(place / "cwd").endswith("(deleted)"))
        limits = (place / "limits").read_text()
        self.assertRegex(limits, r"Max file size +0 ")
        for name in ("Max data size", "Max address space"):
            self.assertRegex(limits, rf"{name} +{1 << 30} ")
        self.assertRegex(limits, r"Max core file size +0 ")
        self.assertRegex(limits, r"Max open files +64 ")
        self.assertEqual(os.getsid(job.pid), job.pid)
        # No program that it might start gets more rights; it dies first, and gives way.
        status = (place / "status").read_text()
        self.assertRegex(status, r"NoNewPrivs:\s+1\n")
        self.assertRegex(status, r"Umask:\s+0077\n")
        self.assertEqual((place / "oom_score_adj").read_text(), "500\n")
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, job.pid), min(nice + 5, 19))

    async def test_sink_that_fails(self) -> None:
        """A bug in a sink ends its job, with a traceback in the log."""
        job, sink = self.start()

        def fail() -> None:
            raise ZeroDivisionError

        sink.on_packet = fail
        self.assertIn("log", str(await self.error_of(job)))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_processor(self) -> None:
        """One that takes more processor time than it may is ended by the kernel."""
        sink = Kept()
        limits = Limits(cpu_seconds=1)
        outputs = (OutputOptions(VideoOptions("h264"), AudioOptions("aac")),)
        job = run_job(self.reactor, Job(CardInput(1920, 1080, 60), outputs, False, limits), [sink])
        error = await self.error_of(self.watch(job))
        self.assertRegex(str(error), "processor time|SIGKILL")

    def test_parent_dies(self) -> None:
        """A process whose parent is killed dies with it."""
        code = """
            from twisted.internet import reactor
            from ntvmedia.avtools.job import CardInput, Job
            from ntvmedia.avtools.process import run_job
            from tests.avtools.rig import Kept
            def begin():
                sink = Kept()
                job = run_job(reactor, Job(CardInput(64, 48)), [sink])
                sink.on_packet = lambda: print(job.pid, flush=True)
            reactor.callWhenRunning(begin)
            reactor.run()
        """
        parent = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert parent.stdout is not None
        with parent, parent.stdout:
            pid = int(parent.stdout.readline())
            self.assertTrue(is_alive(pid))
            parent.kill()
            parent.wait()

        async def gone() -> None:
            await self.until(lambda: not is_alive(pid), 5)

        from twisted.internet.defer import Deferred

        return Deferred.fromCoroutine(gone())  # type: ignore[return-value]


class InputTests(ProcessCase):
    """What the server gives."""

    async def test_data(self) -> None:
        """Bytes that the server has read are demuxed."""
        make_media(self.folder / "a.flv", "flv", 25)
        data = (self.folder / "a.flv").read_bytes()
        sink = Kept()
        for kind in ("flv", ""):
            job = self.watch(run_job(self.reactor, Job(DataInput(kind)), [sink]))
            for place in range(0, len(data), 1000):
                job.write_data(data[place : place + 1000])
            job.end()
            await job.done
        self.assertEqual(len([x for x in sink.packets if x.track.id == 0]), 50)

    async def test_data_is_held(self) -> None:
        """Who gives faster than the child takes is told to wait, and then to go on."""
        calls: list[bool] = []
        job = run_job(self.reactor, Job(DataInput("flv")), [Kept()], paused=calls.append)
        self.watch(job)
        job.write_data(b"FLV\1\5\0\0\0\x09\0\0\0\0" + bytes(1 << 20))
        self.assertEqual(calls, [True])
        await self.until(lambda: calls == [True, False])

    async def test_packets(self) -> None:
        """Tracks and packets of the server's are encoded anew, for two outputs."""
        make_media(self.folder / "a.mp4", "mp4", 50)
        source = Kept()
        await run_job(self.reactor, Job(FileInput("a.mp4", (str(self.folder),))), [source]).done
        sinks = [Kept(), Kept()]
        outputs = (
            OutputOptions(VideoOptions("h264", width=32, height=32), AudioOptions("none")),
            OutputOptions(),
        )
        job = self.watch(run_job(self.reactor, Job(PacketsInput(), outputs), sinks))
        for track in source.tracks:
            job.track_received(track)
        for packet in source.packets:
            job.packet_received(packet)
        job.end()
        await job.done
        self.assertEqual(job.dropped, 0)
        self.assertEqual(len(sinks[0].packets), 50)
        self.assertEqual(len(sinks[1].packets), len(source.packets))
        self.assertNotEqual(sinks[0].tracks[0].config, source.tracks[0].config)

    async def test_port_is_given_back(self) -> None:
        """A port is free again as soon as the job is over; two at once are refused in words."""
        source = DatagramInput("127.0.0.1", free_udp_port())
        for _round in range(2):
            sink = Kept()
            job = self.watch(run_job(self.reactor, Job(source), [sink]))
            await self.until(lambda sink=sink: bool(sink.notes))  # type: ignore[misc]
            other = self.watch(run_job(self.reactor, Job(source), [Kept()]))
            self.assertIn("another task", str(await self.error_of(other)))
            await job.stop()


class DamageTests(ProcessCase):
    """MPEG-TS as networks leave it."""

    async def play(self, data: bytes) -> Kept:
        """Have some bytes demuxed as they come from a network; return what came of it."""
        sink = Kept()
        job = self.watch(run_job(self.reactor, Job(DataInput("mpegts")), [sink]))
        job.write_data(data)
        job.end()
        try:
            await job.done
        except RemoteError as error:
            self.assertNotIn("crashed", str(error))
        return sink

    async def test_damage(self) -> None:
        """E-SR-05: after garbage, among longer packets and behind losses, pictures are found."""
        make_media(self.folder / "a.ts", "mpegts", 50)
        data = (self.folder / "a.ts").read_bytes()
        packets = [data[x : x + 188] for x in range(0, len(data), 188)]
        chance = random.Random(7)
        count = len([x for x in (await self.play(data)).packets if x.track.id == 0])
        self.assertEqual(count, 50)
        for name, damaged, least in (
            ("garbage", chance.randbytes(1000).replace(b"\x47", b"\0") + data, 50),
            ("longer packets", b"".join(x + bytes(16) for x in packets), 50),
            ("losses", b"".join(x for x in packets if chance.random() > 0.01), 20),
            ("a byte too many", data[: 188 * 40] + b"x" + data[188 * 40 :], 25),
            ("twice", data + data, 90),
        ):
            found = [x for x in (await self.play(damaged)).packets if x.track.id == 0]
            self.assertGreaterEqual(len(found), least, name)

    async def test_mutated(self) -> None:
        """F-RE-09: whatever is changed in it, the child ends with media or with words."""
        make_media(self.folder / "a.ts", "mpegts", 10)
        data = (self.folder / "a.ts").read_bytes()
        for seed in range(8):
            chance = random.Random(seed)
            changed = bytearray(data)
            for _number in range(40):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            await self.play(bytes(changed))


class HostileTests(ProcessCase):
    """A child that was broken into: it says whatever it likes."""

    def start(self, code: str, limits: Limits | None = None) -> tuple[RunningJob, Kept]:
        """Start a process of our own in place of the worker."""
        arguments = ("-c", textwrap.dedent(code))
        self.patch(process, "_ARGUMENTS", arguments)
        sink = Kept()
        job = run_job(self.reactor, Job(CardInput(), limits=limits or Limits()), [sink])
        return self.watch(job), sink

    async def test_junk(self) -> None:
        """What is no frame ends the job."""
        job, _sink = self.start("import os, time; os.write(1, b'junk' * 9); time.sleep(60)")
        self.assertIn("what it never says", str(await self.error_of(job)))

    async def test_outputs_that_are_none(self) -> None:
        """Nor may it name an output or a track that there is not."""
        job, _sink = self.start(
            """
            import os, time
            from ntvmedia.avtools.framing import build_packet
            from ntvmedia.media.packets import Codec, Packet, Track
            os.write(1, build_packet(Packet(Track(Codec.H264), 0, 0, True, b""), 7))
            time.sleep(60)
            """
        )
        self.assertIn("a packet of no track", str(await self.error_of(job)))

    async def test_flood(self) -> None:
        """One that never stops talking is read at a bounded speed, and the server goes on."""
        self.patch(process, "MAX_BYTES_A_SECOND", 1 << 20)
        job, sink = self.start(
            """
            import os
            from ntvmedia.avtools.framing import FrameType, build_frame
            note = build_frame(FrameType.NOTE, b"again " * 1000)
            while True:
                os.write(1, note)
                os.write(2, b"http://u:p@host/secret\\n" * 1000)
            """,
            Limits(open_seconds=2.5),
        )
        turns = 0
        end = self.reactor.seconds() + 2
        while self.reactor.seconds() < end:
            await self.pause(0.001)
            turns += 1
        self.assertGreater(turns, 100)
        taken = Path(f"/proc/{job.pid}/io").read_text()
        written = int(taken.split("wchar: ")[1].split()[0])
        self.assertLess(written, 12 << 20)
        self.assertIn("nothing that could be used", str(await self.error_of(job)))
        self.assertLess(len(sink.notes), 30)
        self.assertIn("http://host", sink.notes)

    async def test_busy(self) -> None:
        """One that takes all of a core, where its work needs little, is ended."""
        self.patch(watching, "CPU_SECONDS", 1.0)
        job, _sink = self.start("while True: pass", Limits(cpu_share=0.3))
        self.assertEqual(
            str(await self.error_of(job)), "the helper process takes too much of the processor"
        )

    async def test_silence(self) -> None:
        """E-SR-02: one that never gets anywhere is ended."""
        job, _sink = self.start("import time; time.sleep(60)", Limits(open_seconds=0.3))
        self.assertEqual(
            str(await self.error_of(job)), "nothing that could be used for 0.3 seconds"
        )

    async def test_deaf(self) -> None:
        """One that does not go when it is asked is killed."""
        job, sink = self.start(
            """
            import os, signal, time
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(2, b"deaf\\n")
            time.sleep(600)
            """,
            # No watchdog kills it before.
            Limits(open_seconds=1000.0),
        )
        await self.until(lambda: sink.notes == ["deaf"])
        pid, began = job.pid, self.reactor.seconds()
        await job.stop()
        self.assertGreater(self.reactor.seconds() - began, process.KILL_SECONDS - 0.1)
        self.assertFalse(is_alive(pid))

    async def test_memory(self) -> None:
        """F-SS-04: a bomb fails alone, at the limit of its memory."""
        job, _sink = self.start(
            """
            from ntvmedia.avtools import doing, worker
            doing.run = lambda *_job: bytearray(2 << 30)
            worker.main()
            """
        )
        error = await self.error_of(job)
        self.assertEqual(
            str(error), "the helper process needs more than the 1024 MiB that it may have"
        )
        self.assertFalse(error.is_permanent)

    async def test_no_word(self) -> None:
        """One that ends without saying so has not done its job."""
        job, _sink = self.start("pass")
        self.assertEqual(str(await self.error_of(job)), "the helper process ended without a word")

    async def test_status(self) -> None:
        """A bug in the child is told with its status; the traceback is in the task's log."""
        job, sink = self.start("import sys; sys.stdin.buffer.read(1); raise ZeroDivisionError('x')")
        self.assertEqual(str(await self.error_of(job)), "the helper process failed with status 1")
        self.assertIn("ZeroDivisionError: x", sink.notes)
