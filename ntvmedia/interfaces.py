"""The interfaces between ntvmedia's parts, and those a plugin provides.

Only what is looked up at run time, or has several implementations, is a zope interface. Shapes
used within one package are `typing.Protocol` classes there. `Any` stands for a class of a package
that this module may not import; the text names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from ntvmedia.media import StreamKey


class IHub(Interface):
    """The live streams of this process, by key: `ntvmedia.hub.streams.Hub`."""

    streams = Attribute("Those that exist now: a mapping of `StreamKey` to `Stream`. Read only.")

    def publish(key: StreamKey, publisher: Any, *, audio_only: bool = False) -> Any:
        """Begin a stream, or go on with one whose publisher was lost.

        Args:
            key: The checked name.
            publisher: An `ntvmedia.hub.publication.Publisher`: what is told when it has to go.
            audio_only: Keep nothing but the audio tracks.

        Returns:
            An `ntvmedia.hub.publication.Publication`: where its tracks and packets go.

        Raises:
            ntvmedia.hub.refusals.NameTaken: The key has a publisher, which stays.
            ntvmedia.hub.refusals.HubFull: There are as many streams as the settings allow.
        """

    def wait_for(key: StreamKey, hops: tuple[str, ...] = ()) -> Deferred[Any]:
        """Find a stream to play, or wait for it.

        Args:
            key: Its name.
            hops: Ids of the servers that want it by way of who waits (`ntvmedia.media.hops`).

        Returns:
            Fires with the `Stream` as soon as its tracks are known, at once where they are.
            Fails with `NotFound` after the setting `hub.play_wait`, or with `HubFull` when too
            many wait. May be cancelled.
        """

    def register_format(name: str, factory: Callable[[Mapping[str, str]], Any]) -> None:
        """Make an output format known.

        Args:
            name: As in `RenditionKey.format`.
            factory: Called with the options of a rendition; returns a new
                `ntvmedia.hub.rendition.Serialiser`.
        """


class IAccess(Interface):
    """Who may publish and play."""

    authorizers = Attribute("A list of `IAuthorizer`, asked in order after the rules.")

    def decide(
        request: Any, *, again: bool = False, ask: bool | None = None, has: Any = None
    ) -> Deferred[Any]:
        """Decide one request.

        Every endpoint asks before it serves anything, and serves nothing until the answer is
        there. It may take seconds where somebody outside is asked, and else has been given when
        this returns; cancel it when the peer leaves.

        Args:
            request: An `ntvmedia.access.Request`.
            again: It was allowed before, and is looked at again because something changed or a
                lifetime is over. A signed address, a share link and a token count as they did at
                first, unless the application has `cut_at_expiry`; revoked ones do not count.
                Limits are not asked, and a refusal is not counted.
                A publish password that was right is right: where it is another one by now, the
                verdict allows, and its `rule` is "password".
            ask: Whether those outside may be asked: the authorizers, and servers for keys. By
                default, all but again: their first answer and its lifetime hold. At the end of a
                lifetime, ask `again=True, ask=True`.
            has: The stream that it has by now, where others have named another than the request
                does: what holds for that one holds for it too.

        Returns:
            Fires with an `ntvmedia.access.Verdict` of this moment, and fails only for a bug.
        """


class IAuthorizer(Interface):
    """Has a say in who may publish and play: a callback, or a plugin.

    A plugin provides `twisted.plugin.IPlugin` too, and is found as endpoints are.
    """

    def decide(request: Any) -> Deferred[Any]:
        """Decide one request, which all rules before have let pass.

        Called in the reactor thread; must not block. Cancelled when the peer leaves, or when the
        answer takes too long, which is a refusal, as is a failure.

        Args:
            request: An `ntvmedia.access.Request`.

        Returns:
            Fires with an `ntvmedia.access.Verdict`, or with None for no opinion. One that allows
            may set `lifetime`, `rename` and `audio_only`, and the next is asked all the same; of
            several lifetimes the shortest holds, and the first `rename`.
        """


class IHost(Interface):
    """What the server gives to its plugins, composed in `ntvmedia.tap`."""

    reactor = Attribute(
        """Source of sockets and time; its clock is monotonic. The global one is never used."""
    )
    hub = Attribute("The live streams: `IHub`.")
    access = Attribute("Who may publish and play: `IAccess`.")
    applications = Attribute("What streams belong to: `ntvmedia.access.Applications`. Read only.")
    events = Attribute("What happens in the server: `ntvmedia.events.EventBus`.")
    outbound = Attribute("Asks other servers over HTTP: `ntvmedia.outbound.client.Outbound`.")
    connector = Attribute("Connects to other servers: `ntvmedia.outbound.streams.StreamConnector`.")
    server_id = Attribute("Text that no other server has: tells whether a stream came round.")
    store = Attribute("The database: `ntvmedia.store.Store`.")
    preferences = Attribute("What the API sets for all: `ntvmedia.preferences.Preferences`.")
    accounts = Attribute("Who may administer: `ntvmedia.accounts.Accounts`.")
    callbacks = Attribute("Tells and asks other systems: `ntvmedia.callbacks.Callbacks`.")
    relays = Attribute("Pulls streams from elsewhere: `ntvmedia.relay.service.RelayService`.")
    pushes = Attribute("Sends them to others: `ntvmedia.relay.push_service.PushService`.")
    statistics = Attribute("Counts: `ntvmedia.statistics.Statistics`.")
    labels = Attribute("What streams are called: `ntvmedia.labels.Labels`.")
    settings = Attribute("All sections: `ntvmedia.config.Settings`.")
    certificates = Attribute("The context factory for TLS, or None where none is set up.")
    draining = Attribute("True from the moment that the server was told to stop.")
    random = Attribute("Called with a number, returns that many unpredictable bytes.")

    def web_resource() -> Any:
        """Return the `twisted.web.resource.Resource` that serves what is not media.

        Called once the reactor runs: the resource may need Klein, which installs a reactor.
        """

    def media_routes() -> list[Any]:
        """List the `IMediaRoute` plugins that were found."""

    def part(kind: Callable[[IHost], Any]) -> Any:
        """Return the one instance of a class that this server has; made when first asked for.

        For what several sections of a plugin share. Where it is an `IService`, it starts with the
        server's ports, and stops after their connections have ended.

        Args:
            kind: Called with the host.
        """


class IMediaEndpoint(Interface):
    """A way in or out for media that listens: RTMP, HTTP, RTSP or a plugin's own.

    A provider that also provides `twisted.plugin.IPlugin` and is bound to a name in a module of
    `twisted.plugins` is found when the server starts.
    """

    name = Attribute(
        """The key of this endpoint's section in the configuration.

        Text: lower case, `[a-z][a-z0-9]*`, and no other endpoint's.
        """
    )

    def parse_settings(raw: Mapping[str, object]) -> object:
        """Check this endpoint's section of the configuration.

        Pure, so that the settings can be checked without starting anything.

        Args:
            raw: The section as read: strings, numbers, lists and mappings.

        Returns:
            A frozen value for `make_service`.

        Raises:
            ntvmedia.errors.ConfigError: A setting is wrong.
        """

    def make_service(host: IHost, settings: object) -> IService:
        """Build the service that listens. Binding is left to its start.

        Args:
            host: The server that this plugin serves in.
            settings: What `parse_settings` returned.

        Returns:
            A service not yet started. Its `stopService` first stops accepting, then ends its
            streams, and fires when the last connection is gone.
        """


class IExchange(Interface):
    """One HTTP request on a media address, and the way to answer it."""

    method = Attribute("Text, upper case: GET or HEAD.")
    address = Attribute("`ntvmedia.media.names.Address`, without the extension.")
    extension = Attribute("Text, lower case, without the dot; empty where `below` is not.")
    below = Attribute(
        """What follows `/APP/STREAM/`, as sent, for an `IFolderRoute`: "~name/file.ts".

        Else empty.
        """
    )
    target = Attribute("Path and query as sent: text of ASCII characters.")
    headers = Attribute("Mapping of lower-case names to values, both text.")
    http_version = Attribute('Text: "1.0" or "1.1".')
    peer = Attribute('The client\'s address as text, "192.0.2.1:50000" or "[2001:db8::1]:50000".')
    scheme = Attribute('What the connection speaks: "http" or "https".')
    outlet = Attribute("The connection's `ntvmedia.hub.outlet.Outlet`, for a streaming answer.")

    def respond(status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Answer completely. The connection goes on with its next request.

        With status 200 and a header "Accept-Ranges: bytes" the client gets the range of the body
        that it asked for.
        """

    def respond_ready(file: Any) -> None:
        """Answer with status 200 and a file as of `IFolderRoute.make_ready`.

        It has one attribute more: `fields`, its header fields without the length, with line ends.
        """

    def refuse(status: int, reason: str) -> None:
        """Answer with one line for people; nothing where an answer was begun."""

    def begin(status: int, headers: Mapping[str, str], *, chunked: bool) -> None:
        """Send the head of a streaming answer. The outlet is the caller's until `finish`.

        Args:
            chunked: The caller frames what it sends in HTTP chunks. Otherwise the end of the
                answer is the end of the connection.
        """

    def finish() -> None:
        """End a streaming answer. After a chunked one the connection goes on; else it closes."""

    def switch_protocols(headers: Mapping[str, str], receiver: Any) -> None:
        """Answer with status 101: from now on the connection speaks another protocol.

        The outlet is the caller's until `finish`, which closes the connection when all is sent.
        Not for HTTP/1.0, nor for a request that has a body. The connection's deadlines no longer
        apply: the receiver looks after a silent client itself.

        Args:
            headers: Those of the answer: "Upgrade" among them, "Connection" is added.
            receiver: Its `data_received(data)` is called for all that the client sends, perhaps
                before this returns: what came with the request is the first. Its `stop()` is
                called when the server stops, after the functions of `on_closed`: it may say
                goodbye, and then the connection is closed.
        """

    def receive_body(receiver: Any, limit: int) -> None:
        """Have the request's body delivered; until then it waits with the client.

        Args:
            receiver: Its `body_received(data)` is called for each piece, and
                `body_ended(problem)` once: with None, or with why there is no more, in which case
                the client has its answer already. Not called when the client left.
            limit: Most bytes; a client that sends more is refused.
        """

    def pause_body() -> None:
        """Deliver no more than what one read brought, until `resume_body`."""

    def resume_body() -> None:
        """Deliver the body again. Idempotent."""

    def on_closed(callback: Callable[[], None]) -> None:
        """Have a function called once if the client leaves before the answer is complete."""


class IMediaRoute(Interface):
    """An output over HTTP, found like an endpoint."""

    extensions = Attribute('The endings of its addresses: `("flv",)`. Lower case, no other\'s.')
    methods = Attribute('What it answers besides GET and HEAD: `("PUT",)`, or nothing: `()`.')

    def make_handler(host: IHost) -> Callable[[IExchange], None]:
        """Return what answers the requests for those endings.

        Called at start, once for each of the sections `http` and `https`. The handler is called in
        the reactor thread, must not block, and answers now or later. What it raises is a bug: the
        client gets status 500.
        """


class IFolderRoute(IMediaRoute):
    """An output whose answers name further files: all of `/APP/STREAM/~...` belongs to it.

    There can be one. A request for such a file is an exchange like any other, with `below` set.
    """

    def make_ready(host: IHost) -> Callable[[bytes], Any]:
        """Return what finds files that are ready to be sent, the same for all who may have them.

        Called as `make_handler` is. The result is called for each plain GET below a stream, with
        the target as sent and its query. It must be quick, and returns None, which leaves the
        request to the handler, or an object with three attributes: `head`, the header fields with
        their line ends, the length among them, and an empty line; `body`; and `descriptor`, of an
        open file with the body's bytes, which the kernel can send itself, or -1.
        """


class IMediaSink(Interface):
    """Where a source puts what it has, and what a target takes.

    Called from the reactor thread. None of this waits, and none raises for what it is given.
    """

    def track_received(track: Any) -> None:
        """Take a `Track`: before its first packet, and when its configuration changes."""

    def metadata_received(fields: Mapping[str, object]) -> None:
        """Take what is said of the stream, as in onMetaData: hints, never trusted."""

    def packet_received(packet: Any) -> None:
        """Take a `Packet` of an announced track, in order of decoding for each track.

        Times may be anything: they are repaired where a stream is published.
        """

    def batch_ended() -> None:
        """Send on what came: nothing more is there at the moment. To be called each time."""


class IPullSink(IMediaSink):
    """The sink that a source is given.

    It may have an attribute `patience`: the seconds for which media may wait to be read, as of
    `ntvmedia.hub.publication.Publication`; none where nobody says. A source that reads a connection
    may then read it in rounds so far apart (`ntvmedia.hub.merged_reads`).

    It may have a method `passed(hops)`, to be called before media comes, each time that it comes
    from another connection: the ids of the servers that the stream has passed, where the source
    says them (`ntvmedia.media.hops`).
    """

    def noted(line: str) -> None:
        """Keep a line for the operator, in the log of the task: "mmsh failed, trying mmst".

        No user, password or query may stand in it.
        """


class IPushFeed(IMediaSink):
    """What a target gives to have packets put into, once its server is ready for them.

    It never grows without bound: when its server takes less than it is given, packets are dropped,
    and what follows begins with a keyframe. A server that takes nothing for a while ends the push.
    """

    dropped = Attribute("Packets that were given and not sent, as the server was too slow.")
    bytes_out = Attribute("Bytes that the connection was given so far.")

    def end() -> None:
        """Say goodbye: what was given is sent, then `ITarget.push` fires."""


class ISource(Interface):
    """Pulls streams from somewhere else: another server, a device, a file.

    A provider that also provides `twisted.plugin.IPlugin` is found as an endpoint is, by the
    scheme of the address that an operator typed. One that is given a scheme of ours replaces it.
    """

    schemes = Attribute('Those of its addresses, lower case, without the colon: `("rtsp",)`.')
    transcodes = Attribute(
        """Whether it makes several outputs itself: then it is an `ITranscodingSource` too."""
    )

    def check(url: str) -> None:
        """Look whether an address can be one. Pure: nothing is asked or opened.

        Raises:
            ntvmedia.errors.RemoteError: It cannot; the message does not quote it.
        """

    def pull(host: IHost, url: str, options: Any, sink: IPullSink) -> Deferred[None]:
        """Pull a stream until its end.

        Called in the reactor thread, and must not block. What it has, comes at the speed at which
        it is to be shown: a source that is faster, as a file is, keeps the time itself.

        Args:
            host: The server.
            url: As typed, with user and password.
            options: An `ntvmedia.media.relaying.PullOptions`.
            sink: Gets tracks and packets. Never called after the Deferred has fired.

        Returns:
            Fires when the source ended well. Fails with `ntvmedia.errors.RemoteError`; anything
            else is a bug, and ends this try alone. When cancelled it gives everything back, and
            fails with `CancelledError`.
        """


class ITranscodingSource(ISource):
    """A source that decodes what no track of ours can carry, and encodes it anew."""

    def pull_transcoded(host: IHost, url: str, options: Any, outputs: Any) -> Deferred[None]:
        """Pull a stream, and make several of it, which is decoded once.

        Args:
            host: As of `pull`, as are all that are not named here.
            url: As typed.
            options: How.
            outputs: A sequence of pairs: an `ntvmedia.media.relaying.OutputOptions`, and the
                `IPullSink` that gets it. With "copy" for both kinds, the source's own packets.
        """


class ITarget(Interface):
    """Pushes streams to other servers, found as an `ISource` is."""

    schemes = Attribute('Those of its addresses, lower case, without the colon: `("rtmp",)`.')

    def check(url: str) -> None:
        """Look whether an address can be one; as of `ISource`."""

    def push(
        host: IHost,
        url: str,
        tracks: Any,
        metadata: Mapping[str, object],
        options: Any,
        started: Callable[[IPushFeed], None],
    ) -> Deferred[None]:
        """Push a stream until its owner ends it.

        Args:
            host: The server.
            url: With user, password, query: the application and the name of the stream are in it.
            tracks: A sequence of the stream's `Track`; those that cannot be carried are left out.
            metadata: What is said of it.
            options: An `ntvmedia.media.relaying.PushOptions`.
            started: Called each time that a server is ready for packets: the feed is then given
                all tracks, and packets from a keyframe on. The feed before it is not used again.

        Returns:
            Fires after `IPushFeed.end`; fails as `ISource.pull` does, also when the server ended
            it.
        """
