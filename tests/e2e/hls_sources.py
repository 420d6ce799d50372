"""Playlists to download: written by FFmpeg's own muxer, from clips that are made once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from Crypto.Cipher import AES
from Crypto.Util.Padding import pad

from tests.e2e.hostile_server import Exchange, HostileServer
from tests.e2e.processes import run

FRAME_RATE: Final = 25
GOP_FRAMES: Final = 25
SECONDS: Final = 12
SEGMENT_SECONDS: Final = 2
SEGMENTS: Final = SECONDS // SEGMENT_SECONDS

# The number of the first segment of those whose IV is that number.
FIRST_NUMBER: Final = 7

_H264: Final = (
    f"-c:v libx264 -preset veryfast -pix_fmt yuv420p -g {GOP_FRAMES} -keyint_min {GOP_FRAMES} "
    "-sc_threshold 0 -bf 2"
)
_HEVC: Final = (
    f"-c:v libx265 -preset ultrafast -tag:v hvc1 -pix_fmt yuv420p -x265-params "
    f"log-level=none:keyint={GOP_FRAMES}:min-keyint={GOP_FRAMES}:scenecut=0:bframes=2:open-gop=0"
)
_AAC: Final = "-c:a aac -b:a 64k -ac 2"
_HLS: Final = f"-f hls -hls_time {SEGMENT_SECONDS} -hls_list_size 0"
_FMP4: Final = "-hls_segment_type fmp4"

# RFC 8216 3.4: the time of the first sample of packed audio, 33 bits of 90 kHz.
_PRIV_OWNER: Final = b"com.apple.streaming.transportStreamTimestamp\0"
_MPEG_CLOCK: Final = 90000


class Sources:
    """Folders with an `index.m3u8`, each made when it is wanted first.

    Args:
        folder: For all of them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def clip(self, name: str = "main") -> Path:
        """Return what a playlist was made from: an MP4 file.

        Args:
            name: "main": 12 s of H.264 with B-frames, 320x240, 25 frames a second, a keyframe each
                second, and AAC. "small": the same pictures in 160x120. "other": 6 s of other
                pictures with another SPS. "wide": 6 s in 480x272. "hevc": the main one in HEVC.
                "german": other sound.
        """
        path = self._folder / f"{name}.mp4"
        if not path.exists():
            _CLIPS[name](path)
        return path

    def folder(self, kind: str) -> Path:
        """Return the folder of one of `KINDS`."""
        path = self._folder / kind
        if not path.exists():
            path.mkdir()
            _MAKERS[kind](self, path)
        return path

    def playlist(self, kind: str) -> str:
        """Return the text of its `index.m3u8`."""
        return (self.folder(kind) / "index.m3u8").read_text("utf-8")


def _encode(path: Path, size: str, seconds: float, video: str, sound: str, tone: int = 300) -> None:
    pictures = f"testsrc2=size={size}:rate={FRAME_RATE}:duration={seconds}"
    noise = f"aevalsrc=0.3*sin(2*PI*t*({tone}+100*t)):s=48000:d={seconds}"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", noise]
    run([*command, *video.split(), *sound.split(), str(path)], path.parent)


_CLIPS: Final[dict[str, Callable[[Path], None]]] = {
    "main": lambda path: _encode(path, "320x240", SECONDS, f"{_H264} -b:v 500k", _AAC),
    "small": lambda path: _encode(path, "160x120", SECONDS, f"{_H264} -b:v 100k", _AAC),
    "other": lambda path: _encode(
        path, "320x240", 6, f"{_H264} -b:v 400k -level 3.1 -refs 4 -vf negate", _AAC, 700
    ),
    "wide": lambda path: _encode(path, "480x272", 6, f"{_H264} -b:v 400k", _AAC, 700),
    "hevc": lambda path: _encode(path, "320x240", SECONDS, _HEVC, _AAC),
    "german": lambda path: _encode(path, "64x64", SECONDS, f"{_H264} -b:v 10k", _AAC, 900),
}


def _hls(
    sources: Sources, folder: Path, options: str = "", clip: str = "main", name: str = "s%d.ts"
) -> None:
    """Run the muxer on a clip, as it is."""
    command = ["ffmpeg", "-v", "error", "-i", str(sources.clip(clip)), "-c", "copy"]
    command += [*_HLS.split(), *options.split()]
    if "single_file" not in options:
        command += ["-hls_segment_filename", str(folder / name)]
    run([*command, str(folder / "index.m3u8")], folder.parent)


def _plain(options: str = "", clip: str = "main", name: str = "s%d.ts") -> Maker:
    return lambda sources, folder: _hls(sources, folder, options, clip, name)


def _one_key(sources: Sources, folder: Path) -> None:
    """One key and one IV for all, which the list names."""
    (folder / "secret.key").write_bytes(KEY)
    info = folder.parent / "one_key.info"
    info.write_text(f"secret.key\n{folder / 'secret.key'}\n{IV.hex()}\n", "utf-8")
    _hls(sources, folder, f"-hls_key_info_file {info}")


def _rotated(sources: Sources, folder: Path) -> None:
    """Another key for each segment; the IV is its number, and the list names it."""
    keys = 0

    def next_key(exchange: Exchange) -> None:
        nonlocal keys
        name = f"{keys}.key"
        (folder / name).write_bytes(bytes([keys + 1]) * 16)
        exchange.answer(200, f"{name}\n{folder / name}\n".encode())
        keys += 1

    # FFmpeg reads the file with the key's name anew for each segment, wherever it is.
    with HostileServer(folder) as web:
        web.on("/info", next_key)
        _hls(
            sources,
            folder,
            f"-hls_flags periodic_rekey -start_number {FIRST_NUMBER} "
            f"-hls_key_info_file {web.url('/info')}",
        )


def _implicit(sources: Sources, folder: Path) -> None:
    """The same without the IVs, which are the numbers of the segments anyway."""
    _rotated(sources, folder)
    path = folder / "index.m3u8"
    path.write_text(re.sub(r",IV=0x0{30}[0-9a-f]{2}\b", "", path.read_text("utf-8")), "utf-8")
    assert "IV" not in path.read_text("utf-8")


def _encrypted_fmp4(sources: Sources, folder: Path) -> None:
    """Fragments and their init segment with keys of their own; one of them is in the clear."""
    clear = sources.folder("fmp4")
    lines = []
    number = 0
    for line in (clear / "index.m3u8").read_text("utf-8").splitlines():
        if line.startswith("#EXT-X-MAP"):
            lines.append(_lock(folder, clear / "init.mp4", 0))
        elif line.startswith("#EXTINF"):
            number += 1
            if number == 3:
                lines.append("#EXT-X-KEY:METHOD=NONE")
                (folder / "s2.m4s").write_bytes((clear / "s2.m4s").read_bytes())
            else:
                lines.append(_lock(folder, clear / f"s{number - 1}.m4s", number))
        lines.append(line)
    (folder / "index.m3u8").write_text("\n".join([*lines, ""]), "utf-8")


def _lock(folder: Path, path: Path, number: int) -> str:
    """Encrypt a file into a folder, and return the tag that says with which key."""
    key, iv = bytes([number + 17]) * 16, bytes([number]) * 16
    (folder / f"{number}.key").write_bytes(key)
    (folder / path.name).write_bytes(encrypt(path.read_bytes(), key, iv))
    # Names of methods in quotes, and IVs in capitals, are seen in the wild.
    return f'#EXT-X-KEY:METHOD=AES-128,URI="{number}.key",IV=0X{iv.hex().upper()}'


def encrypt(data: bytes, key: bytes, iv: bytes) -> bytes:
    """Encrypt as METHOD=AES-128 does: CBC, padded as PKCS #7 has it."""
    return bytes(AES.new(key, AES.MODE_CBC, iv).encrypt(pad(data, 16)))


def _multivariant(sources: Sources, folder: Path) -> None:
    """Two sizes and two languages, in lists of their own, in folders of their own."""
    inputs: list[str | Path] = []
    for name in ("main", "small", "german"):
        inputs += ["-i", sources.clip(name)]
    # FFmpeg takes no clip twice for a track: the sound of two of them is the languages'.
    maps = "-map 0:v -map 1:v -map 0:a -map 2:a"
    streams = (
        "v:0,agroup:sound,name:large v:1,agroup:sound,name:small "
        "a:0,agroup:sound,language:en,name:english,default:yes "
        "a:1,agroup:sound,language:de,name:german"
    )
    run(
        [
            *("ffmpeg", "-v", "error", *inputs, *maps.split(), "-c", "copy", *_HLS.split()),
            *("-b:v:0", "500k", "-b:v:1", "100k", "-b:a", "64k"),
            *("-master_pl_name", "index.m3u8", "-var_stream_map", streams),
            *("-hls_segment_filename", folder / "%v" / "s%d.ts", folder / "%v" / "index.m3u8"),
        ],
        folder.parent,
    )


def _packed(sources: Sources, folder: Path) -> None:
    """Raw AAC, whose times are in ID3 tags, from an hour on."""
    _raw_aac(sources, folder)
    at = 3600.0
    durations = re.findall(r"#EXTINF:([\d.]+)", (folder / "index.m3u8").read_text("utf-8"))
    for number, duration in enumerate(durations):
        path = folder / f"s{number}.aac"
        path.write_bytes(timestamp_tag(at) + path.read_bytes())
        at += float(duration)


def _raw_aac(sources: Sources, folder: Path) -> None:
    """Raw AAC without any times."""
    run(
        [
            *("ffmpeg", "-v", "error", "-i", sources.clip(), "-map", "0:a", "-c", "copy"),
            *("-f", "segment", "-segment_time", str(SEGMENT_SECONDS), "-segment_format", "adts"),
            *("-segment_list", folder / "index.m3u8", folder / "s%d.aac"),
        ],
        folder.parent,
    )


def timestamp_tag(seconds: float) -> bytes:
    """Write the ID3 tag that packed audio begins with (RFC 8216 3.4, ID3v2.4 4.27)."""
    ticks = round(seconds * _MPEG_CLOCK) & ((1 << 33) - 1)
    frame = _PRIV_OWNER + ticks.to_bytes(8, "big")
    size = len(frame)
    tag = b"PRIV" + bytes((0, 0, size >> 7, size & 127)) + b"\0\0" + frame
    return b"ID3\4\0\0" + bytes((0, 0, len(tag) >> 7, len(tag) & 127)) + tag


def _joined(second: str, offsets: Sequence[float], options: str = "", ending: str = "ts") -> Maker:
    """Make a list of the main clip and a second one, whose times begin elsewhere."""

    def make(sources: Sources, folder: Path) -> None:
        parts = []
        for number, (clip, offset) in enumerate(zip(("main", second), offsets, strict=True)):
            part = folder / f"part{number}"
            part.mkdir()
            moved = f"{options} -output_ts_offset {offset} -muxdelay 0 -avoid_negative_ts disabled"
            _hls(sources, part, moved, clip, f"s%d.{ending}")
            lines = (part / "index.m3u8").read_text("utf-8").splitlines()
            parts.append(_within(lines, part.name))
        write_list(folder, [*parts[0], "#EXT-X-DISCONTINUITY", *parts[1]])

    return make


def _joined_apart(sources: Sources, folder: Path) -> None:
    """The same two clips, with their sound in a list of its own: its segments end elsewhere."""
    tracks: dict[str, list[str]] = {"v": [], "a": []}
    for number, (clip, offset) in enumerate((("main", 1000), ("other", 5))):
        part = folder / f"part{number}"
        moved = f"-output_ts_offset {offset} -muxdelay 0 -avoid_negative_ts disabled".split()
        streams = ["-var_stream_map", "v:0,agroup:x,name:v a:0,agroup:x,name:a"]
        command = [
            "ffmpeg",
            "-v",
            "error",
            "-i",
            str(sources.clip(clip)),
            "-map",
            "0",
            "-c",
            "copy",
        ]
        names = ["-hls_segment_filename", f"{part}/%v/s%d.ts", f"{part}/%v/index.m3u8"]
        run([*command, *_HLS.split(), *moved, *streams, *names], folder.parent)
        for name, entries in tracks.items():
            lines = (part / name / "index.m3u8").read_text("utf-8").splitlines()
            entries += ["#EXT-X-DISCONTINUITY"] * number + _within(lines, f"{part.name}/{name}")
    for name, entries in tracks.items():
        write_list(folder, entries, name=f"{name}.m3u8")
    lines = ["#EXTM3U", '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="x",NAME="x",DEFAULT=YES,URI="a.m3u8"']
    lines += ['#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=320x240,AUDIO="x"', "v.m3u8", ""]
    (folder / "index.m3u8").write_text("\n".join(lines), "utf-8")


def _within(lines: Iterable[str], folder: str) -> list[str]:
    """Return what a list says of its segments, as seen from the folder above."""
    found = []
    for line in lines:
        if line.startswith("#EXT-X-MAP"):
            found.append(line.replace('URI="', f'URI="{folder}/'))
        elif line.startswith("#EXTINF"):
            found.append(line)
        elif line[:1] not in ("#", ""):
            found.append(f"{folder}/{line}")
    return found


def write_list(folder: Path, entries: Sequence[str], *, name: str = "index.m3u8") -> None:
    """Write a playlist that is whole.

    Args:
        folder: Where it is written.
        entries: Its lines on segments.
        name: Of the file.
    """
    head = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}"]
    text = "\n".join([*head, *entries, "#EXT-X-ENDLIST", ""])
    (folder / name).write_text(text, "utf-8")


def _same_names(sources: Sources, folder: Path) -> None:
    """Segments of one name in different folders, and of one name with different queries."""
    clear = sources.folder("ts")
    entries = []
    for number in range(SEGMENTS):
        place = folder / f"d{number}" / "x"
        place.mkdir(parents=True)
        (place / "segment.ts").write_bytes((clear / f"s{number}.ts").read_bytes())
        entries += [f"#EXTINF:{SEGMENT_SECONDS},", f"d{number}/x/segment.ts?token=a%2Fb&c={number}"]
    write_list(folder, entries)


def _one_second(sources: Sources, folder: Path) -> None:
    """Segments of one second."""
    _hls(sources, folder, "-hls_time 1")


Maker = Callable[[Sources, Path], None]

_MAKERS: Final[dict[str, Maker]] = {
    "ts": _plain("-hls_playlist_type vod"),
    "event": _plain("-hls_playlist_type event"),
    "one_key": _one_key,
    "rotated": _rotated,
    "implicit": _implicit,
    "fmp4": _plain(f"{_FMP4} -hls_fmp4_init_filename init.mp4", name="s%d.m4s"),
    "fmp4_keys": _encrypted_fmp4,
    "ranges": _plain("-hls_flags single_file"),
    "fmp4_ranges": _plain(f"{_FMP4} -hls_flags single_file"),
    "multivariant": _multivariant,
    "packed": _packed,
    "raw_aac": _raw_aac,
    "joined": _joined("other", (1000, 5)),
    "joined_wrap": _joined("other", (95443 - 6, 3600)),
    "joined_wide": _joined("wide", (0, 700)),
    "joined_fmp4": _joined("other", (1000, 5), f"{_FMP4} -hls_fmp4_init_filename init.mp4", "m4s"),
    "joined_apart": _joined_apart,
    "same_names": _same_names,
    "hevc": _plain(f"{_FMP4} -hls_fmp4_init_filename init.mp4", "hevc", "s%d.m4s"),
    "hevc_ts": _plain("", "hevc"),
    "one_second": _one_second,
}

KINDS: Final = tuple(_MAKERS)

KEY: Final = bytes(range(16))
IV: Final = bytes(range(100, 116))
