"""Tests of tests.hls.parts and tests.hls.resources: a low-latency server, and ways to break it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from Crypto.Cipher import AES

from tests.hls.checker import PlaylistMonitor
from tests.hls.low_server import FRAME, PART, SEGMENT_PARTS, Server
from tests.hls.m3u8 import Violation
from tests.hls.mp4_bytes import VIDEO, fragment, init_bytes, picture
from tests.hls.resources import decrypt


class Watched:
    """The server, and who watches it from its second segment on."""

    def __init__(self) -> None:
        self.server = Server()
        self.later = 0.0
        self.monitor = PlaylistMonitor(lambda uri: self.server.fetch(uri))
        for _ in range(SEGMENT_PARTS):
            self.server.part()
        for _ in range(SEGMENT_PARTS * 4 + 2):
            self.next()

    def next(self, count: int = 1) -> None:
        """Add parts and look."""
        for _ in range(count):
            self.server.part()
            self.look()

    def finish(self) -> None:
        """Go on to the end of the segment."""
        while not self.server.listed[-1].uri:
            self.next()

    def look(self, later: float = 0.0) -> None:
        """Look, some seconds later."""
        self.later += later
        self.monitor.saw(self.server.now + self.later, self.server.text())


def test_good() -> None:
    """A server that keeps all rules is not complained about."""
    watched = Watched()
    server, monitor = watched.server, watched.monitor
    monitor.parts_are_due = True
    watched.next(100)
    watched.finish()
    server.map = "init1.mp4"
    server.files[server.map] = init_bytes(audio=False)
    server.hint = "other.m4s"  # what comes is something else, and says so
    watched.look()
    server.open(discontinuity=True)
    watched.next(33)
    monitor.check_all(server.now)
    assert (monitor.runs, monitor.gaps, monitor.keyless) == (1, 0, 0)
    assert monitor.parts.missed == 1
    assert monitor.parts.hints == monitor.parts.parts - 1 - SEGMENT_PARTS - 1
    assert len(monitor.resources.keys) > 8
    assert set(monitor.resources.inits) == {"init0.mp4", "init1.mp4"}


def retargeted(watched: Watched) -> None:
    """Another part target (C-LL-07)."""
    watched.server.part_target, watched.server.hold_back = 0.41, 1.23
    watched.look()


def controlled(watched: Watched) -> None:
    """Another hold back (6.2.4)."""
    watched.server.hold_back = 5.0
    watched.look()


def lost(watched: Watched) -> None:
    """A segment that was begun, and is gone."""
    watched.server.listed.pop()
    watched.look()


def dropped(watched: Watched) -> None:
    """Parts that are not listed any more although they are near the end (6.2.2)."""
    watched.server.listed[-3].parts = []
    watched.look()


def dropped_open(watched: Watched) -> None:
    """A segment that has no parts when it is complete, and had some before."""
    watched.finish()
    watched.next(2)
    watched.server.part()
    watched.server.part()
    watched.server.part()
    watched.server.listed[-1].parts = []
    watched.look()


def changed(watched: Watched) -> None:
    """A part with another length than before."""
    parts = watched.server.listed[-1].parts
    parts[0] = (parts[0][0], parts[0][1] - 0.02, parts[0][2])
    watched.look()


def redated(watched: Watched) -> None:
    """Another date, by a little, than the segment had when it had begun."""
    watched.server.listed[-1].date += 0.001
    watched.look()


def misled(watched: Watched) -> None:
    """A part of another name than was hinted (C-LL-09)."""
    watched.server.hint = "other.m4s"
    watched.look()
    watched.next()


def misled_later(watched: Watched) -> None:
    """The same, where the hint is for the first part of the next segment."""
    watched.finish()
    watched.server.hint = "other.m4s"
    watched.look()
    watched.next()


def without(watched: Watched) -> None:
    """A new segment without parts."""
    watched.server = Server(number=300, now=500.0, fragments=1000)
    watched.server.lists_parts = False
    watched.monitor.may_be_remade()
    watched.server.open(discontinuity=True)
    for _ in range(2 * SEGMENT_PARTS):
        watched.server.part()
    watched.look()


def different(watched: Watched) -> None:
    """A segment with other samples than its parts (4.4.4.9)."""
    watched.finish()
    for _ in range(SEGMENT_PARTS - 1):
        watched.next()
    watched.server.samples[3] = picture(9999, FRAME, key=False)
    watched.next()


def fewer(watched: Watched) -> None:
    """A segment without the last sample of its parts."""
    watched.finish()
    for _ in range(SEGMENT_PARTS - 1):
        watched.next()
    before = watched.server.fragments
    watched.server.part()
    segment = watched.server.listed[-1]
    start = (watched.server.pictures - len(watched.server.samples)) * FRAME
    run = watched.server.samples[:-1]
    watched.server.put(segment.uri, fragment(before + 1, {VIDEO: (start, run)}), segment)
    watched.look()


def gone_early(watched: Watched) -> None:
    """A part that is not there shortly before it may go (C-LL-12)."""
    watched.finish()
    old = [x[0] for x in watched.server.listed[-4].parts]
    watched.next(SEGMENT_PARTS)
    for uri in old:
        del watched.server.files[uri]
    watched.next(20)


def independent(watched: Watched) -> None:
    """INDEPENDENT=YES on a part that has no keyframe (C-LL-08)."""
    watched.server.independent = True
    watched.next()


def dependent(watched: Watched) -> None:
    """None on a part that begins with one."""
    watched.finish()
    watched.server.independent = False
    watched.next()


def duration(watched: Watched) -> None:
    """Another length than the media has (C-LL-07)."""
    watched.server.part(said=0.39)
    watched.look()


def hole(watched: Watched) -> None:
    """Samples that are missing between two parts (C-FM-02)."""
    watched.server.pictures += 1
    watched.next()


def renumbered(watched: Watched) -> None:
    """A fragment with the number of an earlier one (C-FM-03)."""
    watched.server.fragments -= 1
    watched.next()


def renumbered_later(watched: Watched) -> None:
    """The same after a discontinuity, with the same initialisation section (C-FM-03)."""
    watched.finish()
    watched.server.fragments -= 5
    watched.server.open(discontinuity=True)
    watched.next(SEGMENT_PARTS)


def absent(watched: Watched) -> None:
    """A part that is listed and not there."""
    watched.server.part()
    del watched.server.files[watched.server.listed[-1].parts[-1][0]]
    watched.look()


def late(watched: Watched) -> None:
    """No part for longer than the part target (C-LL-07)."""
    watched.monitor.parts_are_due = True
    watched.next()
    watched.look(PART + 0.2)


def after_stream(watched: Watched) -> None:
    """Parts of a stream that is over (C-PL-15)."""
    watched.monitor.stream_ended()
    watched.next(2)


def cut(watched: Watched) -> None:
    """Bytes that are no whole blocks (C-AE-01)."""
    watched.server.part()
    uri = watched.server.listed[-1].parts[-1][0]
    watched.server.files[uri] = watched.server.files[uri][:-1]
    watched.look()


def clear(watched: Watched) -> None:
    """A part that is not encrypted, in an encrypted segment (C-AE-01)."""
    watched.server.part()
    uri = watched.server.listed[-1].parts[-1][0]
    watched.server.files[uri] = b"\0\0\0\x10moof" * 8
    watched.look()


def wrong_key(watched: Watched) -> None:
    """Another key than the one that is listed."""
    watched.finish()
    watched.server.open()
    uri = watched.server.listed[-1].key[0]
    watched.server.part()
    watched.server.keys[uri] = b"another key 1234"
    watched.look()
    for _ in range(3):
        watched.finish()
        watched.next()


def same_vector(watched: Watched) -> None:
    """The IV of an earlier segment with the same key (C-AE-02)."""
    watched.finish()
    while watched.server.made % 3 != 2:
        watched.next()
        watched.finish()
    watched.server.open()
    watched.server.listed[-1].key = watched.server.listed[-3].key
    watched.next()


def key_anew(watched: Watched, **wrong: str) -> None:
    """Go on until there is another key."""
    watched.finish()
    while watched.server.made % 3:
        watched.next()
        watched.finish()
    uri = f"{watched.server.made // 3}.key"
    for name, value in wrong.items():
        watched.server.kinds[uri] = f"{name.replace('_', '-')}={value}"
    watched.server.keys.setdefault(uri, uri.encode().ljust(16, b"k"))
    if "body" in wrong:
        watched.server.keys[uri] = wrong["body"].encode()
    watched.next()


def key_kind(watched: Watched) -> None:
    """A key that says it is a page."""
    key_anew(watched, content_type="text/html")


def key_kept(watched: Watched) -> None:
    """A key that caches may keep (C-AE-05)."""
    key_anew(watched, cache_control="max-age=3600")


def key_again(watched: Watched) -> None:
    """A key of another name with the bytes of an earlier one."""
    key_anew(watched, body=watched.server.keys["34.key"].decode())


def short_key(watched: Watched) -> None:
    """A key of 15 bytes."""
    key_anew(watched, short="yes")


def key_gone(watched: Watched) -> None:
    """A key that is gone while segments that need it may be fetched (C-AE-02)."""
    del watched.server.keys[watched.server.listed[1].key[0]]
    watched.monitor.check_all(watched.server.now)


def key_gone_later(watched: Watched) -> None:
    """The same, when they are listed no more."""
    first = watched.server.listed[0].key[0]
    while watched.server.listed[0].key[0] == first:
        watched.next()
    del watched.server.keys[first]
    watched.monitor.check_all(watched.server.now)


def map_gone(watched: Watched) -> None:
    """An initialisation section that is gone while segments need it (C-FM-04)."""
    del watched.server.files["init0.mp4"]
    watched.monitor.check_all(watched.server.now)


def map_changed(watched: Watched) -> None:
    """One that has other bytes than before."""
    watched.server.files["init0.mp4"] += b"\0\0\0\x08free"
    watched.monitor.check_all(watched.server.now)


def map_kind(watched: Watched) -> None:
    """One that says it is sound alone."""
    watched.finish()
    watched.server.map = "init1.mp4"
    watched.server.files["init1.mp4"] = init_bytes(audio=False)
    watched.server.kinds["init1.mp4"] = "audio/mp4"
    watched.server.open(discontinuity=True)
    watched.next()


@pytest.mark.parametrize(
    ("break_it", "rule"),
    [
        (retargeted, "control-changed"),
        (controlled, "control-changed"),
        (lost, "parts-lost"),
        (dropped, "parts-early"),
        (dropped_open, "parts-early"),
        (changed, "part-changed"),
        (redated, "segment-changed"),
        (misled, "hint-wrong"),
        (misled_later, "hint-wrong"),
        (without, "no-parts"),
        (different, "parts-differ"),
        (fewer, "parts-differ"),
        (gone_early, "part-gone-early"),
        (independent, "part-independent"),
        (dependent, "part-independent"),
        (duration, "part-duration"),
        (hole, "tfdt-across"),
        (renumbered, "mfhd"),
        (renumbered_later, "mfhd"),
        (absent, "not-there"),
        (late, "part-late"),
        (after_stream, "after-stream"),
        (cut, "cipher-size"),
        (clear, "padding"),
        (wrong_key, "padding"),
        (same_vector, "iv-again"),
        (key_kind, "key-type"),
        (key_kept, "key-cache"),
        (key_again, "key-reused"),
        (short_key, "key-size"),
        (key_gone, "key-not-there"),
        (key_gone_later, "key-gone-early"),
        (map_gone, "map-not-there"),
        (map_changed, "bytes-changed"),
        (map_kind, "segment-type"),
    ],
)
def test_broken(break_it: Callable[[Watched], None], rule: str) -> None:
    """Each rule catches its violation, named by the function that commits it."""
    watched = Watched()
    with pytest.raises(Violation) as caught:
        break_it(watched)
    assert caught.value.rule == rule, caught.value


def test_decrypt() -> None:
    """C-AE-01: what was encrypted with padding comes back, for every length of the last block.

    The key, the IV and the first block are those of NIST SP 800-38A F.2.1.
    """
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    vector = bytes(range(16))
    block = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    cipher = AES.new(key, AES.MODE_CBC, vector).encrypt(block + b"\x10" * 16)
    assert cipher[:16].hex() == "7649abac8119b246cee98e9b12e9197d"
    assert decrypt(cipher, key, vector) == block
    for size in range(33):
        plain = bytes(range(size))
        rest = 16 - size % 16
        data = AES.new(key, AES.MODE_CBC, vector).encrypt(plain + bytes([rest]) * rest)
        assert decrypt(data, key, vector) == plain
    for wrong in (b"", cipher[:-1], cipher[:16]):
        with pytest.raises(Violation):
            decrypt(wrong, key, vector)
