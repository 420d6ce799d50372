"""`ntvmedia hls-download`: from the address to the file (P-901)."""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from ntvmedia.cli.failures import Failed
from ntvmedia.cli.hls_download.downloads import Downloads, gather
from ntvmedia.cli.hls_download.folder import WorkFolder
from ntvmedia.cli.hls_download.following import (
    Following,
    Made,
    Source,
    Window,
    load_media_playlist,
    made,
    plan,
)
from ntvmedia.cli.hls_download.merging import job_of, merge
from ntvmedia.cli.hls_download.network import manner, new_outbound
from ntvmedia.cli.hls_download.options import add_options
from ntvmedia.cli.hls_download.progress import Progress, clock, new_progress, size
from ntvmedia.cli.hls_download.selection import as_list, choose
from ntvmedia.clients.hls.loader import Loader
from ntvmedia.formats.m3u8 import MediaPlaylist
from ntvmedia.media.packets import MediaKind
from ntvmedia.outbound import parse_target
from ntvmedia.outbound.client import Outbound
from ntvmedia.wire.hls.resources import resolve

_TICK_SECONDS: Final = 0.25

# Signals that end it, and what a shell makes of them as a status.
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """Somebody ended the command.

    Attributes:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `ntvmedia hls-download` its options."""
    add_options(parser)
    parser.set_defaults(run=download)


def download(options: argparse.Namespace) -> None:
    """Do what the options say.

    Raises:
        Failed: It cannot be done; what was loaded is kept.
        NtvMediaError: Likewise.
        SystemExit: Somebody interrupted it.
    """
    out = (
        None if options.list else _checked(options.output or _default_output(options.url), options)
    )
    # Only now: whoever imports this module may want another reactor, or none.
    from twisted.internet import reactor

    # Names are looked up before it runs: what waits for a name server ends by Ctrl-C.
    outbound = new_outbound(reactor, options)
    progress = new_progress(sys.stderr)
    try:
        _run(reactor, _Command(reactor, options, out, outbound, progress).run)
    except OSError as error:
        raise Failed(f"{error.filename or out}: {error.strerror or error}") from None
    except Interrupted as interrupted:
        progress.end()
        sys.stderr.write("ntvmedia: interrupted; the same command goes on\n")
        raise SystemExit(128 + interrupted.number) from None
    finally:
        progress.end()


def _run(reactor: Any, work: Any) -> None:
    """Run the reactor until some work is done.

    Raises:
        Interrupted: A signal came.
        Exception: What the work failed with.
    """
    outcomes: list[Failure | None] = []
    signals: list[int] = []

    def interrupted(number: int, _frame: object) -> None:
        # The second time, it ends at once.
        signal.signal(number, signal.SIG_DFL)
        signals.append(number)
        reactor.callFromThread(working[0].cancel)

    def done(outcome: Failure | None) -> None:
        outcomes.append(outcome)
        reactor.stop()

    working: list[Deferred[None]] = []

    def begin() -> None:
        # In place of the reactor's own, which would stop it with the work half done.
        for number in _SIGNALS:
            signal.signal(number, interrupted)
        working.append(Deferred.fromCoroutine(work()))
        working[0].addBoth(done)

    reactor.callWhenRunning(begin)
    reactor.run()
    if signals or not outcomes:
        raise Interrupted(signals[0] if signals else signal.SIGINT)
    if outcomes[0] is not None:
        outcomes[0].raiseException()


class _Command:
    """One run of the command."""

    def __init__(
        self,
        reactor: Any,
        options: argparse.Namespace,
        out: Path | None,
        outbound: Outbound,
        progress: Progress,
    ) -> None:
        self._reactor = reactor
        self._options = options
        self._out = out
        self._outbound = outbound
        self._progress = progress
        self._loader = Loader(reactor, outbound, manner(options), progress.say)

    async def run(self) -> None:
        """Do it."""
        ticks = LoopingCall(self._progress.tick)
        ticks.clock = self._reactor
        try:
            ticks.start(_TICK_SECONDS, now=False)
            if self._out is None:
                await self._list()
            else:
                await self._download(self._out)
        finally:
            ticks.stop()
            await self._outbound.close()

    async def _list(self) -> None:
        playlist, _base = await self._loader.playlist(self._options.url)
        self._progress.end()
        if isinstance(playlist, MediaPlaylist):
            length = clock(sum(segment.duration for segment in playlist.segments))
            state = "has ended" if playlist.ended else "is live"
            sys.stdout.write(
                f"a media playlist without variants: it has {len(playlist.segments)} segments of "
                f"{length}, and {state}\n"
            )
        else:
            sys.stdout.write(as_list(playlist))

    async def _download(self, out: Path) -> None:
        options = self._options
        window = Window(options.begin, options.end, options.duration)
        sources = await self._sources()
        folder = WorkFolder(
            out.with_name(f"{out.name}.download"),
            _wanted(options),
            force=options.force,
            resume=options.resume,
        )
        try:
            downloads = Downloads(
                self._loader,
                folder,
                self._progress,
                jobs=options.jobs,
                partial=options.partial,
            )
            if all(source.playlist.ended for source in sources):
                parts = await self._load_all(sources, window, downloads)
            else:
                parts = await self._load_live(sources, window, downloads, folder)
            have = [made(folder, *part) for part in enumerate(parts)]
            if not any(part.seconds for part in have):
                raise Failed("there are no segments")
            merged = await self._merge(folder, sources, have, trims=not window.is_whole)
            _publish(merged, out, force=options.force)
            folder.remove()
        except BaseException:
            if not folder.entries:
                folder.remove()
            raise
        finally:
            folder.close()

    async def _sources(self) -> list[Source]:
        """Load the playlists of what is wanted."""
        options, load = self._options, self._loader
        url = options.url
        playlist, base = await load.playlist(url)
        if isinstance(playlist, MediaPlaylist):
            return [Source(0, url, playlist, base)]
        choice = choose(playlist, options.variant, options.audio)
        names: list[tuple[str, str, MediaKind | None]] = [
            (rendition.uri, rendition.language, None) for rendition in choice.audio
        ]
        if choice.has_muxed_audio or not (choice.is_audio_only and names):
            only = None if choice.has_muxed_audio else MediaKind.VIDEO
            names.insert(0, (choice.variant.uri, "", only))
        sources = []
        for number, (uri, language, only) in enumerate(names):
            url = resolve(base, uri)
            found, found_base = await load_media_playlist(load, url, playlist.variables)
            sources.append(
                Source(number, url, found, found_base, playlist.variables, language, only)
            )
        return sources

    async def _load_all(
        self, sources: Sequence[Source], window: Window, downloads: Downloads
    ) -> list[range | None]:
        self._progress.begin("loading", None)
        parts: list[range | None] = [plan(source, window, downloads) for source in sources]
        segments = sources[0].playlist.segments
        places = parts[0] or range(0)
        self._progress.total = sum(segments[place].duration for place in places)
        downloads.close()
        await downloads.run()
        return parts

    async def _load_live(
        self,
        sources: Sequence[Source],
        window: Window,
        downloads: Downloads,
        folder: WorkFolder,
    ) -> list[range | None]:
        if window.begin is not None or window.end is not None:
            raise Failed("the stream is live: --from and --to mean nothing; --duration does")
        self._progress.begin("loading", window.duration)
        followings = [
            Following(
                self._reactor,
                self._loader,
                downloads,
                folder,
                self._progress,
                source,
                window.duration,
            )
            for source in sources
        ]
        beside = None
        for following in followings:
            beside = following.begin(beside) or beside

        async def follow() -> None:
            await gather([Deferred.fromCoroutine(x.run()) for x in followings])
            downloads.close()

        await gather([Deferred.fromCoroutine(x) for x in (downloads.run(), follow())])
        return [None] * len(sources)

    async def _merge(
        self, folder: WorkFolder, sources: Sequence[Source], have: Sequence[Made], *, trims: bool
    ) -> Path:
        """Put together what was loaded; return where it is."""
        wanted = have[0].seconds
        progress = self._progress
        progress.begin("merging", wanted)

        def progressed(seconds: float) -> None:
            progress.done = seconds

        merged = folder.path / "merged"
        parts = [
            {
                "first": part.first,
                "last": part.last,
                "language": source.language,
                "only": source.only,
            }
            for source, part in zip(sources, have, strict=True)
        ]
        result = await merge(
            self._reactor, job_of(folder.path, parts, merged, trims=trims), progressed
        )
        progress.done = wanted
        seconds = result["seconds"]
        # The playlist's own numbers are rounded.
        step = sources[0].playlist.duration_step
        allowed = result["frame_seconds"] * (result["discontinuities"] + 1)
        allowed += step / 2 * (have[0].last - have[0].first + 1)
        if abs(seconds - wanted) > allowed:
            progress.say(f"the file is {seconds:.3f} s long; the playlist says {wanted:.3f} s")
        if result["unknown"]:
            progress.say(f"left out, since MP4 cannot carry it: {', '.join(result['unknown'])}")
        elif result["left_out"]:
            progress.say(f"{result['left_out']} pictures or sounds were broken, and are left out")
        progress.say(f"{self._out}: {clock(seconds)}, {size(result['size'])}")
        return merged


def _wanted(options: argparse.Namespace) -> dict[str, Any]:
    """Return what tells this download from others."""
    target = parse_target(options.url)
    path, _mark, query = target.url.partition("?")
    # What is in a query may be secret.
    digest = hashlib.sha256(query.encode("ascii")).hexdigest() if query else ""
    return {
        "url": path,
        "query": digest,
        "variant": options.variant,
        "audio": options.audio,
    }


def _checked(out: Path, options: argparse.Namespace) -> Path:
    """Look whether a file can be made.

    Raises:
        Failed: It cannot.
    """
    if out.is_dir():
        raise Failed(f"{out}: it is a folder")
    if not out.parent.is_dir():
        raise Failed(f"{out.parent}: there is no such folder")
    if os.path.lexists(out) and not options.force:
        raise Failed(f"{out}: it is there already; --force replaces it")
    return out


def _default_output(url: str) -> Path:
    """Return the playlist's name, as one for a file in this folder."""
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    name = name.removesuffix(".m3u8").removesuffix(".m3u")
    name = "".join(x if x.isprintable() and x not in '/\\:*?"<>|' else "_" for x in name)
    return Path(f"{name.lstrip('.-')[:100] or 'download'}.mp4")


def _publish(merged: Path, out: Path, *, force: bool) -> None:
    """Give the file its name.

    Raises:
        Failed: Somebody else has made one meanwhile.
    """
    if force:
        merged.replace(out)
    else:
        try:
            os.link(merged, out)
        except FileExistsError:
            raise Failed(f"{out}: it is there already; --force replaces it") from None
        except OSError:
            # Not all file systems have links.
            if os.path.lexists(out):
                raise Failed(f"{out}: it is there already; --force replaces it") from None
            merged.rename(out)
    folder = os.open(out.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
