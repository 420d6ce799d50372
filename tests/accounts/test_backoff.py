"""Tests of ntvmedia.accounts.backoff: slowing down who guesses."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.accounts import SlowDown
from ntvmedia.accounts.backoff import (
    FIRST_WAIT_SECONDS,
    FORGET_SECONDS,
    FREE_PER_ACCOUNT,
    FREE_PER_ADDRESS,
    MAX_WAIT_SECONDS,
    Attempts,
    Backoff,
    address_key,
)


class Times:
    """A clock.

    Attributes:
        now: Seconds.
    """

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def times() -> Times:
    """Return the clock of `attempts`."""
    return Times()


@pytest.fixture
def attempts(times: Times) -> Attempts:
    """Return an empty table."""
    return Attempts(times)


def test_waits_double() -> None:
    """F-AC-04: after the free attempts each one doubles the wait, up to the most."""
    backoff = Backoff(3)
    now, waits = 0.0, []
    for _ in range(14):
        waits.append(backoff.wait("a", now))
        now += max(waits[-1], 0.0)
        backoff.charge("a", now)
    assert waits[:3] == [0.0, 0.0, 0.0]
    assert waits[3:7] == [FIRST_WAIT_SECONDS * x for x in (1, 2, 4, 8)]
    assert waits[-1] == MAX_WAIT_SECONDS
    assert backoff.wait("b", now) == 0.0


def test_many_attempts_are_still_a_number() -> None:
    """However often somebody tries, the wait is the most there is."""
    backoff = Backoff(0)
    for _ in range(5000):
        backoff.charge("a", 0.0)
    assert backoff.wait("a", 0.0) == MAX_WAIT_SECONDS


def test_forgotten() -> None:
    """After an hour without an attempt all are free again, and the table is empty."""
    backoff = Backoff(1)
    for _ in range(3):
        backoff.charge("a", 0.0)
    backoff.prune(FORGET_SECONDS - 1)
    assert len(backoff) == 1
    assert backoff.wait("a", FORGET_SECONDS) == 0.0
    backoff.charge("a", FORGET_SECONDS)
    assert backoff.wait("a", FORGET_SECONDS) == FIRST_WAIT_SECONDS
    backoff.prune(2 * FORGET_SECONDS)
    assert len(backoff) == 0


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("cgx")), max_size=80))
def test_table_is_bounded(steps: list[tuple[int, str]]) -> None:
    """F-AC-04: whatever is done, there are never more than so many keys; the latest are kept."""
    backoff = Backoff(2, size=5)
    for now, (key, what) in enumerate(steps):
        if what == "c":
            backoff.charge(key, float(now))
            assert backoff.wait(key, now + FORGET_SECONDS - 1) <= 0
        elif what == "g":
            backoff.give_back(key)
        else:
            backoff.clear(key)
            assert backoff.wait(key, now) == 0.0
        assert len(backoff) <= 5


def test_eviction_takes_the_quiet_one() -> None:
    """In a full table the key that was quiet for longest makes room, not one that goes on."""
    backoff = Backoff(0, size=2)
    backoff.charge("old", 0.0)
    backoff.charge("busy", 1.0)
    backoff.charge("old", 2.0)
    backoff.charge("new", 3.0)
    assert [backoff.wait(key, 3.0) > 0 for key in ("old", "busy", "new")] == [True, False, True]


def test_address(attempts: Attempts, times: Times) -> None:
    """F-AC-04: an address is slowed down, whatever names it tries; another one is not."""
    for number in range(FREE_PER_ADDRESS):
        attempts.begin("192.0.2.1", f"name{number}")
    with pytest.raises(SlowDown, match="try again in 1 seconds") as caught:
        attempts.begin("192.0.2.1", "root")
    assert caught.value.retry_after == 1
    attempts.begin("192.0.2.2", "root")
    times.now += 1.0
    attempts.begin("192.0.2.1", "root")
    with pytest.raises(SlowDown, match="2 seconds"):
        attempts.begin("192.0.2.1", "root")


@pytest.mark.parametrize("exists", [False, True])
def test_account(attempts: Attempts, exists: bool) -> None:
    """F-AC-04, F-RE-15: an account is slowed down for all addresses, whether it is one or not."""
    for number in range(FREE_PER_ACCOUNT):
        attempts.begin(f"192.0.2.{number}", "root", exists=exists)
    with pytest.raises(SlowDown, match="1 seconds"):
        attempts.begin("198.51.100.1", "root", exists=exists)
    attempts.begin("198.51.100.1", "other", exists=exists)


def test_refusals_are_not_counted(attempts: Attempts, times: Times) -> None:
    """What is not looked at makes nothing longer: who waits as told is not kept out."""
    for _ in range(FREE_PER_ADDRESS):
        attempts.begin("192.0.2.1")
    for _ in range(50):
        with pytest.raises(SlowDown, match="1 seconds"):
            attempts.begin("192.0.2.1")
    times.now += 1.0
    attempts.begin("192.0.2.1")


def test_known_address(attempts: Attempts) -> None:
    """Who logged in from an address before is not kept out by others who guess elsewhere."""
    attempts.remember("192.0.2.9", "root")
    for number in range(FREE_PER_ACCOUNT):
        attempts.begin(f"192.0.2.{number}", "root", exists=True)
    attempts.begin("192.0.2.9", "root", exists=True)
    with pytest.raises(SlowDown):
        attempts.begin("192.0.2.10", "root", exists=True)
    attempts.prune({"root"})
    attempts.begin("192.0.2.9", "root", exists=True)
    attempts.prune({"other"})
    with pytest.raises(SlowDown):
        attempts.begin("192.0.2.9", "root", exists=True)


def test_right_password(attempts: Attempts) -> None:
    """A right password clears the account, but not the address: it may have one of its own."""
    for _ in range(FREE_PER_ACCOUNT - 1):
        attempts.begin("192.0.2.1", "root", exists=True)
    for _ in range(20):
        attempts.begin("192.0.2.1", "own", exists=True).good()
    attempts.begin("192.0.2.1", "root", exists=True).good()
    for number in range(FREE_PER_ACCOUNT):
        attempts.begin(f"198.51.100.{number}", "root", exists=True)
    for number in range(FREE_PER_ADDRESS - FREE_PER_ACCOUNT + 1):
        attempts.begin("192.0.2.1", f"name{number}")
    with pytest.raises(SlowDown):
        attempts.begin("192.0.2.1", "own", exists=True)


def test_made_up_names_push_nobody_out(times: Times) -> None:
    """F-AC-04: the table of names that nobody has is apart from that of users."""
    attempts = Attempts(times, size=10)
    for number in range(FREE_PER_ACCOUNT):
        attempts.begin(f"192.0.2.{number}", "root", exists=True)
    for number in range(100):
        attempts.begin(f"2001:db8:{number:x}::1", f"name{number}", exists=False)
    with pytest.raises(SlowDown):
        attempts.begin("198.51.100.1", "root", exists=True)
    assert len(attempts) <= 30
    times.now += FORGET_SECONDS
    attempts.prune(())
    assert len(attempts) == 0


def test_not_made(attempts: Attempts) -> None:
    """An attempt that was not looked at after all is given back whole."""
    for _ in range(100):
        attempts.begin("192.0.2.1", "root", exists=True).not_made()
    assert len(attempts) == 0


def test_no_address(attempts: Attempts) -> None:
    """Where there is no address the account alone is counted, and cleared."""
    for _ in range(3):
        attempts.begin("", "root", exists=True)
    attempts.begin("", "root", exists=True).good()
    assert len(attempts) == 0


def test_addresses() -> None:
    """One attacker's addresses are one: the network of IPv6, and IPv4 however it is written."""
    assert address_key("192.0.2.1") == address_key("::ffff:192.0.2.1") == "192.0.2.1"
    assert address_key("2001:db8:1:2::1") == address_key("2001:db8:1:2:ffff::9")
    assert address_key("2001:db8:1:2::1") != address_key("2001:db8:1:3::1")
    assert address_key("fe80::1%eth0") == address_key("fe80::2")
    assert address_key("/run/socket") == address_key("") == ""
