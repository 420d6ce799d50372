"""What is sent: one event in the words of a callback's dialect, by its method, signed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlencode

from ntvmedia.callbacks.callback import SRS_ACTIONS, Callback
from ntvmedia.callbacks.facts import Facts, srs_vhost
from ntvmedia.callbacks.signing import HEADER, signature
from ntvmedia.outbound import parse_target
from ntvmedia.outbound.addresses import MAX_LENGTH

DECISION: Final = "decision"
NOTIFICATION: Final = "notification"
TEST: Final = "test"
"""The kinds of messages: a question, something that happened, and neither."""

# What is left out of a query that would be too long, in this order: who needs it, posts.
_LEFT_OUT: Final = ("user_agent", "page_url", "param", "reason")


class Notice(NamedTuple):
    """One event, before it is put into anybody's words.

    Attributes:
        kind: `DECISION`, `NOTIFICATION` or `TEST`.
        event: One of `EVENTS`.
        event_id: The same however often it is sent, so that a receiver knows a repetition.
        time: When it happened, in seconds since 1970.
        facts: The rest.
    """

    kind: str
    event: str
    event_id: str
    time: float
    facts: Facts


class Message(NamedTuple):
    """A request that can be sent.

    Attributes:
        url: Where to.
        body: What is posted; None for a GET.
        headers: With the signature.
    """

    url: str
    body: bytes | None
    headers: Mapping[str, str]


def message_of(callback: Callback, notice: Notice, now: float) -> Message:
    """Put an event into a callback's words.

    Args:
        callback: Whom it is for.
        notice: What is told.
        now: When it is sent, in seconds since 1970.

    Raises:
        OutboundError: The callback's address is none.
    """
    fields = _srs(notice) if callback.dialect == "srs" else _own(notice)
    headers = {"X-Ntvmedia-Event": notice.event, "X-Ntvmedia-Event-Id": notice.event_id}
    url, body = callback.url, None
    if callback.method == "GET":
        url = _with_query(callback.url, fields)
        # As it is sent, whatever was normalised on the way.
        signed = parse_target(url).path.partition("?")[2].encode("ascii")
    else:
        signed = body = json.dumps(fields, separators=(",", ":")).encode("ascii")
        headers["Content-Type"] = "application/json"
    if callback.secret:
        headers[HEADER] = signature(callback.secret, int(now), signed)
    return Message(url, body, headers)


def _own(notice: Notice) -> dict[str, object]:
    return {
        "kind": notice.kind,
        "event": notice.event,
        "event_id": notice.event_id,
        "time": round(notice.time, 3),
        **notice.facts,
    }


def _srs(notice: Notice) -> dict[str, object]:
    """Return the fields that SRS 5 posts, and its names for them ("HTTP Callback")."""
    facts = notice.facts

    def text(name: str) -> str:
        return str(facts.get(name, ""))

    fields: dict[str, object] = {
        "server_id": text("server_id"),
        "service_id": text("service_id"),
        "action": SRS_ACTIONS.get(notice.event, notice.event),
        "client_id": text("client_id"),
        "ip": text("ip"),
        "vhost": srs_vhost(text("vhost")),
        "app": text("application"),
        "tcUrl": text("tc_url"),
        "stream": text("stream"),
        "param": text("param"),
        "stream_url": f"/{text('application')}/{text('stream')}",
        "stream_id": text("stream_id"),
    }
    if notice.event == "play":
        fields["pageUrl"] = text("page_url")
    elif notice.event == "record_file":
        fields["cwd"] = text("folder")
        fields["file"] = text("file")
    return fields


def _with_query(url: str, fields: Mapping[str, object]) -> str:
    texts = {name: _text(value) for name, value in fields.items()}
    mark = "&" if "?" in url else "?"
    for name in ("", *_LEFT_OUT):
        if name in texts:
            texts[name] = ""
        full = f"{url}{mark}{urlencode(texts, errors='surrogatepass')}"
        if len(full) <= MAX_LENGTH:
            break
    return full


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


Clock = Callable[[], float]
"""Returns the seconds since 1970."""
