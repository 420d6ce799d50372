"""What the API says of callbacks, and takes for them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from ntvmedia.admin.paging import Page, Paging

Name = Annotated[str, Meta(min_length=1, max_length=128, description="What it is called.")]
URL = Annotated[
    str, Meta(min_length=1, max_length=1000, description="Who is told and asked: http or https.")
]
Event = Literal[
    "publish",
    "unpublish",
    "play",
    "stop",
    "stream_not_found",
    "nobody_watching",
    "record_start",
    "record_stop",
    "record_file",
    "relay_up",
    "relay_down",
    "upload_done",
    "transcode_done",
    "server_start",
    "server_stop",
]
Events = Annotated[
    list[Event], Meta(min_length=1, max_length=50, description="What it is told of.")
]
Method = Annotated[
    Literal["POST", "GET"], Meta(description="JSON is posted, or the fields stand in the query.")
]
Dialect = Annotated[
    Literal["ntvmedia", "srs"],
    Meta(description="Whose fields: our own, or those of SRS, which are posted."),
]
Secret = Annotated[
    str, Meta(max_length=128, description="What each request is signed with; empty for none.")
]
Decides = Annotated[
    bool, Meta(description="Whether it is asked before somebody publishes or plays.")
]
OnFailure = Annotated[
    Literal["deny", "allow"], Meta(description="With `decides`: what holds without an answer.")
]
Enabled = Annotated[bool, Meta(description="A disabled callback is neither told nor asked.")]


class NewCallback(Struct, forbid_unknown_fields=True, kw_only=True):
    """A callback that is to be made."""

    name: Name
    url: URL
    events: Events
    method: Method = "POST"
    dialect: Dialect = "ntvmedia"
    secret: Secret = ""
    decides: Decides = False
    on_failure: OnFailure = "deny"
    enabled: Enabled = True


class CallbackChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """The fields of a callback that change."""

    name: Name | UnsetType = UNSET
    url: URL | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    method: Method | UnsetType = UNSET
    dialect: Dialect | UnsetType = UNSET
    secret: Secret | UnsetType = UNSET
    decides: Decides | UnsetType = UNSET
    on_failure: OnFailure | UnsetType = UNSET
    enabled: Enabled | UnsetType = UNSET


class CallbackShown(Struct, kw_only=True):
    """A callback, without its secrets."""

    id: Annotated[str, Meta(description="Given by the server.")]
    name: Name
    url: Annotated[
        str, Meta(description="`<hidden>` stands for user and password, and for the query.")
    ]
    events: Events
    method: Method
    dialect: Dialect
    secret_set: Annotated[bool, Meta(description="Whether there is a secret.")]
    decides: Decides
    on_failure: OnFailure
    enabled: Enabled
    created_at: Annotated[float, Meta(description="Seconds since 1970.")]
    updated_at: Annotated[float, Meta(description="Seconds since 1970.")]
    waiting: Annotated[int, Meta(ge=0, description="Notifications that it is still to be told.")]


class CallbackQuery(Paging, kw_only=True):
    """Which callbacks are listed."""

    enabled: Annotated[bool | None, Meta(description="Only those that are, or are not.")] = None


class CallbackList(Page, kw_only=True):
    """Some callbacks."""

    callbacks: list[CallbackShown]


class CallbackTest(Struct, forbid_unknown_fields=True, kw_only=True):
    """A test that is to be sent."""

    event: Annotated[
        Event | Literal[""], Meta(description="By default the first that it is told of.")
    ] = ""


class DeliveryShown(Struct, kw_only=True):
    """One try to tell or ask a callback."""

    time: Annotated[float, Meta(description="When it ended, in seconds since 1970.")]
    kind: Annotated[Literal["decision", "notification", "test"], Meta(description="What was sent.")]
    event: Event
    event_id: Annotated[str, Meta(description="The same for each try of the same event.")]
    stream: Annotated[str, Meta(description="APPLICATION/STREAM, or empty.")]
    status: Annotated[int, Meta(description="Of the answer; 0 where there was none.")]
    problem: Annotated[str, Meta(description="Why it failed; empty where it did not.")]
    seconds: Annotated[float, Meta(ge=0, description="How long it took.")]


class DeliveryList(Struct, kw_only=True):
    """The last tries, the newest first."""

    deliveries: list[DeliveryShown]


class CallbackCounts(Struct, kw_only=True):
    """What became of all messages since the start."""

    waiting: Annotated[int, Meta(ge=0, description="Notifications that are still to be told.")]
    delivered: Annotated[int, Meta(ge=0, description="Notifications that were taken.")]
    failed: Annotated[int, Meta(ge=0, description="Tries that were not.")]
    dropped: Annotated[
        dict[str, int], Meta(description="Notifications that were never told, by reason.")
    ]
    asked: Annotated[dict[str, int], Meta(description="Questions, by what came of them.")]
