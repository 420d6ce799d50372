"""The parts of a relay task: what becomes of video and audio, further streams, and the target.

Each is declared as a section of the configuration is, with what its fields may be.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from ntvmedia.config.reading import Count, Kind, Rule, Seconds, WrongValue, setting
from ntvmedia.media.relaying import AudioCodec, AudioOptions, VideoCodec, VideoOptions
from ntvmedia.relay.addresses import read_server, read_source

MAX_FALLBACKS: Final = 7
"""Sources besides the first: each may take seconds before the next has its turn."""

MAX_RENDITIONS: Final = 8
"""Streams besides the first that are made of one source; each is encoded."""

MAX_DESCRIPTION_LENGTH: Final = 200
MAX_TARGET_LENGTH: Final = 512
"""Characters of an application or a stream on another server; keys of some have over 100."""

WILDCARD: Final = "*"
"""In the name of a stream: any text. Only those names are pulled that somebody wants to watch."""

# How a number with a fraction is read.
_SECONDS: Final[Kind] = Seconds.__metadata__[0]  # type: ignore[attr-defined]


def _read_description(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    if len(value) > MAX_DESCRIPTION_LENGTH:
        raise WrongValue("it is longer")
    if not value.isprintable():
        raise WrongValue("it has another character")
    return value


def _read_fallbacks(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise WrongValue("it is no list")
    if len(value) > MAX_FALLBACKS:
        raise WrongValue(f"there are {len(value):,}")
    read: list[str] = []
    for number, item in enumerate(value, 1):
        try:
            read.append(read_source(item))
        except WrongValue as error:
            raise WrongValue(f"of number {number}: {error}") from None
    return tuple(read)


def _read_even(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError
    if value % 2:
        raise WrongValue("it is odd")
    return value


def _read_target_text(value: object) -> str:
    # On another server it may be secret: what was wrong is not told by quoting it.
    if not isinstance(value, str):
        raise WrongValue("it is no text")
    if len(value) > MAX_TARGET_LENGTH:
        raise WrongValue("it is longer")
    if not value.isprintable() or " " in value:
        raise WrongValue("it has another character")
    return value


Description = Annotated[
    str,
    Kind(f"text of at most {MAX_DESCRIPTION_LENGTH} printable characters", _read_description),
]
"""What an operator says of it."""

Source = Annotated[str, Kind("the address of a source", read_source)]
"""It may have a secret in it: an error does not quote it."""

Fallbacks = Annotated[
    tuple[str, ...],
    Kind(f"a list of at most {MAX_FALLBACKS} addresses of sources", _read_fallbacks),
]
"""Further sources, in order."""

Even = Annotated[int, Kind("an even number", _read_even)]
"""Of pixels: what encoders take."""

Rate = Annotated[float, Kind("frames a second", _SECONDS.read)]
"""Of pictures."""

Server = Annotated[str, Kind("an address such as rtmp://HOST:PORT", read_server)]
"""Another server. It may have a password in it: an error does not quote it."""

AnyServer = Annotated[
    str, Kind("an address such as rtmp://HOST:PORT, or nothing for this server", read_server)
]
"""The same, or this one."""

TargetText = Annotated[
    str,
    Kind(
        f"text of at most {MAX_TARGET_LENGTH} printable characters without spaces",
        _read_target_text,
    ),
]
"""A part of an address on another server, which may be secret there: an error does not quote it."""


@dataclass(frozen=True, slots=True)
class Video:
    """What becomes of the video; see `ntvmedia.media.relaying.VideoOptions`."""

    codec: VideoCodec = setting(
        "copy", "Passed on as it is, left out, or encoded anew. With `copy` nothing else counts."
    )
    bitrate_kbps: Count = setting(
        0,
        "Thousands of bits a second; 0 for what the source has, or what suits the size.",
        minimum=0,
        maximum=200_000,
    )
    width: Even = setting(
        0, "Pixels; 0 for what keeps the picture's shape, or its size.", minimum=0, maximum=7680
    )
    height: Even = setting(0, "Likewise.", minimum=0, maximum=7680)
    frame_rate: Rate = setting(
        0.0, "Frames a second; 0 for the source's.", minimum=0.0, maximum=120.0
    )
    keyframe_seconds: Seconds = setting(
        2.0, "From one keyframe to the next.", minimum=0.25, maximum=20.0
    )
    preset: Literal[
        "ultrafast",
        "superfast",
        "veryfast",
        "faster",
        "fast",
        "medium",
        "slow",
        "slower",
        "veryslow",
    ] = setting("veryfast", "How much work the encoder takes for a better picture.")
    deinterlace: Literal["auto", "always", "never"] = setting(
        "auto", "`auto`: where the source says that its pictures are interlaced."
    )
    encoder: Literal["auto", "software", "hardware"] = setting(
        "software", "`auto` takes hardware where there is some that works."
    )

    def options(self) -> VideoOptions:
        """Return it as sources take it."""
        return VideoOptions(**values(self))


@dataclass(frozen=True, slots=True)
class Audio:
    """What becomes of the audio; see `ntvmedia.media.relaying.AudioOptions`."""

    codec: AudioCodec = setting(
        "copy", "Passed on as it is, left out, or encoded anew. With `copy` nothing else counts."
    )
    bitrate_kbps: Count = setting(
        0, "Thousands of bits a second; 0 for 64 per channel.", minimum=0, maximum=1_000
    )
    sample_rate: Count = setting(
        0,
        "In hertz; 0 for the source's, or the nearest that the codec has.",
        minimum=0,
        maximum=192_000,
    )
    channels: Count = setting(0, "0 for the source's, at most two.", minimum=0, maximum=2)

    def options(self) -> AudioOptions:
        """Return it as sources take it."""
        return AudioOptions(**values(self))


@dataclass(frozen=True, slots=True)
class Rendition:
    """One more stream that is made of the same source."""

    stream: TargetText = setting("", "Its name, in the application of the target.")
    video: Video = setting(Video(), "What becomes of the video.")
    audio: Audio = setting(Audio(), "What becomes of the audio.")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a stream goes."""

    server: AnyServer = field(
        default="",
        repr=False,
        metadata={
            "rule": Rule(
                "Another server, as in `rtmp://HOST:PORT` or `rtsps://HOST`; empty for this one. "
                "User and password are never shown."
            )
        },
    )
    application: TargetText = setting("", "The application there.")
    stream: TargetText = setting(
        "",
        "The name there. On this server, with `on_demand`, it may have one `*`, which stands for "
        "any text: what it stands for is put in for `$1` in the sources.",
    )
    query: TargetText = field(
        default="",
        repr=False,
        metadata={
            "rule": Rule(
                "What follows the question mark in the address on another server, such as a token. "
                "It is never shown."
            )
        },
    )


def values(part: Any) -> dict[str, Any]:
    """Return the fields of a part by name."""
    return {x.name: getattr(part, x.name) for x in dataclasses.fields(part)}
