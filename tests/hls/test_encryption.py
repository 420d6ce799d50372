"""AES-128 over a whole server in memory: section C4 of the traps."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from typing import Any

import pytest

from tests.hls.following import Following
from tests.hls.m3u8 import Key, Segment
from tests.hls.media import Media
from tests.hls.resources import decrypt
from tests.hls.rig import PATH, Player, Rig
from tests.hls.source import video_track
from tests.hls.watching import Watching

FORMATS = ["ts", "fmp4", "ll"]


def watch(rig: Rig) -> Watching:
    """Begin a session, of the kind that suits the format."""
    watching = Following(rig) if rig.options.get("hls_format") == "ll" else Watching(rig)
    watching.join()
    return watching


@pytest.fixture
def seen() -> list[Segment]:
    """What was listed, in order."""
    return []


def note(watching: Watching, seen: list[Segment]) -> None:
    """Note each new segment."""

    def on_segment(segment: Segment, media: Media) -> None:
        seen.append(segment)

    watching.on_segment = on_segment  # type: ignore[method-assign]


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("each", [1, 3, 10])
def test_rotation(rigs: Any, format_: str, each: int, seen: list[Segment]) -> None:
    """C-AE-02, C-AE-03: another IV for each segment, another key after every few.

    Each key is there for as long as a segment that needs it: see `PlaylistMonitor`.
    """
    rig = rigs(hls_format=format_, encrypted=True, hls_key_segments=each, gop=1.0)
    watching = watch(rig)
    note(watching, seen)
    rig.run(45.0)
    keys = [x.key for x in seen]
    assert all(keys)
    vectors = [key.iv for key in keys if key is not None]
    assert len(set(vectors)) == len(vectors) > 10
    uris = [key.uri for key in keys if key is not None]
    changes = [place for place, (one, other) in enumerate(pairwise(uris)) if one != other]
    assert len(changes) == len(set(uris)) - 1
    assert all(b - a == each for a, b in pairwise(changes))
    assert len(uris) // each - 1 <= len(changes) <= len(uris) // each + 1
    watching.monitor.check_all(rig.now)
    assert watching.monitor.runs == watching.monitor.gaps == 0
    watching.leave()


@pytest.mark.parametrize("format_", FORMATS)
def test_trouble(rigs: Any, format_: str) -> None:
    """C-AE-04, C-AE-07: other configurations, gaps and lost publishers, encrypted all along.

    Initialisation sections are clear and never stand behind a key: see the reader of playlists.
    """
    rig = rigs(hls_format=format_, encrypted=True, hls_key_segments=2)
    watching = watch(rig)
    for number in range(1, 4):
        rig.run(5.0)
        rig.encoder.video = video_track(number)
        rig.encoder.cut()
        rig.announce()
        rig.run(5.0)
        rig.lose()
        rig.run(4.0)
        rig.publish(100.0)
    rig.run(6.0)
    assert watching.monitor.runs == 6
    assert watching.monitor.gaps > 0
    if format_ != "ts":
        assert len(watching.monitor.resources.inits) >= 4
    watching.leave()


@pytest.mark.parametrize("format_", FORMATS)
def test_switched(rigs: Any, format_: str) -> None:
    """C-AE-02: whatever the operator changes, each segment is as its own tags say."""
    rig = rigs(hls_format=format_, encrypted=True)
    watching = watch(rig)
    rig.run(6.0)
    rig.set_options(hls_key_segments=1)
    rig.run(6.0)
    assert len(watching.monitor.resources.keys) >= 2
    watching.leave()


def test_openssl(rigs: Any) -> None:
    """C-AE-01: openssl decrypts a segment to what this reader makes of it."""
    rig = rigs(encrypted=True)
    watching = watch(rig)
    rig.run(5.0)
    segment = watching.poll().segments[-1]
    assert isinstance(segment.key, Key)
    data = watching.player.fetch(segment.uri).body
    key = watching.player.fetch(segment.key.uri).body
    options = ["-K", key.hex(), "-iv", segment.key.iv.hex()]
    made = subprocess.run(
        ["openssl", "enc", "-d", "-aes-128-cbc", *options],
        input=data,
        capture_output=True,
        check=True,
    )
    assert made.stdout == decrypt(data, key, segment.key.iv)
    assert made.stdout[:1] == b"\x47"
    assert not len(made.stdout) % 188


def test_key_access(rigs: Any) -> None:
    """C-AE-05: a key is for who has the session: no other address gives it."""
    rig = rigs(encrypted=True)
    watching = watch(rig)
    rig.run(3.0)
    key = watching.poll().segments[-1].key
    assert key is not None
    folder = watching.player.playlist.rpartition("/")[0]
    assert rig.get(f"{folder}/{key.uri}").status == 200
    session = folder.split("/")[3]
    wrong = ("x" * (len(session) - 1)).join(("~", ""))
    for path in (
        f"{folder.replace(session, wrong)}/{key.uri}",
        f"{folder.replace(session, '~')}/{key.uri}",
        f"/liveshow/test/{key.uri}",
        f"/liveshow/{key.uri}",
        f"{folder}/0-{key.uri.partition('-')[2]}",
        f"{folder}/{key.uri.removesuffix('.key')}",
        f"{folder}/{key.uri.upper()}",
    ):
        assert rig.get(path).status in (403, 404), path
    other = rig.feed("other")
    other.publish()
    rig.run(3.0)
    player = Player(rig, PATH.replace("test", "other"))
    player.join()
    player.wait()
    assert player.fetch(key.uri).status in (403, 404)
    head = rig.get(f"{folder}/{key.uri}", method=b"HEAD")
    assert head.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("format_", ["ts", "fmp4"])
def test_restart(rigs: Any, format_: str) -> None:
    """P-306: keys of before a restart can be had after it, with nothing stored for each."""
    rig = rigs(hls_format=format_, encrypted=True, hls_sessions=False, hls_key_segments=2)
    watching = watch(rig)
    rig.run(9.0)
    segments = watching.poll().segments
    keys = {x.key.uri: watching.player.fetch(x.key.uri).body for x in segments if x.key}
    assert len(keys) > 1
    watching.leave()
    rig.restart()
    rig.run(1.0)
    rig.publish()
    rig.run(5.0)
    player = Player(rig)
    player.join()
    player.wait()
    for uri, value in keys.items():
        answer = player.fetch(uri)
        assert (answer.status, answer.body) == (200, value)
    again = Watching(rig)
    again.join()
    rig.run(5.0)
    assert not {x.key.uri for x in again.poll().segments if x.key} & keys.keys()
