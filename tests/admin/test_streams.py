"""Tests of ntvmedia.admin.streams: `/streams`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from ntvmedia.access import Action, StoreError
from ntvmedia.admin.metadata import encoder_of, plain_metadata
from ntvmedia.admin.stream_types import StreamDetail, StreamList
from ntvmedia.media import StreamKey
from tests.admin.stream_rig import KEY, StreamTestCase

STREAM = "/streams/liveshow/a"

TITLE = "<img src=x onerror=alert(1)>\r\nSet-Cookie: a=b\x1b[2J\u2028\u202e"


class ListTests(StreamTestCase):
    """Which streams there are."""

    def names(self, query: str = "") -> list[str]:
        """Return the names of a page."""
        found = self.ask("GET", f"/streams{query}").json()["streams"]
        return [stream["name"] for stream in found]

    def test_all(self) -> None:
        """Streams are told by name, each with what an operator wants to see (P-402)."""
        assert self.ask("GET", "/streams").json() == {
            "streams": [],
            "total": 0,
            "page": 1,
            "page_size": 50,
        }
        self.publish()
        self.play()
        found = self.ask("GET", "/streams").json()
        assert msgspec.convert(found, StreamList).total == 1
        [shown] = found["streams"]
        expected = {
            "name": "liveshow/a",
            "label": "",
            "label_edited": False,
            "application": "liveshow",
            "stream": "a",
            "state": "live",
            "forbidden": False,
            "viewers": 1,
            "bytes_in": 500,
            "bytes_out": 500,
        }
        assert {name: shown[name] for name in expected} == expected
        assert shown["publisher"]["peer"] == "192.0.2.9:1"
        assert shown["tracks"][0]["codec"] == "mp3"
        assert shown["renditions"][0]["viewers"] == 1

    def test_pages(self) -> None:
        """Sorted, searched, filtered and cut."""
        for number, name in enumerate(("b", "a", "c")):
            self.publish(StreamKey("liveshow", name), f"192.0.2.{number}:1", number)
        self.publish(StreamKey("tv", "news"), "198.51.100.1:1")
        self.play(StreamKey("tv", "news"))
        metadata = {"title": "Zebra"}
        self.host.hub.streams[StreamKey("liveshow", "a")].metadata_received(metadata)
        assert self.names() == ["liveshow/a", "liveshow/b", "liveshow/c", "tv/news"]
        assert self.names("?sort=-name") == ["tv/news", "liveshow/c", "liveshow/b", "liveshow/a"]
        assert self.names("?sort=-viewers")[0] == "tv/news"
        assert self.names("?sort=-label")[0] == "liveshow/a"
        assert self.names("?sort=publisher")[0] == "liveshow/b"
        for field in ("started_at", "bitrate_in", "bitrate_out", "frame_rate", "state", "stream"):
            assert len(self.names(f"?sort={field}")) == 4
        assert self.names("?q=ZEBRA") == ["liveshow/a"]
        assert self.names("?q=198.51") == ["tv/news"]
        assert self.names("?application=tv") == ["tv/news"]
        # Nothing came from the one, so its tracks are not known.
        assert self.names("?state=analyzing") == ["liveshow/b"]
        assert self.names("?page=2&page_size=3") == ["tv/news"]
        found = self.ask("GET", "/streams?page=2&page_size=3").json()
        assert (found["total"], found["page"], found["page_size"]) == (4, 2, 3)
        for query in ("?sort=viewer", "?state=gone", "?page=0", "?page_size=501", "?x=1"):
            assert self.ask("GET", f"/streams{query}").status == 400, query

    def test_size(self) -> None:
        """A page of many streams describes those that are on it, and no others."""
        for number in range(120):
            self.host.hub.publish(StreamKey("liveshow", f"s{number}"), _Quiet())
        looked: list[str] = []
        labels = self.host.labels
        of = labels.of

        def noted(key: StreamKey) -> str:
            looked.append(key.stream)
            return str(of(key))

        labels.of = noted
        assert len(self.ask("GET", "/streams?page_size=10").json()["streams"]) == 10
        assert len(set(looked)) == 10


class _Quiet:
    """A publisher that is there."""

    protocol = "rtmp"
    peer = "192.0.2.1:1"
    request = None

    def dismissed(self, reason: str) -> None:
        """Go."""


class DetailTests(StreamTestCase):
    """One stream."""

    def test_detail(self) -> None:
        """With what the publisher says, its program, and who watches."""
        self.publish().metadata_received(
            {"title": "Main  hall\n", "encoder": "Lavf61.7.100", "width": 1280.0}
        )
        self.play(user_agent="VLC", page_url="http://a.example/")
        found = self.ask("GET", STREAM).json()
        assert (found["label"], found["label_edited"]) == ("Main hall", False)
        assert found["encoder"] == "Lavf61.7.100"
        assert found["metadata"]["width"] == 1280
        assert msgspec.convert(found, StreamDetail).label == "Main hall"
        [viewer] = found["viewer_list"]
        assert (viewer["user_agent"], viewer["stream"]) == ("VLC", "a")

    def test_missing(self) -> None:
        """What is not published, and what no stream can be called, is told apart from a bug."""
        found = self.ask("GET", STREAM)
        assert found.status == 404
        assert found.problem()["type"].endswith("/no-stream")
        for name in (
            "a%2e%2e%2fb",
            "..",
            "a%5cb",
            "a.flv",
            "a" * 200,
            "%EF%BC%8E%EF%BC%8E",
            "a%20",
        ):
            for method, path, body in (
                ("GET", f"/streams/liveshow/{name}", None),
                ("PATCH", f"/streams/liveshow/{name}", {"label": "x"}),
                ("PUT", f"/streams/liveshow/{name}/forbidden", {}),
                ("POST", f"/streams/liveshow/{name}/close", {}),
            ):
                assert self.ask(method, path, body).status == 404, (method, name)
        assert self.flushLoggedErrors() == []

    def test_one_rule_for_names(self) -> None:
        """F-PA-06: composed or not, a name is the same here as for publishers; case matters."""
        self.publish(StreamKey("liveshow", "caf\u00e9"))
        for name, status in (("cafe\u0301", 200), ("caf\u00e9", 200), ("Caf\u00e9", 404)):
            assert self.ask("GET", f"/streams/liveshow/{quote(name)}").status == status, name

    def test_hostile_metadata(self) -> None:
        """F-IN-03, F-IN-06: whatever a publisher says of itself is data, of a limited size."""
        deep: Any = "end"
        for _level in range(50):
            deep = {"in": deep}
        self.publish().metadata_received(
            {
                "title": "<img src=x onerror=alert(1)>\r\nSet-Cookie: a=b\x1b[2J\u2028\u202e"
                + "y" * 9000,
                "deep": deep,
                "nan": float("nan"),
                "long": "z" * 100_000,
                "list": list(range(5000)),
                "object": object(),
                "x\ny": b"bytes",
            }
        )
        answer = self.ask("GET", STREAM)
        assert answer.status == 200
        assert len(answer.body) < 8000
        found = answer.json()
        assert len(found["label"]) == 200
        assert found["label"].startswith("<img src=x onerror=alert(1)> Set-Cookie: a=b [2J y")
        assert found["metadata"]["nan"] is None
        assert "x y" in found["metadata"]
        assert answer.fields[b"content-type"] == b"application/json"


class LabelTests(StreamTestCase):
    """What operators call a stream."""

    def test_rename(self) -> None:
        """An operator's label stands above what the publisher says, and stays for the name."""
        publication = self.publish()
        publication.metadata_received({"title": "Camera 1"})
        found = self.ask("PATCH", STREAM, {"label": " Main hall "})
        assert (found.status, found.json()["label"]) == (200, "Main hall")
        shown = self.ask("GET", STREAM).json()
        assert (shown["label"], shown["label_edited"]) == ("Main hall", True)
        publication.close("bye", lost=False)
        self.publish()
        assert self.ask("GET", STREAM).json()["label"] == "Main hall"
        self.ask("PATCH", STREAM, {"label": ""})
        shown = self.ask("GET", STREAM).json()
        assert (shown["label"], shown["label_edited"]) == ("", False)
        assert self.audit() == [
            ("streams.label", "liveshow/a", {"label": ""}, {"label": "Main hall"}),
            ("streams.label", "liveshow/a", {"label": "Main hall"}, {"label": ""}),
        ]

    def test_not_published(self) -> None:
        """A name can be labelled before anybody publishes it, in an application that there is."""
        assert self.ask("PATCH", STREAM, {"label": "Soon"}).status == 200
        assert self.ask("PATCH", "/streams/none/a", {"label": "x"}).status == 404

    def test_wrong(self) -> None:
        """F-IN-06: a label is one line that can be shown."""
        for label in ("a\nb", "\x1b[2J", "\u202eabc", "x" * 201, 7, None):
            found = self.ask("PATCH", STREAM, {"label": label})
            assert found.status == 400, label
            assert found.problem()["errors"][0]["field"] == "label"
        assert self.ask("PATCH", STREAM, {"lable": "x"}).status == 400
        assert len(self.host.labels) == 0

    def test_etag(self) -> None:
        """An edit of what somebody else has changed meanwhile is refused."""
        self.publish()
        tag = self.ask("GET", STREAM).fields[b"etag"]
        first = self.ask("PATCH", STREAM, {"label": "one"}, b"If-Match: " + tag)
        assert first.status == 200
        assert self.ask("PATCH", STREAM, {"label": "two"}, b"If-Match: " + tag).status == 412
        newer = first.fields[b"etag"]
        assert newer == self.ask("GET", STREAM).fields[b"etag"]
        assert self.ask("PATCH", STREAM, {"label": "two"}, b"If-Match: " + newer).status == 200

    def test_database_fails(self) -> None:
        """What is not kept is not shown."""
        self.publish()
        self.host.store.problem = StoreError("the disk of the database is full")
        assert self.ask("PATCH", STREAM, {"label": "x"}).status == 503
        assert self.ask("GET", STREAM).json()["label"] == ""


class CloseTests(StreamTestCase):
    """Ending streams, and forbidding them (P-404)."""

    def test_close(self) -> None:
        """The publisher is dropped and the viewers are told; it may come back."""
        publication = self.publish()
        _viewer, reasons = self.play()
        assert self.ask("POST", f"{STREAM}/close", {}).status == 204
        assert publication.publisher.reasons == ["an operator closed it"]
        assert reasons == ["an operator closed it"]
        assert self.host.hub.streams == {}
        assert self.host.access.blocks == []
        assert self.audit() == [
            (
                "streams.close",
                "liveshow/a",
                {"publisher": "192.0.2.9:1", "viewers": 1},
                {"block_seconds": 0},
            )
        ]
        assert self.ask("POST", f"{STREAM}/close", {}).status == 404
        self.publish()
        assert list(self.host.hub.streams) == [KEY]

    def test_block(self) -> None:
        """The publisher can be kept away for a while, before it is told to go."""
        self.publish()
        assert self.ask("POST", f"{STREAM}/close", {"block_seconds": 600}).status == 204
        assert self.host.access.blocks == [("192.0.2.9:1", KEY, 600, Action.PUBLISH)]
        for seconds in (-1, 1.5, 30 * 86400 + 1, "600"):
            assert self.ask("POST", f"{STREAM}/close", {"block_seconds": seconds}).status == 400

    def test_waiting(self) -> None:
        """A stream whose publisher was lost can be closed too."""
        self.publish().close("lost", lost=True)
        assert self.ask("POST", f"{STREAM}/close", {"block_seconds": 9}).status == 204
        assert self.host.hub.streams == {}
        assert self.host.access.blocks == []

    def test_close_while_the_database_fails(self) -> None:
        """An operator in need is not kept waiting by a full disk: the log says who did it."""
        self.publish()
        self.host.store.problem = StoreError("the disk of the database is full")
        assert self.ask("POST", f"{STREAM}/close", {}).status == 204
        assert self.host.hub.streams == {}

    def test_forbid(self) -> None:
        """A forbidden stream stays so until it is allowed, published or not."""
        found = self.ask("PUT", f"{STREAM}/forbidden", {"comment": "copyright"})
        assert found.status == 200
        assert found.json()["comment"] == "copyright"
        assert KEY in self.host.access.forbidden
        # As PUT has it, once more changes nothing.
        assert self.ask("PUT", f"{STREAM}/forbidden", {}).json()["comment"] == "copyright"
        self.publish()
        assert self.ask("GET", STREAM).json()["forbidden"] is True
        assert self.ask("DELETE", f"{STREAM}/forbidden").status == 204
        assert KEY not in self.host.access.forbidden
        assert self.ask("DELETE", f"{STREAM}/forbidden").status == 404
        actions = [(action, subject) for action, subject, _before, _after in self.audit()]
        assert actions == [("streams.forbid", "liveshow/a"), ("streams.allow", "liveshow/a")]

    def test_forbid_wrong(self) -> None:
        """An application that there is not has no streams to forbid."""
        assert self.ask("PUT", "/streams/none/a/forbidden", {}).status == 404
        assert self.ask("PUT", f"{STREAM}/forbidden", {"comment": "x" * 501}).status == 400


@pytest.mark.parametrize(
    ("metadata", "encoder"),
    [
        ({}, ""),
        ({"encoder": "Lavf"}, "Lavf"),
        ({"encoder": 7, "metadatacreator": "Wirecast\n1"}, "Wirecast 1"),
        ({"encoder": "  "}, ""),
    ],
)
def test_encoders(metadata: dict[str, object], encoder: str) -> None:
    """Programs name themselves in different fields."""
    assert encoder_of(metadata) == encoder


def test_metadata_is_json() -> None:
    """Numbers that JSON or JavaScript cannot have become null; what is left out is cut."""
    found = plain_metadata({"a": 2**60, "b": float("inf"), "c": True, "e": (1, {"f": None})})
    assert found == {"a": None, "b": None, "c": True, "e": [1, {"f": None}]}
    assert len(plain_metadata({str(x): x for x in range(1000)})) == 100
