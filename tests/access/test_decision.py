"""Tests of ntvmedia.access.decision: who may publish and play."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ntvmedia.access import (
    BUILT_IN,
    OUTPUTS,
    Access,
    Action,
    Application,
    Request,
    Verdict,
    keep_signing_key,
)
from ntvmedia.access.signing import signed_query
from ntvmedia.errors import ConfigError
from ntvmedia.interfaces import IAccess
from ntvmedia.media import StreamKey
from ntvmedia.media.names import parse_path

KEY = bytes(range(32))
NOW = 1_767_225_600.0
PROTOCOLS = {
    "rtmp": "rtmp",
    "rtmps": "rtmp",
    "flv": "flv",
    "ws-flv": "flv",
    "ts": "ts",
    "ws-ts": "ts",
    "hls": "hls",
    "rtsp": "rtsp",
    "rtsps": "rtsp",
    "rtsp-http": "rtsp",
    "rtsp-https": "rtsp",
}


def query_of(text: str) -> Mapping[str, str]:
    """Read a query as an endpoint does."""
    return parse_path(f"/a/b?{text}").query


class AccessTests(SynchronousTestCase):
    """The rules, in their order, on every protocol."""

    def setUp(self) -> None:
        self.applications = dict(BUILT_IN)
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = Path(folder.name)
        keep_signing_key(self.data, lambda count: KEY[:count])
        self.access = Access(self.applications, self.data, lambda: NOW)
        self.access.load()

    def set(self, **fields: Any) -> None:
        """Change liveshow."""
        self.applications["liveshow"] = replace(self.applications["liveshow"], **fields)

    def ask(
        self,
        action: Action,
        protocol: str = "rtmp",
        query: str = "",
        page_url: str = "",
        application: str = "liveshow",
    ) -> Verdict:
        """Decide about a peer's wish."""
        request = Request(
            action,
            StreamKey(application, "test"),
            protocol,
            "192.0.2.1:5",
            query_of(query),
            page_url,
        )
        answer: Verdict = self.successResultOf(self.access.decide(request))
        self.assertEqual(bool(answer.reason), not answer.allowed)
        return answer

    def play(self, protocol: str = "rtmp", query: str = "", page_url: str = "") -> str:
        """Return why a player is refused; empty where it is not."""
        return self.ask(Action.PLAY, protocol, query, page_url).reason

    def publish(self, query: str = "") -> str:
        """Return why a publisher is refused; empty where it is not."""
        return self.ask(Action.PUBLISH, "rtmp", query).reason

    def refused_everywhere(self, reason: str, query: str = "", page_url: str = "") -> None:
        """B-AC-01: the same verdict, in the same words, on every protocol."""
        for protocol in (*PROTOCOLS, "plugin"):
            self.assertEqual(self.play(protocol, query, page_url), reason)

    def allowed_everywhere(self, query: str = "", page_url: str = "") -> None:
        """B-AC-01, for those who may."""
        self.refused_everywhere("", query, page_url)

    def test_interface(self) -> None:
        """It provides what endpoints ask."""
        verifyObject(IAccess, self.access)

    def test_built_in(self) -> None:
        """P-202: the four are open at first; P-207: `audio` keeps nothing but sound."""
        for name in BUILT_IN:
            for action in Action:
                for protocol in PROTOCOLS:
                    self.assertEqual(
                        self.ask(action, protocol, application=name),
                        Verdict(True, audio_only=name == "audio"),
                    )

    def test_unknown(self) -> None:
        """P-201: an application must exist, spelled exactly; the reason names it."""
        for name in ("none", "LiveShow"):
            for action in Action:
                verdict = self.ask(action, application=name)
                self.assertEqual(
                    verdict, Verdict(False, f'there is no application "{name}"', rule="application")
                )

    def test_disabled(self) -> None:
        """P-204: a disabled application refuses publishers and players, from that moment."""
        self.set(enabled=False)
        self.refused_everywhere('application "liveshow" is disabled')
        self.assertEqual(self.publish(), 'application "liveshow" is disabled')
        del self.applications["liveshow"]
        self.refused_everywhere('there is no application "liveshow"')

    def test_outputs(self) -> None:
        """P-204: an output that is off is refused on all its protocols, and no other is."""
        for off in OUTPUTS:
            self.set(outputs=tuple(output for output in OUTPUTS if output != off))
            for protocol, output in PROTOCOLS.items():
                reason = f'application "liveshow" has no output "{off}"' if output == off else ""
                self.assertEqual(self.play(protocol), reason)
            self.assertEqual(self.publish(), "")
        self.set(outputs=())
        self.assertEqual(self.play("plugin"), "")

    def test_password(self) -> None:
        """P-503: publishers need `password=`; players do not."""
        self.set(publish_password="sesám & öffne=dich+")
        good = "password=ses%C3%A1m+%26+%C3%B6ffne%3Ddich%2B"
        self.assertEqual(self.publish(good), "")
        self.assertEqual(self.publish("x=1&" + good), "")
        self.allowed_everywhere()
        wrong = "the publish password is missing or wrong"
        for query in (
            "",
            "password=",
            "password",
            "Password=ses%C3%A1m+%26+%C3%B6ffne%3Ddich%2B",
            good + "x",
            good[:-3],
            good + "&password=x",
            "password=ses%E1m",
            "password=" + "x" * 3000,
            "password=%00",
        ):
            self.assertEqual(self.publish(query), wrong, query)
        # Not from a query that was decoded, but a plugin's protocol may have it.
        request = Request(
            Action.PUBLISH, StreamKey("liveshow", "a"), "x", "", {"password": "\ud800"}
        )
        self.assertEqual(self.successResultOf(self.access.decide(request)).reason, wrong)

    def test_password_and_signature_are_not_each_other(self) -> None:
        """F-AC-08: a right to publish is none to play, and the other way round."""
        self.set(publish_password="x", signed=True)
        signed = signed_query(KEY, StreamKey("liveshow", "test"), int(NOW) + 9)
        self.assertEqual(self.publish(signed), "the publish password is missing or wrong")
        self.refused_everywhere("the address is not signed", "password=x")
        self.allowed_everywhere(signed)
        self.assertEqual(self.publish("password=x"), "")

    def test_referers(self) -> None:
        """P-305, F-AC-07, B-WS-04: a page that is not one of those allowed holds no player."""
        self.set(referers=("example.org",))
        self.allowed_everywhere(page_url="https://www.example.org/a?b")
        self.allowed_everywhere(page_url="")
        for page in ("https://example.org.evil.net/", "null", "garbage", "https://evil.net"):
            self.refused_everywhere("the page that plays is none of those allowed", page_url=page)
        self.assertEqual(self.publish(), "")
        self.set(allow_empty_referer=False)
        self.refused_everywhere("the page that plays is not named")
        self.allowed_everywhere(page_url="https://example.org")
        self.assertEqual(self.publish(), "")
        self.set(referers=())
        self.allowed_everywhere(page_url="")
        self.allowed_everywhere(page_url="https://evil.net")

    def test_signed(self) -> None:
        """F-AC-08: a signed application plays signed addresses only, on every protocol."""
        self.set(signed=True)
        key = StreamKey("liveshow", "test")
        good = signed_query(KEY, key, int(NOW) + 1)
        self.allowed_everywhere(good)
        self.assertEqual(self.ask(Action.PLAY, "hls", good).lifetime, 0.0)
        for query, reason in (
            ("", "the address is not signed"),
            (signed_query(KEY, key, int(NOW)), "the signed address has expired"),
            (
                signed_query(KEY, StreamKey("liveshow", "x"), int(NOW) + 1),
                "the signature of the address is wrong",
            ),
        ):
            self.refused_everywhere(reason, query)
        self.assertEqual(self.publish(), "")

    def test_no_key(self) -> None:
        """F-AC-10: before the key was read nothing signed is played, whatever it is signed with."""
        self.set(signed=True)
        self.access = Access(self.applications, self.data, lambda: NOW)
        for key in (KEY, b""):
            query = signed_query(key, StreamKey("liveshow", "test"), int(NOW) + 1)
            self.refused_everywhere("there is no key yet to check signatures with", query)
        with self.assertRaises(ConfigError):
            Access({}, self.data / "none").load()

    def test_key_of_the_first_start(self) -> None:
        """Two servers have two keys: each is random."""
        keys = []
        for name in ("a", "b"):
            (self.data / name).mkdir()
            Access({}, self.data / name).load()
            keys.append((self.data / name / "keys" / "signing").read_text())
        self.assertNotEqual(*keys)

    def test_order(self) -> None:
        """The first rule that refuses has the word: each is tried only where those before agree."""
        self.applications["liveshow"] = Application(
            "liveshow",
            enabled=False,
            outputs=("rtmp",),
            referers=("example.org",),
            allow_empty_referer=False,
            signed=True,
        )
        for fields, part in (
            ({}, "is disabled"),
            ({"enabled": True}, 'no output "flv"'),
            ({"outputs": OUTPUTS}, "not signed"),
            ({"signed": False}, "page that plays"),
            ({"allow_empty_referer": True}, ""),
        ):
            self.set(**fields)
            self.assertIn(part, self.play("flv"))
        self.assertEqual(self.play("flv"), "")

    def test_not_shown(self) -> None:
        """F-AC-03: a request that an exception or a log shows has no secrets."""
        request = Request(
            Action.PUBLISH, StreamKey("liveshow", "a"), "rtmp", "192.0.2.1:5", {"password": "p4ss"}
        )
        self.assertNotIn("p4ss", repr(request))
