"""The API's viewers: `/viewers`, and those of one stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ntvmedia.accounts import Role
from ntvmedia.admin.noting import note_action
from ntvmedia.admin.operations import Call, Operations, operation
from ntvmedia.admin.paging import paged
from ntvmedia.admin.problems import Problem
from ntvmedia.admin.stream_types import Kick, Kicked, ViewerList, ViewerListQuery, ViewerShown
from ntvmedia.admin.streams import NoStream
from ntvmedia.hub.statistics import describe_viewer, shown_page
from ntvmedia.hub.viewer import Viewer
from ntvmedia.media import StreamKey
from ntvmedia.media.names import BadName, stream_key

_REASON = "an operator sent the viewer away"

_Watching = tuple[StreamKey, Viewer]


class ViewerOperations(Operations):
    """Who watches, by whatever protocol."""

    tag = "viewers"
    refusals: ClassVar[Mapping[type[Exception], int]] = {BadName: 404}

    @operation("GET", "/viewers", role=Role.VIEWER, query=ViewerListQuery, answers=ViewerList)
    def viewers(self, call: Call) -> ViewerList:
        """List who watches, the longest there first.

        Sorted by `session`, `started_at`, `application`, `stream`, `protocol`, `peer`, `bytes_out`
        or `bitrate`; `q` is looked for in the stream's name, address, program and page.
        """
        query: ViewerListQuery = call.query
        found = [
            (key, viewer)
            for key, stream in self.host.hub.streams.items()
            if query.application in (None, key.application) and query.stream in (None, key.stream)
            for viewer in stream.viewers
            if query.protocol in (None, viewer.info.protocol)
        ]
        keys: dict[str, Callable[[_Watching], Any]] = {
            "session": lambda x: x[1].session,
            "started_at": lambda x: x[1].started_at,
            "application": lambda x: x[0].application,
            "stream": lambda x: x[0].stream,
            "protocol": lambda x: x[1].info.protocol,
            "peer": lambda x: x[1].info.peer,
            "bytes_out": lambda x: x[1].bytes_out,
            "bitrate": lambda x: x[1].bitrate,
        }
        cut = paged(found, query, keys, search=_text)
        return ViewerList(
            viewers=[ViewerShown(**describe_viewer(x), **key._asdict()) for key, x in cut.items],
            **cut.numbers,
        )

    @operation("GET", "/viewers/{session}", role=Role.VIEWER, answers=ViewerShown)
    def viewer(self, call: Call) -> ViewerShown:
        """Show one who watches."""
        key, viewer = self._viewer(call.path["session"])
        return ViewerShown(**describe_viewer(viewer), **key._asdict())

    @operation("POST", "/viewers/{session}/kick", role=Role.OPERATOR, body=Kick, answers=Kicked)
    async def kick(self, call: Call) -> Kicked:
        """Send a viewer away, and keep its address from the stream for a while."""
        key, viewer = self._viewer(call.path["session"])
        before = {"peer": viewer.info.peer, "protocol": viewer.info.protocol, "stream": str(key)}
        seconds = call.body.block_seconds
        self._kick(key, viewer, seconds)
        await note_action(
            self.host,
            call,
            "viewers.kick",
            f"viewer {viewer.session}",
            before,
            {"block_seconds": seconds},
        )
        return Kicked(kicked=1)

    @operation(
        "POST",
        "/streams/{application}/{stream}/viewers/kick",
        role=Role.OPERATOR,
        body=Kick,
        answers=Kicked,
    )
    async def kick_all(self, call: Call) -> Kicked:
        """Send all viewers of a stream away; it goes on for those who come back."""
        key = stream_key(call.path["application"], call.path["stream"])
        stream = self.host.hub.streams.get(key)
        if stream is None:
            raise NoStream(key)
        seconds = call.body.block_seconds
        viewers = tuple(stream.viewers)
        for viewer in viewers:
            self._kick(key, viewer, seconds)
        await note_action(
            self.host,
            call,
            "viewers.kick",
            str(key),
            {"viewers": len(viewers)},
            {"block_seconds": seconds},
        )
        return Kicked(kicked=len(viewers))

    def _kick(self, key: StreamKey, viewer: Viewer, seconds: int) -> None:
        # First: some players are back before this returns.
        if seconds:
            self.host.access.block(viewer.info.peer, key, seconds)
        viewer.kick(_REASON)

    def _viewer(self, session: str) -> _Watching:
        """Find one by its number."""
        if session.isascii() and session.isdecimal() and len(session) <= 18:
            number = int(session)
            for key, stream in self.host.hub.streams.items():
                for viewer in stream.viewers:
                    if viewer.session == number:
                        return key, viewer
        raise Problem(404, "nobody of this number watches", kind="no-viewer")


def _text(watching: _Watching) -> str:
    key, viewer = watching
    info = viewer.info
    return f"{key}\n{info.peer}\n{info.user_agent}\n{shown_page(info.page_url)}"
