"""One RTSP connection: moves bytes between the socket, the session, and the hub."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.access import Action, Request, Verdict
from ntvmedia.access.rules import ASKED_ONCE
from ntvmedia.endpoints.asking import (
    Denied,
    aged,
    allowed,
    allowed_stream,
    asked_at,
    changes,
    check_room,
    told_hops,
)
from ntvmedia.endpoints.peers import host_of, peer_of
from ntvmedia.endpoints.rtsp.carriers import Carriers, Plays
from ntvmedia.endpoints.rtsp.playing import NothingToSend, Presentation, present
from ntvmedia.endpoints.rtsp.ports import NoPorts
from ntvmedia.endpoints.rtsp.publishing import Incoming, Unsupported
from ntvmedia.errors import PeerError, Refused
from ntvmedia.hub.outlet import Outlet
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.refusals import HubFull, NameTaken, NotFound
from ntvmedia.hub.viewer import ViewerInfo
from ntvmedia.media.hops import HOPS_FIELD, read_hops
from ntvmedia.media.names import Address, BadName, parse_path
from ntvmedia.wire.rtp.presentation import describe_stream
from ntvmedia.wire.rtsp.authentication import Outcome, Verifier
from ntvmedia.wire.rtsp.events import (
    AnnounceRequested,
    Asked,
    DescribeRequested,
    PauseRequested,
    PlayRequested,
    RecordRequested,
    SetupRequested,
    TornDown,
)
from ntvmedia.wire.rtsp.messages import Interleaved, Request as Message, build_interleaved
from ntvmedia.wire.rtsp.ranges import FROM_NOW
from ntvmedia.wire.rtsp.server import ServerSession
from ntvmedia.wire.rtsp.server_requests import State

if TYPE_CHECKING:
    from ntvmedia.endpoints.rtsp.factory import RTSPFactory

# A peer that was refused or told to go has this long to take it and hang up.
GOODBYE_SECONDS: Final = 5.0

# Wrong passwords in one connection: a person who types, not a program that guesses (D-RQ-02).
MAX_CHALLENGES: Final = 5

# What waits for a client that reads no answers, before no more is asked of it.
MAX_WAITING_BYTES: Final = 256 << 10

_HOPS_FIELD: Final = HOPS_FIELD.lower()

# Bytes of a session's id, unpredictable (RFC 2326 section 3.4).
_ID_BYTES: Final = 12

_STATUS: Final = (
    (NotFound, 404),
    (BadName, 404),
    (NothingToSend, 415),
    (Unsupported, 415),
    (NoPorts, 461),
    (HubFull, 503),
    (NameTaken, 403),
)


class RTSPConnection(Protocol):
    """A publisher or a player, within one TCP connection, or with its media in datagrams.

    Args:
        factory: Whose settings it has.
        address: Of the peer.
        refusal: Why it may do nothing; empty where it may.

    Attributes:
        protocol: "rtsp" or "rtsps".
        peer: Its address with the port.
        host: Its address without.
        user_agent: Its program, as it names itself; else empty.
        request: What it was allowed last, to play or to publish; None before.
        verdict: The answer to that.
    """

    _log = Logger()
    transport: Any  # an ITCPTransport that is an IPushProducer too

    def __init__(
        self, factory: RTSPFactory, address: IAddress | None, *, refusal: str = ""
    ) -> None:
        self.factory: RTSPFactory = factory
        self.protocol = factory.protocol_name
        self.peer = peer_of(address)
        self.host = host_of(address)
        self._refusal = refusal
        self._session = ServerSession(
            factory.authority,
            udp=factory.ports is not None,
            multicast=factory.groups is not None,
        )
        self._carriers = Carriers(self, factory.ports, factory.groups)
        self._made_verifier: Verifier | None = None  # hardly anybody is asked for a password
        self._presentation: Presentation | None = None
        self._player: Plays | None = None
        self._address: Address | None = None
        self.request: Request | None = None
        self.verdict: Verdict | None = None
        self._incoming: Incoming | None = None
        self._publication: Publication | None = None
        # What had changed, and when, as that was asked.
        self._asked_after = 0
        self._asked_at = 0.0
        self._deciding: Deferred[None] | None = None
        self._deadline: IDelayedCall | None = None
        self.user_agent = ""
        self._running = False
        self._leaving = False
        self._heard = factory.host.reactor.seconds()

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.outlet: Outlet = self.factory.outlet(self.transport)
        self.outlet.on_drained = self._throttle
        self.factory.connections.add(self, told=bool(self._refusal))

    def dataReceived(self, data: bytes) -> None:
        if self._leaving:
            return
        self._session.receive_data(data)
        self._run()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.connections.remove(self)
        self.outlet.lost()
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._let_go("connection lost", lost=True)

    # What the hub and the factory call

    @property
    def hops(self) -> tuple[str, ...]:
        """Ids of the servers that the stream has passed; see `ntvmedia.media.hops`."""
        return () if self.request is None else self.request.hops

    def dismissed(self, reason: str) -> None:
        """Hang up on a publisher that has lost its stream."""
        self._publication = None
        self._log.info("{peer}: publisher sent away: {reason}", peer=self.peer, reason=reason)
        self._hang_up()

    def player_ended(self, reason: str) -> None:
        """Hang up on a player whose stream is over. Called by what plays."""
        self._player = None
        self._log.info("{peer}: no longer plays: {reason}", peer=self.peer, reason=reason)
        presentation = self._presentation
        if presentation is None or presentation.stream.is_ready:
            self._hang_up()
            return
        # A report told him, and he is about to say goodbye. A connection that is lost before,
        # GStreamer 1.22 makes anew to say it there, and calls the answer an error.
        self._let_go(reason, lost=False)
        self._deadline = self.factory.host.reactor.callLater(GOODBYE_SECONDS, self._forsake)

    def _forsake(self) -> None:
        """Hang up on a player that has not said goodbye, nor asked for anything else since."""
        if self._presentation is None and self._incoming is None:
            self._hang_up()

    def close(self, reason: str) -> None:
        """Hang up, since the server stops."""
        publication, self._publication = self._publication, None
        if publication is not None:
            publication.close(reason, lost=False)
        self._hang_up()

    def tick(self, now: float) -> None:
        """Look after deadlines and reports. Called every second or so."""
        if self._leaving:
            return
        settings = self.factory.settings
        state = self._session.state
        if state is State.RECORDING and self._incoming is not None:
            # Whoever sends nothing is sent away by the hub.
            for place, report in self._incoming.reports(now):
                channels = self._session.tracks[place].interleaved
                if self._carriers.report(place, report):
                    continue
                if channels is not None and not self.outlet.queued_bytes:
                    self.outlet.write(build_interleaved(channels[1], report))
        elif state is State.PLAYING and not self._carriers.plays_datagrams:
            # Whoever takes nothing is cut by the hub: one who does lives (D-TR-09).
            pass
        else:
            has_session = state is not State.INIT
            limit = settings.session_timeout if has_session else settings.idle_timeout
            # Nobody knows who takes datagrams, but for what he says of them.
            heard = max(self._heard, self._carriers.heard_at)
            if now - heard > limit and self._deciding is None:
                self._log.info("{peer}: closed, since it does nothing", peer=self.peer)
                self._hang_up()

    # The session's events

    def _run(self) -> None:
        """Work through what was received, up to a request that has to wait."""
        if self._running or self._leaving:
            return
        self._running = True
        now = self.factory.host.reactor.seconds()
        try:
            for event in self._session.events():
                if type(event) is Interleaved:
                    self._frame_received(event, now)
                    continue
                self._heard = now
                self._handle(event)
                if self._is_leaving():
                    break
        except PeerError as error:
            self._failed(error)
        finally:
            self._running = False
        self._flush()
        if self._publication is not None:
            self._publication.batch_ended()
        self._throttle()

    def _frame_received(self, frame: Interleaved, now: float) -> None:
        place, is_report = self._session.channels[frame.channel]
        incoming, publication = self._incoming, self._publication
        if incoming is None or publication is None:
            # A player's reports.
            return
        if is_report:
            incoming.report_received(place, frame.payload, now)
        else:
            incoming.packet_received(place, frame.payload, now, publication)

    def _handle(self, event: object) -> None:
        if isinstance(event, DescribeRequested):
            self._decide(self._describe(event), event)
        elif isinstance(event, AnnounceRequested):
            self._decide(self._announce(event), event)
        elif isinstance(event, SetupRequested):
            self._decide(self._set_up(event), event)
        elif isinstance(event, PlayRequested):
            self._decide(self._play(event), event)
        elif isinstance(event, RecordRequested):
            self._decide(self._record(event), event)
        elif isinstance(event, PauseRequested):
            if self._player is not None:
                self._player.pause()
            self._session.accept_pause()
        elif isinstance(event, TornDown):
            self._let_go("client left", lost=False)

    def _decide(self, work: Coroutine[Any, Any, None], event: Asked) -> None:
        """Run the answer to a request; this connection owns it until it is done."""
        if self._refusal:
            # One too many (G-RS-03): it is told so, and no more.
            work.close()
            self._refused(Failure(HubFull(self._refusal)), event)
            self._hang_up()
            return
        deciding: Deferred[None] = Deferred.fromCoroutine(work)
        if deciding.called and not deciding.paused:
            deciding.addErrback(self._refused, event)
            return
        self._deciding = deciding
        deciding.addErrback(self._refused, event)
        deciding.addBoth(self._decided)

    def _decided(self, _result: object) -> None:
        self._deciding = None
        if not self.outlet.closed:
            self._throttle()
            self._run()

    def _refused(self, failure: Failure, event: Asked) -> None:
        error = failure.value
        if failure.check(CancelledError):
            return
        status = 500
        if isinstance(error, Refused | PeerError):
            status = next((x for kind, x in _STATUS if isinstance(error, kind)), 400)
            if isinstance(error, Denied):
                status = error.status
        else:
            self._log.failure("{peer}: a decision failed", failure, peer=self.peer)
        self._log.info(
            "{peer}: {method} of {url} refused: {error}",
            peer=self.peer,
            method=event.request.method,
            url=_shown(event.request.url),
            error=error if status != 500 else "internal error",
        )
        if self._session.awaits_answer:
            if isinstance(error, Denied) and error.wants_password:
                self._challenge(event.request)
                return
            location = error.location("rtsp", "rtsps") if isinstance(error, Denied) else ""
            if location:
                self._session.refuse(302, ("Location", location))
            else:
                self._session.refuse(status)
            self._flush()
        else:
            self._hang_up()

    def _challenge(self, request: Message) -> None:
        """Ask for a password; the connection stays, for a person to type it (D-RQ-02)."""
        now = self.factory.host.reactor.seconds()
        if self._session.challenges >= MAX_CHALLENGES:
            self._session.refuse(403)
            self._hang_up()
            return
        header = request.headers.get("authorization", "")
        # What it would be with the right password: only its age is looked at.
        found = self._verifier.verify(header, request.method, request.url, lambda _user: None, now)
        stale = found.outcome is Outcome.STALE
        self._session.challenge(self._verifier.challenges(now, stale=stale))
        self._flush()

    # Playing

    async def _describe(self, event: DescribeRequested) -> None:
        presentation, request, verdict = await self._present(event.target, event.request)
        stream = presentation.stream
        description = describe_stream(
            presentation.sender,
            presentation.tracks,
            stream.key.stream,
            str(int(stream.started_at * 1000)),
        )
        nothing = self._presentation is None and self._incoming is None
        if nothing or self._session.state is State.INIT:
            # Else it only looks: what it has set up already is what it plays or publishes, and what
            # the rules are asked about again.
            self._presentation = presentation
            self._remember(request, verdict)
        hops = told_hops(self.factory.host, request, stream)
        fields = ((HOPS_FIELD, hops),) if hops else ()
        self._session.accept_describe(description, *fields)

    async def _present(
        self, target: str, message: Message
    ) -> tuple[Presentation, Request, Verdict]:
        """Return what a client may play, with what it was allowed. Neither is kept here."""
        address = parse_path(target)
        request = self._request(Action.PLAY, address, message)
        verdict, stream = await allowed_stream(self.factory.host, request)
        presentation = present(target, stream, address.query, self.factory.senders)
        return presentation, request, verdict

    async def _set_up(self, event: SetupRequested) -> None:
        if event.records:
            self._set_up_incoming(event)
            return
        presentation = self._presentation
        if presentation is None or presentation.target != event.target:
            # Some never ask for a description, or have it from somewhere else.
            presentation, request, verdict = await self._present(event.target, event.request)
            self._presentation = presentation
            self._remember(request, verdict)
        place = event.track
        if place is None:
            if len(presentation.tracks) > 1:
                self._session.refuse(459)
                return
            place = 0
        if place >= len(presentation.tracks):
            self._session.refuse(404)
            return
        track = presentation.tracks[place]
        ssrc = presentation.sender.ssrc(track)
        transport = self._carriers.play_track(place, event.offers, presentation)
        self._session.accept_setup(transport._replace(ssrc=ssrc), self._new_id(event))

    async def _play(self, event: PlayRequested) -> None:
        presentation = self._presentation
        if presentation is None:
            raise NotFound("the stream is over")
        player = self._player
        await self._ask_again(begins=player is None)
        if player is None:
            player = self._carriers.player(presentation, self._session.tracks)
        starts = player.starts()
        self._session.accept_play(starts, FROM_NOW)
        self._flush()
        player.play()
        if self._player is None and not self._is_leaving():
            self._player = player
            self._log.info("{peer}: plays {key}", peer=self.peer, key=presentation.stream.key)

    # Publishing

    async def _announce(self, event: AnnounceRequested) -> None:
        address = parse_path(event.target)
        incoming = Incoming(event.description, self.factory.ssrc, self.factory.cname)
        request = self._request(Action.PUBLISH, address, event.request)
        self._remember(request, await allowed(self.factory.host, request))
        self._address, self._incoming = address, incoming
        self._session.accept_announce()

    def _set_up_incoming(self, event: SetupRequested) -> None:
        place = event.track
        assert self._incoming is not None and place is not None
        transport = self._carriers.publish_track(place, event.offers, self._incoming)
        self._session.accept_setup(transport, self._new_id(event))

    async def _record(self, _event: RecordRequested) -> None:
        address = self._address
        await self._ask_again(begins=self._publication is None)
        verdict = self.verdict
        assert address is not None and verdict is not None
        key = verdict.rename or address.key
        if self._publication is None:
            self._publication = self.factory.host.hub.publish(
                key, self, audio_only=verdict.audio_only
            )
            self._log.info("{peer}: publishes {key}", peer=self.peer, key=key)
        self._carriers.record(lambda: self._publication)
        self._session.accept_record()

    # The connection

    @property
    def _verifier(self) -> Verifier:
        """What asks the peer for a password: the same one, since it counts the answers."""
        if self._made_verifier is None:
            self._made_verifier = self.factory.verifier(self.host)
        return self._made_verifier

    def viewer_info(self) -> ViewerInfo:
        """Return who it is that plays, with what it was allowed."""
        return ViewerInfo(self.protocol, self.peer, self.user_agent, "", self.request, self.verdict)

    def _remember(self, request: Request, verdict: Verdict) -> None:
        """Keep what was allowed just now."""
        self.request, self.verdict = request, verdict
        self._asked_after = changes(self.factory.host)
        self._asked_at = self.factory.host.reactor.seconds()

    async def _ask_again(self, *, begins: bool) -> None:
        """Have what was allowed before looked at again: it may be a while ago.

        Args:
            begins: It is not there yet, so that there must be room for it.

        Raises:
            Denied: It is not allowed any more, or there is no room.
        """
        host, request, verdict = self.factory.host, self.request, self.verdict
        if request is None or verdict is None:
            return
        if self._asked_after != changes(host):
            found = await allowed(host, request, again=True, has=verdict.rename)
            if begins and found.rule == ASKED_ONCE:
                raise Denied(
                    "the publish password is another one by now",
                    wants_password=True,
                    rule=ASKED_ONCE,
                )
            # What others said, a new name and a lifetime, holds on.
            now = host.reactor.seconds()
            verdict = aged(verdict, now - self._asked_at)
            verdict = replace(verdict, audio_only=found.audio_only)
            self._remember(request, verdict)
        elif begins:
            now = host.reactor.seconds()
            self._remember(request, aged(verdict, now - self._asked_at))
        if begins:
            check_room(host, request, verdict)

    def _request(self, action: Action, address: Address, message: Message) -> Request:
        self.user_agent = message.headers.get("user-agent", "") or self.user_agent
        header = message.headers.get("authorization", "")
        now = self.factory.host.reactor.seconds()

        def proves(password: str) -> bool:
            found = self._verifier.verify(
                header, message.method, message.url, lambda _user: password, now
            )
            return found.outcome is Outcome.ACCEPTED

        return Request(
            action,
            address.key,
            self.protocol,
            self.peer,
            address.query,
            "",
            self.user_agent,
            proves if header else None,
            address=asked_at(message.url),
            hops=read_hops(message.headers.get(_HOPS_FIELD, "")),
        )

    def _new_id(self, event: SetupRequested) -> str:
        return event.session_id or self.factory.host.random(_ID_BYTES).hex()

    def _flush(self) -> None:
        data = self._session.data_to_send()
        if data:
            self.outlet.write(data)

    def _throttle(self) -> None:
        """Read nothing while a request waits for its answer, or answers for the client."""
        if self._deciding is not None or self.outlet.queued_bytes > MAX_WAITING_BYTES:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    def _failed(self, error: PeerError) -> None:
        self._log.info("{peer}: {error}", peer=self.peer, error=error)
        self._flush()
        self._let_go("protocol error", lost=True)
        self._hang_up()

    def _hang_up(self) -> None:
        """Disconnect as soon as what was said has been taken, or after a while."""
        if self._leaving or self.outlet.closed:
            return
        self._leaving = True
        self._flush()
        self._let_go("connection closed", lost=False)
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self.outlet.close()
        self._deadline = self.factory.host.reactor.callLater(GOODBYE_SECONDS, self.outlet.abort)

    def _is_leaving(self) -> bool:
        return self._leaving

    def _let_go(self, reason: str, *, lost: bool) -> None:
        """Give back everything that others hold for this connection. Idempotent."""
        deciding, self._deciding = self._deciding, None
        if deciding is not None:
            deciding.cancel()
        player, self._player = self._player, None
        if player is not None:
            player.leave()
        self._carriers.close()
        publication, self._publication = self._publication, None
        incoming, self._incoming = self._incoming, None
        if publication is not None:
            if incoming is not None:
                incoming.flush(self.factory.host.reactor.seconds(), publication)
            publication.close(reason, lost=lost)
        self._presentation = None


def _shown(text: str) -> str:
    """Cut and clean what a peer sent, for a log line; what may be a secret is left out."""
    return ascii(text.partition("?")[0].rpartition("@")[2][:100])[1:-1]
