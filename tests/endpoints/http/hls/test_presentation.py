"""What a multivariant playlist offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from hypothesis import given, strategies as st

from ntvmedia.access import Application
from ntvmedia.endpoints.http.hls.presentation import (
    LEAST_MEASURED_SECONDS,
    Presentation,
    choose_format,
    compose,
    write,
)
from ntvmedia.endpoints.http.hls.renditions import Rendition
from ntvmedia.hub.refusals import NotFound
from ntvmedia.hub.rendition import select_tracks
from ntvmedia.media import Codec, Packet, StreamKey, Track
from tests.codecs.vectors import (
    AAC_LC_51,
    AAC_LC_STEREO,
    AC3_51,
    AV1C_720,
    AVCC_576I,
    AVCC_1080,
    FLAC_STREAMINFO,
    HVCC_720,
    OPUS_STEREO,
    VP9_360,
    VPCC_360,
)
from tests.hls.m3u8 import Multivariant, parse_multivariant

KEY = StreamKey("liveshow", "test")
H264 = Track(Codec.H264, config=AVCC_1080)
SMALL = Track(Codec.H264, config=AVCC_576I, number=1)
AAC = Track(Codec.AAC, clock_rate=48000, config=AAC_LC_STEREO, channels=2)
OPUS = Track(Codec.OPUS, clock_rate=48000, config=OPUS_STEREO, channels=2)


class Stream:
    """As much of a stream as is looked at."""

    def __init__(self, *tracks: Track, key: StreamKey = KEY, seconds: float = 0.0) -> None:
        self.key = key
        self.tracks = list(tracks)
        # Of VP9 only a frame tells the size.
        frames = {Codec.VP9: VP9_360}
        self.backlog = [Packet(x, 0, 0, True, frames[x.codec]) for x in tracks if x.codec in frames]
        self.frame_rate = 25.0
        self.is_ready = True
        bitrates = {track.id: 128_000 if track.kind.value == "audio" else 1e6 for track in tracks}
        self.timeline = SimpleNamespace(
            position=seconds,
            states={x: SimpleNamespace(bytes=rate * seconds / 8) for x, rate in bitrates.items()},
        )


class Made:
    """As much of the playlists as is asked for: what was measured."""

    def __init__(self, *, joined: bool = False, **windows: tuple[float, float]) -> None:
        self._joined = joined
        self._windows = windows

    def folder_of(self, key: StreamKey, rendition: Rendition) -> str:
        """Return a folder, with the stream's name before it where addresses name streams."""
        return f"{key.stream}/{rendition.folder}" if self._joined else rendition.folder

    def find(self, _key: StreamKey, folder: str) -> Any:
        """Return one that has a segment."""
        found = self._windows.get(folder.replace("-", "_"))
        if found is None:
            return None
        peak, average = found
        window = SimpleNamespace(listed=1, peak_bitrate=peak, average_bitrate=average)
        return SimpleNamespace(window=window)


def _read(
    *streams: Stream,
    query: Mapping[str, str] | None = None,
    made: Made | None = None,
    **options: Any,
) -> Multivariant:
    """Compose and write, and read that strictly."""
    application = replace(Application("liveshow"), **options)
    offers = compose(query or {}, application, streams)
    made = made or Made(joined=bool(options.get("hls_variants")))
    return parse_multivariant(write(made, KEY, "S", offers))  # type: ignore[arg-type]


def _folders(playlist: Multivariant) -> list[str]:
    """Return the folders of the variants."""
    assert all(x.uri.startswith("test/~S/") for x in playlist.variants)
    return [x.uri.removeprefix("test/~S/").removesuffix("/index.m3u8") for x in playlist.variants]


# Formats


@pytest.mark.parametrize(
    ("codecs", "chosen", "wanted"),
    [
        ([Codec.H264, Codec.AAC], "ts", "ts"),
        ([Codec.H264, Codec.MP3], "ts", "ts"),
        ([Codec.H264, Codec.AC3], "ts", "ts"),
        ([Codec.HEVC, Codec.AAC], "ts", "fmp4"),
        ([Codec.AV1, Codec.AAC], "ts", "fmp4"),
        ([Codec.VP9, Codec.OPUS], "ts", "fmp4"),
        ([Codec.H264, Codec.OPUS], "ts", "fmp4"),
        ([Codec.H264, Codec.FLAC], "ts", "fmp4"),
        ([Codec.H264, Codec.AAC], "fmp4", "fmp4"),
        ([Codec.HEVC, Codec.AAC], "ll", "ll"),
        ([Codec.H264, Codec.AAC], "ll", "ll"),
        ([Codec.H264, Codec.SPEEX], "ts", "ts"),
    ],
)
def test_format(codecs: Sequence[Codec], chosen: Literal["ts", "fmp4", "ll"], wanted: str) -> None:
    """C-FM-05: HEVC, AV1, VP9, Opus and FLAC turn the application's TS into fMP4."""
    stream = Stream(*(Track(codec) for codec in codecs))
    application = replace(Application("liveshow"), hls_format=chosen)
    assert choose_format({}, application, [stream]) == wanted
    for asked in ("ts", "fmp4", "ll"):
        assert choose_format({"format": asked}, application, [stream]) == asked
    for nonsense in ("", "TS", "mp4", "ts ", "../ts"):
        assert choose_format({"format": nonsense}, application, [stream]) == wanted


def test_format_of_joined_streams() -> None:
    """C-PL-24: one that needs fMP4 turns all to it: a player changes between them."""
    streams = [Stream(H264, AAC), Stream(Track(Codec.HEVC, config=HVCC_720), AAC)]
    assert choose_format({}, Application("liveshow"), streams) == "fmp4"


@pytest.mark.parametrize(
    ("tracks", "folders"),
    [
        ((Track(Codec.HEVC, config=HVCC_720), AAC), ["ts-av", "ts-audio"]),
        ((H264, OPUS), ["ts-av"]),
        ((Track(Codec.AV1, config=AV1C_720), AAC), ["ts-av"]),
    ],
)
def test_explicit_ts(tracks: Sequence[Track], folders: list[str]) -> None:
    """`format=ts` has of a stream what TS carries."""
    assert _folders(_read(Stream(*tracks), query={"format": "ts"})) == folders


def test_nothing_to_carry() -> None:
    """C-TS-07: and nothing is refused, with the codecs."""
    for tracks, query in (
        ([Track(Codec.AV1, config=AV1C_720), OPUS], {"format": "ts"}),
        ([Track(Codec.SPEEX, clock_rate=16000)], {}),
        ([H264], {"audio": "1"}),
    ):
        with pytest.raises(NotFound, match=tracks[0].codec.value):
            compose(query, Application("liveshow"), [Stream(*tracks)])


# Variants


@pytest.mark.parametrize(
    ("tracks", "query", "folders"),
    [
        ((H264, AAC), {}, ["ts-av", "ts-audio"]),
        ((H264,), {}, ["ts-av"]),
        ((AAC,), {}, ["ts-av"]),
        ((H264, AAC), {"audio": "1"}, ["ts-audio"]),
        ((H264, AAC), {"format": "ll"}, ["ll-av", "ll-audio"]),
        ((H264, AAC), {"format": "fmp4", "audio": "1"}, ["fmp4-audio"]),
        ((H264, SMALL, AAC), {}, ["ts-av", "ts-av1", "ts-audio"]),
        ((SMALL, AAC, H264), {}, ["ts-av", "ts-av1", "ts-audio"]),
        ((H264, SMALL, AAC), {"track": "1"}, ["ts-track1"]),
        ((H264, AAC), {"track": "7"}, ["ts-av", "ts-audio"]),
        ((H264, AAC), {"track": "-1"}, ["ts-av", "ts-audio"]),
    ],
)
def test_variants(tracks: Sequence[Track], query: Mapping[str, str], folders: list[str]) -> None:
    """C-PL-21: one for each video track, the default first; the sound alone last."""
    playlist = _read(Stream(*tracks), query=query)
    assert _folders(playlist) == folders
    assert playlist.version == (9 if query.get("format") == "ll" else 6)


def test_no_audio_variant() -> None:
    """The sound alone is no variant where the operator does not want it."""
    assert _folders(_read(Stream(H264, AAC), hls_audio_variant=False)) == ["ts-av"]
    assert _folders(_read(Stream(AAC), hls_audio_variant=False)) == ["ts-av"]
    query = {"audio": "1"}
    assert _folders(_read(Stream(H264, AAC), query=query, hls_audio_variant=False)) == ["ts-audio"]


def test_what_is_told() -> None:
    """C-PL-21: codecs, resolution and frame rate of each variant; none of what it has not."""
    hevc = Track(Codec.HEVC, config=HVCC_720)
    playlist = _read(Stream(hevc, AAC))
    whole, sound = (variant.attributes for variant in playlist.variants)
    assert whole["CODECS"] == "hvc1.1.6.L93.90,mp4a.40.2"
    assert whole["RESOLUTION"] == "1280x720"
    assert float(whole["FRAME-RATE"]) > 0
    assert sound["CODECS"] == "mp4a.40.2"
    assert not {"RESOLUTION", "FRAME-RATE"} & set(sound)


def test_joined() -> None:
    """Joined streams are variants, best first, each with an address of its own."""
    names = ("test", "test_720p", "test_480p")
    streams = [Stream(H264, AAC, key=StreamKey("liveshow", name)) for name in names]
    playlist = _read(*streams, hls_variants=("_720p", "_480p"))
    assert _folders(playlist) == [*(f"{name}/ts-av" for name in names), "test/ts-audio"]
    # One that is not published is left out; the sound is that of the best.
    playlist = _read(*streams[1:], hls_variants=("_720p", "_480p"))
    assert _folders(playlist) == [*(f"{name}/ts-av" for name in names[1:]), "test_720p/ts-audio"]


def test_joined_with_other_tracks() -> None:
    """One without sound, or whose tracks are not carried, changes nothing for the others."""
    other = StreamKey("liveshow", "test_b")
    spoken = Stream(Track(Codec.SPEEX, clock_rate=16000), key=other)
    silent = Stream(H264, key=other)
    options: dict[str, Any] = {"hls_variants": ("_b",)}
    assert _folders(_read(Stream(H264, AAC), spoken, **options)) == [
        "test/ts-av",
        "test/ts-audio",
    ]
    assert _folders(_read(Stream(H264, AAC), silent, **options)) == [
        "test/ts-av",
        "test_b/ts-av",
        "test/ts-audio",
    ]


# Alternative sounds


def _sounds(*languages: str) -> list[Track]:
    return [replace(AAC, number=index, language=x) for index, x in enumerate(languages)]


def test_sounds() -> None:
    """Several sounds are a group: the default one in the segments of TS, the others beside."""
    playlist = _read(Stream(H264, *_sounds("eng", "de", "")))
    assert [x.get("LANGUAGE") for x in playlist.media] == ["eng", "de", None]
    assert [x["NAME"] for x in playlist.media] == ["eng", "de", "Audio 3"]
    assert [x["DEFAULT"] for x in playlist.media] == ["YES", "NO", "NO"]
    assert [x.get("URI") for x in playlist.media] == [
        None,
        "test/~S/ts-track1-audio/index.m3u8",
        "test/~S/ts-track2-audio/index.m3u8",
    ]
    assert all(x["CHANNELS"] == "2" and x["AUTOSELECT"] == "YES" for x in playlist.media)
    assert all(x.attributes["AUDIO"] == "audio" for x in playlist.variants)
    assert _folders(playlist) == ["ts-av", "ts-audio"]


@pytest.mark.parametrize("format_name", ["fmp4", "ll"])
def test_sounds_of_mp4(format_name: str) -> None:
    """In MP4 all sounds are beside the pictures; the default one is the audio variant too."""
    playlist = _read(Stream(H264, SMALL, *_sounds("en", "de")), query={"format": format_name})
    assert _folders(playlist) == [f"{format_name}-{x}" for x in ("video", "video1", "audio")]
    assert [x.get("URI") for x in playlist.media] == [
        f"test/~S/{format_name}-audio/index.m3u8",
        f"test/~S/{format_name}-track1-audio/index.m3u8",
    ]
    assert [x["DEFAULT"] for x in playlist.media] == ["YES", "NO"]


def test_sounds_without_pictures() -> None:
    """So it is for a stream without pictures, whose first sound is the variant."""
    for format_name in ("ts", "fmp4"):
        playlist = _read(Stream(*_sounds("en", "de")), query={"format": format_name})
        assert _folders(playlist) == [f"{format_name}-av"]
        first, second = playlist.media
        assert "URI" not in first
        assert second["URI"] == f"test/~S/{format_name}-track1-audio/index.m3u8"


def test_sounds_of_other_codecs() -> None:
    """CODECS has all that a player may come to, each once; channels are those of each."""
    tracks = [
        replace(AAC, number=0, language="en"),
        replace(AAC, number=1, language="de", config=AAC_LC_51, channels=6),
        Track(Codec.AC3, clock_rate=48000, number=2, language="fr", channels=6),
    ]
    stream = Stream(H264, *tracks)
    stream.backlog = [Packet(tracks[2], 0, 0, True, AC3_51)]
    playlist = _read(stream)
    assert playlist.variants[0].attributes["CODECS"] == "avc1.640028,mp4a.40.2,ac-3"
    assert [x["CHANNELS"] for x in playlist.media] == ["2", "6", "6"]


def test_sounds_that_are_not_carried() -> None:
    """A sound that a format has not is not named; with one that is left there is no group."""
    tracks = [AAC, replace(OPUS, number=1, language="de")]
    playlist = _read(Stream(H264, *tracks), query={"format": "ts"})
    assert playlist.media == ()
    assert "AUDIO" not in playlist.variants[0].attributes
    playlist = _read(Stream(H264, *tracks), query={"format": "fmp4"})
    assert [x["NAME"] for x in playlist.media] == ["Audio 1", "de"]


def test_default_sound_that_is_not_carried() -> None:
    """What is said to be in the variants is there; what has an address is what it says."""
    tracks = [OPUS, *_sounds("", "de", "fr")[1:]]
    offers = compose({"format": "ts"}, Application("liveshow"), [Stream(H264, *tracks)])
    variants = [offer for offer in offers if offer.audio is None and offer.has_pictures]
    sounds = [offer for offer in offers if offer.audio is not None]
    assert [offer.audio for offer in sounds] == tracks[1:]
    for offer in sounds:
        if offer.is_muxed:
            assert all(offer.audio in variant.tracks for variant in variants)
        else:
            assert select_tracks([H264, *tracks], offer.rendition.options) == [offer.audio]


def test_sounds_of_one_asked_for() -> None:
    """Who asks for a track gets that alone."""
    for query, folder in (({"track": "1"}, "ts-track1"), ({"audio": "1"}, "ts-audio")):
        playlist = _read(Stream(H264, SMALL, *_sounds("en", "de")), query=query)
        assert playlist.media == ()
        assert _folders(playlist) == [folder]


def test_names() -> None:
    """C-PL-21: names are not given twice (section 4.4.6.1.1)."""
    playlist = _read(Stream(H264, *_sounds("en", "en", "", "", "en")))
    names = [x["NAME"] for x in playlist.media]
    assert len(set(names)) == 5
    assert names[0] == "en"


@pytest.mark.parametrize(
    "language",
    [
        'en",URI="https://evil.example/',
        "en\n#EXT-X-ENDLIST",
        "en\r\nx",
        '"',
        "e" * 5000,
        "e" * 41,
        "-",
        "--",
        "e",
        "1",
        "123",
        "e-n",
        "en-",
        "-en",
        "en--us",
        "en_US",
        "日本語",
        "én",
        "\0",
        "en us",
        "und{x}",
    ],
)
def test_hostile_languages(language: str) -> None:
    """F-IN: what a publisher says of a language stands in a playlist only where it is one."""
    playlist = _read(Stream(H264, *_sounds("en", language, language)))
    assert [x.get("LANGUAGE") for x in playlist.media] == ["en", None, None]
    assert [x["NAME"] for x in playlist.media] == ["en", "Audio 2", "Audio 3"]


@pytest.mark.parametrize(
    "language", ["en", "deu", "en-US", "zh-Hans-CN", "sr-Latn", "ES", "qaa-x-a1"]
)
def test_languages(language: str) -> None:
    """BCP 47 names stand as they are."""
    playlist = _read(Stream(H264, *_sounds("fr", language)))
    assert playlist.media[1]["LANGUAGE"] == playlist.media[1]["NAME"] == language


@given(st.lists(st.text(max_size=12) | st.sampled_from(["en", "de", "en-US"]), max_size=6))
def test_any_languages(languages: list[str]) -> None:
    """Whatever is said of languages, the playlist breaks no rule."""
    playlist = _read(Stream(H264, *_sounds(*languages)))
    assert len(playlist.media) == (len(languages) if len(languages) > 1 else 0)


# Bit rates


def test_bandwidth_of_the_unknown() -> None:
    """What has just begun is assumed to be something, and more with pictures than without."""
    whole, sound = (
        int(x.attributes["BANDWIDTH"]) for x in _read(Stream(H264, AAC, seconds=1.0)).variants
    )
    assert whole > 4 * sound > 100_000
    attributes = _read(Stream(H264, AAC, seconds=1.0)).variants[0].attributes
    assert "AVERAGE-BANDWIDTH" not in attributes


def test_bandwidth_of_what_came() -> None:
    """From what was sent, before there is a segment."""
    seconds = LEAST_MEASURED_SECONDS + 1.0
    whole, sound = (
        int(x.attributes["BANDWIDTH"]) for x in _read(Stream(H264, AAC, seconds=seconds)).variants
    )
    assert 1_128_000 <= whole <= 1.5 * 1_128_000
    assert 128_000 <= sound <= 1.5 * 128_000


def test_bandwidth_of_segments() -> None:
    """C-PL-21: no less than the largest segment had, and on average what they had."""
    made = Made(ts_av=(3_000_000.0, 2_000_000.0), ts_audio=(10_000.0, 9_000.0))
    playlist = _read(Stream(H264, AAC, seconds=60.0), made=made)
    whole, sound = (variant.attributes for variant in playlist.variants)
    assert 3_000_000 <= int(whole["BANDWIDTH"]) <= 4_500_000
    assert whole["AVERAGE-BANDWIDTH"] == "2000000"
    assert int(sound["BANDWIDTH"]) >= 128_000
    assert sound["AVERAGE-BANDWIDTH"] == "9000"


def test_bandwidth_with_other_sounds() -> None:
    """Section 4.4.6.2: a variant has the bits of the largest of its sounds as well."""
    made = Made(
        ts_av=(3_000_000.0, 2_000_000.0),
        ts_track1_audio=(600_000.0, 500_000.0),
        ts_track2_audio=(90_000.0, 80_000.0),
    )
    stream = Stream(H264, *_sounds("en", "de", "fr"), seconds=60.0)
    whole = _read(stream, made=made).variants[0].attributes
    assert int(whole["BANDWIDTH"]) >= 3_600_000
    assert whole["AVERAGE-BANDWIDTH"] == "2500000"


TRACKS = [
    H264,
    SMALL,
    Track(Codec.HEVC, config=HVCC_720, number=2),
    Track(Codec.AV1, config=AV1C_720, number=3),
    Track(Codec.VP9, config=VPCC_360, number=4),
    AAC,
    replace(AAC, number=1, language="de"),
    replace(OPUS, number=2, language="en"),
    Track(Codec.FLAC, clock_rate=44100, config=FLAC_STREAMINFO, number=3),
    Track(Codec.MP3, clock_rate=48000, number=4),
    Track(Codec.PCM_ALAW, clock_rate=8000, number=5),
]


@given(
    st.lists(st.lists(st.sampled_from(TRACKS), unique=True, min_size=1), min_size=1, max_size=3),
    st.sampled_from(["", "ts", "fmp4", "ll"]),
    st.sampled_from(["", "1", "3"]),
    st.booleans(),
    st.booleans(),
)
def test_any_tracks(
    tracks: list[list[Track]], format_name: str, number: str, audio: bool, variant: bool
) -> None:
    """Whatever there is, what is written breaks no rule, or nothing can be carried."""
    streams = [
        Stream(*found, key=StreamKey("liveshow", f"test_{index}" if index else "test"))
        for index, found in enumerate(tracks)
    ]
    query = {"format": format_name, "track": number, **({"audio": "1"} if audio else {})}
    try:
        playlist = _read(
            *streams, query=query, hls_variants=("_1", "_2"), hls_audio_variant=variant
        )
    except NotFound:
        return
    assert len(playlist.uris) == len(set(playlist.uris))
    folders = [x.uri.rpartition("/")[0].rpartition("/")[2] for x in playlist.variants]
    assert len({folder.partition("-")[0] for folder in folders}) == 1


# Kept together


class Kept:
    """As much of a playlist as is kept going."""

    idle_seconds = 10.0

    def __init__(self, seen: float, *, running: bool = True) -> None:
        self.key = KEY
        self.seen = self.kept = seen
        self.stream: Any = object() if running else None
        self.runs = 0

    def run(self, stream: Any) -> None:
        """Run, unless it cannot."""
        self.runs += 1
        if isinstance(stream, Stream):
            self.stream = stream
        else:
            raise NotFound("failed")


def test_kept_together() -> None:
    """C-PL-24: while one is watched the others are made, and begun where their stream is back."""
    watched, other, sound = Kept(100.0), Kept(50.0, running=False), Kept(50.0)
    presentation = Presentation([watched, other], [sound])  # type: ignore[list-item]
    streams: dict[StreamKey, Any] = {KEY: Stream(H264)}
    assert presentation.look(105.0, streams)
    assert (other.kept, sound.kept, other.runs, sound.runs) == (100.0, 100.0, 1, 0)
    assert (other.seen, sound.seen) == (50.0, 50.0)
    assert presentation.look(110.0, streams)
    assert not presentation.look(110.1, streams)


def test_sound_alone_keeps_no_pictures() -> None:
    """Who listens alone keeps the pictures of nobody; what is watched again is remembered."""
    whole, sound = Kept(50.0), Kept(100.0)
    presentation = Presentation([whole], [sound])  # type: ignore[list-item]
    assert presentation.look(105.0, {})
    assert whole.kept == 50.0
    assert not presentation.look(115.0, {})


def test_one_that_fails() -> None:
    """One that cannot be begun is tried again, and does not keep the others from it."""
    watched, bad, good = Kept(100.0), Kept(50.0, running=False), Kept(50.0, running=False)
    bad.key = StreamKey("liveshow", "bad")
    presentation = Presentation([watched, bad, good])  # type: ignore[list-item]
    streams: dict[StreamKey, Any] = {KEY: Stream(H264), bad.key: SimpleNamespace(is_ready=True)}
    for _look in range(3):
        assert presentation.look(101.0, streams)
    assert (bad.runs, good.runs) == (3, 1)
