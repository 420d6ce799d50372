"""The log of viewers: everybody who came is in it, with what people may keep."""

from __future__ import annotations

from datetime import date
from unittest import mock

import pytest
from hypothesis import given, strategies as st

from ntvmedia.hub.viewer import ViewerInfo
from ntvmedia.statistics import viewers as viewers_module
from ntvmedia.statistics.counting import Line, Presence
from ntvmedia.statistics.pending import Pending
from ntvmedia.statistics.viewers import MAX_TEXT, ViewerLog, clean, host_of, without_query
from ntvmedia.store import ViewerRow
from tests.statistics.totals import taken

LINE = Line("liveshow", "one", "flv")
INFO = ViewerInfo("flv", "192.0.2.9:9", "VLC/3", "https://example.org/page?ticket=1#x")


def written(pending: Pending) -> list[ViewerRow]:
    """Return the rows that would be written now."""
    return [row for batch in taken(pending) for row in batch.viewers]


def test_one() -> None:
    """One who comes is in the log at once, and complete when he has left."""
    pending = Pending("run")
    log = ViewerLog(pending, "run")
    presence = Presence(LINE, None, 100.0, date(2026, 11, 22))
    log.came(7, presence, 1_700_000_000.0, INFO, INFO.peer)
    [row] = written(pending)
    assert row == ViewerRow(
        "run-7", "run", *LINE, "192.0.2.9", "VLC/3", "https://example.org/page",
        1_700_000_000.0, None, 0.0, 0, "",
    )  # fmt: skip
    presence.since, presence.reported = 130.0, 4000
    log.refresh()
    [row] = written(pending)
    assert (row.ended_at, row.seconds, row.bytes_out) == (None, 30.0, 4000)
    presence.since, presence.reported = 142.5, 5000
    log.left(7, "viewer left", 142.5)
    log.left(7, "viewer left", 150.0)
    [row] = written(pending)
    assert row[9:] == (1_700_000_042.5, 42.5, 5000, "viewer left")
    log.refresh()
    assert written(pending) == []


def test_turns() -> None:
    """With more viewers than rows of a batch they take turns; nobody is left out."""
    pending = Pending("run")
    log = ViewerLog(pending, "run")
    for session in range(25):
        presence = Presence(LINE, None, 0.0, date(2026, 11, 22))
        log.came(session, presence, 0.0, None, "local")
    written(pending)
    log.left(3, "viewer left", 1.0)
    written(pending)
    seen: list[str] = []
    with mock.patch.multiple(viewers_module, LEAST_REFRESHED=10, MAX_REFRESHED=10):
        for _batch in range(3):
            log.refresh()
            rows = written(pending)
            assert len(rows) <= 10
            seen += [row.id for row in rows]
    assert set(seen) == {f"run-{session}" for session in range(25) if session != 3}


@pytest.mark.parametrize(
    ("viewers", "rows"), [(1, 1), (100, 100), (101, 100), (600, 100), (900, 150), (9000, 1000)]
)
def test_shares(viewers: int, rows: int) -> None:
    """Few are all written with each batch, more within a minute, and never more than 1000."""
    pending = Pending("run")
    log = ViewerLog(pending, "run")
    presence = Presence(LINE, None, 0.0, date(2026, 11, 22))
    for session in range(viewers):
        log.came(session, presence, 0.0, None, "local")
    written(pending)
    log.refresh()
    assert len(written(pending)) == rows


def test_same_texts() -> None:
    """What many say of themselves is not kept once for each: a plain text is kept as it is."""
    assert clean(INFO.user_agent) is INFO.user_agent


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("192.0.2.1:50000", "192.0.2.1"),
        ("[2001:db8::1]:50000", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1"),
        ("local", "local"),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_host(peer: str, host: str) -> None:
    """Addresses are kept without their ports."""
    assert host_of(peer) == host


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://u:p@example.org:8/a?b=c#d", "https://example.org:8/a"),
        ("http://[::1", ""),
        ("", ""),
        ("no url at all", "no url at all"),
    ],
)
def test_page(url: str, kept: str) -> None:
    """F-AC-03: passwords and tickets in a page's address are not kept."""
    assert without_query(url) == kept


@given(st.text(max_size=400))
def test_any_text(text: str) -> None:
    """Whatever a player says of itself, every database takes it."""
    for kept in (clean(text), without_query(text), host_of(text)):
        assert "\0" not in kept
        assert len(kept) <= MAX_TEXT
        kept.encode("utf-8")
