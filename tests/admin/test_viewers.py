"""Tests of ntvmedia.admin.viewers: `/viewers`."""

from __future__ import annotations

from ntvmedia.access import Action
from ntvmedia.media import StreamKey
from tests.admin.stream_rig import KEY, StreamTestCase

NEWS = StreamKey("tv", "news")


class ViewerTests(StreamTestCase):
    """Who watches."""

    def peers(self, query: str = "") -> list[str]:
        """Return the addresses of a page."""
        return [x["peer"] for x in self.ask("GET", f"/viewers{query}").json()["viewers"]]

    def test_list(self) -> None:
        """All of them, the longest there first; of one application, stream or protocol."""
        self.publish()
        self.publish(NEWS)
        self.play(KEY, "192.0.2.1:1", user_agent="VLC")
        self.play(NEWS, "192.0.2.2:1", "rtmp")
        self.play(KEY, "192.0.2.3:1", "hls", page_url="http://a.example/")
        assert self.peers() == ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"]
        assert self.peers("?application=liveshow&stream=a") == ["192.0.2.1:1", "192.0.2.3:1"]
        assert self.peers("?application=tv") == ["192.0.2.2:1"]
        assert self.peers("?protocol=hls") == ["192.0.2.3:1"]
        assert self.peers("?q=vlc") == ["192.0.2.1:1"]
        assert self.peers("?q=A.EXAMPLE") == ["192.0.2.3:1"]
        assert self.peers("?sort=-peer&page_size=1") == ["192.0.2.3:1"]
        for field in ("session", "started_at", "stream", "protocol", "bytes_out", "bitrate"):
            assert len(self.peers(f"?sort={field}")) == 3
        found = self.ask("GET", "/viewers?page_size=2").json()
        assert (found["total"], len(found["viewers"])) == (3, 2)
        assert self.ask("GET", "/viewers?sort=name").status == 400

    def test_secrets_of_pages(self) -> None:
        """F-AC-03: what a page's address has in its query plays: it is neither shown nor found."""
        self.publish()
        viewer, _reasons = self.play(page_url="https://u:pw1@a.example/p/b?share=sEcReT#sEcReT")
        for path in ("/viewers", f"/viewers/{viewer.session}", "/streams/liveshow/a"):
            answer = self.ask("GET", path)
            assert b"https://a.example/p/b" in answer.body
            assert b"sEcReT" not in answer.body
            assert b"pw1" not in answer.body
        assert self.peers("?q=share=s") == []
        assert len(self.peers("?q=a.example/p")) == 1

    def test_one(self) -> None:
        """By its number."""
        self.publish()
        viewer, _reasons = self.play()
        found = self.ask("GET", f"/viewers/{viewer.session}").json()
        assert (found["session"], found["application"], found["stream"]) == (
            viewer.session,
            "liveshow",
            "a",
        )
        for number in ("0", "999", "x", "-1", "9" * 5000, "%D9%A1"):
            found = self.ask("GET", f"/viewers/{number}")
            assert (found.status, found.problem()["type"][-9:]) == (404, "no-viewer")

    def test_kick(self) -> None:
        """One goes, the others stay."""
        self.publish()
        viewer, reasons = self.play()
        other, _reasons = self.play()
        found = self.ask("POST", f"/viewers/{viewer.session}/kick", {})
        assert found.json() == {"kicked": 1}
        assert reasons == ["an operator sent the viewer away"]
        assert list(self.host.hub.streams[KEY].viewers) == [other]
        assert self.host.access.blocks == []
        assert self.ask("POST", f"/viewers/{viewer.session}/kick", {}).status == 404
        [(action, subject, before, after)] = self.audit()
        assert (action, subject) == ("viewers.kick", f"viewer {viewer.session}")
        assert before == {"peer": "192.0.2.5:2", "protocol": "flv", "stream": "liveshow/a"}
        assert after == {"block_seconds": 0}

    def test_block(self) -> None:
        """F-AC-09: the address stays away for a while; it is blocked before it is sent away."""
        self.publish()
        viewer, reasons = self.play()
        blocks = self.host.access.blocks
        viewer._on_end = lambda reason: reasons.append(f"{reason}, {len(blocks)} blocked")
        assert (
            self.ask("POST", f"/viewers/{viewer.session}/kick", {"block_seconds": 60}).status == 200
        )
        assert blocks == [("192.0.2.5:2", KEY, 60, Action.PLAY)]
        assert reasons == ["an operator sent the viewer away, 1 blocked"]

    def test_kick_all(self) -> None:
        """All of one stream, on every protocol; the stream goes on."""
        self.publish()
        self.publish(NEWS)
        self.play(NEWS)
        for protocol in ("rtmp", "hls", "rtsp"):
            self.play(KEY, f"192.0.2.7:{len(protocol)}", protocol)
        found = self.ask("POST", "/streams/liveshow/a/viewers/kick", {"block_seconds": 5})
        assert found.json() == {"kicked": 3}
        assert len(self.host.access.blocks) == 3
        assert [key for key, x in self.host.hub.streams.items() if x.viewers] == [NEWS]
        assert self.audit()[-1] == (
            "viewers.kick",
            "liveshow/a",
            {"viewers": 3},
            {"block_seconds": 5},
        )
        assert self.ask("POST", "/streams/liveshow/b/viewers/kick", {}).status == 404
