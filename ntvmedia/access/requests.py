"""What is asked, and what is answered: the same on every protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from sys import intern
from types import MappingProxyType
from typing import Final

from ntvmedia.media import StreamKey

_NO_QUERY: Final[Mapping[str, str]] = MappingProxyType({})


class Action(StrEnum):
    """What a peer wants."""

    PUBLISH = "publish"
    PLAY = "play"


@dataclass(frozen=True, slots=True)
class Request:
    """A peer's wish, in the same words on every protocol.

    It is kept for as long as the peer is there, to be asked again. So what many have in common is
    shared: their stream's names, program, and place to ask.

    Attributes:
        action: What it wants to do.
        key: With which stream.
        protocol: Such as "rtmp", "rtmps", "flv"; see `ntvmedia.access.outputs`. Or `PAGE`.
        peer: Its address.
        query: The decoded query of the address.
        page_url: The page that holds the player, as far as the peer tells; else empty.
        user_agent: The peer's program, as it names itself; else empty.
        proves: Tells whether the peer has shown in another way, such as a digest, that it knows a
            password; None where its protocol has none.
        page_session: What a page of this server gave its player, made by `Access.page_session`;
            else empty. A good one stands for a page that is allowed.
        bearer: The token of a field "Authorization: Bearer"; else empty. One in the query
            (`token=`) comes first.
        address: Where the peer asks: scheme, host and port as it has them, such as
            "rtmp://live.example.org:1936"; empty where it does not say.
        hops: Ids of the servers that the stream has passed, or that want it by way of the peer
            (`ntvmedia.media.hops`).
    """

    action: Action
    key: StreamKey
    protocol: str
    peer: str
    # Passwords and signatures stand in it: no log shows it by accident (F-AC-03).
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    page_url: str = ""
    user_agent: str = ""
    proves: Callable[[str], bool] | None = field(default=None, repr=False)
    page_session: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)
    address: str = ""
    hops: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        set_field = object.__setattr__  # nobody has it yet
        application, stream = self.key
        set_field(self, "key", StreamKey(intern(application), intern(stream)))
        set_field(self, "user_agent", intern(self.user_agent))
        set_field(self, "address", intern(self.address))
        if not self.query:
            set_field(self, "query", _NO_QUERY)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer.

    Attributes:
        allowed: Serve it, or refuse it.
        reason: For a refusal: one clause for the peer and the log.
        lifetime: Seconds for which the answer holds; 0 for as long as the peer stays.
        rename: Publish or play this stream instead, or None.
        audio_only: Only the audio of the stream may be kept (P-207).
        wants_password: With the right password it would not have been refused for this reason.
        rule: Which rule decided: "loading", "forbidden", "kicked", "application", "output", "ip",
            "not_set_up", "password", "share", "signature", "referer", "third_party", "jwt",
            "plugin" or "limit"; empty for a plain yes.
        share: The id of the share link that it has; else empty.
        trusted: It comes from a trusted network: nothing else was asked.
        limit: Most viewers at a time of its signed address or share link; 0 for any number.
        ticket: What those viewers are counted by; empty without a limit.
        redirect: With a refusal: the address where it is served instead; else empty.
        ip: The IP address or network that its signed address is for; empty for all. Where one plays
            by many requests, each of them has to come from there.
    """

    allowed: bool
    reason: str = ""
    lifetime: float = 0.0
    rename: StreamKey | None = None
    audio_only: bool = False
    wants_password: bool = False
    rule: str = ""
    share: str = ""
    trusted: bool = False
    limit: int = 0
    ticket: str = ""
    redirect: str = ""
    ip: str = ""
