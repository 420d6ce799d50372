"""What is wrong with a stream is said in words; and of a good stream, nothing."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

from ntvmedia.hub.health import Finding, HealthWatch, Rules, Severity
from ntvmedia.hub.health_samples import REMEMBERED_SECONDS, reorders
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.stream import Stream
from ntvmedia.media import Codec, Packet, Track
from tests.hub.cases import KEY, HubCase
from tests.hub.fakes import AUDIO, VIDEO, FakePublisher, audio, video

LOW = Rules(low_latency=True)


class HealthTests(HubCase):
    """A publisher, at ten frames a second of each kind, and what goes wrong with it."""

    def setUp(self) -> None:
        super().setUp()
        self.watch = HealthWatch(self.hub, self.reactor.seconds)
        self.at = 0
        self.audio_at: Callable[[int], int] = lambda milliseconds: milliseconds

    def codes(self, rules: Rules = Rules()) -> list[str]:  # noqa: B008 - a constant
        """Return what is found."""
        return [finding.code for finding in self.findings(rules)]

    def findings(self, rules: Rules = Rules()) -> list[Finding]:  # noqa: B008 - a constant
        """Return it with its words, which are sentences."""
        found = self.watch.findings(self.stream, rules)
        for finding in found:
            for text in (finding.text, finding.advice):
                self.assertRegex(text, r"^[A-Z].{15,250}\.$")
        order = [Severity.ERROR, Severity.WARNING, Severity.INFO]
        places = [order.index(finding.severity) for finding in found]
        self.assertEqual(places, sorted(places))
        return found

    @property
    def stream(self) -> Stream:
        """The stream."""
        return self.hub.streams[KEY]

    def run_for(
        self,
        publication: Publication | None,
        seconds: int,
        *,
        keyframes: int = 2,
        pictures: bool = True,
        sound: bool = True,
        size: int = 100,
        frames: int = 10,
    ) -> None:
        """Let seconds pass.

        Args:
            publication: Who sends; None for nobody.
            keyframes: Seconds between keyframes; 0 for none.
            frames: Of each kind a second; times go on by 100 ms with each.
        """
        for _second in range(seconds):
            for _frame in range(frames if publication is not None else 0):
                assert publication is not None
                packets: list[Packet] = []
                if pictures:
                    key = bool(keyframes) and self.at % (keyframes * 1000) == 0
                    packets.append(video(self.at, key=key, size=size))
                if sound:
                    packets.append(audio(self.audio_at(self.at), size=10))
                self.send(publication, *packets)
                self.reactor.advance(1 / frames / 2)
                self.at += 100
            self.reactor.advance(0.5 if publication is not None and frames else 1.0)
            self.hub.tick()
            self.watch.look()

    def begin_good(self, seconds: int = 15) -> Publication:
        """Publish, and nothing is wrong."""
        publication, _stream = self.begin(VIDEO, AUDIO)
        self.run_for(publication, seconds)
        self.assertEqual(self.codes(LOW), [])
        return publication

    def test_good(self) -> None:
        """Of a good stream nothing is said, from its first moment on."""
        publication, _stream = self.begin(VIDEO, AUDIO)
        self.assertEqual(self.codes(LOW), [])
        self.assertEqual(self.watch.observed_seconds(self.stream), 0.0)
        for _part in range(9):
            self.run_for(publication, 10)
            self.assertEqual(self.codes(LOW), [])
        self.assertAlmostEqual(
            self.watch.observed_seconds(self.stream), REMEMBERED_SECONDS, delta=0.01
        )

    def test_no_keyframe(self) -> None:
        """No keyframe for 10 s: who joins sees nothing."""
        publication = self.begin_good()
        self.run_for(publication, 9, keyframes=0)
        self.assertNotIn("no_keyframe", self.codes())
        self.run_for(publication, 4, keyframes=0)
        self.assertEqual(self.codes(), ["no_keyframe"])
        self.assertIn("no keyframe for 1", self.findings()[0].text)
        self.at += -self.at % 2000
        self.run_for(publication, 4)
        # It is over, but such an interval is still too long.
        self.run_for(publication, 4)
        self.assertEqual(self.codes(), [])

    def test_never_a_keyframe(self) -> None:
        """One who never sends a keyframe is told so too."""
        publication, _stream = self.begin(VIDEO, AUDIO)
        self.at = 100
        self.run_for(publication, 25, keyframes=0)
        self.assertIn("no_keyframe", self.codes())

    def test_rare_keyframes(self) -> None:
        """Every 8 seconds is late for who joins."""
        publication, _stream = self.begin(VIDEO, AUDIO)
        self.run_for(publication, 20, keyframes=8)
        self.assertEqual(self.codes(), ["rare_keyframes"])
        self.assertIn("every 8 s", self.findings()[0].text)

    def test_b_frames(self) -> None:
        """B-frames are found only where low latency is wanted; data and sound have none."""
        publication = self.begin_good()
        base = self.at * 90
        for number, shown in enumerate((300, 100, 200)):
            pts = base + shown * 90
            packet = Packet(VIDEO, base + number * 9000, pts, number == 0, b"123")
            self.send(publication, packet)
        self.watch.look()
        self.at += 300
        self.run_for(publication, 3)
        self.assertEqual(self.codes(), [])
        self.assertEqual(self.codes(LOW), ["b_frames"])
        self.assertFalse(reorders([audio(0), video(10), video(20), audio(5)]))

    def test_missing_sound(self) -> None:
        """Sound that does not come while pictures do: a microphone is unplugged."""
        publication = self.begin_good()
        self.run_for(publication, 4, sound=False)
        self.assertEqual(self.codes(), [])
        self.run_for(publication, 3, sound=False)
        self.assertIn("no_audio", self.codes())

    def test_missing_pictures(self) -> None:
        """And the other way round."""
        publication = self.begin_good()
        self.run_for(publication, 7, pictures=False)
        self.assertIn("no_video", self.codes())

    def test_drift(self) -> None:
        """Sound by another clock than the pictures' moves away from them."""
        publication = self.begin_good()
        began = self.at
        self.audio_at = lambda milliseconds: milliseconds - (milliseconds - began) // 50
        self.run_for(publication, 13)
        self.assertEqual(self.codes(), [])
        self.run_for(publication, 12)
        self.assertEqual(self.codes(), ["drift"])
        finding = self.findings()[0]
        self.assertEqual(finding.severity, Severity.WARNING)
        self.assertRegex(finding.text, r"The sound is 0.\d s behind the pictures, 0.\d s more")
        self.run_for(publication, 35)
        self.assertEqual([x.severity for x in self.findings()], [Severity.ERROR])

    def test_apart_from_the_start(self) -> None:
        """Pictures a second late from the beginning are apart, though they do not drift."""
        publication, _stream = self.begin(VIDEO, AUDIO)
        self.audio_at = lambda milliseconds: milliseconds + 1500
        self.run_for(publication, 15)
        self.assertEqual(self.codes(), ["drift"])
        self.assertEqual(self.findings()[0].text, "The pictures are 1.5 s behind the sound.")

    def test_bit_rate(self) -> None:
        """A bit rate near the limit is told before the publisher is cut for it."""
        publication = self.begin_good()
        self.run_for(publication, 6, size=11_900)  # 953 kbit/s
        self.assertEqual(self.codes(Rules(most_kbps=2000)), [])
        self.assertEqual(self.codes(Rules(most_kbps=1000)), ["bit_rate_near_limit"])
        self.assertEqual(self.codes(Rules(most_kbps=900)), ["bit_rate_over_limit"])
        self.assertEqual(self.codes(), [])
        self.assertIn("953 kbit/s of 900", self.findings(Rules(most_kbps=900))[0].text)

    def test_codecs(self) -> None:
        """Codecs that no browser plays, or not all, are told with what to send instead."""
        for codec, code in (
            (Codec.FLV1, "codec_no_browser"),
            (Codec.VVC, "codec_no_browser"),
            (Codec.HEVC, "codec_some_browsers"),
            (Codec.AV1, None),
            (Codec.SPEEX, "codec_no_browser"),
            (Codec.PCM_ALAW, "codec_no_browser"),
            (Codec.AC3, "codec_some_browsers"),
            (Codec.OPUS, None),
        ):
            track = Track(codec, clock_rate=90_000)
            publication, stream = self.begin(track)
            self.send(publication, Packet(track, 0, 0, True, b"x"))
            self.assertEqual(self.codes(), [code] if code else [], codec)
            stream.end("done")

    def test_profiles(self) -> None:
        """H.264 of 10 bits, and AAC that is not LC, are played by no browser."""
        for track, profile, is_wrong in (
            (VIDEO, "High 10", True),
            (VIDEO, "High 4:2:2", True),
            (VIDEO, "High", False),
            (AUDIO, "LD", True),
            (AUDIO, "HE-AACv2", False),
        ):
            publication, stream = self.begin(track)
            self.send(publication, Packet(track, 0, 0, True, b"x"))
            with mock.patch("ntvmedia.hub.findings.describe") as describe:
                describe.return_value.profile = profile
                self.assertEqual(self.codes(), ["codec_no_browser"] * is_wrong, profile)
                if is_wrong:
                    self.assertIn(profile, self.findings()[0].text)
            stream.end("done")

    def test_jumps(self) -> None:
        """Timestamps that jump are told for a minute, and the more the worse."""
        publication = self.begin_good()
        self.at += 3_600_000
        self.run_for(publication, 2)
        self.assertEqual([x.code for x in self.findings()], ["timestamps"])
        self.assertIn("jumped once", self.findings()[0].text)
        for _jump in range(2):
            self.at += 3_600_000
            self.run_for(publication, 2)
        self.assertEqual([x.severity for x in self.findings()], [Severity.ERROR])
        self.run_for(publication, REMEMBERED_SECONDS + 2)
        self.assertEqual(self.codes(), [])

    def test_disorder(self) -> None:
        """So are many packets out of order."""
        publication = self.begin_good()
        for _frame in range(20):
            self.send(publication, video(self.at - 150, key=False))
            self.send(publication, video(self.at))
            self.at += 100
            self.reactor.advance(0.1)
        self.run_for(publication, 1)
        self.assertIn("timestamps", self.codes())

    def test_silence(self) -> None:
        """Nothing at all is an error before the publisher is given up."""
        publication = self.begin_good()
        self.run_for(None, 1)
        self.assertEqual(self.codes(), [])
        self.run_for(None, 1)
        self.assertEqual(self.codes(), ["silent"])
        self.run_for(publication, 1)
        self.assertNotIn("silent", self.codes())

    def test_stalls(self) -> None:
        """A network that stalls again and again, and then catches up, is told."""
        publication = self.begin_good()
        for _stall in range(3):
            self.assertEqual(self.codes(), [])
            self.run_for(None, 1)
            self.run_for(publication, 1, frames=20)
            self.run_for(publication, 3)
        self.assertEqual(self.codes(), ["stalling"])
        self.run_for(publication, REMEMBERED_SECONDS)
        self.assertEqual(self.codes(), [])

    def test_slide_show(self) -> None:
        """One picture in five seconds is no stall."""
        publication, _stream = self.begin(VIDEO)
        for _picture in range(10):
            self.send(publication, video(self.at, key=True))
            self.at += 4500
            for _second in range(5):
                self.reactor.advance(0.9)
                self.watch.look()
        self.assertNotIn("stalling", self.codes())

    def test_too_slow(self) -> None:
        """Less than a second of media in a second: the encoder does not keep up."""
        publication = self.begin_good()
        self.run_for(publication, 5, frames=8)
        self.assertEqual(self.codes(), [])
        self.run_for(publication, 25, frames=8)
        self.assertEqual(self.codes(), ["too_slow"])
        self.assertIn("0.8", self.findings()[0].text)

    def test_lost(self) -> None:
        """A publisher that is gone is all that is said; one that comes back begins anew."""
        publication = self.begin_good()
        self.at += 3_600_000
        self.run_for(publication, 2)
        publication.close("connection lost", lost=True)
        self.run_for(None, 1)
        self.assertEqual(self.codes(), ["publisher_lost"])
        again = self.hub.publish(KEY, FakePublisher())
        again.track_received(VIDEO)
        again.track_received(AUDIO)
        self.run_for(again, 15)
        self.assertEqual(self.codes(), [])

    def test_forgotten(self) -> None:
        """Of streams that are over nothing is kept."""
        publication = self.begin_good()
        stream = self.stream
        publication.close("done", lost=False)
        self.watch.look()
        self.assertEqual(self.watch.observed_seconds(stream), 0.0)
        self.assertEqual(self.watch.findings(stream, LOW), [])

    def test_nothing_is_changed(self) -> None:
        """Judging is reading: asked twice, the same is said."""
        publication = self.begin_good()
        self.at += 3_600_000
        self.run_for(publication, 3)
        rules = Rules(most_kbps=1)
        self.assertEqual(len(self.findings(rules)), 2)
        self.assertEqual(self.findings(rules), self.findings(rules))
