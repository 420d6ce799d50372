"""Requests of a client and their answers: numbers, passwords, second tries."""

from __future__ import annotations

from typing import Final, NamedTuple

from ntvmedia.errors import LimitExceeded
from ntvmedia.wire.rtsp.challenges import Challenge, authorization, choose_challenge
from ntvmedia.wire.rtsp.headers import Headers
from ntvmedia.wire.rtsp.messages import Request, Response, build_request, build_response, reason_of

MAX_PENDING: Final = 16
"""Requests without an answer. One is usual; more are signs of life that a camera never answers."""

# With no nonce, with one that is too old, and with a good one.
_MAX_TRIES: Final = 3


class Sent(NamedTuple):
    """A request that was sent.

    Attributes:
        request: Without the headers that each try has anew.
        tries: How often it was sent.
        at: When it was sent last, in monotonic seconds.
        has_answer: The try had an `Authorization`.
    """

    request: Request
    tries: int
    at: float
    has_answer: bool


class Exchange:
    """The requests of one connection.

    Args:
        user: Empty for none.
        password: Its password.
        random: 8 unpredictable bytes or more, for the digest.
        basic: Answer Basic, too, which shows the password to everybody on the way.
        user_agent: This program.

    Attributes:
        out: What has to be sent.
    """

    def __init__(
        self, user: str, password: str, random: bytes, *, basic: bool, user_agent: str
    ) -> None:
        self.out: list[bytes] = []
        self._user = user
        self._password = password
        self._cnonce = random[:8].hex()
        self._basic = basic
        self._user_agent = user_agent
        self._number = 0
        self._challenge: Challenge | None = None
        self._count = 0
        self._pending: dict[int, Sent] = {}

    @property
    def pending(self) -> list[Sent]:
        """The requests without an answer, the oldest first."""
        return list(self._pending.values())

    def ask(self, request: Request, now: float) -> None:
        """Send a request; what numbers it and shows the password is added.

        Raises:
            LimitExceeded: The server answers none.
        """
        self._send(request, 1, now)

    def reply(self, request: Request, status: int, *fields: tuple[str, str]) -> None:
        """Answer a request of the server."""
        headers = [("CSeq", request.headers.get("cseq", "0")), *fields]
        self.out.append(build_response(Response(status, reason_of(status), Headers(headers))))

    def forget_before(self, moment: float) -> None:
        """Wait no longer for answers to what was sent before a time, in monotonic seconds."""
        self._pending = {
            number: sent for number, sent in self._pending.items() if sent.at >= moment
        }

    def received(self, response: Response, now: float) -> Sent | None:
        """Take an answer.

        Returns:
            The request that it is the last word on; None if that was sent again, waits for more,
            or is none of ours.

        Raises:
            LimitExceeded: As `ask`.
        """
        number = _number(response.headers.get("cseq"))
        if number < 0 and "cseq" not in response.headers:
            number = next(iter(self._pending), -1)
        if number not in self._pending or response.status < 200:
            return None
        sent = self._pending.pop(number)
        if response.status == 401 and self._may_try_again(sent, response):
            self._send(sent.request, sent.tries + 1, now)
            return None
        return sent

    def _may_try_again(self, sent: Sent, response: Response) -> bool:
        challenge = choose_challenge(
            response.headers.get_all("WWW-Authenticate"), basic=self._basic
        )
        if challenge is None or not self._user:
            return False
        used, self._challenge, self._count = self._challenge, challenge, 0
        if not sent.has_answer:
            return True
        # The password was refused, unless only its nonce was too old, said or not.
        is_new = used is not None and used.parameters.get("nonce") != challenge.parameters.get(
            "nonce"
        )
        return sent.tries < _MAX_TRIES and (challenge.is_stale or (is_new and sent.tries < 2))

    def _send(self, request: Request, tries: int, now: float) -> None:
        if len(self._pending) >= MAX_PENDING:
            raise LimitExceeded(
                "too many requests without an answer", reference="RFC 2326 9.1", limit=MAX_PENDING
            )
        self._number += 1
        fields = [("CSeq", str(self._number)), ("User-Agent", self._user_agent), *request.headers]
        challenge = self._challenge
        if challenge is not None:
            self._count += 1
            text = authorization(
                challenge,
                self._user,
                self._password,
                request.method,
                request.url,
                count=self._count,
                cnonce=self._cnonce,
            )
            fields.append(("Authorization", text))
        self._pending[self._number] = Sent(request, tries, now, challenge is not None)
        self.out.append(build_request(request._replace(headers=Headers(fields))))


def _number(text: str) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
