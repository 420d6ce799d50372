"""What the API says of pushes, and takes for them.

What a push is made of is declared once, by `ntvmedia.relay.pushes`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from ntvmedia.admin.declared_types import change_struct, new_struct, shown_struct, types_of
from ntvmedia.admin.paging import Page, Paging
from ntvmedia.admin.relay_types import Description, State, TargetText
from ntvmedia.relay.addresses import MAX_ADDRESS_LENGTH
from ntvmedia.relay.pushes import MAX_PATTERNS, Push

_Server = Annotated[str, Meta(min_length=1, max_length=MAX_ADDRESS_LENGTH)]

_Time = Annotated[float, Meta(description="Seconds since 1970.")]

_TYPES: Final = types_of(
    Push,
    {
        "description": Description,
        "streams": Annotated[list[str], Meta(max_length=MAX_PATTERNS)],
        "server": _Server,
        "target_application": TargetText,
        "target_stream": TargetText,
        "query": TargetText,
    },
)

NewPush: Final[Any] = new_struct(
    "NewPush",
    "A push to be made; what is not given has its default.",
    Push,
    _TYPES,
    defaults={"streams": []},
    required=("server",),
)

PushChange: Final[Any] = change_struct(
    "PushChange", "Fields of a push that are to be changed.", _TYPES
)


class PushStatus(Struct, kw_only=True):
    """How a push is doing, as a whole or with one stream."""

    state: Annotated[
        State,
        Meta(
            description="`stopped`: by somebody. `idle`: there is nothing to send. `connecting`: "
            "the server is asked. `running`: it takes what is sent. `waiting`: for the next try; "
            "see `reason`. Of several streams the worst counts."
        ),
    ]
    reason: Annotated[str, Meta(description="Why it waits; empty where all is well.")]
    is_permanent: Annotated[bool, Meta(description="The next try will most likely fail too.")]
    next_retry_at: Annotated[float, Meta(description="Seconds since 1970; 0 for none to come.")]
    since: Annotated[float, Meta(description="When the state began, in seconds since 1970.")]
    uptime_seconds: Annotated[float, Meta(ge=0, description="How long it has been running.")]
    bitrate_kbps: Annotated[int, Meta(ge=0, description="Of what is sent.")]
    bytes_out: Annotated[int, Meta(ge=0, description="Sent, of the streams that there are.")]
    dropped: Annotated[
        int, Meta(ge=0, description="Packets that were left out, since the server was too slow.")
    ]
    restarts: Annotated[int, Meta(ge=0, description="How often the server was asked again.")]


class PushedStream(PushStatus, kw_only=True):
    """How a push is doing with one stream."""

    application: str
    stream: str


PushShown: Final[Any] = shown_struct(
    "Push",
    "A push. `<hidden>` stands for user and password of an address, and for the name of a stream "
    "on the other server where it is always the same, for it may be a key.",
    {
        "id": Annotated[str, Meta(description="Given by the server.")],
        **{name: _TYPES[name] for name in _TYPES if name != "query"},
        "query_set": Annotated[bool, Meta(description="Whether there is a query.")],
        "created_at": _Time,
        "updated_at": _Time,
        "status": PushStatus,
    },
)

PushList: Final[Any] = msgspec.defstruct(
    "PushList",
    [("pushes", list[PushShown])],
    bases=(Page,),
    namespace={"__doc__": "Pushes."},
    module=__name__,
    kw_only=True,
)

PushDetail: Final[Any] = msgspec.defstruct(
    "PushDetail",
    [
        (
            "sending",
            Annotated[
                list[PushedStream],
                Meta(description="The streams that it sends, or would; the first 500 by name."),
            ],
        )
    ],
    bases=(PushShown,),
    namespace={"__doc__": "A push, and how it is doing with each stream."},
    module=__name__,
    kw_only=True,
)


class PushQuery(Paging, kw_only=True):
    """Which pushes are listed."""

    state: Annotated[State | None, Meta(description="Only those in this state.")] = None
    enabled: Annotated[bool | None, Meta(description="Only those that are, or are not.")] = None
    application: Annotated[
        Annotated[str, Meta(max_length=128)] | None,
        Meta(description="Only those of this application, or of all."),
    ] = None
