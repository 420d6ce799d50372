"""Delivery directives, and requests that are held for what they ask for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from ntvmedia.endpoints.http.hls.files import Copies, File
from ntvmedia.endpoints.http.hls.waiting import (
    MAX_FIELDS,
    Directives,
    Waiter,
    Waiters,
    WrongDirective,
    parse_directives,
)
from ntvmedia.endpoints.http.hls.window import NewSegment, Window
from tests.endpoints.http.hls.cases import HLSCase
from tests.hls.rig import Player

FIRST = 100
PARTS = 4


def _window(segments: int = 3, parts: int = 0, *, part_target: float = 0.5) -> Window:
    """Return a list with some segments of four parts, and a beginning of the next."""
    window = Window(FIRST, 0, "x", Copies())
    window.target_duration, window.count = 2, 6
    window.part_target, window.can_block = part_target, True
    for _segment in range(segments):
        _parts(window, PARTS)
        window.add(b"whole", 2.0, 0.0)
    if parts:
        _parts(window, parts)
    window.write()
    return window


def _parts(window: Window, count: int) -> None:
    if not window.parts:
        window.open(NewSegment(0.0, False, "", None, "m4s", "video/mp4"))
    for _part in range(count):
        window.add_part(b"part", 0.5, 0.0, independent=False)


class Exchange:
    """A request that may go away."""

    def __init__(self) -> None:
        self.closing: Callable[[], None] = lambda: None

    def on_closed(self, callback: Callable[[], None]) -> None:
        """Keep it."""
        self.closing = callback


class Held:
    """Requests that wait for a window, and their answers."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.answers: list[tuple[object, int, File | None]] = []
        self.waiters = Waiters(
            window, lambda waiter, status, file: self.answers.append((waiter.wish, status, file))
        )

    def add(self, wish: Directives | None, name: bytes = b"", since: float = 0.0) -> Exchange:
        """Hold one."""
        exchange = Exchange()
        self.waiters.add(Waiter(exchange, None, wish, name, since))
        return exchange


# What is asked for


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", Directives()),
        ("a=b&_hls_msn=3", Directives()),
        ("_HLS_msn=3", Directives(3)),
        ("_HLS_msn=0&_HLS_part=0", Directives(0, 0)),
        ("_HLS_part=2&x=y&_HLS_msn=3&_HLS_skip=YES", Directives(3, 2, True)),
        ("_HLS_skip=v2", Directives(skip=True)),
        ("_HLS_skip=no&_HLS_msn=3", Directives(3)),
        ("_HLS_skip=", Directives()),
        ("_HLS_msn=%33", Directives(3)),
        ("_HLS_msn=1&_HLS_msn=2", Directives(2)),
        ("_HLS_report=x&_HLS_msn=007", Directives(7)),
        ("_HLS_msn=" + "9" * 19, Directives(10**19 - 1)),
    ],
)
def test_directives(query: str, wanted: Directives) -> None:
    """RFC 8216bis section 6.2.5: those that are known, of any order and spelling."""
    assert parse_directives(query) == wanted


@pytest.mark.parametrize(
    "query",
    [
        "_HLS_part=0",
        "_HLS_part=0&_HLS_skip=YES",
        "_HLS_msn=",
        "_HLS_msn=-1",
        "_HLS_msn=+1",
        "_HLS_msn=1.0",
        "_HLS_msn=1e3",
        "_HLS_msn= 1",
        "_HLS_msn=1_000",
        "_HLS_msn=%D9%A3",
        "_HLS_msn=%C2%B2",
        "_HLS_msn=" + "9" * 20,
        "_HLS_msn=" + "1" * 4000,
        "_HLS_msn=3&_HLS_part=",
        "_HLS_msn=3&_HLS_part=x",
        "_HLS_msn=None",
    ],
)
def test_wrong_directives(query: str) -> None:
    """C-LL-02: a part without its segment, or what is no number, is 400."""
    with pytest.raises(WrongDirective):
        parse_directives(query)


def test_too_many_fields() -> None:
    """F-RE-05: a query with far too much is refused, as any other that makes no sense."""
    fields = "&".join(f"a{index}=1" for index in range(MAX_FIELDS - 1))
    assert parse_directives(f"{fields}&_HLS_msn=1").msn == 1
    with pytest.raises(WrongDirective):
        parse_directives(f"{fields}&b=1&_HLS_msn=1")


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60))
def test_any_query(text: str) -> None:
    """A query is read, or refused, whatever is in it; nothing else comes out."""
    for query in (text, f"_HLS_msn={text}", f"_HLS_msn=1&_HLS_part={text}&_HLS_skip={text}"):
        try:
            found = parse_directives(query)
        except WrongDirective:
            continue
        assert found.msn is None or 0 <= found.msn < 10**19
        assert found.part is None or found.msn is not None


# What is there

LAST = FIRST + 2  # the last complete segment of `_window()`


@pytest.mark.parametrize(
    ("msn", "part", "there"),
    [
        (0, None, True),
        (FIRST, None, True),
        (LAST, None, True),
        (LAST + 1, None, False),
        (LAST + 2, None, False),
        (0, 99, True),
        (FIRST, 0, True),
        (FIRST, PARTS, True),  # the first of the segment after it
        (LAST, PARTS - 1, True),
        (LAST, PARTS, True),  # the first of the next one, which is there
        (LAST, 10**18, True),
        (LAST + 1, 0, True),
        (LAST + 1, 1, True),
        (LAST + 1, 2, False),
        (LAST + 2, 0, False),
        (LAST + 1, 7, False),
    ],
)
def test_what_is_there(msn: int, part: int | None, there: bool) -> None:
    """C-LL-01, C-LL-03: a whole segment is waited for; an old one or a part beyond is not."""
    window = _window(parts=2)
    held = Held(window)
    found = held.waiters.find(Directives(msn, part))
    assert (found is not None) is there
    if found is not None:
        assert found.body == window.files[b"index.m3u8"].body


def test_before_the_first_part() -> None:
    """C-LL-03: the part after the last one of a segment is the first of the next: it is awaited."""
    held = Held(_window())
    assert held.waiters.find(Directives(LAST, PARTS - 1)) is not None
    for wish in (Directives(LAST, PARTS), Directives(LAST, 10**18), Directives(LAST + 1, 0)):
        assert held.waiters.find(wish) is None
    # Of a segment that has no parts, as the first of a list may be, all is there.
    assert held.waiters.find(Directives(FIRST, 10**18)) is not None


@pytest.mark.parametrize(
    ("target", "most"), [(0.2, 15), (0.203, 14), (0.5, 6), (0.999, 3), (1.0, 3), (2.0, 3)]
)
def test_too_far_ahead(target: float, most: int) -> None:
    """C-LL-03: 400 beyond two segments, or the Advance Part Limit (section 6.2.5.2)."""
    held = Held(_window(parts=2, part_target=target))
    assert held.waiters.find(Directives(LAST + 1, 1 + most)) is None
    assert held.waiters.find(Directives(LAST + 2, None)) is None
    for wish in (
        Directives(LAST + 1, 2 + most),
        Directives(LAST + 2, most + 1),
        Directives(LAST + 3),
        Directives(LAST + 3, 0),
        Directives(10**19 - 1),
        Directives(10**19 - 1, 10**19 - 1),
    ):
        with pytest.raises(WrongDirective):
            held.waiters.find(wish)


def test_the_end() -> None:
    """C-LL-03: a list that is complete is given whatever is asked for."""
    window = _window()
    window.end()
    held = Held(window)
    for wish in (Directives(), Directives(LAST + 50), Directives(LAST + 1, 50)):
        found = held.waiters.find(wish)
        assert found is not None
        assert found.body.endswith(b"#EXT-X-ENDLIST\n")
        assert b"PRELOAD-HINT" not in found.body


def test_without_directives() -> None:
    """C-LL-13: who asks for nothing gets what there is."""
    held = Held(_window())
    assert held.waiters.find(Directives()) is not None


# Who waits


def test_answered_in_time() -> None:
    """C-LL-01: each is answered with the first version that has what it wants, and once."""
    window = _window(parts=1)
    held = Held(window)
    part, other, whole = Directives(LAST + 1, 1), Directives(LAST + 1, 3), Directives(LAST + 1)
    for wish in (whole, part, other, part):
        held.add(wish)
    held.waiters.changed()
    assert held.answers == []
    _parts(window, 1)
    window.write()
    held.waiters.changed()
    assert [(wish, status) for wish, status, _file in held.answers] == [(part, 200), (part, 200)]
    assert held.answers[0][2] is held.answers[1][2]
    _parts(window, 2)
    window.add(b"whole", 2.0, 0.0)
    window.write()
    held.waiters.changed()
    assert [wish for wish, _status, _file in held.answers[2:]] == [whole, other]
    assert len(held.waiters) == 0
    held.waiters.changed()
    held.waiters.release()
    held.waiters.look(1e9, 1.0)
    assert len(held.answers) == 4


def test_hint() -> None:
    """C-LL-09: the part that was hinted is what is sent; one that does not come is 404."""
    window = _window(parts=1)
    hint = window.hint
    held = Held(window)
    held.add(None, hint)
    held.waiters.changed()
    assert held.answers == []
    _parts(window, 1)
    window.write()
    held.waiters.changed()
    (_wish, status, file) = held.answers[0]
    assert (status, file) == (200, window.files[hint])
    held.add(None, window.hint)
    window.add(b"whole", 1.0, 0.0)  # the segment ends before that part
    window.write()
    held.waiters.changed()
    assert [answer[1:] for answer in held.answers[1:]] == [(404, None)]


def test_sent_away() -> None:
    """C-LL-04: 503 for those that have waited for too long, and not for the others."""
    held = Held(_window())
    for index in range(500):
        held.add(Directives(LAST + 1, 0), since=index / 100)
    held.waiters.look(6.0, 6.0 + 1e-9)
    assert held.answers == []
    held.waiters.look(7.995, 6.0)
    assert {status for _wish, status, _file in held.answers} == {503}
    assert len(held.answers) == 200
    assert len(held.waiters) == 300


def test_released() -> None:
    """C-LL-04: when nothing more comes all have the list as it is, and hints nothing."""
    window = _window()
    held = Held(window)
    held.add(Directives(LAST + 1))
    held.add(None, window.hint)
    held.waiters.release()
    assert held.answers == [
        (Directives(LAST + 1), 200, window.files[b"index.m3u8"]),
        (None, 404, None),
    ]
    held.add(Directives(LAST + 1))
    window.retire(0.0)
    held.waiters.release()
    assert held.answers[2] == (Directives(LAST + 1), 404, None)


def test_gone_away() -> None:
    """C-LL-05: who leaves is forgotten, ten thousand times."""
    held = Held(_window())
    for _request in range(10_000):
        held.add(Directives(LAST + 1, 0)).closing()
    exchange = held.add(Directives(LAST + 1, 0))
    assert len(held.waiters) == 1
    exchange.closing()
    exchange.closing()
    held.waiters.release()
    assert (len(held.waiters), held.answers) == (0, [])


def test_another_list() -> None:
    """A list that begins anew answers who waited for what is far ahead of it now."""
    window = _window(parts=1, part_target=2.0)
    held = Held(window)
    held.add(Directives(LAST + 2, 3))
    window.retire(0.0)
    window.number = FIRST
    _parts(window, 1)
    window.add(b"whole", 2.0, 0.0)
    window.write()
    held.waiters.changed()
    assert [(status, file) for _wish, status, file in held.answers] == [
        (200, window.files[b"index.m3u8"])
    ]


@given(
    st.integers(0, 4),
    st.integers(0, 4),
    st.integers(-5, 5),
    st.none() | st.integers(0, 40),
    st.booleans(),
)
def test_what_was_awaited_comes(
    segments: int, parts: int, ahead: int, part: int | None, skip: bool
) -> None:
    """C-LL-01 to C-LL-03: all that is not refused is there in the end, and stays there."""
    window = _window(segments + 1, parts)
    held = Held(window)
    wish = Directives(max(0, window.number + ahead), part, skip)
    try:
        found = held.waiters.find(wish)
    except WrongDirective:
        return
    for _segment in range(4):
        for _part in range(PARTS):
            assert not (found is not None and held.waiters.find(wish) is None)
            if window.parts < PARTS:
                _parts(window, 1)
                window.write()
            found = held.waiters.find(wish)
        window.add(b"whole", 2.0, 0.0)
        window.write()
        found = held.waiters.find(wish)
    assert found is not None


class HeldRequestTests(HLSCase):
    """Requests that are held, over a whole server."""

    options = {"hls_format": "ll"}  # noqa: RUF012

    def test_too_many_fields(self) -> None:
        """F-RE-05: 400 from memory and the long way, and nothing in the log but a line."""
        player = self.watch()
        query = "?_HLS_msn=1&" + "&".join("a=1" for _field in range(2 * MAX_FIELDS))
        for target in (player.playlist, player.playlist.replace("~", "%7E")):
            self.assertEqual(self.rig.get(target + query).status, 400)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(player.poll().status, 200)

    def test_kicked_while_it_waits(self) -> None:
        """B-HT-11: who is sent away while its request is held is told so, and gets no part."""
        player = self.watch()
        other = self.watch(Player(self.rig))
        body = player.poll().body.decode("ascii")
        number = int(body.partition("#EXT-X-MEDIA-SEQUENCE:")[2].partition("\n")[0])
        number += body.count("#EXTINF")
        hint = body.partition('PRELOAD-HINT:TYPE=PART,URI="')[2].partition('"')[0]
        pending = [
            player.ask(f"?_HLS_msn={number}"),
            self.rig.ask(player.playlist.replace("index.m3u8", hint)),
            other.ask(f"?_HLS_msn={number}"),
        ]
        self.assertEqual([x.answer for x in pending], [None] * 3)
        self.viewers[0].kick("sent away")
        self.rig.run(3.0)
        answers = [x.answer for x in pending]
        self.assertEqual([x and x.status for x in answers], [403, 403, 200])
        for request in pending:
            request.leave()
