"""One RTMP connection: moves bytes between the socket, the session, and the hub."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.access import Action, Request, Verdict
from ntvmedia.endpoints.asking import Denied, allowed, allowed_stream, asked_at, told_hops
from ntvmedia.endpoints.peers import host_of, peer_of
from ntvmedia.endpoints.rtmp.authentication import Authentication, parse_address
from ntvmedia.endpoints.rtmp.playing import Player, wanted_rendition
from ntvmedia.errors import PeerError, Refused
from ntvmedia.hub.merged_reads import MergedReads
from ntvmedia.hub.outlet import Outlet
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.refusals import NotFound
from ntvmedia.media import Packet, Track
from ntvmedia.media.hops import HOPS_PROPERTY, read_hops
from ntvmedia.media.names import Address
from ntvmedia.wire.rtmp.events import (
    Connected,
    ConnectRefused,
    MetadataReceived,
    PauseRequested,
    PlayRequested,
    PlayStopped,
    PublishRequested,
    ReceiveRequested,
    Unpublished,
)
from ntvmedia.wire.rtmp.server import ServerSession

if TYPE_CHECKING:
    from ntvmedia.endpoints.rtmp.factory import RTMPFactory

# While a peer waits for an answer it has nothing to send but a publisher's first media.
MAX_WAITING_BYTES = 1 << 20

# A peer that was refused or told to go has this long to take it and hang up.
GOODBYE_SECONDS = 5.0

# A client that knows how to move to another server has this long to do it.
RECONNECT_SECONDS = 5.0


class RTMPConnection(Protocol):
    """A publisher or a player.

    Args:
        factory: Whose settings it has.
        address: Of the peer.
        refusal: Why it may do neither; empty where it may.

    Attributes:
        protocol: "rtmp" or "rtmps".
        peer: Its address with the port.
        host: Its address without.
        last_read: How many bytes came with the last read.
        request: What it was allowed as a publisher; None before.
        verdict: The answer to that.
    """

    _log = Logger()
    transport: Any  # an ITCPTransport that is an IPushProducer too

    def __init__(
        self, factory: RTMPFactory, address: IAddress | None, *, refusal: str = ""
    ) -> None:
        self.factory: RTMPFactory = factory
        self.protocol = factory.protocol_name
        self.peer = peer_of(address)
        self.host = host_of(address)
        self._refusal = refusal
        # Of an encoder that has brought user and password.
        self._authentication: Authentication | None = None
        self._publication: Publication | None = None
        self._player: Player | None = None
        self._deciding: Deferred[None] | None = None
        self._paused = False
        self._running = False
        self._deadline: IDelayedCall | None = None
        self._leaving = False
        self.last_read = 0
        self._patience = 0.0
        self._user_agent = ""
        self._hops = ""
        self.request: Request | None = None
        self.verdict: Verdict | None = None

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self._session: ServerSession = self.factory.new_session(self._refuse_connect)
        self.outlet: Outlet = self.factory.host.hub.outlet(self.transport)
        self.factory.connections.add(self, told=bool(self._refusal))

    def dataReceived(self, data: bytes) -> None:
        if self._leaving:
            return
        self.last_read = len(data)
        publication = self._publication
        if publication is None or self._deciding is not None:
            self._session.receive_data(data)
            self._run()
            return
        try:
            all_media = self._session.receive_media(
                data, publication.packet_received, publication.track_received
            )
        except PeerError as error:
            self._failed(error)
            return
        if all_media:
            publication.batch_ended()
            self._flush()
            if publication.patience != self._patience:
                self._read_with(publication.patience)
        else:
            self._run()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._patience:
            self.factory.merged_reads(self._patience).forget(self)
        self.factory.connections.remove(self)
        self.outlet.lost()
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._let_go("connection lost", lost=True)
        self._session.discard()

    # What the hub and the factory call

    @property
    def hops(self) -> tuple[str, ...]:
        """Ids of the servers that the stream has passed; see `ntvmedia.media.hops`."""
        return () if self.request is None else self.request.hops

    def dismissed(self, reason: str) -> None:
        """Tell a publisher that it has lost its stream, and hang up."""
        self._publication = None
        if self._patience:
            self._read_with(0.0)
        self._log.info("{peer}: publisher sent away: {reason}", peer=self.peer, reason=reason)
        self._session.stop_publish("NetStream.Publish.BadName", reason)
        self._flush()
        self._hang_up()

    def close(self, reason: str) -> None:
        """Tell the peer that the server stops; one that can moves on by itself."""
        if self._session.request_reconnect("", reason):
            self._flush()
            self._deadline = self.factory.host.reactor.callLater(
                RECONNECT_SECONDS, self._goodbye, reason
            )
        else:
            self._goodbye(reason)

    def tick(self, now: float) -> None:
        """Look after the session's deadlines. Called every few seconds."""
        if self._leaving:
            return
        try:
            self._session.handle_timeout(now)
        except PeerError as error:
            self._failed(error)
        self._flush()

    # The session's events

    def _run(self) -> None:
        """Work through what was received, up to a request that has to wait."""
        if self._running or self._leaving:
            return
        self._running = True
        publication = self._publication
        deliver = publication.packet_received if publication is not None else None
        try:
            for event in self._session.events():
                if type(event) is Packet:
                    if deliver is not None:
                        deliver(event)
                    continue
                self._handle(event)
                publication = self._publication
                deliver = publication.packet_received if publication is not None else None
                if self._is_leaving():
                    break
        except (PeerError, Refused) as error:
            self._failed(error)
        finally:
            self._running = False
        self._flush()
        if publication is not None:
            publication.batch_ended()
        self._throttle()

    def _handle(self, event: object) -> None:
        if isinstance(event, Track):
            if self._publication is not None:
                self._publication.track_received(event)
        elif isinstance(event, MetadataReceived):
            if self._publication is not None:
                self._publication.metadata_received(event.fields)
        elif isinstance(event, Connected):
            self._user_agent = event.flash_version
            self._hops = event.hops
        elif isinstance(event, ConnectRefused):
            self._log.info(
                "{peer}: has to bring user and password for {app}",
                peer=self.peer,
                app=_shown(event.app),
            )
            self._flush()
            self._hang_up()
        elif isinstance(event, PublishRequested):
            self._decide(self._publish(event), event)
        elif isinstance(event, PlayRequested):
            self._decide(self._play(event), event)
        elif isinstance(event, Unpublished):
            self._unpublish("publisher stopped", lost=False)
        elif isinstance(event, PlayStopped):
            self._stop_player(event.stream_id)
        elif isinstance(event, PauseRequested):
            player = self._player_of(event.stream_id)
            if player is not None:
                player.pause(event.paused)
        elif isinstance(event, ReceiveRequested):
            player = self._player_of(event.stream_id)
            if player is not None:
                player.receive(event.kind, event.wanted)

    def _refuse_connect(self, connected: Connected) -> str:
        # Who is one too many is told so, and asked for nothing.
        if self._refusal or not connected.is_encoder:
            return ""
        authentication = self.factory.authentication(self.host)
        refusal = authentication.refusal(connected)
        if authentication.proves is not None:
            self._authentication = authentication
        return refusal

    # Publish and play

    def _decide(
        self, work: Coroutine[Any, Any, None], request: PublishRequested | PlayRequested
    ) -> None:
        """Run the decision on a request; this connection owns it until it is done."""
        deciding: Deferred[None] = Deferred.fromCoroutine(work)
        if deciding.called and not deciding.paused:
            deciding.addErrback(self._refused, request)
            return
        self._deciding = deciding
        deciding.addErrback(self._refused, request)
        deciding.addBoth(self._decided)

    def _decided(self, _result: object) -> None:
        self._deciding = None
        if not self.outlet.closed:
            self._throttle()
            self._run()

    def _refused(self, failure: Failure, request: PublishRequested | PlayRequested) -> None:
        error = failure.value
        if failure.check(CancelledError):
            return
        publishes = isinstance(request, PublishRequested)
        if isinstance(error, Refused):
            message = str(error)
        else:
            self._log.failure("{peer}: a decision failed", failure, peer=self.peer)
            message = "internal error"
        self._log.info(
            "{peer}: {action} of {app}/{name} refused: {message}",
            peer=self.peer,
            action="publish" if publishes else "play",
            app=_shown(request.app),
            name=_shown(request.name),
            message=message,
        )
        if publishes:
            code = "NetStream.Publish.BadName"
        elif isinstance(error, NotFound):
            code = "NetStream.Play.StreamNotFound"
        else:
            code = "NetStream.Play.Failed"
        location = error.location("rtmp", "rtmps") if isinstance(error, Denied) else ""
        if location:
            # Who knows how to move is told where to; the others are refused, and no more.
            self._session.request_reconnect(location, message)
        if self._session.awaits_answer:
            self._session.reject(code, message)
        else:  # it was accepted, and its output failed then
            self._session.stop_play(code, message, request.stream_id)
        self._flush()
        self._hang_up()

    async def _publish(self, request: PublishRequested) -> None:
        self._check_room()
        self._unpublish("publisher began another stream", lost=False)
        address = parse_address(request.app, request.name, request.tc_url)
        wish = self._request(Action.PUBLISH, address, "", request.tc_url)
        verdict = await allowed(self.factory.host, wish)
        # Before the hub tells of a publisher.
        self.request, self.verdict = wish, verdict
        self._publication = self.factory.host.hub.publish(
            verdict.rename or address.key, self, audio_only=verdict.audio_only
        )
        self._session.accept_publish()
        self._log.info("{peer}: publishes {key}", peer=self.peer, key=verdict.rename or address.key)

    async def _play(self, request: PlayRequested) -> None:
        self._check_room()
        self._stop_player(request.stream_id)
        if self._player is not None:
            # Their gaps would mix: what is left out for a slow peer is decided by connection.
            raise Refused("a connection plays one stream at a time")
        address = parse_address(request.app, request.name, request.tc_url)
        wish = self._request(Action.PLAY, address, request.page_url, request.tc_url)
        verdict, stream = await allowed_stream(self.factory.host, wish)
        key = wanted_rendition(stream, address.query, request.stream_id, self._session.capabilities)
        hops = told_hops(self.factory.host, wish, stream)
        self._session.accept_play(more={HOPS_PROPERTY: hops} if hops else None)
        self._flush()
        self._player = Player(self, request.stream_id, stream, key, wish, verdict)
        self._log.info("{peer}: plays {key}", peer=self.peer, key=stream.key)

    def _request(self, action: Action, address: Address, page_url: str, tc_url: str) -> Request:
        authentication = self._authentication if action is Action.PUBLISH else None
        return Request(
            action,
            address.key,
            self.protocol,
            self.peer,
            address.query,
            page_url,
            self._user_agent,
            None if authentication is None else authentication.proves,
            address=asked_at(tc_url),
            hops=read_hops(self._hops),
        )

    def _check_room(self) -> None:
        """Refuse what a connection asks for that is one too many (G-RS-03)."""
        if self._refusal:
            raise Refused(self._refusal)

    def _unpublish(self, reason: str, *, lost: bool) -> None:
        publication, self._publication = self._publication, None
        if publication is not None:
            publication.close(reason, lost=lost)
            if self._patience and not self.outlet.closed:
                self._read_with(0.0)

    def _player_of(self, stream_id: int) -> Player | None:
        """Return what plays in a message stream; None where nothing does."""
        player = self._player
        return player if player is not None and player.stream_id == stream_id else None

    def _stop_player(self, stream_id: int) -> None:
        player = self._player_of(stream_id)
        if player is not None:
            self._player = None
            player.leave()

    def player_ended(self, stream_id: int, reason: str, *, kicked: bool) -> None:
        """Tell a player that its stream is over, and hang up. Called by `Player`.

        Args:
            stream_id: The message stream.
            reason: One clause for people.
            kicked: The stream goes on, for others.
        """
        if self._player_of(stream_id) is not None:
            self._player = None
        code = "NetStream.Play.Failed" if kicked else "NetStream.Play.UnpublishNotify"
        self._session.stop_play(code, reason, stream_id)
        self._flush()
        if self._player is None:
            self._hang_up()

    # The connection

    def _flush(self) -> None:
        data = self._session.data_to_send()
        if data:
            self.outlet.write(data)

    def _throttle(self) -> None:
        """Do not read more than a bounded amount while a request waits for its answer."""
        full = self._deciding is not None and self._session.buffered > MAX_WAITING_BYTES
        if full is not self._paused:
            self._paused = full
            if full:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    def _failed(self, error: PeerError | Refused) -> None:
        self._log.info("{peer}: {error}", peer=self.peer, error=error)
        self._leaving = True
        self._flush()
        self._let_go("protocol error", lost=True)
        self.outlet.abort()

    def _goodbye(self, reason: str) -> None:
        """Tell whatever it is that it is over, and hang up."""
        if self._leaving:
            return
        publication, self._publication = self._publication, None
        if publication is not None:
            publication.close(reason, lost=False)
            self._session.stop_publish("NetStream.Unpublish.Success", reason)
        player = self._player
        if player is not None:
            player.leave()
            self._session.stop_play("NetStream.Play.UnpublishNotify", reason, player.stream_id)
        self._flush()
        self._hang_up()

    def _hang_up(self) -> None:
        """Disconnect as soon as what was said has been taken, or after a while."""
        if self._leaving or self.outlet.closed:
            return
        self._leaving = True
        self._let_go("connection closed", lost=False)
        self.outlet.close()
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = self.factory.host.reactor.callLater(GOODBYE_SECONDS, self.outlet.abort)

    def _read_with(self, patience: float) -> None:
        """Have the reactor read the connection, or have it read in rounds so far apart."""
        if not MergedReads.can_take(self.transport):
            return
        if self._patience:
            self.factory.merged_reads(self._patience).remove(self)
        self._patience = patience
        if patience:
            self.factory.merged_reads(patience).add(self)

    def _is_leaving(self) -> bool:
        return self._leaving

    def _let_go(self, reason: str, *, lost: bool) -> None:
        """Give back everything that others hold for this connection. Idempotent."""
        deciding, self._deciding = self._deciding, None
        if deciding is not None:
            deciding.cancel()
        self._unpublish(reason, lost=lost)
        if self._player is not None:
            self._stop_player(self._player.stream_id)


def _shown(text: str) -> str:
    """Cut and clean what a peer sent, for a log line; what may be a secret is left out."""
    return ascii(text.partition("?")[0][:100])[1:-1]
