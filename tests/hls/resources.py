"""What a playlist names: fetched, decrypted, read, and looked at again until it may be gone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from Crypto.Cipher import AES

from tests.hls.m3u8 import Key, demand
from tests.hls.media import Media
from tests.hls.mp4 import Init, read_fragments, read_init
from tests.hls.ts import read_segment

KEY_BYTES = BLOCK_BYTES = 16

# In bytes: no segment has more, and one that has almost so many was cut for that (C-PL-04).
LARGEST_SEGMENT = 50 << 20


class Answer(NamedTuple):
    """An answer over HTTP: header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Fetch = Callable[[str], Answer]


def decrypt(data: bytes, key: bytes, vector: bytes) -> bytes:
    """Decrypt AES-128 in CBC mode with its padding (4.4.4.4 of the HLS draft, RFC 5652 6.3).

    Raises:
        Violation: It is not what was encrypted with this key.
    """
    whole = len(data) and not len(data) % BLOCK_BYTES
    demand(whole, "cipher-size", f"{len(data)} bytes are no whole blocks (C-AE-01)")
    plain = AES.new(key, AES.MODE_CBC, vector).decrypt(data)
    padding = plain[-1]
    good = 1 <= padding <= BLOCK_BYTES and plain.endswith(bytes([padding]) * padding)
    demand(good, "padding", f"the last bytes are {plain[-BLOCK_BYTES:].hex()} (C-AE-01)")
    return plain[:-padding]


class Resources:
    """Fetches what a playlist names, and remembers what it was.

    Args:
        fetch: Fetches an address as written in the playlist.

    Attributes:
        inits: The initialisation sections that were read, by address.
        keys: The keys, by address.
        size: Bytes of the segment or part that was read last.
    """

    def __init__(self, fetch: Fetch) -> None:
        self.inits: dict[str, Init] = {}
        self.keys: dict[str, bytes] = {}
        self.size = 0
        self._fetch = fetch
        self._digests: dict[str, bytes] = {}
        self._vectors: dict[tuple[str, bytes], str] = {}

    def read(self, uri: str, map_uri: str, key: Key | None, owner: str) -> Media:
        """Fetch and read a segment or a part for the first time.

        Args:
            uri: Of it.
            map_uri: Of its initialisation section, or empty.
            key: What it is encrypted with, or None.
            owner: Its segment: no two of them share an IV.

        Raises:
            Violation: A rule is broken.
        """
        demand(uri not in self._digests, "uri-again", f"{uri} was another (C-PL-07)")
        init = self._init(map_uri) if map_uri else None
        answer = self._get(uri)
        kind = answer.headers.get("content-type", "").lower()
        expected = "video/mp2t" if init is None else init.content_type
        demand(kind == expected, "segment-type", f"{uri}: {kind!r}, not {expected}")
        body, self.size = answer.body, len(answer.body)
        demand(self.size <= LARGEST_SEGMENT, "too-large", f"{uri}: {self.size} bytes (C-PL-04)")
        if key is not None:
            before = self._vectors.setdefault((key.uri, key.iv), owner)
            demand(before == owner, "iv-again", f"{owner} has the IV of {before} (C-AE-02)")
            body = decrypt(body, self._key(key.uri), key.iv)
        return read_segment(body) if init is None else read_fragments(body, init)

    def again(self, uri: str, rule: str) -> None:
        """Fetch what was fetched before.

        Raises:
            Violation: It is not there, which breaks the rule of this name; or it has changed.
        """
        answer = self._fetch(uri)
        demand(answer.status == 200, rule, f"{uri}: {answer.status} (6.2.2, C-PL-14)")
        same = hashlib.sha256(answer.body).digest() == self._digests[uri]
        demand(same, "bytes-changed", f"{uri} has other bytes than before")

    def _get(self, uri: str) -> Answer:
        answer = self._fetch(uri)
        demand(answer.status == 200, "not-there", f"{uri}: {answer.status} (6.2.1)")
        self._digests[uri] = hashlib.sha256(answer.body).digest()
        return answer

    def _init(self, uri: str) -> Init:
        if uri not in self.inits:
            answer = self._get(uri)
            init = self.inits[uri] = read_init(answer.body)
            kind = answer.headers.get("content-type", "").lower()
            demand(kind == init.content_type, "segment-type", f"{uri}: {kind!r}")
        return self.inits[uri]

    def _key(self, uri: str) -> bytes:
        if uri not in self.keys:
            answer = self._get(uri)
            size = len(answer.body)
            demand(size == KEY_BYTES, "key-size", f"{uri}: {size} bytes (4.4.4.4)")
            kind = answer.headers.get("content-type", "").lower()
            demand(kind == "application/octet-stream", "key-type", f"{uri}: {kind!r}")
            cache = answer.headers.get("cache-control", "")
            demand("no-store" in cache, "key-cache", f"{uri}: {cache!r} (C-AE-05)")
            same = answer.body in self.keys.values()
            demand(not same, "key-reused", f"{uri} is a key that there was before")
            self.keys[uri] = answer.body
        return self.keys[uri]
