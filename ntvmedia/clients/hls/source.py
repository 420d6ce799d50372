"""HLS as a source: begun where players begin, joined on one timeline, never faster than life."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Mapping, Sequence
from http.cookiejar import CookieJar
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ntvmedia.avtools.job import Job, PacketsInput, limits_of
from ntvmedia.avtools.process import RunningJob, run_job
from ntvmedia.clients.copies import copies
from ntvmedia.clients.hls.channel import Channel, Place, any_playlist, media_playlist, remote
from ntvmedia.clients.hls.choosing import choose
from ntvmedia.clients.hls.loader import Loader, LoadError, Manner
from ntvmedia.clients.hls.pieces import NothingYet
from ntvmedia.clients.hls.retries import TRANSIENT, Retries
from ntvmedia.clients.pacing import Manner as Pace, Pacer
from ntvmedia.errors import PeerError, RemoteError
from ntvmedia.formats.hls_joining import Joiner, Source
from ntvmedia.formats.m3u8 import MediaPlaylist
from ntvmedia.interfaces import IHost, IPullSink
from ntvmedia.media.packets import MediaKind, Packet, Track
from ntvmedia.media.relaying import OutputOptions, PullOptions
from ntvmedia.outbound import origin_of, parse_target
from ntvmedia.wire.hls.follower import Identity
from ntvmedia.wire.hls.resources import resolve

PACE: Final = Pace(1.0, 1.0, held_seconds=2.0)
"""Little waits here: what is not wanted yet stays in its segment. What is late has lost its time:
a stream that goes on in bursts, each as long as a segment, is of no use to anybody."""

RETRIES: Final = Retries(times=3, first_seconds=0.5, longest_seconds=2.0, statuses=TRANSIENT)
"""Of each thing that is loaded: a live stream does not wait for long."""

HURRY: Final = 1.02
BEHIND_TARGETS: Final = 2
"""A live stream whose clock is faster than ours is shown a little faster, once it is that many
target durations further behind than it was to be; nobody sees or hears two percent."""

# Packets that are joined in one turn of the reactor.
_SLICE: Final = 200

_RENEW_SECONDS: Final = 30.0

# In `PullOptions.memory`: the last segment of each list that was begun, by the list's number; and
# whether the lists had ended when a pull began that did not go on from another.
_SEGMENTS: Final = "hls.segments"
_FILM: Final = "hls.film"


class HLSPull:
    """A pull of one stream.

    Args:
        host: The server.
        url: Of its playlist, as typed.
        options: How.
        outputs: What is made of it, and who gets it; one or more.
        fields: Header fields for all servers that are asked.
    """

    def __init__(
        self,
        host: IHost,
        url: str,
        options: PullOptions,
        outputs: Sequence[tuple[OutputOptions, IPullSink]],
        fields: Mapping[str, str],
    ) -> None:
        self._reactor: Any = host.reactor
        self._url = url
        self._options = options
        self._outputs = outputs
        self._first = outputs[0][1]
        authorization = parse_target(url).authorization
        manner = Manner(
            fields,
            # A playlist does not repeat the password for what it names on its own server.
            {origin_of(url): {"Authorization": authorization}} if authorization else {},
            CookieJar(),
            options.stall_seconds,
            RETRIES,
        )
        self._loader = Loader(self._reactor, host.outbound, manner, self._first.noted)
        self._done: Deferred[None] = Deferred()
        # Why it ends as soon as all that was loaded has been given on.
        self._loss: Failure | None = None
        self._memory = {} if options.memory is None else options.memory
        self._given: dict[int, Identity] = self._memory.setdefault(_SEGMENTS, {})
        self._is_complete = False
        self._channels: list[Channel] = []
        self._joiner: Joiner | None = None
        self._joined: Iterator[Packet] | None = None
        self._tracks: dict[int, Track] = {}
        self._turn: IDelayedCall | None = None
        self._job: RunningJob | None = None
        self._pacer: Pacer | None = None
        self._ends = False
        self._renewed_at = -_RENEW_SECONDS
        self._tasks: list[Deferred[None]] = []

    async def run(self) -> None:
        """Pull until the end.

        Raises:
            RemoteError: It did not get that far.
        """
        try:
            sources = await self._begin()
            if not any(channel.is_continued for channel in self._channels):
                self._memory[_FILM] = not any(channel.is_live for channel in self._channels)
            if all(channel.has_nothing for channel in self._channels):
                # All that there is of a stream that is over was given on before.
                self._is_complete = True
                return
            self._joiner = Joiner(sources)
            self._pacer = Pacer(self._reactor, self._sink(), PACE, resumed=self._pump)
            for channel in self._channels:
                self._start(channel.follow())
                self._start(channel.load())
            await self._done
            if self._job is not None:
                self._job.end()
                await self._job.done
            self._is_complete = True
        except PeerError as error:
            raise remote(error) from None
        finally:
            self._stop()
            self._remember()

    def _sink(self) -> Any:
        """Return what takes the packets: the outputs, or the child that makes them."""
        outputs = tuple(output for output, _sink in self._outputs)
        if all(output.is_copy for output in outputs):
            return copies(self._outputs)
        job = Job(PacketsInput(), outputs, limits=limits_of(outputs))
        self._job = run_job(self._reactor, job, [sink for _output, sink in self._outputs])
        self._job.done.addErrback(self._failed)
        return self._job

    async def _begin(self) -> list[Source]:
        """Load the playlists, and begin with each of them."""
        playlist, base = await any_playlist(self._loader, Place(self._url))
        if isinstance(playlist, MediaPlaylist):
            # From now on it is asked for where a redirect led: there its session is.
            self._add(Place(base)).begin(playlist, base)
            return [Source(self._channels[0].pieces)]
        choice = choose(playlist)
        place = Place(resolve(base, choice.variant.uri), playlist.variables)
        variant, variant_base = await media_playlist(self._loader, place)
        number = self._add(place).begin(variant, variant_base)
        sound = choice.audio
        if sound is None:
            return [Source(self._channels[0].pieces)]
        place = Place(resolve(base, sound.uri), playlist.variables)
        audio, audio_base = await media_playlist(self._loader, place)
        self._add(place).begin(audio, audio_base, number)
        video, sounds = (channel.pieces for channel in self._channels)
        return [
            Source(video, only=MediaKind.VIDEO),
            Source(sounds, sound.language, MediaKind.AUDIO),
        ]

    def _add(self, place: Place) -> Channel:
        number = len(self._channels)

        async def renew(error: RemoteError) -> Place:
            return await self._renew(number, error)

        channel = Channel(
            self._reactor,
            self._loader,
            place,
            self._options.stall_seconds,
            self._pump,
            self._first.noted,
            renew,
            self._given.get(number),
        )
        self._channels.append(channel)
        return channel

    async def _renew(self, number: int, error: RemoteError) -> Place:
        """Find where a list is that is gone: another variant may be there, or another session.

        Raises:
            RemoteError: It is gone for good, or was looked for a moment ago.
        """
        now = self._reactor.seconds()
        if number == 0 and now - self._renewed_at < _RENEW_SECONDS:
            raise error
        self._renewed_at = now
        self._first.noted(f"{error}; the stream is looked for again")
        playlist, base = await any_playlist(self._loader, Place(self._url))
        if isinstance(playlist, MediaPlaylist):
            return Place(base)
        choice = choose(playlist)
        uri = choice.variant.uri
        if number:
            if choice.audio is None:
                raise RemoteError("the sound is not in the playlist any more")
            uri = choice.audio.uri
        return Place(resolve(base, uri), playlist.variables)

    def _start(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        task = Deferred.fromCoroutine(work)
        self._tasks.append(task)
        task.addErrback(self._lost)

    def _lost(self, failure: Failure) -> None:
        """Give on what is loaded, and end, since a part of it cannot go on.

        So nothing is left out, and the next pull goes on with what follows.
        """
        if failure.check(CancelledError) or self._done.called or self._loss is not None:
            return
        self._loss = failure
        for task in self._tasks:
            task.cancel()
        for channel in self._channels:
            channel.pieces.is_over = True
        self._pump()

    def _failed(self, failure: Failure) -> None:
        """End all, since a part of it cannot go on."""
        if failure.check(CancelledError) or self._done.called:
            return
        error = failure.value
        if isinstance(error, LoadError | PeerError):
            failure = Failure(remote(error))
        self._done.errback(failure)

    def _pump(self) -> None:
        """Join what is there, if somebody takes it."""
        if self._turn is None and not self._done.called:
            self._turn = self._reactor.callLater(0, self._join)

    def _join(self) -> None:
        self._turn = None
        pacer, joiner = self._pacer, self._joiner
        if pacer is None or joiner is None or self._ends or pacer.is_full:
            return
        try:
            is_more = self._give(joiner, pacer)
        except PeerError as error:
            message = f"what came is broken: {error.args[0]}"
            self._failed(self._loss or Failure(RemoteError(message)))
            return
        except Exception:
            self._failed(Failure())
            return
        pacer.batch_ended()
        self._keep_up(pacer)
        for channel in self._channels:
            channel.look()
        if is_more and not self._done.called:
            self._pump()

    def _give(self, joiner: Joiner, pacer: Pacer) -> bool:
        """Give on a slice of what is there; return whether there is more."""
        if self._joined is None:
            # After it wanted what was not there, it goes on where it was.
            self._joined = iter(joiner)
        joined, tracks = self._joined, self._tracks
        try:
            for _count in range(_SLICE):
                packet = next(joined)
                track = packet[0]
                if tracks.get(track.id) is not track:
                    tracks[track.id] = track
                    pacer.track_received(track)
                pacer.packet_received(packet)
                if pacer.is_full:
                    return False
        except NothingYet:
            self._joined = None
            if not tracks and joiner.unread:
                raise _unusable(joiner) from None
            return False
        except StopIteration:
            self._ends = True
            pacer.end().addCallback(self._ended)
            return False
        return True

    def _ended(self, _result: object) -> None:
        if self._loss is not None:
            self._failed(self._loss)
        elif not self._done.called:
            self._done.callback(None)

    def _keep_up(self, pacer: Pacer) -> None:
        """Show a live stream a little faster, if it is far behind, until it is not."""
        channel = self._channels[0]
        if not channel.is_live:
            return
        behind = channel.behind_seconds + pacer.held_seconds
        edge = channel.edge_seconds
        if behind > edge * (1 + BEHIND_TARGETS / 3):
            pacer.speed_changed(HURRY)
        elif behind <= edge:
            pacer.speed_changed(1.0)

    def _stop(self) -> None:
        """Give everything back."""
        if not self._done.called:
            self._done.callback(None)
        if self._pacer is not None:
            self._pacer.stop()
        if self._turn is not None:
            self._turn.cancel()
        for task in self._tasks:
            task.cancel()
        if self._job is not None:
            self._job.stop()

    def _remember(self) -> None:
        """Note where the next pull goes on."""
        for number, channel in enumerate(self._channels):
            if channel.pieces.last is not None:
                self._given[number] = channel.pieces.last
        if self._is_complete and self._memory.get(_FILM):
            # It may be played once more, from its beginning.
            self._given.clear()


def _unusable(joiner: Joiner) -> RemoteError:
    names = ", ".join(sorted(joiner.unread))
    return RemoteError(f"{names} is not supported", is_permanent=True)
