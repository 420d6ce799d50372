"""Tests of ntvmedia.access.tokens and ntvmedia.access.key_sets: JWT, and the keys of who signs."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import Access, Action, Application, Request, Verdict, tokens
from ntvmedia.access.key_sets import (
    MAX_AGE_SECONDS,
    MAX_KEYS,
    MAX_STALE_SECONDS,
    RETRY_SECONDS,
    read_keys,
)
from ntvmedia.access.tokens import LEEWAY_SECONDS, MAX_TOKEN_LENGTH
from ntvmedia.media import StreamKey
from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.exchange import Answer

_PEM = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
NOW = 1_767_225_600.0
KEY = StreamKey("liveshow", "a")
URL = "https://id.example/keys"

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def public(key: Any, algorithm: str, **fields: Any) -> dict[str, Any]:
    """Return a public key as a set has it."""
    shown = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key()))
    return {**shown, **fields}


SET = [public(RSA, "RS256", kid="r"), public(EC, "ES256", kid="e"), public(ED, "EdDSA", kid="d")]


def token(key: Any = ED, algorithm: str = "EdDSA", kid: str | None = "d", /, **claims: Any) -> str:
    """Sign a token that is good unless the claims say otherwise."""
    good = {"exp": NOW + 60, "ntvmedia_play": str(KEY)}
    headers = {} if kid is None else {"kid": kid}
    said = {name: value for name, value in {**good, **claims}.items() if value is not None}
    return jwt.encode(said, key, algorithm, headers)


class Outbound:
    """Who is asked for keys.

    Attributes:
        keys: What it has.
        answers: Those that were asked for and not given, while `at_once` is False.
        error: What it fails with.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.keys: Any = SET
        self.status = 200
        self.error: Exception | None = None
        self.at_once = True
        self.answers: list[Deferred[Answer]] = []

    def get(self, url: str, **_how: Any) -> Deferred[Answer]:
        """Answer, now or later."""
        assert url == URL
        self.asked += 1
        if not self.at_once:
            self.answers.append(Deferred())
            return self.answers[-1]
        return fail(self.error) if self.error else succeed(self.answer())

    def answer(self) -> Answer:
        """Return the set."""
        return Answer(self.status, {}, json.dumps({"keys": self.keys}).encode())


class TokenTests(SynchronousTestCase):
    """An application whose players need a token."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.outbound = Outbound()
        self.now = NOW
        self.applications: dict[str, Application] = {}
        self.set()
        self.access = Access(
            self.applications,
            wall_clock=lambda: self.now,
            reactor=self.clock,
            outbound=self.outbound,
        )

    def set(self, **fields: Any) -> None:
        """Change the application."""
        self.applications["liveshow"] = Application("liveshow", jwks_url=URL, **fields)

    def asking(
        self, text: str = "", action: Action = Action.PLAY, bearer: str = "", **how: Any
    ) -> Deferred[Verdict]:
        """Ask."""
        query = {"token": text} if text else {}
        request = Request(action, KEY, "flv", "192.0.2.1:5", query, bearer=bearer)
        return self.access.decide(request, **how)

    def ask(
        self, text: str = "", action: Action = Action.PLAY, bearer: str = "", **how: Any
    ) -> str:
        """Return why it is refused, which is always this rule."""
        verdict: Verdict = self.successResultOf(self.asking(text, action, bearer, **how))
        self.assertEqual(verdict.rule, "" if verdict.allowed else "jwt")
        return verdict.reason

    def test_algorithms(self) -> None:
        """Each kind of key is taken, by all names of its algorithms; they are asked for once."""
        for key, algorithm, kid in (
            (RSA, "RS256", "r"),
            (RSA, "RS384", "r"),
            (RSA, "RS512", "r"),
            (EC, "ES256", "e"),
            (ED, "EdDSA", "d"),
        ):
            self.outbound.keys = [{**key, "alg": None} for key in SET]
            self.assertEqual(self.ask(token(key, algorithm, kid)), "", algorithm)
        self.assertEqual(self.outbound.asked, 1)

    def test_refused_algorithms(self) -> None:
        """RFC 8725 2.1: no signature, or the public key as a secret, is none; PS is not spoken."""
        pem = RSA.public_key().public_bytes(*_PEM)
        self.patch(jwt.algorithms.HMACAlgorithm, "prepare_key", lambda _self, key: key)
        other = "the token is not signed in a way that is allowed"
        for text in (
            jwt.encode({"exp": NOW + 60, "ntvmedia_play": "*"}, "", "none", {"kid": "r"}),
            token(pem, "HS256", "r"),
            token(json.dumps(SET[0]).encode(), "HS512", "r"),
            token(RSA, "PS256", "r"),
        ):
            self.assertEqual(self.ask(text), other)
        self.assertEqual(self.outbound.asked, 0)
        # A key of one kind is not used as one of another.
        for text in (token(EC, "ES256", "r"), token(ED, "EdDSA", "e")):
            self.assertIn("not known", self.ask(text))

    def test_wrong_signature(self) -> None:
        """Another's key, or a claim that was changed, is refused."""
        strange = ed25519.Ed25519PrivateKey.generate()
        wrong = "the signature of the token is wrong"
        self.assertEqual(self.ask(token(strange)), wrong)
        head, _claims, sign = token().split(".")
        claims = _base64(json.dumps({"exp": NOW + 600, "ntvmedia_play": "*"}).encode())
        self.assertEqual(self.ask(f"{head}.{claims}.{sign}"), wrong)
        self.assertEqual(self.ask(f"{head}.{claims}."), wrong)

    def test_malformed(self) -> None:
        """What is no token is refused, and nobody is asked for keys."""
        head, claims, sign = token().split(".")
        deep = _base64(b'{"alg":"EdDSA","x":' + b"[" * 2500)
        self.assertEqual(self.ask(), "the token is missing")
        for text in (
            "x",
            "..",
            f"{head}.{claims}",
            f"{deep}.{claims}.{sign}",
            f"{_base64(b'[]')}.{claims}.{sign}",
            f"{_base64(json.dumps({'alg': 'EdDSA', 'kid': 5}).encode())}.{claims}.{sign}",
            f"{_base64(json.dumps({'alg': 'EdDSA', 'crit': ['x']}).encode())}.{claims}.{sign}",
            "é" * 50,
            "x" * (MAX_TOKEN_LENGTH + 1),
        ):
            self.assertIn(self.ask(text), ("the token is malformed",), text[:80])
        self.assertEqual(self.outbound.asked, 0)

    def test_times(self) -> None:
        """F-AC-08: it must say when it ends; clocks may differ by the leeway, and no more."""
        for exp, reason in (
            (NOW + 1, ""),
            (NOW - LEEWAY_SECONDS + 0.5, ""),
            (NOW - LEEWAY_SECONDS, "the token has expired"),
            (1, "the token has expired"),
            (None, "the token does not say when it expires"),
            (True, "the token does not say when it expires"),
            ("9999999999", "the token does not say when it expires"),
            (float("inf"), "the token does not say when it expires"),
            (float("nan"), "the token does not say when it expires"),
            (10**400, "the token does not say when it expires"),
        ):
            self.assertEqual(self.ask(token(exp=exp)), reason, exp)
        self.assertEqual(self.ask(token(nbf=NOW + LEEWAY_SECONDS)), "")
        self.assertEqual(self.ask(token(nbf=NOW + 11)), "the token does not hold yet")
        self.assertEqual(self.ask(token(nbf="x")), "the token is malformed")

    def test_issuer_and_audience(self) -> None:
        """What the application names has to be there; of several audiences one is enough."""
        self.set(jwt_issuer="https://id.example/", jwt_audience="tv")
        good = {"iss": "https://id.example/", "aud": "tv"}
        self.assertEqual(self.ask(token(**good)), "")
        self.assertEqual(self.ask(token(**{**good, "aud": ["x", "tv"]})), "")
        for iss in (None, "https://id.example", "https://id.example/x"):
            reason = "the token is from another issuer"
            self.assertIn(self.ask(token(**{**good, "iss": iss})), (reason,))
        for aud in (None, "TV", ["x"], []):
            self.assertEqual(
                self.ask(token(**{**good, "aud": aud})), "the token is for another audience"
            )

    def test_streams(self) -> None:
        """F-AC-08: it is good for what it names: a right to publish is none to play."""
        for names, allowed in (
            ("liveshow/a", True),
            ("liveshow/*", True),
            ("*", True),
            (["tv/x", "liveshow/a"], True),
            ("liveshow/b", False),
            ("liveshow", False),
            ("liveshow/", False),
            ("live*/a", False),
            (".*", False),
            ([], False),
            (["x"] * 50, False),
            ({"liveshow/a": 1}, False),
            (None, False),
            (True, False),
        ):
            reason = "" if allowed else "the token gives no right to play this stream"
            self.assertEqual(self.ask(token(ntvmedia_play=names)), reason, names)
        publishes = token(ntvmedia_play=None, ntvmedia_publish="liveshow/a")
        self.assertEqual(self.ask(publishes, Action.PUBLISH), "")
        self.assertIn("no right to play", self.ask(publishes))
        self.assertIn("no right to publish", self.ask(token(), Action.PUBLISH))

    def test_publishers_with_a_password(self) -> None:
        """Where there is a publish password, that is what publishers need."""
        self.set(publish_password="x")
        request = Request(Action.PUBLISH, KEY, "rtmp", "", {"password": "x"})
        self.assertTrue(self.successResultOf(self.access.decide(request)).allowed)
        self.assertEqual(self.ask(), "the token is missing")

    def test_bearer(self) -> None:
        """A token may be in a header field; one in the address comes first."""
        self.assertEqual(self.ask(bearer=token()), "")
        self.assertEqual(self.ask("x", bearer=token()), "the token is malformed")

    def test_rotation(self) -> None:
        """A key that is new is asked for, once in a while; those that are gone count no more."""
        self.assertEqual(self.ask(token()), "")
        new = ed25519.Ed25519PrivateKey.generate()
        self.outbound.keys = [public(new, "EdDSA", kid="n")]
        self.assertIn("not known", self.ask(token(new, "EdDSA", "n")))
        # Whatever names are made up, nobody is asked more often.
        for number in range(20):
            self.ask(token(new, "EdDSA", f"{number}"))
        self.assertEqual(self.outbound.asked, 1)
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.ask(token(new, "EdDSA", "n")), "")
        self.assertEqual(self.outbound.asked, 2)
        self.assertIn("not known", self.ask(token()))

    def test_without_a_name(self) -> None:
        """A token that names no key is checked with the only one that fits, if there is one."""
        self.assertEqual(self.ask(token(ED, "EdDSA", None)), "")
        new = ed25519.Ed25519PrivateKey.generate()
        self.outbound.keys = [public(new, "EdDSA")]
        self.clock.advance(RETRY_SECONDS)
        # The same name, and another key: the set is asked for again.
        self.assertEqual(self.ask(token(new, "EdDSA", None)), "")
        self.outbound.keys = [*SET, public(new, "EdDSA", kid="n")]
        self.clock.advance(MAX_AGE_SECONDS)
        self.assertIn("not known", self.ask(token(ED, "EdDSA", None)))

    def test_failures(self) -> None:
        """Without keys nobody is let in; keys that are there go on for a day."""
        self.outbound.error = OutboundError("https://id.example: no answer")
        self.assertEqual(self.ask(token()), "there are no keys now to check the token with")
        self.outbound.error = None
        self.assertEqual(self.ask(token()), "there are no keys now to check the token with")
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.ask(token()), "")
        for status, keys in ((500, SET), (200, {}), (200, [SET[0]] * (MAX_KEYS + 1))):
            self.outbound.status, self.outbound.keys = status, keys
            self.clock.advance(MAX_AGE_SECONDS)
            asked = self.outbound.asked
            self.assertEqual(self.ask(token()), "")
            self.assertEqual(self.outbound.asked, asked + 1)
        self.clock.advance(MAX_STALE_SECONDS)
        self.assertEqual(self.ask(token()), "there are no keys now to check the token with")

    def test_one_question(self) -> None:
        """All who wait for keys wait for one answer; one who leaves does not end it."""
        self.outbound.at_once = False
        waiting = [self.asking(token()) for _each in range(3)]
        self.assertEqual(self.outbound.asked, 1)
        waiting[1].cancel()
        self.failureResultOf(waiting[1])
        self.outbound.answers[0].callback(self.outbound.answer())
        self.assertTrue(self.successResultOf(waiting[0]).allowed)
        self.assertTrue(self.successResultOf(waiting[2]).allowed)

    def test_never_checked(self) -> None:
        """A token that nobody signed counts for nothing, also where it comes before the keys do."""
        self.outbound.error = OutboundError("not there")
        forged = token(ed25519.Ed25519PrivateKey.generate())
        self.assertEqual(self.ask(forged, again=True), "the signature of the token is wrong")
        good = token()
        self.assertIn("no keys", self.ask(good))
        self.assertEqual(self.ask(good, again=True), "the signature of the token is wrong")

    def test_again(self) -> None:
        """F-AC-09: who is there is not asked for a new token, unless the application says so."""
        good, narrow = token(), token(ntvmedia_play="x")
        self.assertEqual(self.ask(good), "")
        self.assertIn("no right", self.ask(narrow))
        self.now += 3600
        self.clock.advance(MAX_AGE_SECONDS)
        self.assertEqual(self.ask(good, again=True), "")
        self.assertEqual(self.ask(good), "the token has expired")
        self.set(cut_at_expiry=True)
        self.assertEqual(self.ask(good, again=True), "the token has expired")
        self.assertEqual(self.ask("", again=True), "the token is missing")
        asked = self.outbound.asked
        # Without asking anybody: keys that are too old do not count, nor does their absence.
        self.clock.advance(2 * MAX_STALE_SECONDS)
        self.set()
        self.assertEqual(self.ask(good, again=True), "")
        self.assertIn("no right", self.ask(narrow, again=True))
        self.assertEqual(self.outbound.asked, asked)

    def test_known_signatures(self) -> None:
        """A signature is checked once by each key; the key that is exchanged says anew."""
        self.patch(tokens, "MAX_RIGHT", 2)
        texts = [token(jti=str(number)) for number in range(4)]
        for text in [*texts, *texts]:
            self.assertEqual(self.ask(text), "")
        self.assertEqual(len(self.access._tokens._right), 2)
        new = ed25519.Ed25519PrivateKey.generate()
        self.outbound.keys = [public(new, "EdDSA", kid="d")]
        self.clock.advance(MAX_AGE_SECONDS)
        self.assertEqual(self.ask(texts[-1]), "the signature of the token is wrong")
        self.assertEqual(self.ask(texts[-1], again=True), "the signature of the token is wrong")

    def test_lifetime(self) -> None:
        """With `cut_at_expiry` a verdict ends with the token."""
        verdict = self.successResultOf(self.asking(token()))
        self.assertEqual(verdict.lifetime, 0.0)
        self.set(cut_at_expiry=True)
        verdict = self.successResultOf(self.asking(token()))
        self.assertEqual(verdict.lifetime, 60 + LEEWAY_SECONDS)


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "AAAA"},
        {**SET[0], "use": "enc"},
        {**SET[0], "key_ops": ["sign"]},
        {**SET[0], "key_ops": "verify"},
        {**SET[0], "alg": "HS256"},
        {**SET[0], "kid": 5},
        {**SET[0], "n": None},
        {**SET[0], "n": SET[0]["n"][:100]},
        {**SET[0], "n": "AA" + SET[0]["n"][:170]},
        {**SET[0], "n": SET[0]["n"] * 5},
        {**SET[0], "n": "é"},
        {**SET[0], "e": "AQAAAAAB"},
        {**SET[1], "y": None},
        "x",
        None,
        5,
    ],
)
def test_unusable_keys(key: Any) -> None:
    """RFC 7517 5: keys for something else, weak or broken ones are left out; the rest counts."""
    assert read_keys(json.dumps({"keys": [key, SET[2]]}).encode()) == [
        {name: SET[2][name] for name in ("kty", "kid", "crv", "x")}
    ]


def test_private_parts() -> None:
    """A private key that somebody published is not kept as one."""
    key = {**SET[2], "d": "secret"}
    assert "secret" not in repr(read_keys(json.dumps({"keys": [key]}).encode()))


@given(st.binary(max_size=60) | st.just(b"[" * 100_000))
def test_no_set(body: bytes) -> None:
    """What is no set of keys is told in one way."""
    with pytest.raises(ValueError, match="the answer is"):
        read_keys(body)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
