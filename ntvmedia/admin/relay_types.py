"""What the API says of relay tasks, and takes for them.

What a task is made of is declared once, by `ntvmedia.relay`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from ntvmedia.admin.declared_types import (
    change_struct,
    new_struct,
    shown_struct,
    types_of,
)
from ntvmedia.admin.paging import Page, Paging
from ntvmedia.relay.addresses import MAX_ADDRESS_LENGTH
from ntvmedia.relay.parts import (
    MAX_DESCRIPTION_LENGTH,
    MAX_FALLBACKS,
    MAX_RENDITIONS,
    MAX_TARGET_LENGTH,
    Audio,
    Rendition,
    Target,
    Video,
)
from ntvmedia.relay.task import Relay

State = Literal["stopped", "idle", "connecting", "running", "waiting"]

Source = Annotated[str, Meta(min_length=1, max_length=MAX_ADDRESS_LENGTH)]

Description = Annotated[str, Meta(max_length=MAX_DESCRIPTION_LENGTH)]

TargetText = Annotated[str, Meta(max_length=MAX_TARGET_LENGTH)]

Transport = Annotated[
    Literal["auto", "tcp", "udp"],
    Meta(description="Of RTSP: `auto` tries one after the other."),
]
_Time = Annotated[float, Meta(description="Seconds since 1970.")]

_VIDEO: Final = types_of(Video)
_AUDIO: Final = types_of(Audio)
_TARGET: Final = types_of(
    Target, {"application": TargetText, "stream": TargetText, "query": TargetText}
)

_NewVideo: Final[Any] = new_struct("RelayVideo", "What becomes of the video.", Video, _VIDEO)
_NewAudio: Final[Any] = new_struct("RelayAudio", "What becomes of the audio.", Audio, _AUDIO)
_NewTarget: Final[Any] = new_struct(
    *("RelayTarget", "Where a stream goes.", Target, _TARGET),
    required=("application", "stream"),
)
_RENDITION: Final = types_of(
    Rendition, {"stream": TargetText, "video": _NewVideo, "audio": _NewAudio}
)
_NewRendition: Final[Any] = new_struct(
    *("RelayRendition", "One more stream of the same source.", Rendition, _RENDITION),
    defaults={"video": _NewVideo(), "audio": _NewAudio()},
    required=("stream",),
)

_FALLBACKS: Final = Annotated[list[Source], Meta(max_length=MAX_FALLBACKS)]
_RENDITIONS: Final = Annotated[list[_NewRendition], Meta(max_length=MAX_RENDITIONS)]


def _types(video: Any, audio: Any, target: Any) -> dict[str, Any]:
    return types_of(
        Relay,
        {
            "description": Description,
            "source": Source,
            "fallbacks": _FALLBACKS,
            "renditions": _RENDITIONS,
            "video": video,
            "audio": audio,
            "target": target,
        },
    )


NewRelay: Final[Any] = new_struct(
    "NewRelay",
    "A relay task to be made; what is not given has its default.",
    Relay,
    _types(_NewVideo, _NewAudio, _NewTarget),
    defaults={
        "fallbacks": [],
        "renditions": [],
        "video": _NewVideo(),
        "audio": _NewAudio(),
    },
    required=("source", "target"),
)

RelayChange: Final[Any] = change_struct(
    "RelayChange",
    "Fields of a relay task that are to be changed. Of `video`, `audio` and `target` those parts "
    "that are given; `fallbacks` and `renditions` as a whole.",
    _types(
        change_struct("RelayVideoChange", "Of the video, what changes.", _VIDEO),
        change_struct("RelayAudioChange", "Of the audio, what changes.", _AUDIO),
        change_struct("RelayTargetChange", "Of the target, what changes.", _TARGET),
    ),
)


class RelayInstance(Struct, kw_only=True):
    """How one stream of a relay task is doing."""

    state: Annotated[
        State,
        Meta(
            description="`stopped`: by somebody, or at its end. `idle`: nobody watches. "
            "`connecting`: no media yet. `running`: media come. `waiting`: for the next try, or "
            "for what does not let it run; see `reason`."
        ),
    ]
    reason: Annotated[str, Meta(description="Why; empty where all is well.")]
    is_permanent: Annotated[bool, Meta(description="The next try will most likely fail too.")]
    next_retry_at: Annotated[float, Meta(description="Seconds since 1970; 0 for none to come.")]
    source: Annotated[int, Meta(ge=0, description="Which source is in use: 0 for the first.")]
    since: Annotated[float, Meta(description="When the state began, in seconds since 1970.")]
    uptime_seconds: Annotated[float, Meta(ge=0, description="How long it has been running.")]
    bitrate_kbps: Annotated[int, Meta(ge=0, description="Of the media that come in.")]
    bytes_in: Annotated[int, Meta(ge=0, description="Of media, since it was started.")]
    restarts: Annotated[int, Meta(ge=0, description="How often a source was asked again.")]


class RelayStatus(RelayInstance, kw_only=True):
    """How a relay task is doing."""

    instances: Annotated[
        dict[str, RelayInstance],
        Meta(description="Of a pattern: the streams that are wanted now, by name."),
    ]


RelayShown: Final[Any] = shown_struct(
    "Relay",
    "A relay task. `<hidden>` stands for user, password and query of an address, and for the name "
    "of a stream on another server, which may be a key.",
    {
        "id": Annotated[str, Meta(description="Given by the server.")],
        **_types(
            shown_struct("RelayVideoShown", "What becomes of the video.", _VIDEO),
            shown_struct("RelayAudioShown", "What becomes of the audio.", _AUDIO),
            shown_struct(
                "RelayTargetShown",
                "Where a stream goes.",
                {
                    **{name: _TARGET[name] for name in _TARGET if name != "query"},
                    "query_set": Annotated[bool, Meta(description="Whether there is a query.")],
                },
            ),
        ),
        "created_at": _Time,
        "updated_at": _Time,
        "status": RelayStatus,
    },
)

RelayList: Final[Any] = msgspec.defstruct(
    "RelayList",
    [("relays", list[RelayShown])],
    bases=(Page,),
    namespace={"__doc__": "Relay tasks."},
    module=__name__,
    kw_only=True,
)


class RelayQuery(Paging, kw_only=True):
    """Which relay tasks are listed."""

    state: Annotated[State | None, Meta(description="Only those in this state.")] = None
    enabled: Annotated[bool | None, Meta(description="Only those that are, or are not.")] = None


class LogLineShown(Struct, kw_only=True):
    """A line of a log."""

    at: _Time
    text: str


class TaskLogShown(Struct, kw_only=True):
    """The last lines of a task's log, the oldest first."""

    lines: list[LogLineShown]


class SourceToProbe(Struct, forbid_unknown_fields=True, kw_only=True):
    """A source that is to be looked at."""

    source: Annotated[Source, Meta(description="Its address.")]
    transport: Transport = "auto"


class ProbedTrackShown(Struct, kw_only=True):
    """One track of a source."""

    kind: Annotated[str, Meta(description="`video` or `audio`, or what else there is.")]
    codec: Annotated[str, Meta(description="As FFmpeg calls it; empty for one that nobody knows.")]
    profile: str
    width: Annotated[int, Meta(ge=0, description="In pixels; 0 for unknown, as below.")]
    height: Annotated[int, Meta(ge=0, description="In pixels.")]
    frame_rate: Annotated[float, Meta(ge=0, description="Frames a second.")]
    sample_rate: Annotated[int, Meta(ge=0, description="In hertz.")]
    channels: Annotated[int, Meta(ge=0, description="Of audio.")]
    bitrate_kbps: Annotated[int, Meta(ge=0, description="Thousands of bits a second.")]
    language: str


class ProbeShown(Struct, kw_only=True):
    """What is in a source."""

    format: Annotated[str, Meta(description="Of the container, or of the protocol.")]
    duration_seconds: Annotated[float, Meta(ge=0, description="0 for what is live, or unknown.")]
    bitrate_kbps: Annotated[int, Meta(ge=0, description="Of all; 0 for unknown.")]
    tracks: list[ProbedTrackShown]
