"""What the API shows of streams and viewers, and takes for them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from ntvmedia.admin.paging import Page, Paging
from ntvmedia.labels import MAX_LENGTH

Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(description="Seconds since 1970.")]
BitRate = Annotated[int, Meta(ge=0, description="Bits a second, over the last second or so.")]
Name = Annotated[str, Meta(max_length=128)]
Protocol = Annotated[str, Meta(max_length=32)]

MAX_BLOCK_SECONDS: Final = 30 * 86400
"""Who shall stay away for longer is a matter of IP rules, which survive a restart."""

BlockSeconds = Annotated[
    int,
    Meta(
        ge=0,
        le=MAX_BLOCK_SECONDS,
        description="Seconds for which the address may not have the stream again; 0 for none.",
    ),
]


class PublisherShown(Struct, kw_only=True):
    """Who publishes a stream."""

    protocol: str
    peer: Annotated[str, Meta(description="Address and port.")]
    started_at: Seconds
    bytes_in: Count


class EpochShown(Struct, kw_only=True):
    """Where the time of a stream meets the clock on the wall."""

    id: str
    wall_seconds: Seconds


class TrackShown(Struct, kw_only=True):
    """One track of a stream."""

    kind: Annotated[str, Meta(description="`video`, `audio` or `data`.")]
    number: Count
    codec: Annotated[str, Meta(description="As FFmpeg calls it.")]
    codec_string: Annotated[str, Meta(description="As in RFC 6381; empty where unknown.")]
    profile: str
    level: str
    width: Count
    height: Count
    nominal_frame_rate: Annotated[
        float | None, Meta(description="As the codec says; null where it does not.")
    ]
    sample_rate: Annotated[int, Meta(ge=0, description="Hz.")]
    channels: Count
    language: str
    packets: Count
    bytes: Count
    keyframe_interval: Annotated[float, Meta(ge=0, description="Seconds, the last one.")]


class RenditionShown(Struct, kw_only=True):
    """What is made of a stream for its viewers."""

    format: str
    options: dict[str, str]
    viewers: Count
    blocks: Count
    bytes: Count


class StreamShown(Struct, kw_only=True):
    """A live stream."""

    name: Annotated[str, Meta(description="`APPLICATION/STREAM`.")]
    label: Annotated[str, Meta(description="For people: an operator's, or the publisher's.")]
    label_edited: Annotated[bool, Meta(description="The label is an operator's.")]
    application: str
    stream: str
    state: Annotated[str, Meta(description="`analyzing`, `live`, `waiting` or `ended`.")]
    forbidden: Annotated[bool, Meta(description="Nobody may publish or play it.")]
    started_at: Seconds
    publisher: Annotated[
        PublisherShown | None, Meta(description="null while the stream waits for it to come back.")
    ]
    epoch: EpochShown | None
    position_seconds: float
    bytes_in: Count
    bytes_out: Count
    bitrate_in: BitRate
    bitrate_out: BitRate
    frame_rate: Annotated[float, Meta(ge=0, description="Frames a second that come in.")]
    viewers: Count
    dropped_blocks: Annotated[int, Meta(ge=0, description="Left out for viewers too slow.")]
    stalled_viewers: Annotated[int, Meta(ge=0, description="Cut, as they took nothing.")]
    clock_jumps: Count
    straightened_packets: Count
    tracks: list[TrackShown]
    renditions: list[RenditionShown]


class ViewerShown(Struct, kw_only=True):
    """Somebody who watches."""

    session: Annotated[int, Meta(ge=1, description="Its number since the server's start.")]
    protocol: str
    peer: Annotated[str, Meta(description="Address and port.")]
    user_agent: str
    page_url: str
    started_at: Seconds
    bytes_out: Count
    bitrate: BitRate
    queued_bytes: Count
    dropped_blocks: Count
    application: str = ""
    stream: str = ""


class StreamDetail(StreamShown, kw_only=True):
    """A live stream, with what its publisher says of it."""

    encoder: Annotated[str, Meta(description="The publisher's program, as it names itself.")]
    metadata: Annotated[
        dict[str, Any], Meta(description="What the publisher says: hints, perhaps wrong.")
    ]
    viewer_list: Annotated[
        list[ViewerShown], Meta(description="The first 500; `/viewers` has all.")
    ]


class StreamList(Page, kw_only=True):
    """A page of streams."""

    streams: list[StreamShown]


class ViewerList(Page, kw_only=True):
    """A page of viewers."""

    viewers: list[ViewerShown]


class StreamQuery(Paging, kw_only=True):
    """Which streams."""

    application: Annotated[Name | None, Meta(description="Only its streams.")] = None
    state: Annotated[
        Literal["analyzing", "live", "waiting"] | None, Meta(description="Only those in it.")
    ] = None


class ViewerListQuery(Paging, kw_only=True):
    """Which viewers."""

    application: Annotated[Name | None, Meta(description="Only those of its streams.")] = None
    stream: Annotated[Name | None, Meta(description="Only those of streams of this name.")] = None
    protocol: Annotated[Protocol | None, Meta(description="Only those with it.")] = None


class StreamChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What can be changed of a stream, whether it is published now or not."""

    label: (
        Annotated[
            str,
            Meta(max_length=MAX_LENGTH, description="One line; empty for what the publisher says."),
        ]
        | UnsetType
    ) = UNSET


class LabelShown(Struct, kw_only=True):
    """The label that an operator gave."""

    application: str
    stream: str
    label: Annotated[str, Meta(description="Empty for none.")]


class ForbiddenBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Why a stream is forbidden."""

    comment: Annotated[str, Meta(max_length=500, description="For people.")] = ""


class ForbiddenShown(Struct, kw_only=True):
    """A stream that nobody may publish or play."""

    application: str
    stream: str
    comment: str
    created_at: Seconds


class Kick(Struct, forbid_unknown_fields=True, kw_only=True):
    """How somebody is sent away."""

    block_seconds: BlockSeconds = 0


class Kicked(Struct, kw_only=True):
    """Who was sent away."""

    kicked: Annotated[int, Meta(ge=0, description="How many viewers.")]
