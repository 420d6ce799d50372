"""The list of segments: what it has, and what may still be fetched."""

from __future__ import annotations

from hypothesis import given, strategies as st

from ntvmedia.endpoints.http.hls.files import Copies
from ntvmedia.endpoints.http.hls.window import NewSegment, Window


def _add(window: Window, now: float, duration: float = 2.0, **more: bool) -> None:
    window.target_duration, window.count = 2, 3
    _open(window, now, discontinuity=more.get("discontinuity", False))
    window.add(b"media %d" % window.number, duration, now, gap=more.get("gap", False))
    window.write()


def _open(window: Window, now: float, *, discontinuity: bool = False) -> None:
    window.open(NewSegment(1000.0 + now, discontinuity, "", None, "ts", "video/mp2t"))


def _text(window: Window) -> list[str]:
    return window.files[b"index.m3u8"].body.decode("ascii").splitlines()


def test_no_playlist_before_a_segment() -> None:
    """There is no empty list: a player waits for the first segment instead."""
    window = Window(10, 5, "x", Copies())
    assert not window.files
    _add(window, 0.0)
    assert set(window.files) == {b"index.m3u8", b"10-x.ts"}
    assert "#EXT-X-MEDIA-SEQUENCE:10" in _text(window)
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:5" in _text(window)


def test_sliding() -> None:
    """C-PL-23: one number more for each segment that is removed, in order."""
    window = Window(10, 0, "x", Copies())
    for index in range(5):
        _add(window, index * 2.0)
    assert [line for line in _text(window) if line.endswith(".ts")] == [
        "12-x.ts",
        "13-x.ts",
        "14-x.ts",
    ]
    assert "#EXT-X-MEDIA-SEQUENCE:12" in _text(window)
    assert not any("PLAYLIST-TYPE" in line for line in _text(window))


def test_short_segments() -> None:
    """C-PL-23: however many they are, the list has three target durations."""
    window = Window(0, 0, "x", Copies())
    for index in range(40):
        _add(window, index * 0.5, 0.5)
    assert window.listed == 12


def test_discontinuity_that_slides_out() -> None:
    """C-PL-08: the number of discontinuities before the list grows exactly then."""
    window = Window(0, 7, "x", Copies())
    _add(window, 0.0)
    _add(window, 2.0, discontinuity=True)
    _add(window, 4.0)
    _add(window, 6.0)
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:7" in _text(window)
    assert "#EXT-X-DISCONTINUITY" in _text(window)
    _add(window, 8.0)
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:8" in _text(window)
    assert "#EXT-X-DISCONTINUITY" not in _text(window)


def test_removed_segments_stay_for_a_while() -> None:
    """C-PL-14: for their own duration and that of the longest list that had them."""
    window = Window(0, 0, "x", Copies())
    for index in range(4):
        _add(window, index * 2.0)
    # Removed at 6 s; the longest list was 8 s before that, when it was added to.
    assert b"0-x.ts" in window.files
    window.purge(15.9)
    assert b"0-x.ts" in window.files
    window.purge(16.0)
    assert b"0-x.ts" not in window.files
    assert b"1-x.ts" in window.files


def test_retired() -> None:
    """Numbers go on after everything was removed, and segments stay for a while (C-PL-14)."""
    window = Window(0, 0, "x", Copies())
    _add(window, 0.0)
    _add(window, 2.0, discontinuity=True)
    window.retire(3.0)
    assert set(window.files) == {b"0-x.ts", b"1-x.ts"}
    assert (window.listed, window.number, window.discontinuities) == (0, 2, 1)
    window.purge(9.0)
    assert window.files == {}
    _add(window, 50.0, discontinuity=True)
    assert "#EXT-X-MEDIA-SEQUENCE:2" in _text(window)


def test_end_of_the_list() -> None:
    """The end is told when it is wanted, and taken back when the stream goes on."""
    window = Window(0, 0, "x", Copies())
    _add(window, 0.0)
    window.end()
    assert _text(window)[-1] == "#EXT-X-ENDLIST"
    window.ended = False
    _add(window, 2.0)
    assert _text(window)[-1] == "1-x.ts"


def test_headers() -> None:
    """C-PL-12: playlists are asked for each time, a segment's name never means other bytes."""
    window = Window(0, 0, "x", Copies())
    _add(window, 0.0)
    playlist, segment = window.files[b"index.m3u8"], window.files[b"0-x.ts"]
    assert b"Cache-Control: no-cache\r\n" in playlist.head
    assert b"Content-Type: application/vnd.apple.mpegurl\r\n" in playlist.head
    assert segment.head == (
        b"Content-Type: video/mp2t\r\nCache-Control: max-age=3600, immutable\r\n"
        b"Content-Length: 7\r\n\r\n"
    )


@given(
    st.lists(
        st.tuples(st.floats(0.04, 2.4), st.booleans(), st.floats(0.0, 5.0)),
        min_size=1,
        max_size=60,
    )
)
def test_rules_of_a_sliding_list(segments: list[tuple[float, bool, float]]) -> None:
    """C-PL-08, C-PL-23: numbers only grow, and say exactly what is no longer there."""
    window = Window(100, 50, "x", Copies())
    now = 0.0
    first = 100
    cut: list[bool] = []
    for duration, discontinuity, wait in segments:
        now += wait
        _add(window, now, duration, discontinuity=discontinuity)
        cut.append(discontinuity)
        lines = _text(window)
        uris = [line for line in lines if line.endswith(".ts")]
        number = int(uris[0].partition("-")[0])
        assert f"#EXT-X-MEDIA-SEQUENCE:{number}" in lines
        assert number >= first
        first = number
        gone = sum(cut[: number - 100])
        assert f"#EXT-X-DISCONTINUITY-SEQUENCE:{50 + gone}" in lines
        assert lines.count("#EXT-X-DISCONTINUITY") == sum(cut[number - 100 :])
        assert all(uri.encode("ascii") in window.files for uri in uris)
        lengths = [float(x[8:-1]) for x in lines if x.startswith("#EXTINF:")]
        assert len(uris) <= 3 or sum(lengths[1:]) < 6.000001
