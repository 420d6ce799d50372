"""Tests of ntvmedia.access.guesses, and of the rule that asks it."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import Access, Action, Application, Request, Verdict, guesses
from ntvmedia.access.guesses import FORGET_SECONDS, FREE, MAX_WAIT_SECONDS, Guesses
from ntvmedia.access.networks import NO_HOST, Host, parse_host
from ntvmedia.media import StreamKey

ONE = parse_host("192.0.2.1")
KEY = StreamKey("studio", "a")


class Case:
    """Guesses, at a time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.guesses = Guesses(lambda: self.now)

    def guess(self, count: int, host: Host = ONE, application: str = "studio") -> None:
        """Guess wrong so many times."""
        for _guess in range(count):
            self.guesses.wrong(host, application)


def test_waits() -> None:
    """F-AC-04: some are free; then each one doubles the wait, up to the most."""
    case = Case()
    case.guess(FREE - 1)
    assert case.guesses.wait(ONE, "studio") == 0
    waits = []
    for _turn in range(8):
        case.guess(1)
        waits.append(case.guesses.wait(ONE, "studio"))
        case.now += waits[-1]
        assert case.guesses.wait(ONE, "studio") == 0
    assert waits == [1, 2, 4, 8, 16, *[MAX_WAIT_SECONDS] * 3]
    case.guess(5000)
    assert case.guesses.wait(ONE, "studio") == MAX_WAIT_SECONDS


def test_whose() -> None:
    """Another address or application is not held up; a network of IPv6 is one."""
    case = Case()
    case.guess(FREE)
    assert case.guesses.wait(parse_host("192.0.2.2"), "studio") == 0
    assert case.guesses.wait(ONE, "other") == 0
    for number in range(FREE):
        case.guess(1, parse_host(f"2001:db8::{number:x}"))
    assert case.guesses.wait(parse_host("2001:db8::ffff:1"), "studio") == 1
    assert case.guesses.wait(parse_host("2001:db8:0:1::1"), "studio") == 0
    case.guess(10 * FREE, NO_HOST)
    assert case.guesses.wait(NO_HOST, "studio") == 0


def test_forgotten() -> None:
    """By a right password, and by time."""
    case = Case()
    case.guess(FREE)
    case.guesses.right(ONE, "studio")
    assert (case.guesses.wait(ONE, "studio"), len(case.guesses)) == (0, 0)
    case.guess(10 * FREE)
    case.now += FORGET_SECONDS
    case.guess(1)
    assert case.guesses.wait(ONE, "studio") == 0


def test_bounded() -> None:
    """F-AC-04: the table does not grow, and the latest are kept."""
    case = Case()
    for number in range(guesses.MAX_GUESSERS + 100):
        case.guess(1, Host(4, number))
    assert len(case.guesses) == guesses.MAX_GUESSERS
    case.guess(FREE - 1, Host(4, guesses.MAX_GUESSERS + 99))
    assert case.guesses.wait(Host(4, guesses.MAX_GUESSERS + 99), "studio") == 1


class RuleTests(SynchronousTestCase):
    """An application with a publish password."""

    def setUp(self) -> None:
        self.clock = Clock()
        applications = {"studio": Application("studio", publish_password="sEcReT")}
        self.access = Access(applications, reactor=self.clock)

    def ask(self, password: str, peer: str = "192.0.2.1:5", *, again: bool = False) -> Verdict:
        """Ask to publish."""
        request = Request(Action.PUBLISH, KEY, "rtmp", peer, {"password": password})
        verdict: Verdict = self.successResultOf(self.access.decide(request, again=again))
        return verdict

    def test_guessing(self) -> None:
        """F-AC-04: what comes too early is not looked at, right or wrong; nobody else waits."""
        for number in range(FREE):
            verdict = self.ask(str(number))
            self.assertEqual((verdict.rule, verdict.wants_password), ("password", True))
        verdict = self.ask("sEcReT")
        self.assertEqual((verdict.allowed, verdict.rule), (False, "password"))
        self.assertFalse(verdict.wants_password)
        self.assertIn("too many wrong passwords", verdict.reason)
        self.assertTrue(self.ask("sEcReT", "192.0.2.2:5").allowed)
        self.assertTrue(self.ask("sEcReT", again=True).allowed)
        self.clock.advance(1)
        self.assertTrue(self.ask("sEcReT").allowed)
        self.assertEqual(self.ask("x").reason, "the publish password is missing or wrong")

    def test_again(self) -> None:
        """Who is there does not guess, whatever the password is by now."""
        for _turn in range(10 * FREE):
            self.assertEqual(self.ask("old", again=True).rule, "password")
        self.assertTrue(self.ask("sEcReT").allowed)

    def test_without_a_password(self) -> None:
        """Where there is none, nobody waits and nothing is counted."""
        access = Access({"studio": Application("studio")}, reactor=self.clock)
        request = Request(Action.PUBLISH, KEY, "rtmp", "192.0.2.1:5", {"password": "x"})
        for _turn in range(10 * FREE):
            self.assertTrue(self.successResultOf(access.decide(request)).allowed)

    def test_nothing_shown(self) -> None:
        """Who shows no password has not guessed, and is asked for one however often he comes."""
        request = Request(Action.PUBLISH, KEY, "rtsp", "192.0.2.1:5")
        for _turn in range(10 * FREE):
            verdict: Verdict = self.successResultOf(self.access.decide(request))
            self.assertTrue(verdict.wants_password)
        self.assertTrue(self.ask("sEcReT").allowed)
        for number in range(FREE):
            self.ask(str(number))
        verdict = self.successResultOf(self.access.decide(request))
        self.assertTrue(verdict.wants_password)
