"""Passwords: what one may be, and argon2, in threads of its own.

A hash takes tens of milliseconds, which the reactor has not got. The queue is bounded: what is not
looked at soon is refused, and the media go on.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import threading
import unicodedata
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from twisted.internet.defer import Deferred, execute, fail
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from ntvmedia.accounts.refusals import WrongField
from ntvmedia.accounts.users import name_key
from ntvmedia.errors import LimitExceeded

MIN_LENGTH: Final = 8
"""Characters: NIST SP 800-63B 5.1.1.2."""

MAX_LENGTH: Final = 256
"""Characters; NIST wants 64 at least. Normalised, it may become some 18 times as long."""

HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""Argon2id as OWASP's Password Storage Cheat Sheet has it: 19 MiB, 43 ms on one core of ours."""

MAX_WAITING: Final = 32
"""Passwords in the queue: a second or two, which is as long as a browser may be kept waiting."""

# As many as may burn at once beside the streams.
_THREADS: Final = 2

# Below the streams: whoever tries passwords must not make pictures stutter. See nice(2).
_NICENESS: Final = 10

# Of eight characters and more, what lists of leaked passwords have first.
_COMMON_TEXT: Final = """
    00000000 11111111 1111111111 11223344 12121212 123123123 12341234 12344321 12345678 123456789
    1234567890 12345678910 123456abc 123qwe123 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 66666666 87654321
    88888888 987654321 9876543210 a1234567 a12345678 aa123456 abc12345 abcd1234 admin123 admin1234
    administrator adminadmin asdfasdf asdfghjk asdfghjkl baseball changeme computer football
    iloveyou internet letmein1 liverpool michelle ntvmedia ntvserver p@ssw0rd p@ssword pass1234
    passw0rd password password1 password12 password123 password1234 password! princess q1w2e3r4
    qazwsxedc qq123456 qwer1234 qwerty12 qwerty123 qwertyui qwertyuiop samantha starwars sunshine
    superman trustno1 welcome1 whatever zxcvbnm1 zaq12wsx
"""
_COMMON: Final = frozenset(_COMMON_TEXT.split())

_T = TypeVar("_T")


class Verdict(NamedTuple):
    """What was found about a password.

    Attributes:
        is_right: It is the one that was hashed.
        new_hash: The same password as it is hashed today, where it was hashed otherwise; or "".
    """

    is_right: bool
    new_hash: str = ""


def check_password(password: str, name: str) -> None:
    """Refuse what is guessed first.

    Args:
        password: A new one.
        name: Of the user.

    Raises:
        WrongField: It may not be a password; it is not quoted.
    """
    if len(password) < MIN_LENGTH:
        raise WrongField(f"it is shorter than {MIN_LENGTH} characters", "password")
    if len(password) > MAX_LENGTH:
        raise WrongField(f"it is longer than {MAX_LENGTH} characters", "password")
    try:
        password.encode("utf-8")
    except UnicodeEncodeError:
        raise WrongField("it has half of a character", "password") from None
    folded = password.casefold()
    if folded in _COMMON or len(set(folded)) == 1:
        raise WrongField("it is among the first that are tried", "password")
    if len(folded.replace(name_key(name), "")) < MIN_LENGTH // 2:
        raise WrongField("it is little more than the name", "password")


class Passwords:
    """Hashes passwords, and compares them with hashes.

    Args:
        reactor: Where answers are delivered. Without, all is done at once, where it is asked for.
        hasher: How they are hashed from now on.
    """

    def __init__(self, reactor: Any = None, hasher: PasswordHasher = HASHER) -> None:
        self._reactor = reactor
        self._hasher = hasher
        self._nobodys = _hash_of_nothing(hasher)
        self._pool: _Pool | None = None
        self._waiting = 0
        self._is_stopped = False

    def hash(self, password: str) -> Deferred[str]:
        """Hash a password, with a salt of its own.

        Returns:
            Fires with what is kept. Fails with `LimitExceeded` when too many wait.
        """
        return self._run(partial(self._hasher.hash, _prepared(password)))

    def verify(self, hashed: str | None, password: str) -> Deferred[Verdict]:
        """Compare a password with a hash.

        Args:
            hashed: None where there is no such user: it takes as long, and is wrong.
            password: As somebody typed it, whatever it is.

        Returns:
            Fails with `LimitExceeded` when too many wait.
        """
        return self._run(partial(self._verify, hashed, password))

    def stop(self) -> None:
        """Forget what has not begun, and end the threads; waits for what they do, briefly."""
        self._is_stopped = True
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()

    def _verify(self, hashed: str | None, password: str) -> Verdict:
        # Cut, or whoever sends a megabyte could keep the threads busy with its normal form.
        given = _prepared(password[: MAX_LENGTH + 1])
        try:
            self._hasher.verify(hashed or self._nobodys, given)
        except (VerificationError, InvalidHashError):
            return Verdict(False)
        if hashed is None or len(password) > MAX_LENGTH:
            return Verdict(False)
        renew = self._hasher.check_needs_rehash(hashed)
        return Verdict(True, self._hasher.hash(given) if renew else "")

    def _run(self, work: Callable[[], _T]) -> Deferred[_T]:
        if self._reactor is None:
            return execute(work)
        if self._is_stopped or self._waiting >= MAX_WAITING:
            message = "too many passwords are being looked at already"
            return fail(LimitExceeded(message, reference="P-103", limit=MAX_WAITING))
        if self._pool is None:
            # Not before: threads do not survive a fork.
            self._pool = _Pool(minthreads=0, maxthreads=_THREADS, name="passwords")
            self._pool.start()
        answer: Deferred[_T] = Deferred()
        self._waiting += 1
        self._pool.callInThreadWithCallback(
            partial(self._reactor.callFromThread, self._done, answer), self._work, work, answer
        )
        return answer

    def _work(self, work: Callable[[], _T], answer: Deferred[_T]) -> _T | None:
        # Nobody waits for it any more, or the server stops.
        if answer.called or self._is_stopped:
            return None
        return work()

    def _done(self, answer: Deferred[_T], is_good: bool, result: _T | Failure) -> None:
        self._waiting -= 1
        if answer.called:
            return
        if self._is_stopped:
            message = "the server stops"
            answer.errback(LimitExceeded(message, reference="P-103", limit=MAX_WAITING))
        else:
            # A Failure goes the way of errors by itself.
            answer.callback(result)


class _Thread(threading.Thread):
    """One that leaves the processor to the streams, and does not keep the process from ending."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options, daemon=True)

    def run(self) -> None:
        # On Linux each thread has a niceness of its own. Where it may not be set, it is not.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        super().run()


class _Pool(ThreadPool):
    threadFactory = _Thread


def _prepared(password: str) -> bytes:
    """Return the same bytes for what looks the same, however it was typed (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _hash_of_nothing(hasher: PasswordHasher) -> str:
    """Return what looks like a hash, takes as long to compare with, and is no password's."""

    def text(length: int) -> str:
        return base64.b64encode(secrets.token_bytes(length)).rstrip(b"=").decode("ascii")

    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${costs}${text(hasher.salt_len)}${text(hasher.hash_len)}"
