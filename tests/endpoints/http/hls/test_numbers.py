"""Numbers of discontinuities: they go on over a restart, and stay small."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, strategies as st
from twisted.logger import LogEvent, capturedLogs

from ntvmedia.endpoints.http.hls import numbers
from ntvmedia.endpoints.http.hls.numbers import FILE, RESERVED, Discontinuities
from ntvmedia.media import StreamKey

KEY = StreamKey("liveshow", "test")
OTHER = StreamKey("liveshow", "other")


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def _texts(events: Sequence[LogEvent]) -> list[str]:
    return [event["log_format"] for event in events]


def test_first_of_all(data: Path) -> None:
    """Nothing was there: 0, and nothing is written or said before a number is used."""
    with capturedLogs() as events:
        assert Discontinuities(data).first(KEY) == 0
    assert list(data.iterdir()) == []
    assert _texts(events) == []


def test_after_a_restart(data: Path) -> None:
    """C-PL-07, C-PL-08: above all numbers of the last run, for every stream."""
    one = Discontinuities(data)
    for number in range(5):
        one.used(KEY, number)
    two = Discontinuities(data)
    assert two.first(KEY) == two.first(OTHER) == RESERVED
    assert two.first(KEY) > 4


def test_within_a_run(data: Path) -> None:
    """A list of a stream that comes again begins above its own last one, not above others'."""
    one = Discontinuities(data)
    one.used(KEY, 0)
    one.used(KEY, 1)
    one.used(OTHER, 0)
    assert one.first(KEY) == 2
    assert one.first(OTHER) == 1
    assert one.first(StreamKey("tv", "test")) == 0


def test_it_does_not_go_back(data: Path) -> None:
    """C-PL-08: another list of the stream that lags behind takes nothing back."""
    one = Discontinuities(data)
    one.used(KEY, 7)
    one.used(KEY, 3)
    assert one.first(KEY) == 8
    assert Discontinuities(data).first(KEY) > 7


def test_small(data: Path) -> None:
    """A hundred restarts with a break each: hls.js counts up to the number at every reload."""
    for _start in range(100):
        one = Discontinuities(data)
        number = one.first(KEY)
        one.used(KEY, number)
        one.used(KEY, number + 1)
    assert Discontinuities(data).first(KEY) <= 100 * RESERVED + 2


def test_written_seldom(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is written once for so many numbers, in the reactor's thread."""
    written: list[str] = []
    write = Path.write_text

    def noted(path: Path, text: str, **options: Any) -> int:
        written.append(text)
        return write(path, text, **options)

    monkeypatch.setattr(Path, "write_text", noted)
    one = Discontinuities(data)
    for number in range(10 * RESERVED):
        one.used(KEY, number)
        one.used(OTHER, number)
    assert len(written) == 10
    assert [x.name for x in data.iterdir()] == [FILE]
    assert Discontinuities(data).first(KEY) >= 10 * RESERVED


@pytest.mark.parametrize(
    "content", [b"", b"x", b"-5\n", b"1e3", b"\xff\xfe", b"9" * 5000, b"100001\n", b"12 13", b"\n"]
)
def test_nonsense(data: Path, content: bytes) -> None:
    """What somebody else wrote does no harm: neither a crash nor a number that stops players."""
    (data / FILE).write_bytes(content)
    one = Discontinuities(data)
    assert one.first(KEY) == 0
    one.used(KEY, 0)
    assert Discontinuities(data).first(KEY) == RESERVED


def test_spelling(data: Path) -> None:
    """A file with a line, as it is written and as an editor leaves it."""
    for content in (b"48\n", b"48", b" 48\r\n"):
        (data / FILE).write_bytes(content)
        assert Discontinuities(data).first(KEY) == 48


def test_cannot_be_read(data: Path) -> None:
    """G-RS-02: one line in the log, and numbers all the same."""
    (data / FILE).mkdir()
    one = Discontinuities(data)
    with capturedLogs() as events:
        assert one.first(KEY) == one.first(OTHER) == 0
        one.used(KEY, 0)
        one.used(KEY, 1)
    assert one.first(KEY) == 2
    assert [text.partition("cannot be ")[2][:4] for text in _texts(events)] == ["read", "writ"]


def test_cannot_be_written(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """G-RS-02: a full disk costs no segment: the numbers go on while the server runs."""

    def full(*_arguments: Any, **_options: Any) -> int:
        raise OSError(28, "No space left on device")

    one = Discontinuities(data)
    monkeypatch.setattr(Path, "write_text", full)
    with capturedLogs() as events:
        for number in range(RESERVED):
            one.used(KEY, number)
    assert one.first(KEY) == RESERVED
    assert len(events) == 1
    monkeypatch.undo()
    for number in range(RESERVED, 2 * RESERVED):
        one.used(KEY, number)
    assert Discontinuities(data).first(KEY) >= 2 * RESERVED


def test_bounded(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """G-RS-01: streams that come and go leave nothing for ever; the newest are remembered."""
    monkeypatch.setattr(numbers, "MAX_STREAMS", 10)
    one = Discontinuities(data)
    for index in range(1000):
        one.used(StreamKey("liveshow", f"s{index}"), index % 3)
        one.used(KEY, index)
    assert len(one._last) == 10
    assert one.first(KEY) == 1000


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), max_size=40))
def test_never_back(steps: list[tuple[str, int, bool]]) -> None:
    """C-PL-08: whatever is used and however often the server starts, first is above all used."""
    with TemporaryDirectory() as folder:
        one = Discontinuities(Path(folder))
        highest: dict[str, int] = {}
        for name, more, restarts in steps:
            key = StreamKey("liveshow", name)
            first = one.first(key)
            assert first > highest.get(name, -1)
            one.used(key, first + more)
            highest[name] = max(highest.get(name, -1), first + more)
            if restarts:
                one = Discontinuities(Path(folder))
