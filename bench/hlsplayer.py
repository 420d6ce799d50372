"""One player of low-latency HLS, which waits for each part and fetches it."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from multiprocessing.connection import Connection
from urllib.parse import urljoin

from bench.flv import BadStream
from bench.hls import check_segment
from bench.hlsloop import open_playlist
from bench.httpload import fetch_on
from bench.playlist import read_playlist


def run_player(port: int, parent: Connection) -> None:
    """Play. Runs in a process of its own, and speaks as `run_hls` does.

    The parent is sent how many parts were fetched in the window.
    """
    try:
        player = LowLatencyPlayer(*open_playlist(port, "ll"))
        with closing(player):
            parent.send("ready")
            begin, end = parent.recv()
            before = 0
            while (now := time.monotonic()) < end:
                player.step()
                if now < begin:
                    before = player.parts
            parent.send(player.parts - before)
    except (BadStream, OSError) as error:
        parent.send(error)


class LowLatencyPlayer:
    """Plays from the newest part on, on one connection, which it takes over.

    Args:
        connection: It blocks.
        path: Of the media playlist.
        body: The playlist.

    Attributes:
        parts: So many were fetched.
    """

    def __init__(self, connection: socket.socket, path: str, body: bytes) -> None:
        self.parts = 0
        self._connection = connection
        self._path = path
        self._body = body
        self._header = ""
        listed = read_playlist(body)
        self._next = listed.parts[-1][:2] if listed.parts else listed.following

    def step(self) -> None:
        """Fetch what is new, and wait for a playlist with more (RFC 8216bis section 6.2.5.2).

        Raises:
            BadStream: Something was refused, or is no fMP4; or a part was gone before it was seen.
        """
        listed = read_playlist(self._body)
        if listed.header and listed.header != self._header:
            self._header = listed.header
            self._fetch(listed.header)
        if listed.parts and listed.parts[0][:2] > self._next:
            raise BadStream(f"part {self._next} was gone before the player saw it")
        for part in listed.parts:
            if part[:2] >= self._next:
                self._fetch(part.name)
                self.parts += 1
        self._next = listed.following
        segment, number = self._next
        path = f"{self._path}?_HLS_msn={segment}&_HLS_part={number}"
        self._body = fetch_on(self._connection, path)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _fetch(self, name: str) -> None:
        check_segment(fetch_on(self._connection, urljoin(self._path, name)))
