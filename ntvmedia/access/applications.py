"""Applications: the first part of every stream's address, and what they are for.

An `Application` is declared as a section of the configuration is: annotations and metadata say
what each field may be, so the API, the command line and the documentation say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ntvmedia.access.fields import (
    Address,
    ApplicationType,
    Claim,
    KeyURL,
    Name,
    Outputs,
    Password,
    Recording,
    Referers,
    Type,
    Variants,
    read_some,
    shown_key_url,
)
from ntvmedia.access.outputs import OUTPUTS
from ntvmedia.config.reading import Count, Rule, Seconds, setting

MAX_SEGMENT_SECONDS: Final = 20.0
"""The segmenter makes none that is longer, whatever is asked for."""

MAX_COUNT: Final = 1_000_000_000
"""Of a limit: more than any machine has, and what a column of the database takes."""

SECRETS: Final = ("publish_password", "hls_key_url", "authorize_url")
"""The fields whose values are not shown. Of each it is shown whether it is set: `NAME_set`."""


@dataclass(frozen=True, slots=True)
class Application:
    """A named place for streams. What the fields are for is said by `FIELDS`."""

    name: Name = field(metadata={"rule": Rule("The first part of the address of its streams.")})
    type: Type = setting(
        ApplicationType.LIVE,
        "What it does with its streams: of those in an `audio` application only the sound is kept.",
    )
    enabled: bool = setting(
        True, "A disabled application refuses publishers and players, and drops those it has."
    )
    outputs: Outputs = setting(
        OUTPUTS, "How its streams may be played; `flv` and `ts` are those over HTTP and WebSocket."
    )
    recording: Recording = setting(
        "manual", "Whether streams are recorded by hand, or each of them."
    )
    # Not in the text of an application that an exception or a log may show.
    publish_password: Password = field(
        default="",
        repr=False,
        metadata={
            "rule": Rule(
                "A publisher must have it in its address, as `password=`; empty for none. It is "
                "never shown."
            )
        },
    )
    rtmp_authentication: bool = setting(
        False,
        "Ask RTMP encoders for a user and password when they connect (`authmod=adobe`), instead of "
        "in the address; with `publish_password`. Any user name will do.",
    )
    referers: Referers = setting(
        (),
        "The hosts whose pages may play, with all names below them; empty for any. A page names "
        "itself in `Referer`, `Origin` or RTMP's `pageUrl`.",
    )
    allow_empty_referer: bool = setting(
        True, "With `referers`: whether players that name no page may play too."
    )
    signed: bool = setting(
        False, "Players need a signed address, as `ntvmedia sign` makes it: `expires=` and `sign=`."
    )
    encrypted: bool = setting(False, "Whether HLS is encrypted, with AES-128.")
    hls_key_segments: Count = setting(
        10, "With `encrypted`: segments that share a key.", minimum=1, maximum=10_000
    )
    # Nor this, which may have a token or a password in it.
    hls_key_url: KeyURL = field(
        default="",
        repr=False,
        metadata={
            "rule": Rule(
                "With `encrypted`: the address of a key server, where `{application}`, `{stream}` "
                "and `{key}` are put in; empty to make the keys here. What stands before its host "
                "and in its query is never shown."
            )
        },
    )
    hls_format: Literal["ts", "fmp4", "ll"] = setting(
        "ts",
        "What HLS is made of where the address does not say it: MPEG-TS, fragmented MP4, or that "
        "with low latency. What TS cannot carry is fragmented MP4 in any case.",
    )
    hls_segment_seconds: Seconds = setting(
        2.0,
        "The least length of a segment, which ends at the next keyframe.",
        minimum=1.0,
        maximum=MAX_SEGMENT_SECONDS,
    )
    hls_segment_count: Count = setting(7, "Segments in a playlist.", minimum=3, maximum=30)
    hls_part_seconds: Seconds = setting(
        0.2,
        "With low latency: about how long a part of a segment is, a whole number of pictures.",
        minimum=0.1,
        maximum=2.0,
    )
    hls_blocking: bool = setting(
        True,
        "With low latency: whether players may ask for what is next and wait for it. Off for a "
        "CDN that cannot.",
    )
    hls_variants: Variants = setting(
        (),
        "Ends of names, the best first: the streams `NAME` with each of them are listed as "
        "variants of `NAME`.",
    )
    hls_audio_variant: bool = setting(True, "List the sound alone as one more variant.")
    hls_always: bool = setting(
        False, "Make segments from the start of a stream, not only while somebody plays it by HLS."
    )
    hls_sessions: bool = setting(
        True,
        "Each viewer has addresses of its own, so that viewers are counted and can be sent away. "
        "Without, all have the same, as a CDN needs it.",
    )
    hls_end_list: bool = setting(
        False, "Say in the playlist that a stream has ended; players then do not wait for more."
    )
    rtsp_multicast: bool = setting(
        False,
        "Whether RTSP players that ask for it are sent a stream from a multicast group, once for "
        "all of them. The groups are those of `rtsp.multicast_groups`.",
    )
    max_players: Count = setting(
        0,
        "Players at the same time, on all protocols together; 0 for no limit.",
        minimum=0,
        maximum=MAX_COUNT,
    )
    max_publishers: Count = setting(
        0, "Publishers at the same time; 0 for no limit.", minimum=0, maximum=MAX_COUNT
    )
    max_stream_players: Count = setting(
        0, "Players of each of its streams; 0 for no limit.", minimum=0, maximum=MAX_COUNT
    )
    max_bandwidth_kbps: Count = setting(
        0,
        "Kilobits per second that all its players are sent together; 0 for no limit.",
        minimum=0,
        maximum=MAX_COUNT,
    )
    # It may have a token or a password in it too.
    authorize_url: Address = field(
        default="",
        repr=False,
        metadata={
            "rule": Rule(
                "The address of a system that is asked about each publisher and each player, and "
                "says yes or no; empty for none. What stands before its host and in its query is "
                "never shown."
            )
        },
    )
    authorize_failure: Literal["deny", "allow"] = setting(
        "deny", "What holds while the system at `authorize_url` does not answer."
    )
    jwks_url: Address = field(
        default="",
        repr=False,
        metadata={
            "rule": Rule(
                "Players need a token (JWT) as `token=`, signed by one of the keys at this "
                "address; so do publishers where there is no `publish_password`. Empty for none. "
                "What stands before its host and in its query is never shown."
            )
        },
    )
    jwt_issuer: Claim = setting(
        "", "With `jwks_url`: what `iss` of a token must be; empty for any."
    )
    jwt_audience: Claim = setting(
        "", "With `jwks_url`: what `aud` of a token must be, or have among others; empty for any."
    )
    cut_at_expiry: bool = setting(
        False,
        "Whether who plays is cut off when the signed address, share link or token expires; else "
        "it only lets nobody begin any more.",
    )


FIELDS: Final = tuple(Application.__dataclass_fields__)
"""The names of the fields, in the order in which they are shown."""

BUILT_IN: Final = {
    application.name: application
    for application in (
        Application("liveshow", ApplicationType.LIVE),
        Application("tv", ApplicationType.TIME_SHIFT),
        Application("audio", ApplicationType.AUDIO),
        Application("vod", ApplicationType.VOD),
    )
}
"""The applications that every server has, as they are at first, by name (P-202)."""


def read_fields(raw: Mapping[str, object]) -> dict[str, Any]:
    """Check the values of some fields.

    Args:
        raw: By name, as JSON has them; `Text` for those of a command line, where `true`, numbers
            and lists (with commas) are text.

    Returns:
        Those of `raw`, as `Application` wants them.

    Raises:
        WrongField: There is no such field, or its value is not allowed.
    """
    return read_some(Application, FIELDS, raw, name="any")


def describe(application: Application) -> dict[str, Any]:
    """Return what may be shown of an application, as JSON has it.

    The secrets are not: `publish_password_set`, `hls_key_url_set` and `authorize_url_set` say
    whether there is one. `hls_key_url_shown` and `authorize_url_shown` are the addresses without
    password and query, and so is `jwks_url`.
    """
    described: dict[str, Any] = {}
    for name in FIELDS:
        value = getattr(application, name)
        if name in SECRETS:
            described[f"{name}_set"] = bool(value)
        elif name == "jwks_url":
            # Public as the keys are, the way to them may have a password.
            described[name] = shown_key_url(value)
        else:
            described[name] = list(value) if isinstance(value, tuple) else value
        if name in ("hls_key_url", "authorize_url"):
            described[f"{name}_shown"] = shown_key_url(value)
    described["built_in"] = application.name in BUILT_IN
    return described
