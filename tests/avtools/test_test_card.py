"""The test card: what is shown, and when."""

from __future__ import annotations

import math
from array import array
from typing import Any

import pytest

from ntvmedia.avtools.card import MAX_SIDE, read_card
from ntvmedia.avtools.job import CardInput
from ntvmedia.avtools.test_card import CardPlayer, TestCard
from ntvmedia.avtools.transcoding import Pipeline
from ntvmedia.errors import RemoteError
from ntvmedia.media.relaying import OutputOptions
from tests.avtools.media import Made


def luma(frame: Any) -> list[bytes]:
    """Return the rows of a picture."""
    plane = frame.planes[0]
    data, step = bytes(plane), plane.line_size
    return [data[y * step : y * step + plane.width] for y in range(plane.height)]


def test_address() -> None:
    """What an operator may type, and no more."""
    assert read_card("test:") == CardInput()
    card = read_card("test:?size=640x360&rate=30&tone=1000")
    assert (card.width, card.height, card.frame_rate, card.tone) == (640, 360, 30, 1000)
    for wrong in (
        "size=1x1", f"size={MAX_SIDE + 2}x100", "size=640", "rate=0", "rate=61", "tone=-1",
        "tone=999999", "size=\u0666\u0664\u0660x360", "colour=red", "rate=",
    ):  # fmt: skip
        with pytest.raises(RemoteError) as told:
            read_card(f"test:?{wrong}")
        assert told.value.is_permanent


@pytest.mark.parametrize("size", [(16, 16), (322, 182), (1280, 720), (1920, 1080)])
def test_pictures_differ(size: tuple[int, int]) -> None:
    """The clock and the block move; the bars stay."""
    card = TestCard(CardInput(*size, 25, 440))
    first, later = luma(card.picture(0, 5.0)), luma(card.picture(25, 6.0))
    assert first != later
    bars = size[1] * 3 // 4 & ~1
    assert first[:bars] == later[:bars]
    assert len(set(first[0])) >= min(7, size[0] // 3)


def test_clock_can_be_read() -> None:
    """Each hundredth of a second is another picture, and midnight follows 23:59:59.99."""
    card = TestCard(CardInput(640, 360, 25, 440))
    shown = [luma(card.picture(0, x / 100)) for x in range(100, 120)]
    assert len({tuple(x) for x in shown}) == 20
    assert luma(card.picture(0, 86400.0)) == luma(card.picture(0, 0.0))


@pytest.mark.parametrize("tone", [1, 440, 1000, 11025])
def test_tone(tone: int) -> None:
    """The tone has no crack between two frames."""
    card = TestCard(CardInput(64, 64, 25, tone))
    samples = array("h")
    for first in range(0, 4096, 1024):
        samples.frombytes(bytes(card.sound(first).planes[0])[:2048])
    for n, sample in enumerate(samples):
        assert abs(sample - 3276.7 * math.sin(2 * math.pi * tone * n / 48000)) <= 1


def test_silence() -> None:
    """Without a tone nothing is heard."""
    assert not any(bytes(TestCard(CardInput(64, 64, 25, 0)).sound(0).planes[0]))


def test_time_goes_on() -> None:
    """Pictures and sound come in the order of their times, as many as the time that passed."""
    made = Made()
    pipeline = Pipeline([OutputOptions()], made.emit, made.notes.append)
    player = CardPlayer(CardInput(64, 64, 25, 440), pipeline, lambda: 0.0)
    player.play_until(1.0)
    assert player.next_at() == pytest.approx(1.0)
    player.play_until(2.0)
    pipeline.flush()
    assert sorted(made.codecs(0)) == ["aac", "h264"]
    assert len(made.of(0, "video")) == 50
    assert len(made.of(0, "audio")) == pytest.approx(94, abs=2)
