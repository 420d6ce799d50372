"""One request to one server, and its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from http.cookiejar import CookieJar
from typing import Any, Final, NamedTuple, TypeAlias

from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IAgent

from ntvmedia.outbound.addresses import Target
from ntvmedia.outbound.bodies import Body, PostedBody, ReceiverFailed, Unread
from ntvmedia.outbound.cookies import cookie_field, keep_cookies
from ntvmedia.outbound.failures import OutboundError, Unacceptable
from ntvmedia.outbound.fields import Fields, answer_fields, is_compressed, request_fields
from ntvmedia.outbound.flow import Flow
from ntvmedia.outbound.reasons import NETWORK_ERRORS, is_permanent, reason_of

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
"""The answers that send us on (RFC 9110 15.4); of GET, all in the same way."""

KEEPING: Final = frozenset({307, 308})
"""Those of them after which a POST is still one, with its body (RFC 9110 15.4.8, 15.4.9)."""

MAX_PASSED_OVER_BYTES: Final = 16 << 10
PASS_OVER_SECONDS: Final = 1.0
"""The body of a redirect, a line for who reads it, is passed over up to this length and for so
long, so that its connection can be used again. What is longer, has no length or does not come ends
with its connection: servers have announced such bodies and never sent them."""


class Answer(NamedTuple):
    """What a server answered, whatever its status.

    Attributes:
        status: Of three digits.
        headers: By lower-case name; several of one name are joined with commas. Those of the
            connection are left out; Content-Length is there where it counts.
        body: All of it; nothing where it was given to a receiver.
        url: Who answered, after all redirects, without user and password. What the body names
            relatively is relative to this.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""


Receiver: TypeAlias = Callable[[Answer], Callable[[bytes], object] | None]
"""Is shown the head of an answer, and returns who takes its body; as in `Outbound.get`."""


class Question(NamedTuple):
    """What is asked, of whichever server.

    Attributes:
        limit_bytes: The longest body that is taken.
        headers: Fields for the first server only.
        shared_headers: Fields for all.
        cookies: As in `Outbound.get`.
        receiver: As in `Outbound.get`.
        touched: Called when something comes.
        clock: The reactor's time.
        body: What is posted; None to get.
        same_server: No redirect to another server is followed.
        flow: As in `Outbound.get`.
    """

    limit_bytes: int
    headers: Fields
    shared_headers: Fields
    cookies: CookieJar | None
    receiver: Receiver | None
    touched: Callable[[], None]
    clock: IReactorTime
    body: bytes | None = None
    same_server: bool = False
    flow: Flow | None = None


async def exchange(agent: IAgent, target: Target, question: Question, who: str) -> Answer:
    """Ask one server once.

    Args:
        agent: What it asks through.
        target: Whom, and for what.
        question: The rest of it.
        who: Names the server in errors.

    Returns:
        The answer. A redirect comes without its body.

    Raises:
        OutboundError: There is none, or none that is taken.
        Exception: The receiver raised it.
    """
    fields = request_fields(question.shared_headers, question.headers)
    if target.authorization:
        fields.setRawHeaders("Authorization", [target.authorization])
    if question.cookies is not None:
        own = fields.getRawHeaders(b"Cookie", [b""])[0]
        cookie = cookie_field(question.cookies, target, own)
        if cookie:
            fields.setRawHeaders(b"Cookie", [cookie])
    try:
        url = target.url.encode("ascii")
        if question.body is None:
            response: Any = await agent.request(b"GET", url, fields)
        else:
            response = await agent.request(b"POST", url, fields, PostedBody(question.body))
        question.touched()
        if question.cookies is not None:
            keep_cookies(question.cookies, target, response.headers)
        return await _taken(response, target, question)
    except ReceiverFailed as failed:
        raise failed.error from None
    except NETWORK_ERRORS as error:
        why = f"{who}: {reason_of(error)}"
        raise OutboundError(why, is_permanent=is_permanent(error)) from None


async def _taken(response: Any, target: Target, question: Question) -> Answer:
    fields = answer_fields(response.headers, response.length)
    answer = Answer(response.code, fields, b"", target.url)
    if answer.status in REDIRECTS:
        await _pass_over(response, question)
        return answer
    if is_compressed(response.headers):
        response.deliverBody(Unread())
        raise Unacceptable("the answer is compressed, which was not asked for", is_permanent=True)
    receiver = None
    if question.receiver is not None:
        try:
            receiver = question.receiver(answer)
        except Exception as error:
            response.deliverBody(Unread())
            raise ReceiverFailed(error) from None
    flow = question.flow
    body = Body(response, question.limit_bytes, receiver, question.touched, flow)
    response.deliverBody(body)
    if flow is not None:
        flow.hold()
    return answer._replace(body=await body.done)


async def _pass_over(response: Any, question: Question) -> None:
    if not isinstance(response.length, int) or response.length > MAX_PASSED_OVER_BYTES:
        response.deliverBody(Unread())
        return
    body = Body(response, MAX_PASSED_OVER_BYTES, None, question.touched)
    response.deliverBody(body)
    # Where it led is known all the same.
    with suppress(TookTooLong, *NETWORK_ERRORS):
        await body.done.addTimeout(PASS_OVER_SECONDS, question.clock)
