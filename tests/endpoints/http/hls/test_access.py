"""Asked before served, and asked again: with sessions and without."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed

from ntvmedia.access import Request, Verdict
from ntvmedia.endpoints.http.hls.handler import ASKED_SECONDS
from ntvmedia.endpoints.http.hls.outputs import HLSOutputs
from ntvmedia.events import ApplicationChanged
from ntvmedia.media import StreamKey
from tests.endpoints.http.hls.cases import HLSCase, SlowAccess
from tests.hls.rig import KEY, PATH, Player, Rig


class AccessTests(HLSCase):
    """Asked before served, and again when something changed."""

    def setUp(self) -> None:
        super().setUp()
        self.access = SlowAccess({})
        self.rig.host.access = self.access

    def test_refused(self) -> None:
        """B-AC-01: 403 with the reason, and no session."""
        self.access.verdict = Verdict(False, "not from here")
        answer = self.rig.get(PATH)
        self.assertEqual(answer.status, 403)
        self.assertIn(b"not from here", answer.body)
        self.assertEqual(self.outputs.sessions, {})

    def test_signed_for_an_address(self) -> None:
        """F-AC-08: what is signed for one IP address plays from no other, whatever is passed on."""
        for ip, others in (
            ("192.0.2.1", ("192.0.2.7", "2001:db8::1")),
            ("192.0.2.0/29", ("192.0.2.8",)),
        ):
            self.access.verdict = Verdict(True, ip=ip)
            player = self.watch(Player(self.rig))
            segment = self.segment(player)
            for _turn in range(2):
                self.assertEqual(player.poll().status, 200)
                self.assertEqual(self.rig.get(segment).status, 200)
                for other in others:
                    for target in (player.playlist, segment):
                        answer = self.rig.get(target, host=other)
                        self.assertEqual(answer.status, 403, (target, other))
                        self.assertIn(b"somebody else's IP address", answer.body)

    def test_asked_once(self) -> None:
        """One decision holds for all requests of a session."""
        player = self.watch()
        for _poll in range(5):
            player.poll()
            self.rig.get(self.segment(player))
        self.assertEqual(self.access.asked, 1)

    def test_after_a_pause(self) -> None:
        """Who comes back is asked like one who comes."""
        self.watch()
        self.rig.run(30.0)
        self.access.verdict = Verdict(False, "closed")
        self.assertEqual(self.rig.get(self.player.playlist).status, 403)

    def test_polled_after_the_end(self) -> None:
        """Who polls on when the stream is over is asked about now and then, not each time."""
        player = self.watch()
        self.rig.run(8.0)
        self.rig.unpublish()
        asked = self.access.asked
        for _poll in range(20):
            self.assertEqual(player.poll().status, 200)
        self.assertEqual(self.access.asked, asked + 1)
        self.rig.run(ASKED_SECONDS + 0.5)
        self.access.verdict = Verdict(False, "closed")
        self.assertEqual(self.rig.get(player.playlist).status, 403)

    def test_renamed_later(self) -> None:
        """A later verdict that names another stream ends a session of the one before."""
        self.access.verdict = Verdict(True, lifetime=5.0)
        player = self.watch()
        self.access.verdict = Verdict(True, lifetime=5.0, rename=StreamKey("liveshow", "other"))
        self.rig.run(8.0)
        self.assertEqual(self.rig.get(player.playlist).status, 403)
        self.assertEqual(self.viewers, [])

    def test_lifetime(self) -> None:
        """F-AC-09: a verdict that holds for a time is asked for again; withdrawn, it ends all."""
        self.access.verdict = Verdict(True, lifetime=20.0)
        player = self.watch()
        for _second in range(30):
            self.rig.run(1.0)
            self.assertEqual(player.poll().status, 200)
        self.assertEqual(self.access.asked, 2)
        segment = self.segment(player)
        self.access.verdict = Verdict(False, "paid until now")
        for _second in range(15):
            self.rig.run(1.0)
            player.poll()
        self.assertEqual(self.rig.get(player.playlist).status, 403)
        self.assertEqual(self.rig.get(segment).status, 403)
        self.assertEqual(self.plays[-1], "paid until now")

    def test_application_changed(self) -> None:
        """P-204: each session is decided again before its next answer, from memory or not."""
        player = self.watch()
        segment = self.segment(player)
        self.rig.get(segment)
        self.access.verdict = Verdict(False, "the referers have changed")
        self.rig.host.events.emit(ApplicationChanged("liveshow", "liveshow"))
        self.assertEqual(self.rig.get(segment).status, 403)
        self.assertEqual(self.rig.get(player.playlist).status, 403)
        self.assertEqual(self.viewers, [])

    def test_changed_while_it_is_held(self) -> None:
        """What was allowed before a request was held is asked again before it is answered."""
        self.rig.unpublish()
        self.rig.run(0.4)
        self.rig.publish()
        self.rig.run(0.4)
        self.player.join()
        pending = self.player.ask()
        self.assertIsNone(pending.answer)
        self.access.verdict = Verdict(False, "now signed")
        self.rig.host.events.emit(ApplicationChanged("liveshow", "liveshow"))
        self.rig.run(5.0)
        assert pending.answer is not None
        self.assertEqual(pending.answer.status, 403)
        self.assertEqual(self.outputs._visits, {})
        pending.leave()

    def test_changed_while_the_stream_is_awaited(self) -> None:
        """Who has waited for a stream is asked again, on every output."""
        self.rig.unpublish()
        self.rig.run(1.0)
        held = [self.rig.ask(f"/liveshow/test.{x}") for x in ("m3u8", "flv", "ts")]
        self.access.verdict = Verdict(False, "now signed")
        self.rig.publish()
        self.rig.run(3.0)
        for pending in held:
            assert pending.answer is not None
            self.assertEqual(pending.answer.status, 403)
            pending.leave()

    def test_changed_while_it_is_decided(self) -> None:
        """A decision that was asked for before a change does not count after it."""
        first: Deferred[Verdict] = Deferred()
        answers = [first, succeed(Verdict(False, "disabled meanwhile"))]
        self.patch(self.access, "decide", lambda _request: answers.pop(0))
        pending = self.rig.ask(PATH)
        self.rig.host.events.emit(ApplicationChanged("liveshow", "liveshow"))
        first.callback(Verdict(True))
        assert pending.answer is not None
        self.assertEqual(pending.answer.status, 403)
        pending.leave()

    def test_decision_that_fails(self) -> None:
        """At the end of a permission nothing is served from memory until there is another."""
        self.access.verdict = Verdict(True, lifetime=3.0)
        player = self.watch()
        asked: list[Deferred[Verdict]] = []

        def decide(_request: Request, **_how: Any) -> Deferred[Verdict]:
            asked.append(Deferred())
            return asked[-1]

        self.patch(self.access, "decide", decide)
        self.rig.run(5.0)
        self.assertEqual(self.outputs._visits, {})
        pending = player.ask()
        self.assertIsNone(pending.answer)
        for question in asked:
            question.errback(ValueError("a bug"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)
        assert pending.answer is not None
        self.assertEqual((len(asked), pending.answer.status), (2, 500))
        pending.leave()

    def test_forgotten_while_it_is_decided(self) -> None:
        """Nobody becomes a viewer by a session that is gone: nobody would see him leave."""
        self.player.join()
        self.rig.host.events.emit(ApplicationChanged("liveshow", "liveshow"))
        question: Deferred[Verdict] = Deferred()
        self.patch(self.access, "decide", lambda _request, **_how: question)
        pending = self.player.ask()
        self.rig.run(40.0)
        self.assertEqual(len(self.outputs.sessions), 0)
        question.callback(Verdict(True))
        self.rig.run(5.0)
        assert pending.answer is not None
        self.assertEqual(pending.answer.status, 404)
        self.assertEqual((self.viewers, self.plays), ([], []))
        pending.leave()

    def test_change_of_another(self) -> None:
        """What happens to other applications is not theirs."""
        self.watch()
        self.rig.host.events.emit(ApplicationChanged("tv", "tv"))
        self.player.poll()
        self.assertEqual(self.access.asked, 1)

    def test_renamed(self) -> None:
        """A verdict may name another stream; the address stays."""
        self.access.verdict = Verdict(True, rename=KEY)
        player = Player(self.rig, "/liveshow/alias.m3u8")
        self.watch(player)
        self.assertTrue(player.playlist.startswith("/liveshow/alias/~"))
        self.assertEqual(len(self.viewers), 1)


class SharedTests(HLSCase):
    """Without sessions, for a CDN."""

    options: dict[str, Any] = {"hls_sessions": False}  # noqa: RUF012

    def test_one_address_for_all(self) -> None:
        """The addresses are the same for everybody, and nobody is counted."""
        player, other = self.watch(), self.watch(Player(self.rig))
        self.assertEqual(player.playlist, "/liveshow/test/~/ts-av/index.m3u8")
        self.assertEqual(other.playlist, player.playlist)
        self.assertEqual((self.viewers, self.plays), ([], []))
        self.assertEqual(self.rig.get(self.segment(player)).status, 200)

    def test_bytes(self) -> None:
        """What those without a session are sent is in the stream's sum."""
        segment = self.segment(self.watch())
        before = self.rig.host.hub.streams[KEY].bytes_out
        size = len(self.rig.get(segment).body) + len(self.rig.get(segment).body)
        self.rig.run(2.0)
        self.assertGreaterEqual(self.rig.host.hub.streams[KEY].bytes_out - before, size)

    def test_changed_while_it_is_held(self) -> None:
        """An address for all that is refused now is not remembered."""
        self.rig.unpublish()
        self.rig.run(0.4)
        self.rig.publish()
        self.rig.run(0.4)
        self.player.join()
        pending = self.player.ask()
        self.rig.set_options(signed=True)
        self.rig.run(5.0)
        assert pending.answer is not None
        self.assertEqual(pending.answer.status, 403)
        self.assertEqual(self.outputs._visits, {})
        pending.leave()

    def test_caching(self) -> None:
        """C-PL-12: a cache may keep playlists for a moment, at most half of the target duration."""
        player = self.watch()
        for target in (PATH, player.playlist):
            self.assertEqual(self.rig.get(target).headers["cache-control"], "max-age=1")
        self.rig.set_options(hls_sessions=True)
        self.assertEqual(self.rig.get(PATH).headers["cache-control"], "no-store")

    def test_other_spellings(self) -> None:
        """A stranger's spellings do not take the place of the proper one."""
        player = self.watch()
        for number in range(20):
            self.rig.get("/" * (number + 1) + player.playlist)
        player.poll()
        self.assertEqual(len(self.outputs._visits), 1)
        self.assertIsNotNone(self.outputs.find_file(player.playlist.encode()))

    def test_made_while_asked_for(self) -> None:
        """Segments are made while somebody asks, counted or not."""
        self.watch()
        (playlist,) = self.outputs.playlists.by_place.values()
        for _second in range(20):
            self.rig.run(1.0)
            self.player.poll()
        self.assertIsNotNone(playlist.stream)
        self.rig.run(12.0)
        self.assertIsNone(playlist.stream)

    def test_published_anew(self) -> None:
        """C-PL-15: who polls on finds the stream when it is back."""
        player = self.watch()
        self.rig.unpublish()
        self.rig.run(5.0)
        before = player.poll().body
        self.rig.publish()
        for _second in range(5):
            self.rig.run(1.0)
            player.poll()
        self.assertNotEqual(player.poll().body, before)

    def test_turned_on(self) -> None:
        """When sessions are turned on again the common address is refused."""
        player = self.watch()
        segment = self.segment(player)
        self.rig.get(segment)
        self.rig.set_options(hls_sessions=True)
        self.assertEqual(self.rig.get(player.playlist).status, 403)
        self.assertEqual(self.rig.get(segment).status, 403)

    def test_protected(self) -> None:
        """What is protected has sessions, whatever the option says: nobody goes around it."""
        player = self.watch()
        for protecting in ("jwks_url", "authorize_url"):
            self.rig.get(player.playlist)
            self.rig.set_options(**{protecting: "https://id.example/"})
            self.assertEqual(self.rig.get(player.playlist).status, 403, protecting)
            self.rig.set_options(**{protecting: ""})
        self.rig.set_options(referers=("a.example",))
        self.assertEqual(self.rig.get(player.playlist).status, 403)
        other = Player(self.rig)
        other.join()
        self.assertIn("/~", other.playlist)
        self.assertNotIn("/~/", other.playlist)

    def test_renditions(self) -> None:
        """Nobody has playlists made that no address names (F-RE-05)."""
        self.watch()
        names = ("track0", "track1", "track00", "track007", "audio-audio", "", "av0", "video1")
        for name in (*(f"ts-{x}" for x in names), "av", "ts", "hls-av", "TS-av", "ts-video0-audio"):
            answer = self.rig.get(f"/liveshow/test/~/{name}/index.m3u8")
            self.assertEqual(answer.status, 404, name)
        self.assertEqual(len(self.outputs.playlists.by_place), 1)

    def test_lifetime_needs_a_session(self) -> None:
        """A verdict that ends, or names another stream, has a session to end with."""
        self.rig.host.access = access = SlowAccess({})
        for access.verdict in (Verdict(True, lifetime=5.0), Verdict(True, rename=KEY)):
            player = Player(self.rig)
            player.join()
            self.assertNotIn("/~/", player.playlist)

    def test_disabled(self) -> None:
        """Nothing is served from memory to whom access would refuse."""
        player = self.watch()
        segment = self.segment(player)
        for options in ({"enabled": False}, {"enabled": True, "outputs": ("rtmp",)}):
            self.rig.get(segment)
            self.rig.set_options(**options)
            self.assertEqual(self.rig.get(segment).status, 403)
            self.assertEqual(self.rig.get(player.playlist).status, 403)

    def test_changed_while_a_part_is_awaited(self) -> None:
        """Nor is a request answered that was held before: low latency, without a session."""
        for options in ({"enabled": False}, {"outputs": ("rtmp",)}, {"signed": True}):
            rig = Rig(hls_sessions=False, hls_format="ll", hls_audio_variant=False)
            self.addCleanup(rig.close)
            rig.publish()
            rig.run(3.0)
            player = Player(rig)
            player.join()
            player.wait()
            (playlist,) = rig.host.part(HLSOutputs).playlists.by_place.values()
            held = rig.ask(f"{player.playlist}?_HLS_msn={playlist.window.number + 1}")
            self.assertIsNone(held.answer)
            rig.set_options(**options)
            rig.run(5.0)
            assert held.answer is not None
            self.assertEqual(held.answer.status, 403, options)
            held.leave()
