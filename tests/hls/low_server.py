"""A small low-latency server of one list, apart from ours, that keeps the rules or breaks them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from Crypto.Cipher import AES

from tests.hls.checker import Answer
from tests.hls.mp4_bytes import VIDEO, Sample, fragment, init_bytes, picture

WALL = 1_767_323_045.0
FRAME, SCALE = 7200, 90000
PART_PICTURES, SEGMENT_PARTS = 5, 5
PART = PART_PICTURES * FRAME / SCALE
WINDOW = 6


@dataclass
class Listed:
    """A segment: its parts as address, seconds and attributes, and whether it is complete."""

    number: int
    date: float
    key: tuple[str, str]
    map: str
    parts: list[tuple[str, float, str]] = field(default_factory=list)
    uri: str = ""
    discontinuity: bool = False


@dataclass
class Server:
    """A server of one list: segments of 2 s in parts of 0.4 s, encrypted, pictures alone."""

    now: float = 10.0
    pictures: int = 0
    fragments: int = 0
    listed: list[Listed] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    map: str = "init0.mp4"
    hint: str = ""
    part_target: float = PART
    hold_back: float = 3 * PART
    number: int = 100
    discontinuities: int = 0
    independent: bool | None = None
    lists_parts: bool = True

    def __post_init__(self) -> None:
        self.files[self.map] = init_bytes(audio=False)
        self.made = self.number

    def open(self, *, discontinuity: bool = False) -> None:
        """Begin a segment."""
        uri = f"{self.made // 3}.key"
        self.keys.setdefault(uri, uri.encode().ljust(16, b"k"))
        key = (uri, f"{self.made:032x}")
        self.listed.append(Listed(self.made, self.now, key, self.map, discontinuity=discontinuity))
        self.samples = []

    def part(self, pictures: int = PART_PICTURES, said: float | None = None) -> None:
        """Let time pass, and list what came in it."""
        if not self.listed or self.listed[-1].uri:
            self.open()
        segment = self.listed[-1]
        start = self.pictures * FRAME
        made = []
        for place in range(pictures):
            key = not segment.parts and place == 0
            made.append(picture(self.pictures, FRAME, key=key))
            self.pictures += 1
        self.fragments += 1
        self.samples += made
        uri = self.name(segment, len(segment.parts))
        self.put(uri, fragment(self.fragments, {VIDEO: (start, made)}), segment)
        independent = not segment.parts if self.independent is None else self.independent
        flag = ",INDEPENDENT=YES" if independent else ""
        segment.parts.append((uri, pictures * FRAME / SCALE if said is None else said, flag))
        self.now += pictures * FRAME / SCALE
        if len(segment.parts) == SEGMENT_PARTS:
            self.close()
            self.hint = f"p{self.made}.0.m4s"
        else:
            self.hint = self.name(segment, len(segment.parts))
        for old in self.listed[:-4]:  # more than three target durations from the end
            old.parts = []

    def close(self) -> None:
        """End the segment."""
        segment = self.listed[-1]
        segment.uri = f"s{segment.number}.m4s"
        start = (self.pictures - len(self.samples)) * FRAME
        self.put(segment.uri, fragment(self.fragments, {VIDEO: (start, self.samples)}), segment)
        self.made += 1
        while len(self.listed) > WINDOW:
            gone = self.listed.pop(0)
            self.number += 1
            self.discontinuities += gone.discontinuity

    def name(self, segment: Listed, place: int) -> str:
        """Return the address of a part."""
        return f"p{segment.number}.{place}.m4s"

    def put(self, uri: str, data: bytes, segment: Listed) -> None:
        """Encrypt, and keep."""
        size = 16 - len(data) % 16
        key, vector = self.keys[segment.key[0]], bytes.fromhex(segment.key[1])
        cipher = AES.new(key, AES.MODE_CBC, vector)
        self.files[uri] = cipher.encrypt(data + bytes([size]) * size)

    def text(self) -> bytes:
        """Return the playlist."""
        text = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n"
        text += "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,"
        text += f"PART-HOLD-BACK={self.hold_back:.3f}\n"
        text += f"#EXT-X-PART-INF:PART-TARGET={self.part_target:.3f}\n"
        text += f"#EXT-X-MEDIA-SEQUENCE:{self.number}\n"
        text += f"#EXT-X-DISCONTINUITY-SEQUENCE:{self.discontinuities}\n"
        known, encrypted = "", False
        for one in self.listed:
            text += "#EXT-X-DISCONTINUITY\n" * one.discontinuity
            if one.map != known:
                text += "#EXT-X-KEY:METHOD=NONE\n" * encrypted
                text += f'#EXT-X-MAP:URI="{one.map}"\n'
                known = one.map
            text += f'#EXT-X-KEY:METHOD=AES-128,URI="{one.key[0]}",IV=0x{one.key[1]}\n'
            encrypted = True
            date = datetime.fromtimestamp(WALL + one.date, UTC).isoformat(timespec="milliseconds")
            text += f"#EXT-X-PROGRAM-DATE-TIME:{date.replace('+00:00', 'Z')}\n"
            for uri, seconds, flag in one.parts if self.lists_parts else ():
                text += f'#EXT-X-PART:DURATION={seconds:.3f},URI="{uri}"{flag}\n'
            if one.uri:
                last = 2.0 if not one.parts else sum(x[1] for x in one.parts)
                text += f"#EXTINF:{last:.3f},\n{one.uri}\n"
        return (text + f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{self.hint}"\n').encode()

    def fetch(self, uri: str) -> Answer:
        """Answer a request for anything."""
        if uri in self.keys:
            fields = {"content-type": "application/octet-stream", "cache-control": "no-store"}
            if uri in self.kinds:
                name, _, value = self.kinds[uri].partition("=")
                fields[name] = value
            return Answer(200, fields, self.keys[uri][: 15 if "short" in fields else 16])
        if uri not in self.files:
            return Answer(404, {}, b"")
        kind = self.kinds.get(uri, "video/mp4")
        return Answer(200, {"content-type": kind}, self.files[uri])
