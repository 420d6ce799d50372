"""Who may publish and play over RTSP: passwords by any way, applications, signed addresses."""

from __future__ import annotations

import base64
from typing import Any

from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import Action, Application
from ntvmedia.access.signing import signed_query
from ntvmedia.endpoints.rtsp.connection import MAX_CHALLENGES
from ntvmedia.media import StreamKey
from ntvmedia.wire.rtsp.challenges import Algorithm, Challenge, authorization, parse_challenges
from ntvmedia.wire.rtsp.messages import Response
from ntvmedia.wire.rtsp.rtp_info import TrackInfo
from tests.endpoints.rtsp.server import (
    AUDIO,
    HOST,
    KEY,
    TCP,
    URL,
    VIDEO,
    Peer,
    Server,
    Source,
    media,
)

PASSWORD = 'se"cret, ü'
APPLICATION = Application("liveshow", publish_password=PASSWORD)


def basic(password: str, user: str = "anybody") -> str:
    """Return the header of a client that shows its password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class PasswordTests(SynchronousTestCase):
    """D-RQ-02, D-RQ-03, D-RQ-04: the publish password of an application."""

    def setUp(self) -> None:
        self.server = Server(liveshow=APPLICATION)

    def challenged(self, answer: Response) -> list[Challenge]:
        """Check that a password is asked for, and return how."""
        self.assertEqual(answer.status, 401)
        return parse_challenges(answer.headers.get_all("WWW-Authenticate"))

    def answered(
        self, peer: Peer, algorithm: Algorithm, password: str = PASSWORD, uri: str = URL
    ) -> Response:
        """Announce, be asked, and answer by a digest."""
        offered = self.challenged(peer.announce())
        challenge = next(x for x in offered if x.scheme == "digest" and x.algorithm is algorithm)
        header = authorization(challenge, "anybody", password, "ANNOUNCE", uri)
        return peer.announce(Authorization=header)

    def test_challenges(self) -> None:
        """D-RQ-03: Digest first, with SHA-256 and MD5, then Basic; the connection stays open."""
        peer = self.server.peer()
        found = self.challenged(peer.announce())
        self.assertEqual(
            [(x.scheme, x.parameters.get("algorithm", "")) for x in found],
            [("digest", "SHA-256"), ("digest", ""), ("basic", "")],
        )
        self.assertEqual(len({x.parameters["realm"] for x in found}), 1)
        self.assertFalse(peer.transport.disconnecting)
        self.assertEqual(self.server.kinds(), [])

    def test_options_are_open(self) -> None:
        """D-RQ-01: they need no password."""
        self.assertEqual(self.server.peer().ask("OPTIONS").status, 200)

    def test_digest(self) -> None:
        """Both algorithms, and the addresses that clients name in them."""
        for algorithm in (Algorithm.MD5, Algorithm.SHA_256):
            for uri in (URL, URL + "/", "/liveshow/test", "*"):
                peer = self.server.peer()
                self.assertEqual(self.answered(peer, algorithm, uri=uri).status, 200, uri)

    def test_publishes(self) -> None:
        """One password is enough for a session: what follows the announcement needs none."""
        peer = self.server.peer()
        self.assertEqual(self.answered(peer, Algorithm.MD5).status, 200)
        peer.ok("SETUP", "/trackID=0", Transport=f"{TCP}0-1;mode=record")
        peer.ok("RECORD")
        self.assertEqual(self.server.kinds(), ["PublishStarted"])

    def test_wrong_digest(self) -> None:
        """Another password, another stream, another method, or the digest of somebody else."""
        for algorithm in (Algorithm.MD5, Algorithm.SHA_256):
            peer = self.server.peer()
            self.challenged(self.answered(peer, algorithm, password="secret"))
            self.challenged(self.answered(peer, algorithm, uri=URL + "2"))
        peer = self.server.peer()
        (challenge, *_others) = self.challenged(peer.announce())
        header = authorization(challenge, "anybody", PASSWORD, "DESCRIBE", URL)
        self.challenged(peer.announce(Authorization=header))
        other = self.server.peer("192.0.2.2")
        header = authorization(challenge, "anybody", PASSWORD, "ANNOUNCE", URL)
        found = self.challenged(other.announce(Authorization=header))
        self.assertEqual(found[0].parameters.get("stale"), "true")
        self.assertEqual(self.server.kinds(), [])

    def test_old_digest(self) -> None:
        """A nonce that is too old is replaced, and the person is not asked again."""
        peer = self.server.peer()
        (challenge, *_others) = self.challenged(peer.announce())
        for _ in range(20):
            self.server.wait(20)
            peer.ok("OPTIONS")
        header = authorization(challenge, "anybody", PASSWORD, "ANNOUNCE", URL)
        (challenge, *_others) = self.challenged(peer.announce(Authorization=header))
        self.assertEqual(challenge.parameters.get("stale"), "true")
        header = authorization(challenge, "anybody", PASSWORD, "ANNOUNCE", URL)
        self.assertEqual(peer.announce(Authorization=header).status, 200)

    def test_basic(self) -> None:
        """A client that shows its password; the user's name is nobody's."""
        for user in ("", "anybody"):
            peer = self.server.peer()
            answer = peer.announce(Authorization=basic(PASSWORD, user))
            self.assertEqual(answer.status, 200)
        self.challenged(self.server.peer().announce(Authorization=basic("secret")))
        self.challenged(self.server.peer().announce(Authorization=basic("")))

    def test_query(self) -> None:
        """In the address, as with RTMP; the tracks' addresses have it or not."""
        told = "?password=se%22cret%2C%20%C3%BC"
        for behind in ("", told):
            peer = self.server.peer(path=f"/liveshow/test{told}")
            self.assertEqual(peer.announce().status, 200)
            url = f"{URL}/trackID=0{behind}"
            peer.ok("SETUP", url, Transport=f"{TCP}0-1;mode=record")
            peer.ok("RECORD")
            self.assertEqual(list(self.server.hub.streams), [KEY])
            peer.ok("TEARDOWN")
        self.challenged(self.server.peer(path="/liveshow/test?password=secret").announce())
        self.challenged(self.server.peer(path="/liveshow/test?password=").announce())

    def test_hostile_headers(self) -> None:
        """D-RQ-04: what is no answer at all is a wrong one."""
        for header in (
            "Digest",
            "Basic",
            "Basic !!!!",
            "Digest username=",
            'Digest username="a", algorithm=MD6, response="b"',
            "Digest " + "a" * 8000,
            "Bearer x",
            'Digest response="' + "," * 3000,
        ):
            peer = self.server.peer()
            self.challenged(peer.announce(Authorization=header))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_five_times(self) -> None:
        """D-RQ-02: a person may try again, a program that guesses may not."""
        peer = self.server.peer()
        for number in range(MAX_CHALLENGES):
            self.challenged(peer.announce(Authorization=basic(f"guess {number}")))
            self.assertFalse(peer.transport.disconnecting)
        answer = peer.announce(Authorization=basic("one more"))
        self.assertEqual(answer.status, 403)
        self.assertTrue(peer.transport.disconnecting)
        # What it still sends is not looked at, be it right.
        peer.protocol.dataReceived(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        self.assertEqual(peer.answers(), [])

    def test_right_in_the_end(self) -> None:
        """The last try may be the right one."""
        peer = self.server.peer()
        for _ in range(MAX_CHALLENGES):
            self.challenged(peer.announce())
        self.assertEqual(peer.announce(Authorization=basic(PASSWORD)).status, 200)

    def test_playing_needs_none(self) -> None:
        """The password is for publishers."""
        self.server.source()
        self.assertEqual(self.server.peer().ask("DESCRIBE").status, 200)

    def test_log(self) -> None:
        """F-AC-03: no password is ever logged, wherever it stands."""
        logged: list[str] = []

        def log(event: LogEvent) -> None:
            logged.append(formatEvent(event))

        observer: Any = log
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        peer = self.server.peer(path="/liveshow/test?password=verysecret")
        peer.announce(Authorization=basic("verysecret"))
        peer.url = "rtsp://user:verysecret@192.0.2.9:8554/liveshow/test"
        peer.announce(Authorization=basic("verysecret"))
        peer.protocol.dataReceived(b"verysecret" * 10_000)
        self.assertGreaterEqual(len(logged), 3)
        self.assertNotIn("verysecret", "\n".join(logged))


class ApplicationTests(SynchronousTestCase):
    """What the administrator allows, at any moment."""

    def setUp(self) -> None:
        self.server = Server()

    def test_disabled(self) -> None:
        """A disabled application refuses publishers and players."""
        self.server.source()
        self.server.change(Application("liveshow", enabled=False))
        peer = self.server.peer()
        self.assertEqual(peer.ask("DESCRIBE").status, 403)
        self.assertEqual(peer.ask("SETUP", "/trackID=0", Transport=TCP + "0-1").status, 403)
        self.assertEqual(peer.announce().status, 403)
        self.assertFalse(peer.transport.disconnecting)

    def test_no_output(self) -> None:
        """An application without the output may still be published to."""
        self.server.source()
        self.server.change(Application("liveshow", outputs=("rtmp", "hls")))
        self.assertEqual(self.server.peer().ask("DESCRIBE").status, 403)
        peer = self.server.peer(path="/liveshow/other")
        self.assertEqual(peer.record().status, 200)

    def test_rtsps_is_the_same_output(self) -> None:
        """TLS makes no other output of it."""
        self.server = Server(protocol="rtsps")
        self.server.source()
        self.assertEqual(self.server.peer().ask("DESCRIBE").status, 200)
        self.server.change(Application("liveshow", outputs=("rtmp",)))
        self.assertEqual(self.server.peer().ask("DESCRIBE").status, 403)

    def test_changed_before_play(self) -> None:
        """What was allowed when it was described may not be when it is to be played."""
        self.server.source()
        for change in (
            Application("liveshow", outputs=("rtmp",)),
            Application("liveshow", signed=True),
        ):
            self.server.change(Application("liveshow"))
            peer = self.server.peer()
            peer.describe()
            peer.set_up({0: "0-1"})
            self.server.change(change)
            self.assertEqual(peer.ask("PLAY").status, 403)
            self.assertEqual(self.server.hub.viewers, 0)

    def test_changed_before_record(self) -> None:
        """Likewise of what was announced."""
        peer = self.server.peer()
        self.assertEqual(peer.announce().status, 200)
        peer.ok("SETUP", "/trackID=0", Transport=f"{TCP}0-1;mode=record")
        self.server.change(Application("liveshow", enabled=False))
        self.assertEqual(peer.ask("RECORD").status, 403)
        self.assertEqual(self.server.hub.streams, {})

    def test_publisher_looks_elsewhere(self) -> None:
        """One that asks about another stream still publishes, and rules are asked about that."""
        self.server.change(Application("open"))
        Source(self.server, key=StreamKey("open", "test")).send(*media(0, 2200))
        before = self.server.peer()
        after = self.server.peer(path="/liveshow/other")
        for peer in (before, after):
            self.assertEqual(peer.announce().status, 200)
            peer.ok("SETUP", "/trackID=0", Transport=f"{TCP}0-1;mode=record")
        before.ok("DESCRIBE", f"{HOST}/open/test")
        before.ok("RECORD")
        after.ok("RECORD")
        after.ok("DESCRIBE", f"{HOST}/open/test")
        for peer, stream in ((before, "test"), (after, "other")):
            publication = self.server.hub.streams[StreamKey("liveshow", stream)].publication
            assert publication is not None
            request = publication.request
            self.assertIs(request, peer.protocol.request)
            self.assertEqual((request.action, request.key.stream), (Action.PUBLISH, stream))

    def test_described_before_record(self) -> None:
        """Nor is it let in by what it may play, when it may not publish any more."""
        self.server.change(Application("open"))
        Source(self.server, key=StreamKey("open", "test")).send(*media(0, 2200))
        peer = self.server.peer()
        self.assertEqual(peer.announce().status, 200)
        peer.ok("SETUP", "/trackID=0", Transport=f"{TCP}0-1;mode=record")
        self.server.change(Application("liveshow", enabled=False))
        peer.ok("DESCRIBE", f"{HOST}/open/test")
        self.assertEqual(peer.ask("RECORD").status, 403)

    def test_signed(self) -> None:
        """A signed address plays; no other one does, nor this one when it has expired."""
        self.server.access.keys.own = b"k" * 32
        self.server.change(Application("liveshow", signed=True))
        self.server.source()
        expires = int(self.server.wall_clock) + 60
        query = signed_query(b"k" * 32, KEY, expires)
        peer = self.server.peer(path=f"/liveshow/test?{query}")
        self.assertEqual(len(peer.describe().media), 2)
        # Players ask for tracks with the query, or as the base without it tells them.
        peer.ok("SETUP", f"{URL}/trackID=0", Transport=TCP + "0-1")
        peer.ok("SETUP", f"{URL}/trackID=1?{query}", Transport=TCP + "2-3")
        peer.ok("PLAY", f"{URL}/")
        self.assertEqual(self.server.hub.viewers, 1)
        for path in ("/liveshow/test", f"/liveshow/other?{query}", f"/liveshow/test?{query}0"):
            self.assertEqual(self.server.peer(path=path).ask("DESCRIBE").status, 403, path)
        self.server.wall_clock += 61
        late = self.server.peer(path=f"/liveshow/test?{query}")
        self.assertEqual(late.ask("DESCRIBE").status, 403)

    def test_audio_application(self) -> None:
        """P-207: application `audio` keeps the sound only, whatever was announced."""
        peer = self.server.publisher(path="/audio/test")
        peer.publish(*media(0, 2200))
        (stream,) = self.server.hub.streams.values()
        self.assertEqual([x.kind for x in stream.tracks], [AUDIO.kind])
        player = self.server.peer(path="/audio/test")
        starts = player.play()
        self.assertEqual([type(x) for x in starts.values()], [TrackInfo])
        self.assertGreater(len(player.rtp(0)), 0)
        self.assertNotEqual(VIDEO.kind, AUDIO.kind)
