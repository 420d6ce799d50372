"""What is made of the players' figures."""

from __future__ import annotations

from bench.measure import completeness, frame_number
from bench.players import PlayerFigures
from bench.publisher import PublishersResult
from bench.source import Expectation, fingerprint
from tests.bench.media import small_source


def test_frame_number() -> None:
    """A frame seen now is its latest one that was due: this loop's, or the last one's."""
    source = small_source()
    count = len(source.frames)
    assert frame_number(source, 4, 2.0) == 4
    assert frame_number(source, 4, 25.9) == 4
    assert frame_number(source, 4, 26.0) == count + 4
    assert frame_number(source, 4, 49.0) == count + 4


def test_completeness() -> None:
    """All bytes from the keyframe to the publisher's last are 1; less is less, none is 0."""
    source = small_source()
    count, place = len(source.frames), 4
    key = source.frames[place]
    seen = fingerprint(key.kind, key.body), 100.0 + 26.5
    sent = PublishersResult(started=[100.0], last=[count + 20])
    expected = Expectation(source, 4096).between(count + place, count + 20)
    players = [
        PlayerFigures(0, keyframe=seen, chunk_bytes=4096, received=expected),
        PlayerFigures(0, keyframe=seen, chunk_bytes=4096, received=expected // 2),
        PlayerFigures(0),
    ]
    parts = completeness(players, sent, source)
    assert parts[0] == 1.0
    assert 0.49 < parts[1] <= 0.5
    assert parts[2] == 0.0


def test_completeness_of_a_rewriting_server() -> None:
    """A first keyframe that is not the source's says nothing about bytes."""
    player = PlayerFigures(0, keyframe=(fingerprint(9, b"other"), 1.0), received=5)
    assert completeness([player], PublishersResult([0.0], [9]), small_source()) == []
