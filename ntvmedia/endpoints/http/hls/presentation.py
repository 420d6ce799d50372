"""What one multivariant playlist offers: variants, alternative sounds, and their playlists.

RFC 8216bis sections 4.4.6, 6.2.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ntvmedia.access import Application
from ntvmedia.codecs.description import Description, describe
from ntvmedia.endpoints.http.hls.packaging import FMP4_FIRST, carried
from ntvmedia.endpoints.http.hls.playlist import Playlist
from ntvmedia.endpoints.http.hls.playlists import Playlists
from ntvmedia.endpoints.http.hls.renditions import (
    AUDIO,
    FORMATS,
    LOW_LATENCY,
    VIDEO,
    WHOLE,
    Rendition,
    make_rendition,
    tracks_asked_for,
)
from ntvmedia.endpoints.http.hls.window import PLAYLIST_NAME
from ntvmedia.formats import m3u8, m3u8_writer
from ntvmedia.hub.refusals import NotFound
from ntvmedia.hub.rendition import select_tracks
from ntvmedia.media import MediaKind, StreamKey, Track

# Of a stream whose bit rate is not yet known, in bits a second.
_ASSUMED_VIDEO: Final = 2_000_000
_ASSUMED_AUDIO: Final = 160_000

# Less says little: a stream begins with its largest picture.
LEAST_MEASURED_SECONDS: Final = 2.0

# Segments add a few percent, and one may be larger than those before.
_MARGIN: Final = 1.25

# The group of alternative sounds.
_GROUP: Final = "audio"

# What a publisher says of a track's language, as far as it can stand in a playlist.
_LANGUAGE: Final = re.compile(r"(?=.{2,40}\Z)[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")


class Offer(NamedTuple):
    """A playlist that is offered.

    Attributes:
        stream: What it is made of.
        rendition: What it has of that.
        tracks: These.
        audio: The track it stands for among alternative sounds; None for a variant.
        is_muxed: That sound is in the variants.
    """

    stream: Any
    rendition: Rendition
    tracks: Sequence[Track]
    audio: Track | None = None
    is_muxed: bool = False

    @property
    def has_pictures(self) -> bool:
        """Whether it has some."""
        return any(x.kind is MediaKind.VIDEO for x in self.tracks)


class _Beside(NamedTuple):
    """What alternative sounds add to each variant: bits a second, and names of codecs."""

    peak: float
    average: float
    codecs: Sequence[str]


@dataclass(slots=True)
class Presentation:
    """The playlists that one multivariant playlist names.

    They are made together, so that a player that changes from one to the other finds segments.

    Attributes:
        main: Those that keep all others going while somebody asks for them.
        others: The rest.
    """

    main: list[Playlist] = field(default_factory=list)
    others: list[Playlist] = field(default_factory=list)

    def look(self, now: float, streams: Mapping[StreamKey, Any]) -> bool:
        """Keep all going while one is wanted; False when nobody asks for any."""
        running = [x for x in self.main if x.stream is not None and _is_asked_for(x, now)]
        if not running:
            return any(_is_asked_for(x, now) for x in (*self.main, *self.others))
        seen = max(x.seen for x in running)
        for playlist in (*self.main, *self.others):
            playlist.kept = max(playlist.kept, seen)
            stream = streams.get(playlist.key)
            if playlist.stream is None and stream is not None and stream.is_ready:
                try:
                    playlist.run(stream)
                except NotFound:
                    continue  # it is tried again
        return True


def _is_asked_for(playlist: Playlist, now: float) -> bool:
    return now - playlist.seen <= playlist.idle_seconds


def choose_format(
    query: Mapping[str, str], application: Application, streams: Sequence[Any]
) -> str:
    """Return the format of an answer: what is asked for, or else the application's.

    Where MPEG-TS is only the application's, it is for what players take in it.
    """
    asked = query.get("format", "")
    if asked in FORMATS:
        return asked
    chosen = application.hls_format
    if chosen == "ts" and any(x.codec in FMP4_FIRST for y in streams for x in y.tracks):
        return "fmp4"
    return chosen


def compose(
    query: Mapping[str, str], application: Application, streams: Sequence[Any]
) -> list[Offer]:
    """Return what is offered of a stream, or of several that are joined, best first.

    Args:
        query: Of the address.
        application: Theirs.
        streams: Ready ones.

    Raises:
        NotFound: Segments of this format have nothing of them.
    """
    format_name = choose_format(query, application, streams)
    first = streams[0]
    sounds: list[Offer] = []
    if tracks_asked_for(query, first.tracks) == WHOLE:
        sounds = _sounds_of(first, format_name)
    offers: list[Offer] = []
    for stream in streams:
        wanted = tracks_asked_for(query, stream.tracks)
        alone = any(not x.is_muxed for x in sounds[:1])
        names = _variants_of(stream, alone=alone) if wanted == WHOLE else [wanted]
        offers += _offers(stream, format_name, names)
    if not offers:
        codecs = ", ".join(sorted({x.codec.value for y in streams for x in y.tracks}))
        raise NotFound(f"segments of {format_name} have nothing of this stream, which is {codecs}")
    has_pictures = offers[0].has_pictures
    offers += sounds
    is_whole = tracks_asked_for(query, first.tracks) == WHOLE
    if application.hls_audio_variant and has_pictures and is_whole:
        offers += _offers(first, format_name, [AUDIO])
    return offers


def _variants_of(stream: Any, *, alone: bool) -> list[str]:
    """Return the names of the tracks of all variants of one stream: one for each video track.

    Args:
        stream: Ready.
        alone: Without sound, where there are pictures.
    """
    numbers = sorted(x.number for x in stream.tracks if x.kind is MediaKind.VIDEO)
    name = VIDEO if alone and numbers else WHOLE
    return [name, *(f"{name}{number}" for number in numbers[1:])]


def _offers(stream: Any, format_name: str, names: Sequence[str]) -> list[Offer]:
    offers = []
    for name in names:
        rendition = make_rendition(format_name, name)
        assert rendition is not None
        tracks = carried(select_tracks(stream.tracks, rendition.options), format_name)
        if tracks:
            offers.append(Offer(stream, rendition, tracks))
    return offers


def _sounds_of(stream: Any, format_name: str) -> list[Offer]:
    """Return the alternative sounds of a publisher that sends several.

    In segments of MPEG-TS the default one is in the variants, for players that know no others.
    What browsers can do with MP4 is fixed by the init segment they see first: there no sound is in
    the variants.
    """
    sounds = [x for x in stream.tracks if x.kind is MediaKind.AUDIO]
    sounds = sorted(carried(sounds, format_name), key=lambda x: x.number)
    if len(sounds) < 2:
        return []
    has_pictures = any(x.kind is MediaKind.VIDEO for x in stream.tracks)
    default = select_tracks(stream.tracks, {})
    offers = []
    for track in sounds:
        is_default = track in default
        rendition = make_rendition(
            format_name, AUDIO if is_default else f"track{track.number}-audio"
        )
        assert rendition is not None
        is_muxed = is_default and (format_name == "ts" or not has_pictures)
        offers.append(Offer(stream, rendition, [track], track, is_muxed))
    return offers


def write(playlists: Playlists, key: StreamKey, session: str, offers: Sequence[Offer]) -> bytes:
    """Write the multivariant playlist.

    Args:
        playlists: Asked for what was measured.
        key: The name that was asked for.
        session: Of who asks; empty where all ask as one.
        offers: What there is.
    """
    sounds = [x for x in offers if x.audio is not None]
    version = m3u8.VERSION
    if offers[0].rendition.format_name == LOW_LATENCY:
        version = m3u8.LOW_LATENCY_VERSION
    beside = _Beside(
        *max((_bitrates(playlists, x) for x in sounds if not x.is_muxed), default=(0.0, 0.0)),
        [_describe(x.stream, x.audio).codec_string for x in sounds if x.audio is not None],
    )
    return m3u8_writer.multivariant_playlist(
        [
            _variant(playlists, _address(playlists, key, session, offer), offer, beside)
            for offer in offers
            if offer.audio is None
        ],
        _renditions(playlists, key, session, sounds),
        version=version,
    )


def _address(playlists: Playlists, key: StreamKey, session: str, offer: Offer) -> str:
    folder = playlists.folder_of(offer.stream.key, offer.rendition)
    return f"{key.stream}/~{session}/{folder}/{PLAYLIST_NAME.decode('ascii')}"


def _variant(playlists: Playlists, address: str, offer: Offer, beside: _Beside) -> m3u8.Variant:
    peak, average = _bitrates(playlists, offer)
    seen = [_describe(offer.stream, x) for x in offer.tracks]
    codecs = [*(x.codec_string for x in seen), *beside.codecs]
    variant = m3u8.Variant(
        address,
        round((peak + beside.peak) * _MARGIN),
        round(average + beside.average),
        [x for x in dict.fromkeys(codecs) if x],
        audio=_GROUP if beside.codecs else "",
    )
    if not offer.has_pictures:
        return variant
    picture = seen[0]
    return variant._replace(
        width=picture.width,
        height=picture.height,
        frame_rate=picture.frame_rate or offer.stream.frame_rate,
    )


def _renditions(
    playlists: Playlists, key: StreamKey, session: str, sounds: Sequence[Offer]
) -> list[m3u8.Rendition]:
    renditions: list[m3u8.Rendition] = []
    names: set[str] = set()
    for place, offer in enumerate(sounds, 1):
        track = offer.audio
        assert track is not None
        language = track.language if _LANGUAGE.fullmatch(track.language) else ""
        name = language or f"Audio {place}"
        if name in names:
            name = f"{name} {place}"
        names.add(name)
        renditions.append(
            m3u8.Rendition(
                _GROUP,
                name,
                language,
                _describe(offer.stream, track).channels,
                place == 1,
                "" if offer.is_muxed else _address(playlists, key, session, offer),
            )
        )
    return renditions


def _describe(stream: Any, track: Track) -> Description:
    """Describe a track, by one of its packets where that tells more."""
    packet = next((x for x in stream.backlog if x.track == track and x.is_keyframe), None)
    return describe(track, b"" if packet is None else packet.payload)


def _bitrates(playlists: Playlists, offer: Offer) -> tuple[float, float]:
    """Return the bits a second of an offer: the most, and the average; as far as is known."""
    expected = _expected_bitrate(offer.stream, offer.tracks)
    playlist = playlists.find(offer.stream.key, offer.rendition.folder)
    if playlist is None or not playlist.window.listed:
        return expected, 0.0
    return max(playlist.window.peak_bitrate, expected), playlist.window.average_bitrate


def _expected_bitrate(stream: Any, tracks: Sequence[Track]) -> float:
    """Guess the bits a second of what segments will have, from what came so far."""
    seconds = stream.timeline.position
    if seconds < LEAST_MEASURED_SECONDS:
        return sum(_ASSUMED_VIDEO if x.kind is MediaKind.VIDEO else _ASSUMED_AUDIO for x in tracks)
    states = stream.timeline.states
    return float(sum(states[x.id].bytes for x in tracks if x.id in states) * 8 / seconds)
