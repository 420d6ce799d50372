"""Tests of ntvmedia.wire.hls.resources."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import PeerError
from ntvmedia.formats import m3u8
from ntvmedia.formats.m3u8 import ByteRange, MediaPlaylist, Segment
from ntvmedia.formats.m3u8_reader import parse_playlist
from ntvmedia.wire.hls.follower import Follower
from ntvmedia.wire.hls.resources import InitSection, Key, MediaSegment, media_segment, resolve

BASE = "https://example.org/a/b/index.m3u8?token=1"
IV = bytes(range(16))


def segments_of(text: str, base: str = BASE) -> list[MediaSegment]:
    """Return what a list leads to."""
    playlist = parse_playlist(text.encode(), base)
    assert isinstance(playlist, MediaPlaylist)
    return Follower().playlist_received(playlist, base)


def problem(segment: Segment) -> str:
    """Return why a segment is not asked for."""
    with pytest.raises(PeerError) as caught:
        media_segment(segment, 7, BASE, discontinuity=False)
    return str(caught.value)


# Addresses (RFC 3986 section 5.2)


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("1.ts", "https://example.org/a/b/1.ts"),
        ("1.ts?x=2", "https://example.org/a/b/1.ts?x=2"),
        ("./c/../1.ts", "https://example.org/a/b/1.ts"),
        ("../1.ts", "https://example.org/a/1.ts"),
        ("../../../../1.ts", "https://example.org/1.ts"),
        ("/1.ts", "https://example.org/1.ts"),
        ("?n=1", "https://example.org/a/b/index.m3u8?n=1"),
        ("//cdn.example.org/1.ts", "https://cdn.example.org/1.ts"),
        ("http://cdn.example.org/1.ts", "http://cdn.example.org/1.ts"),
        ("HTTP://cdn.example.org/1.ts", "http://cdn.example.org/1.ts"),
        ("https://user:secret@x/1.ts", "https://user:secret@x/1.ts"),
        ("12:30.ts", "https://example.org/a/b/12:30.ts"),
        ("./12:30.ts", "https://example.org/a/b/12:30.ts"),
        ("ä ü.ts", "https://example.org/a/b/ä%20ü.ts"),
        (" 1.ts\t", "https://example.org/a/b/1.ts"),
        # A backslash would lead elsewhere in browsers and not in others.
        ("\\\\evil.example\\1.ts", "https://example.org/a/b/%5C%5Cevil.example%5C1.ts"),
        ("https:\\\\evil.example/1.ts", "https://example.org/a/b/%5C%5Cevil.example/1.ts"),
    ],
)
def test_resolve(uri: str, url: str) -> None:
    """E-SR-08: relative to where the list came from."""
    assert resolve(BASE, uri).replace("HTTP:", "http:") == url


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        " file:///etc/passwd",
        "ftp://example.org/1.ts",
        "data:video/mp2t;base64,Rw==",
        "javascript:alert(1)",
        "concat:http://a/1.ts|file:///etc/passwd",
        "crypto+http://example.org/1.ts",
        "tcp://127.0.0.1:22",
        "skd://key",
        "http://[1/1.ts",
    ],
)
def test_other_schemes(uri: str) -> None:
    """Never from HTTP to another scheme, whoever names it: segment, init section or key."""
    told = "the playlist leads to "
    assert told in problem(Segment(uri, 4.0))
    assert told in problem(Segment("1.ts", 4.0, map=m3u8.Map(uri)))
    # A key may be had in another way: who wants it is told.
    key = m3u8.Key(uri, IV)
    segment = Segment("1.ts", 4.0, map=m3u8.Map("i", None, key), key=key)
    found = media_segment(segment, 7, BASE, discontinuity=False)
    assert found.init_section is not None
    for wanted in (found.key, found.init_section.key):
        assert wanted is not None
        assert (wanted.url, wanted.iv) == ("", IV)
        assert told in wanted.problem


def test_message_is_short_and_printable() -> None:
    """What a peer wrote does not fill the screen, and steers no terminal."""
    message = problem(Segment("ftp://\x1b[31m\x9b" + "x" * 10_000, 4.0))
    assert message.isprintable()
    assert len(message) < 300


@given(st.text(max_size=40))
def test_any_address(uri: str) -> None:
    """Whatever is written there: http, https, or `PeerError`."""
    try:
        url = resolve(BASE, uri)
    except PeerError:
        return
    assert url.lower().startswith(("http://", "https://"))


# What stands in a segment


def test_plain() -> None:
    """A segment in the clear, with all that its list tells."""
    segment = Segment("1.ts", 3.5, 1e9, byte_range=ByteRange(10, 20))
    assert media_segment(segment, 7, BASE, discontinuity=True) == MediaSegment(
        7, "https://example.org/a/b/1.ts", ByteRange(10, 20), 3.5, 1e9, True, False, None, None
    )


def test_gap() -> None:
    """Nothing is asked for, so nothing that it names matters."""
    key = m3u8.Key("file:///k", b"", "SAMPLE-AES")
    segment = Segment("ftp://x", 4.0, gap=True, map=m3u8.Map("file:///x"), key=key)
    found = media_segment(segment, 7, BASE, discontinuity=False)
    assert (found.gap, found.url, found.init_section, found.key) == (True, "", None, None)


def test_init_section() -> None:
    """EXT-X-MAP, a part of a file, relative to the list."""
    found = segments_of(
        "#EXTM3U\n"
        '#EXT-X-MAP:URI="../all.mp4",BYTERANGE="800@16"\n'
        "#EXTINF:4,\n#EXT-X-BYTERANGE:1000@816\n../all.mp4\n"
        "#EXTINF:4,\n#EXT-X-BYTERANGE:500\n../all.mp4\n"
        '#EXT-X-MAP:URI="other.mp4"\n'
        "#EXTINF:4,\nother.m4s\n#EXT-X-ENDLIST\n"
    )
    url = "https://example.org/a/all.mp4"
    section = InitSection(url, ByteRange(800, 16), None)
    assert [(x.url, x.byte_range, x.init_section) for x in found[:2]] == [
        (url, ByteRange(1000, 816), section),
        (url, ByteRange(500, 1816), section),
    ]
    assert found[2].init_section == InitSection("https://example.org/a/b/other.mp4", None, None)


# Keys


@pytest.mark.parametrize(
    ("number", "iv"),
    [
        (0, "00000000000000000000000000000000"),
        (7, "00000000000000000000000000000007"),
        (2680, "00000000000000000000000000000a78"),
        (1700000000123, "00000000000000000000018bcfe5687b"),
        ((1 << 64) + 1, "00000000000000010000000000000001"),
        ((1 << 128) + 1, "00000000000000000000000000000001"),
    ],
)
def test_implicit_iv(number: int, iv: str) -> None:
    """C-AE-01: without IV it is the media sequence number, in 128 bits, big-endian."""
    segment = Segment("1.ts", 4.0, key=m3u8.Key("k", b""))
    found = media_segment(segment, number, BASE, discontinuity=False)
    assert found.key == Key("https://example.org/a/b/k", bytes.fromhex(iv))


def test_keys_of_a_list() -> None:
    """C-AE-01, C-AE-07: rotated keys, IVs of both kinds, and one segment in the clear."""
    found = segments_of(
        "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:255\n"
        '#EXT-X-KEY:METHOD=AES-128,URI="/k1"\n#EXTINF:4,\n0.ts\n#EXTINF:4,\n1.ts\n'
        f'#EXT-X-KEY:METHOD=AES-128,URI="k2",IV=0x{IV.hex()}\n#EXTINF:4,\n2.ts\n'
        "#EXT-X-KEY:METHOD=NONE\n#EXTINF:4,\n3.ts\n"
        '#EXT-X-KEY:METHOD=AES-128,URI="/k1"\n#EXTINF:4,\n4.ts\n#EXT-X-ENDLIST\n'
    )
    first = "https://example.org/k1"
    assert [x.key for x in found] == [
        Key(first, (255).to_bytes(16, "big")),
        Key(first, (256).to_bytes(16, "big")),
        Key("https://example.org/a/b/k2", IV),
        None,
        Key(first, (259).to_bytes(16, "big")),
    ]


def test_number_of_the_list() -> None:
    """C-AE-01: the number is the list's own, also where the list is known to count wrongly."""
    lists = [
        f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{number}\n"
        '#EXT-X-KEY:METHOD=AES-128,URI="k"\n' + "".join(f"#EXTINF:4,\n{i}.ts\n" for i in names)
        for number, names in ((3, (3, 4)), (4, (4, 5)), (6, (6, 7)))
    ]
    follower = Follower()
    ivs = []
    for text in lists:
        playlist = parse_playlist(text.encode(), BASE)
        assert isinstance(playlist, MediaPlaylist)
        ivs += [x.key.iv[-1] for x in follower.playlist_received(playlist, BASE) if x.key]
    assert ivs == [3, 4, 5, 6, 7]


def test_encrypted_init_section() -> None:
    """C-AE-04: a KEY with an IV goes for the MAP after it, and one after the MAP does not."""
    found = segments_of(
        "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:5\n"
        '#EXT-X-MAP:URI="clear.mp4"\n'
        f'#EXT-X-KEY:METHOD=AES-128,URI="k1",IV=0x{IV.hex()}\n#EXTINF:4,\n0.m4s\n'
        '#EXT-X-MAP:URI="locked.mp4"\n#EXTINF:4,\n1.m4s\n#EXT-X-ENDLIST\n'
    )
    key = Key("https://example.org/a/b/k1", IV)
    assert [(x.init_section, x.key) for x in found] == [
        (InitSection("https://example.org/a/b/clear.mp4", None, None), key),
        (InitSection("https://example.org/a/b/locked.mp4", None, key), key),
    ]


def test_encrypted_init_section_without_iv() -> None:
    """C-AE-04: no number is its IV; that it has none matters where it is encrypted indeed."""
    section = m3u8.Map("init.mp4", None, m3u8.Key("k", b""))
    segment = Segment("1.m4s", 4.0, map=section)
    found = media_segment(segment, 7, BASE, discontinuity=False)
    assert found.init_section is not None
    assert found.init_section.key == Key("https://example.org/a/b/k", b"")


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (m3u8.Key("k", IV, "SAMPLE-AES"), "SAMPLE-AES"),
        (m3u8.Key("k", IV, "SAMPLE-AES-CTR"), "SAMPLE-AES-CTR"),
        (m3u8.Key("k", IV, "AES-256"), "AES-256"),
    ],
)
def test_other_methods(key: m3u8.Key, told: str) -> None:
    """What is encrypted in another way is told, with its name, for segments and init sections."""
    assert told in problem(Segment("1.ts", 4.0, key=key))
    assert told in problem(Segment("1.ts", 4.0, map=m3u8.Map("i.mp4", None, key)))


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (m3u8.Key("skd://k", b"", "AES-128", "com.apple.streamingkeydelivery"), "com.apple"),
        (m3u8.Key("k", b"", "AES-128", "urn:uuid:1"), "urn:uuid:1"),
        (m3u8.Key("", b""), "where the key is"),
        (m3u8.Key("data:text/plain;base64,MTIz", b""), "data:text"),
    ],
)
def test_keys_that_are_had_in_another_way(key: m3u8.Key, told: str) -> None:
    """They have no address, and say why; the IV is known all the same."""
    found = media_segment(Segment("1.ts", 4.0, key=key), 7, BASE, discontinuity=False)
    assert found.key is not None
    assert (found.key.url, found.key.iv) == ("", (7).to_bytes(16, "big"))
    assert told in found.key.problem


@given(st.text(max_size=200), st.text(max_size=200))
def test_names_of_methods(method: str, key_format: str) -> None:
    """Whatever a peer calls its method, the message can be shown."""
    if method != "AES-128":
        key = m3u8.Key("k", IV, method, key_format)
        message = problem(Segment("1.ts", 4.0, key=key))
        assert message.isprintable()
        assert len(message) < 1000
    if key_format != "identity":
        key = m3u8.Key("k", IV, "AES-128", key_format)
        found = media_segment(Segment("1.ts", 4.0, key=key), 7, BASE, discontinuity=False)
        assert found.key is not None
        assert found.key.problem.isprintable()


def test_empty_range() -> None:
    """There is no way to ask for a part of 0 bytes, and nothing in it."""
    segment = Segment("1.ts", 4.0, byte_range=ByteRange(0, 5))
    found = media_segment(segment, 7, BASE, discontinuity=False)
    assert (found.gap, found.url, found.duration) == (True, "", 4.0)
