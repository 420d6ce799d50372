"""A source for relay tasks: text in Morse code, without any encoder.

`morse:HELLO%20WORLD?wpm=20` sends the text again and again, as A-law at 8 kHz, twenty milliseconds
in a packet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.plugin import IPlugin
from zope.interface import implementer

from ntvmedia.errors import RemoteError
from ntvmedia.interfaces import IHost, IPullSink, ISource
from ntvmedia.media import Codec, Packet, Track

RATE = 8000
PACKET_SECONDS = 0.02
SAMPLES = int(RATE * PACKET_SECONDS)
TONE_HERTZ = 600
MAX_TEXT = 200

# ITU-R M.1677-1, section 1.
CODE = {
    "A": ".-", "B": "-...", "C": "-.-.", "D": "-..", "E": ".", "F": "..-.", "G": "--.",
    "H": "....", "I": "..", "J": ".---", "K": "-.-", "L": ".-..", "M": "--", "N": "-.",
    "O": "---", "P": ".--.", "Q": "--.-", "R": ".-.", "S": "...", "T": "-", "U": "..-",
    "V": "...-", "W": ".--", "X": "-..-", "Y": "-.--", "Z": "--..",
    "0": "-----", "1": ".----", "2": "..---", "3": "...--", "4": "....-",
    "5": ".....", "6": "-....", "7": "--...", "8": "---..", "9": "----.",
}  # fmt: skip


def a_law(sample: int) -> int:
    """Compress a sample of 16 bits (ITU-T G.711 table 1a)."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(abs(sample), 32767)
    exponent = max(0, magnitude.bit_length() - 8)
    mantissa = magnitude >> max(4, exponent + 3) & 0x0F
    return (sign | exponent << 4 | mantissa) ^ 0x55


def keying(text: str) -> Iterator[bool]:
    """Tell for each unit of time whether there is a tone."""
    for word in text.upper().split():
        for letter in word:
            for sign in CODE[letter]:
                yield from [True] * (3 if sign == "-" else 1)
                yield False
            yield from [False] * 2
        yield from [False] * 4


def read_address(url: str) -> tuple[str, int]:
    """Return the text of an address, and words a minute.

    Raises:
        RemoteError: It has none.
    """
    parts = urlsplit(url)
    text = unquote(parts.path).strip()
    words = parse_qs(parts.query).get("wpm", ["20"])[-1]
    if not text or len(text) > MAX_TEXT or not set(text.upper()) <= set(CODE) | {" "}:
        why = f"morse: is followed by up to {MAX_TEXT} letters, digits and %20"
        raise RemoteError(why, is_permanent=True)
    if not (words.isascii() and words.isdigit() and 5 <= int(words) <= 60):
        raise RemoteError("wpm is a number from 5 to 60", is_permanent=True)
    return text, int(words)


@implementer(IPlugin, ISource)
class MorseSource:
    """Text in Morse code."""

    schemes = ("morse",)
    transcodes = False

    def check(self, url: str) -> None:
        """Look whether an address can be one."""
        read_address(url)

    def pull(self, host: IHost, url: str, options: Any, sink: IPullSink) -> Deferred[None]:
        """Send until it is cancelled: the text begins anew at its end."""
        text, words = read_address(url)
        unit = round(RATE * 1.2 / words)  # samples: a word of 50 units, PARIS, is the measure
        keys = [key for key in keying(text) for _sample in range(unit)]
        tone = [
            a_law(round(8000 * math.sin(math.tau * TONE_HERTZ * n / RATE))) for n in range(RATE)
        ]
        silence = a_law(0)
        track = Track(Codec.PCM_ALAW, clock_rate=RATE, channels=1)
        sink.track_received(track)
        sink.noted(f"{len(text)} characters at {words} words a minute")
        sent = 0

        def send(packets: int) -> None:
            # More than one where the server was late: the stream keeps its time.
            nonlocal sent
            for _packet in range(packets):
                payload = bytes(
                    tone[n % RATE] if keys[n % len(keys)] else silence
                    for n in range(sent, sent + SAMPLES)
                )
                sink.packet_received(Packet(track, sent, sent, True, payload))
                sent += SAMPLES
            sink.batch_ended()

        loop = LoopingCall.withCount(send)
        loop.clock = host.reactor
        done: Deferred[None] = Deferred(lambda _cancelled: loop.stop())
        loop.start(PACKET_SECONDS).addErrback(
            lambda failure: None if done.called else done.errback(failure)
        )
        return done
