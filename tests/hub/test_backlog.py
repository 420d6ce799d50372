"""Tests of ntvmedia.hub.backlog; what the stream appends to it is tested in test_rendition."""

from __future__ import annotations

from ntvmedia.hub.backlog import Backlog
from tests.hub.fakes import audio, video


def filled() -> Backlog:
    """Make one that holds a packet."""
    backlog = Backlog(100, 10)
    backlog.begin(2.0)
    backlog.packets.append(video(2000, key=True))
    backlog.bytes += 3
    return backlog


def test_begin() -> None:
    """A keyframe begins anew; a list that an output still reads is not touched."""
    backlog = filled()
    before = backlog.packets
    backlog.begin(4.0)
    assert (backlog.packets, backlog.bytes, backlog.start, backlog.keeping) == ([], 0, 4.0, True)
    assert len(before) == 1


def test_clear() -> None:
    """After a change of configuration what follows is kept."""
    backlog = filled()
    backlog.clear()
    assert (backlog.packets, backlog.bytes, backlog.keeping) == ([], 0, True)


def test_give_up() -> None:
    """Once it was too much nothing is kept, not even after a change, until a keyframe."""
    backlog = filled()
    backlog.give_up()
    assert (backlog.packets, backlog.bytes, backlog.keeping) == ([], 0, False)
    backlog.clear()
    assert not backlog.keeping
    backlog.begin(6.0)
    assert backlog.keeping


def test_shown_until() -> None:
    """Pictures may be sent before others that are shown earlier; sound does not count."""
    backlog = filled()
    assert backlog.shown_until == 2.0
    backlog.packets.append(video(2040)._replace(pts=2160 * 90))
    backlog.packets += [video(2080), audio(2500)]
    assert backlog.shown_until == 2.2
    # A slide is not waited for.
    backlog.packets.append(video(7000))
    assert backlog.shown_until == 7.1
    backlog.clear()
    assert backlog.shown_until == 0.0
