"""Tests of ntvmedia.callbacks.messages, facts and signing."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, strategies as st

from ntvmedia.access import Request
from ntvmedia.callbacks.callback import Callback
from ntvmedia.callbacks.facts import client_facts, split_peer, srs_vhost, stream_facts
from ntvmedia.callbacks.messages import DECISION, Message, Notice, message_of
from ntvmedia.callbacks.signing import signature
from ntvmedia.media import StreamKey
from ntvmedia.outbound.addresses import MAX_LENGTH, parse_target
from tests.callbacks.rig import KEY, NOW, request

FACTS = {"server_id": "vid-1", "service_id": "abc", **client_facts(KEY, "abc-1", request())}


def callback(**fields: Any) -> Callback:
    """Return one."""
    values: dict[str, Any] = {"url": "http://r.example/hook?key=%20v", "events": ("play",)}
    return Callback("1", "a", **{**values, **fields})


def sent(to: Callback, event: str = "play", **facts: object) -> Message:
    """Put an event into words."""
    return message_of(to, Notice(DECISION, event, "e-1", NOW, {**FACTS, **facts}), NOW + 2)


def test_post() -> None:
    """Our own dialect posts JSON with all that is known (G-HK-04)."""
    message = sent(callback())
    assert message.url == "http://r.example/hook?key=%20v"
    assert message.body is not None
    assert json.loads(message.body) == {
        "kind": "decision",
        "event": "play",
        "event_id": "e-1",
        "time": NOW,
        "server_id": "vid-1",
        "service_id": "abc",
        "application": "liveshow",
        "stream": "one",
        "stream_id": stream_facts(KEY)["stream_id"],
        "client_id": "abc-1",
        "protocol": "rtmp",
        "ip": "192.0.2.7",
        "port": 50000,
        "vhost": "live.example.org",
        "tc_url": "rtmp://live.example.org:1936/liveshow",
        "param": "?token=a+b",
        "page_url": "https://site.example/page",
        "user_agent": "OBS",
    }
    assert message.headers == {
        "X-Ntvmedia-Event": "play",
        "X-Ntvmedia-Event-Id": "e-1",
        "Content-Type": "application/json",
    }


def test_srs() -> None:
    """The dialect of SRS has its names, of each event those that SRS 5 sends."""
    message = sent(callback(dialect="srs"))
    assert message.body is not None
    fields = json.loads(message.body)
    stream_id = fields.pop("stream_id")
    assert stream_id.startswith("vid-")
    assert fields == {
        "server_id": "vid-1",
        "service_id": "abc",
        "action": "on_play",
        "client_id": "abc-1",
        "ip": "192.0.2.7",
        "vhost": "live.example.org",
        "app": "liveshow",
        "tcUrl": "rtmp://live.example.org:1936/liveshow",
        "stream": "one",
        "param": "?token=a+b",
        "stream_url": "/liveshow/one",
        "pageUrl": "https://site.example/page",
    }
    for event, action in (
        ("publish", "on_publish"),
        ("unpublish", "on_unpublish"),
        ("stop", "on_stop"),
    ):
        message = sent(callback(dialect="srs"), event)
        fields = json.loads(message.body or b"")
        assert fields["action"] == action
        assert "pageUrl" not in fields
    message = sent(callback(dialect="srs"), "record_file", folder="/data", file="a.mp4")
    fields = json.loads(message.body or b"")
    assert (fields["action"], fields["cwd"], fields["file"]) == ("on_dvr", "/data", "a.mp4")


def test_get() -> None:
    """The same fields stand in the query of a GET, behind what the address has already."""
    message = sent(callback(method="GET"), flag=True)
    assert message.body is None
    found = dict(parse_qsl(urlsplit(message.url).query, keep_blank_values=True))
    assert found["key"] == " v"
    assert found["param"] == "?token=a+b"
    assert found["flag"] == "true"
    assert found["port"] == "50000"
    assert "Content-Type" not in message.headers
    message = sent(callback(method="GET", url="http://r.example"))
    assert message.url.startswith("http://r.example?kind=decision&")


def test_signature() -> None:
    """F-IN-10: HMAC-SHA256 over time, dot and body; a vector made by another program.

    printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
    """
    digest = "49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686"
    assert signature("secret", 1_700_000_000, b'{"a":1}') == f"t=1700000000,v1={digest}"
    message = sent(callback(secret="s\xe4cret"))
    assert message.body is not None
    time = str(int(NOW + 2))
    data = time.encode() + b"." + message.body
    digest = hmac.new("s\xe4cret".encode(), data, hashlib.sha256).hexdigest()
    assert message.headers["X-Ntvmedia-Signature"] == f"t={time},v1={digest}"


def test_signature_of_get() -> None:
    """What is signed of a GET is the query as the client sends it."""
    to = callback(method="GET", secret="s", url="http://r.example/h?a=\u00fc")
    message = sent(to)
    query = parse_target(message.url).path.partition("?")[2]
    assert query.startswith("a=%C3%BC&kind=")
    assert message.headers["X-Ntvmedia-Signature"] == signature("s", int(NOW + 2), query.encode())


def test_long_get() -> None:
    """A query that would be too long goes without what the client says most of."""
    long = {"param": "?" + "\u4f60" * 900, "user_agent": "x" * 500, "page_url": "y" * 900}
    message = sent(callback(method="GET"), **long)
    assert len(message.url) <= MAX_LENGTH
    found = dict(parse_qsl(urlsplit(message.url).query, keep_blank_values=True))
    assert found["user_agent"] == ""
    assert found["stream"] == "one"


@pytest.mark.parametrize(
    ("peer", "found"),
    [
        ("192.0.2.1:80", ("192.0.2.1", 80)),
        ("[2001:db8::1]:50000", ("2001:db8::1", 50000)),
        ("host", ("host", 0)),
        ("", ("", 0)),
        ("[::1]", ("::1", 0)),
    ],
)
def test_peers(peer: str, found: tuple[str, int]) -> None:
    """Host and port are apart."""
    assert split_peer(peer) == found


@pytest.mark.parametrize(
    ("address", "vhost", "srs", "tc_url"),
    [
        ("", "", "__defaultVhost__", ""),
        ("http://a.example", "a.example", "a.example", "http://a.example/liveshow"),
        ("https://[2001:db8::1]:8443", "2001:db8::1", "__defaultVhost__", None),
        ("rtsp://192.0.2.1", "192.0.2.1", "__defaultVhost__", "rtsp://192.0.2.1/liveshow"),
        ("rtmp://[broken", "", "__defaultVhost__", ""),
    ],
)
def test_places(address: str, vhost: str, srs: str, tc_url: str | None) -> None:
    """The host that was asked; SRS calls one without a name its default."""
    facts = client_facts(KEY, "1", request(address=address))
    assert facts["vhost"] == vhost
    assert srs_vhost(vhost) == srs
    assert facts["tc_url"] == (f"{address}/liveshow" if tc_url is None else tc_url)


@pytest.mark.parametrize("protocol", ["rtmp", "rtsp", "flv", "ws-flv", "ts", "hls", "rtsp-http"])
def test_same_fields(protocol: str) -> None:
    """G-HK-04: all protocols tell the same fields, and so does who has not asked."""
    facts = client_facts(KEY, "1", request(protocol=protocol))
    assert set(facts) == set(client_facts(KEY, "1", None, protocol, "192.0.2.1:1"))
    assert facts["protocol"] == protocol


def test_streams() -> None:
    """A stream's id is the same whenever and of no other stream."""
    one = stream_facts(StreamKey("a", "b"))
    assert one == stream_facts(StreamKey("a", "b"))
    assert one["stream_id"] != stream_facts(StreamKey("a", "c"))["stream_id"]


@given(
    st.dictionaries(st.text(max_size=300), st.text(max_size=300), max_size=30),
    st.text(max_size=2000),
    st.sampled_from(["GET", "POST"]),
)
def test_any_client(query: dict[str, str], text: str, method: str) -> None:
    """Whatever a client sends, a message can be made of it, of bounded length."""
    asked: Request = request(query=query, page_url=text, user_agent=text, peer=text, address=text)
    facts = client_facts(KEY, "abc-1", asked)
    notice = Notice(DECISION, "play", "e", NOW, facts)
    message = message_of(callback(method=method, secret="s"), notice, NOW)
    parse_target(message.url)
    assert len(message.body or b"") < 64_000


def test_secrets_are_not_shown() -> None:
    """F-AC-03: the text of a callback has neither its address nor its secret."""
    shown = repr(callback(secret="topsecret", url="http://me:pass@r/?token=t"))
    assert "topsecret" not in shown
    assert "pass" not in shown
