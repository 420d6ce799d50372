"""The API's live streams: `/streams`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from msgspec import UNSET

from ntvmedia.access import Action, NoApplication, WrongField
from ntvmedia.access.refusals import NoRule, TooMany
from ntvmedia.accounts import Role
from ntvmedia.admin.metadata import encoder_of, plain_metadata
from ntvmedia.admin.noting import note_action
from ntvmedia.admin.operations import Answer, Call, Operations, etag_of, operation
from ntvmedia.admin.paging import MAX_PAGE_SIZE, paged
from ntvmedia.admin.problems import Problem
from ntvmedia.admin.stream_types import (
    ForbiddenBody,
    ForbiddenShown,
    Kick,
    LabelShown,
    StreamChange,
    StreamDetail,
    StreamList,
    StreamQuery,
    StreamShown,
    ViewerShown,
)
from ntvmedia.hub.statistics import describe_stream, describe_viewer
from ntvmedia.hub.stream import Stream
from ntvmedia.labels import TooManyLabels, WrongLabel, published_label
from ntvmedia.media import StreamKey
from ntvmedia.media.names import BadName, stream_key


class NoStream(Problem):
    """There is no such stream now."""

    def __init__(self, key: StreamKey) -> None:
        super().__init__(404, f"{key} is not published", kind="no-stream")


class StreamOperations(Operations):
    """What people do with live streams.

    A label, and that a stream is forbidden, hold for its name: also while nobody publishes it.
    """

    tag = "streams"
    refusals: ClassVar[Mapping[type[Exception], int]] = {
        BadName: 404,
        NoApplication: 404,
        NoRule: 404,
        TooMany: 409,
        TooManyLabels: 409,
        WrongField: 400,
        WrongLabel: 400,
    }

    @operation("GET", "/streams", role=Role.VIEWER, query=StreamQuery, answers=StreamList)
    def streams(self, call: Call) -> StreamList:
        """List the live streams.

        Sorted by `name`, `label`, `application`, `stream`, `state`, `started_at`, `viewers`,
        `bitrate_in`, `bitrate_out`, `frame_rate` or `publisher`; `q` is looked for in name, label
        and the publisher's address.
        """
        query: StreamQuery = call.query
        found = [
            stream
            for _key, stream in sorted(self.host.hub.streams.items())
            if query.application in (None, stream.key.application)
            and query.state in (None, stream.state.value)
        ]
        label = self._label
        keys: dict[str, Callable[[Stream], Any]] = {
            "name": lambda x: x.key,
            "label": lambda x: label(x).casefold(),
            "application": lambda x: x.key.application,
            "stream": lambda x: x.key.stream,
            "state": lambda x: x.state.value,
            "started_at": lambda x: x.started_at,
            "viewers": lambda x: len(x.viewers),
            "bitrate_in": lambda x: x.bitrate,
            "bitrate_out": lambda x: sum(viewer.bitrate for viewer in x.viewers),
            "frame_rate": lambda x: x.frame_rate,
            "publisher": _peer,
        }
        cut = paged(
            found,
            query,
            keys,
            search=lambda x: f"{x.key}\n{label(x)}\n{_peer(x)}",
            in_order=True,
        )
        return StreamList(streams=[self._shown(x) for x in cut.items], **cut.numbers)

    @operation("GET", "/streams/{application}/{stream}", role=Role.VIEWER, answers=StreamDetail)
    def stream(self, call: Call) -> Answer:
        """Show a live stream.

        With its tracks, what its publisher says of it, and viewers. Its ETag is of its label, which
        is what can be edited.
        """
        stream = self._stream(call)
        viewers = list(stream.viewers)[:MAX_PAGE_SIZE]
        shown = StreamDetail(
            **self._fields(stream),
            encoder=encoder_of(stream.metadata),
            metadata=plain_metadata(stream.metadata),
            viewer_list=[
                ViewerShown(**describe_viewer(x), **stream.key._asdict()) for x in viewers
            ],
        )
        return Answer(shown, etag=self._etag(stream.key))

    @operation(
        "PATCH",
        "/streams/{application}/{stream}",
        role=Role.OPERATOR,
        body=StreamChange,
        answers=LabelShown,
    )
    async def change(self, call: Call) -> Answer:
        """Give a stream a label, or take it away.

        It stays for the name, whoever publishes it, also while nobody does.
        """
        key = self._key(call)
        call.must_match(self._editable(key))
        if call.body.label is not UNSET:
            note = call.note("streams.label", str(key))
            await self.host.labels.give(key, call.body.label, note=note)
        return Answer(LabelShown(**self._editable(key)), etag=self._etag(key))

    @operation("POST", "/streams/{application}/{stream}/close", role=Role.OPERATOR, body=Kick)
    async def close(self, call: Call) -> None:
        """End a stream: its publisher is dropped, and its viewers are told.

        The publisher may come back at once, unless it is blocked for a while or the stream is
        forbidden.
        """
        stream = self._stream(call)
        publication = stream.publication
        before = {"publisher": _peer(stream), "viewers": len(stream.viewers)}
        seconds = call.body.block_seconds
        if seconds and publication is not None:
            peer = publication.publisher.peer
            self.host.access.block(peer, stream.key, seconds, Action.PUBLISH)
        stream.end("an operator closed it")
        await note_action(
            self.host, call, "streams.close", str(stream.key), before, {"block_seconds": seconds}
        )

    @operation(
        "PUT",
        "/streams/{application}/{stream}/forbidden",
        role=Role.OPERATOR,
        body=ForbiddenBody,
        answers=ForbiddenShown,
        has_etag=False,
    )
    async def forbid(self, call: Call) -> ForbiddenShown:
        """Forbid a stream: nobody may publish or play it, until it is allowed again.

        It ends where it is there. One that is forbidden already stays as it is.
        """
        key = self._key(call)
        note = call.note("streams.forbid", str(key))
        row = await self.host.access.forbidden.forbid(key, call.body.comment, note=note)
        return ForbiddenShown(
            application=row.application,
            stream=row.stream,
            comment=row.comment,
            created_at=row.created_at,
        )

    @operation(
        "DELETE",
        "/streams/{application}/{stream}/forbidden",
        role=Role.OPERATOR,
        has_etag=False,
    )
    async def allow(self, call: Call) -> None:
        """Allow a forbidden stream again."""
        key = stream_key(call.path["application"], call.path["stream"])
        note = call.note("streams.allow", str(key))
        await self.host.access.forbidden.allow(key, note=note)

    def _key(self, call: Call) -> StreamKey:
        """Return the name in the path, of an application that there is."""
        key = stream_key(call.path["application"], call.path["stream"])
        self.host.applications.find(key.application)
        return key

    def _stream(self, call: Call) -> Stream:
        key = stream_key(call.path["application"], call.path["stream"])
        stream: Stream | None = self.host.hub.streams.get(key)
        if stream is None:
            raise NoStream(key)
        return stream

    def _label(self, stream: Stream) -> str:
        return self.host.labels.of(stream.key) or published_label(stream.metadata)

    def _fields(self, stream: Stream) -> dict[str, Any]:
        return {
            **describe_stream(stream),
            "label": self._label(stream),
            "label_edited": bool(self.host.labels.of(stream.key)),
            "forbidden": stream.key in self.host.access.forbidden,
        }

    def _shown(self, stream: Stream) -> StreamShown:
        return StreamShown(**self._fields(stream))

    def _editable(self, key: StreamKey) -> dict[str, str]:
        """Return what an ETag is made of."""
        return {**key._asdict(), "label": self.host.labels.of(key)}

    def _etag(self, key: StreamKey) -> str:
        return etag_of(self._editable(key))


def _peer(stream: Stream) -> str:
    """Return the publisher's address; empty while there is none."""
    publication = stream.publication
    return publication.publisher.peer if publication is not None else ""
