"""Streams joined as variants, and several tracks of sound, over a whole server in memory."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hls.following import Following
from tests.hls.ledger import Ledger
from tests.hls.renditions import Renditions
from tests.hls.rig import KEY, PATH, Feed, Player, Rig
from tests.hls.source import Encoder, track_name, video_track
from tests.hls.watching import Watching

FORMATS = ["ts", "fmp4", "ll"]
ENDINGS = ("_720p", "_480p")


class Joined:
    """A rig whose first stream has others beside it, of the same encoder."""

    def __init__(self, rig: Rig, *, main: bool) -> None:
        self.rig = rig
        self.main = main
        self.feeds: dict[str, Feed] = {}
        for number, ending in enumerate(ENDINGS):
            feed = rig.feed(f"test{ending}")
            feed.encoder.video = video_track(number + 1)
            self.feeds[f"test{ending}"] = feed
        if main:
            self.feeds = {"test": rig.feeds[0], **self.feeds}

    def publish(self, apart: float = 0.0, clock: float = 10.0) -> None:
        """Publish all, one after the other; each with the clock of the one encoder."""
        for number, feed in enumerate(self.feeds.values()):
            feed.encoder.gop_seconds = 2.0
            if number and apart:
                self.rig.run(apart)
            feed.publish(clock + number * apart)

    def ledger(self, uri: str) -> Ledger:
        """Return what knows what is in a media playlist."""
        names = [x for x in self.feeds if f"/{x}/" in f"/{uri}"]
        chosen = max(names, key=len, default="test")
        if chosen == "test" and not self.main:
            chosen = next(iter(self.feeds))
        return Ledger(self.rig, self.feeds[chosen].encoder, joined=True)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("main", [True, False])
def test_joined(rigs: Any, format_: str, main: bool) -> None:
    """C-PL-24: segments of all are aligned; targets, times, dates and discontinuities match."""
    rig = rigs(publish=False, hls_format=format_, hls_variants=ENDINGS)
    joined = Joined(rig, main=main)
    joined.publish()
    rig.run(2.0)
    renditions = Renditions(rig, joined.ledger)
    renditions.join()
    rig.run(20.0)
    multivariant = renditions.player.multivariant
    assert multivariant is not None
    pictures = [x for x in multivariant.variants if x.has_video]
    assert len(pictures) == len(joined.feeds)
    sizes = [x.attributes["RESOLUTION"] for x in pictures]
    assert sizes == ["1920x1080", "720x576", "320x240"][not main :]
    assert len({x.uri for x in pictures}) == len(pictures)
    assert renditions.check_aligned(*(x.uri for x in pictures)) >= 5
    assert all(x.monitor.runs == x.monitor.gaps == 0 for x in renditions.watching.values())
    renditions.leave()


@pytest.mark.parametrize("format_", ["ts", "fmp4"])
@pytest.mark.parametrize("apart", [0.4, 1.84, 3.04])
def test_one_after_the_other(rigs: Any, format_: str, apart: float) -> None:
    """C-PL-24: streams of one encoder that came at different times are aligned all the same."""
    rig = rigs(publish=False, hls_format=format_, hls_variants=ENDINGS)
    joined = Joined(rig, main=False)
    began = rig.now
    for number, feed in enumerate(joined.feeds.values()):
        feed.encoder.gop_seconds = 2.0
        if number:
            # Its first keyframe is at one of the other's, as that of one encoder is.
            rig.run(apart)
            while (rig.now - began) % 2.0 > 0.04:
                rig.run(0.08)
        feed.publish(10.0 + rig.now - began)
    rig.run(4.0)
    renditions = Renditions(rig, joined.ledger)
    renditions.join()
    rig.run(16.0)
    uris = [x for x in renditions.watching if "audio" not in x]
    assert renditions.check_aligned(*uris) >= 3
    assert all(x.monitor.runs == x.monitor.gaps == 0 for x in renditions.watching.values())
    renditions.leave()


@pytest.mark.parametrize("format_", ["ts", "ll"])
def test_one_is_lost(rigs: Any, format_: str) -> None:
    """C-PL-24: one of them is lost and comes back; the others go on, and all still match."""
    rig = rigs(publish=False, hls_format=format_, hls_variants=ENDINGS)
    joined = Joined(rig, main=False)
    began = rig.now
    joined.publish()
    rig.run(2.0)
    renditions = Renditions(rig, joined.ledger)
    renditions.join()
    feed = joined.feeds["test_480p"]
    rig.run(6.0)
    feed.leave(lost=True)
    rig.run(5.0)
    while (rig.now - began) % 2.0 > 0.04:
        rig.run(0.08)
    feed.publish(10.0 + rig.now - began)
    rig.run(9.0)
    runs = {x.monitor.runs for x in renditions.watching.values()}
    assert runs == {1}
    renditions.leave()


@pytest.mark.parametrize("format_", FORMATS)
def test_sessions(rigs: Any, format_: str) -> None:
    """Who watches one of the joined streams has one session, and its addresses stay the same."""
    rig = rigs(publish=False, hls_format=format_, hls_variants=ENDINGS)
    joined = Joined(rig, main=False)
    joined.publish()
    rig.run(2.0)
    player = Player(rig)
    player.join()
    assert player.multivariant is not None
    names = {x.split("/")[1] for x in player.multivariant.uris}
    assert len(names) == 1
    for uri in player.multivariant.uris:
        other = player.other(uri)
        other.wait()
        stranger = other.playlist.replace(names.copy().pop(), "~AAAAAAAAAAAAAAAAAAAAAA")
        assert rig.get(stranger).status in (403, 404)


def test_best_first(rigs: Any) -> None:
    """What is not published is not listed; the one that is comes first."""
    rig = rigs(publish=False, hls_variants=ENDINGS)
    joined = Joined(rig, main=False)
    joined.feeds["test_480p"].publish()
    rig.run(2.0)
    player = Player(rig)
    player.join()
    assert player.multivariant is not None
    assert [x.uri for x in player.multivariant.variants if "_720p" in x.uri] == []
    player.wait()


@pytest.fixture
def tongues(rigs: Any) -> Any:
    """Make a rig with three tracks of sound."""

    def make(**options: Any) -> Rig:
        rig: Rig = rigs(publish=False, **options)
        rig.feeds[0].encoder = Encoder(rig.now, languages=("de", "fr"))
        rig.publish()
        rig.run(1.6)
        return rig

    return make


@pytest.mark.parametrize("format_", FORMATS)
def test_tracks_of_sound(tongues: Any, format_: str) -> None:
    """Several tracks of sound are one group, which every variant is with: C-PL-21, C-PL-24.

    In MPEG-TS the first is in the variant; in MP4 the pictures are alone.
    """
    rig = tongues(hls_format=format_)

    def ledger(uri: str) -> Ledger:
        number = next((x for x in (1, 2) if f"track{x}" in uri), 0)
        return Ledger(rig, sound=track_name(rig.encoder.sounds[number]))

    renditions = Renditions(rig, ledger)
    renditions.join()
    rig.run(20.0)
    multivariant = renditions.player.multivariant
    assert multivariant is not None
    media = multivariant.media
    assert len({x["GROUP-ID"] for x in media}) == 1
    assert [x.get("LANGUAGE") for x in media] == [None, "de", "fr"]
    assert [x.get("DEFAULT") for x in media] == ["YES", "NO", "NO"]
    assert ("URI" in media[0]) is (format_ != "ts")
    assert all("AUDIO" in x.attributes for x in multivariant.variants)
    assert len(renditions.watching) == 4
    pictures = multivariant.variants[0].uri
    sounds = {x["URI"] for x in media if "URI" in x}
    for uri, watching in renditions.watching.items():
        assert watching.monitor.runs == watching.monitor.gaps == 0
        assert (watching.ledger.pictures > 200) is (uri == pictures)
        assert (watching.ledger.sounds > 100) is (uri != pictures or format_ == "ts")
        assert uri not in sounds or not watching.ledger.pictures
    if format_ == "ll":
        assert renditions.reports > renditions.checks
    # BANDWIDTH is of the pictures with the largest of the sounds (4.4.6.2).
    peaks = {uri: peak(x) for uri, x in renditions.watching.items()}
    needed = peaks[pictures] + (max(peaks[x] for x in sounds) if format_ != "ts" else 0)
    player = Player(rig)
    player.join()
    assert player.multivariant is not None
    assert int(player.multivariant.variants[0].attributes["BANDWIDTH"]) >= needed
    renditions.leave()


def peak(watching: Watching) -> float:
    """Return the bits a second of the largest segment that is listed."""
    segments = watching.poll().segments
    return max(
        len(watching.player.fetch(x.uri).body) * 8 / float(x.duration)
        for x in segments
        if not x.gap
    )


@pytest.mark.parametrize("number", [1, 2])
def test_track_by_number(tongues: Any, number: int) -> None:
    """A track can be asked for by its number, as the one sound of the variant."""
    rig = tongues(hls_format="fmp4")
    sound = track_name(rig.encoder.sounds[number])
    watching = Watching(rig, f"{PATH}?track={number}", ledger=Ledger(rig, sound=sound))
    watching.join()
    rig.run(8.0)
    assert watching.ledger.sounds > 40
    assert watching.ledger.pictures > 60


@pytest.mark.parametrize("format_", FORMATS)
def test_no_audio_variant(rigs: Any, format_: str) -> None:
    """`hls_audio_variant` off: the sound alone is no variant, and still there for who asks."""
    rig = rigs(hls_format=format_, hls_audio_variant=False)
    player = Player(rig)
    player.join()
    assert player.multivariant is not None
    assert len(player.multivariant.variants) == 1
    sound = Player(rig, f"{PATH}?audio=1")
    sound.join()
    assert sound.multivariant is not None
    assert [x.has_video for x in sound.multivariant.variants] == [False]


def test_followed_together(rigs: Any) -> None:
    """C-LL-11: low-latency players of two joined streams at once."""
    rig = rigs(publish=False, hls_format="ll", hls_variants=ENDINGS)
    joined = Joined(rig, main=False)
    joined.publish()
    rig.run(2.0)
    player = Player(rig)
    player.join()
    assert player.multivariant is not None
    following = [
        Following(rig, player=player.other(uri), ledger=joined.ledger(uri))
        for uri in player.multivariant.uris
    ]
    for one in following:
        one.join()

    def step() -> None:
        for one in following:
            one.step()

    rig.on_step = step
    rig.run(15.0)
    assert all(x.hinted > 60 for x in following)
    assert KEY.stream == "test"
    for one in following:
        one.leave()
