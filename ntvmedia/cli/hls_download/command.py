"""`ntvmedia hls-download`: from the address to the file (P-901)."""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from ntvmedia.cli.failures import Failed
from ntvmedia.cli.hls_download.downloads import Downloads, gather
from ntvmedia.cli.hls_download.folder import VERSION, WorkFolder, header_of
from ntvmedia.cli.hls_download.following import (
    Following,
    Made,
    Part,
    Source,
    Window,
    load_media_playlist,
    made,
    plan,
)
from ntvmedia.cli.hls_download.merging import Worker, job_of, start_worker
from ntvmedia.cli.hls_download.network import manner, new_outbound
from ntvmedia.cli.hls_download.options import add_options
from ntvmedia.cli.hls_download.progress import Progress, clock, new_progress, size
from ntvmedia.cli.hls_download.running import Interrupted, run
from ntvmedia.cli.hls_download.selection import as_list, choose
from ntvmedia.clients.hls.loader import Loader, LoadError
from ntvmedia.formats.m3u8 import MediaPlaylist
from ntvmedia.media.packets import MediaKind
from ntvmedia.outbound import parse_target
from ntvmedia.outbound.client import Outbound
from ntvmedia.wire.hls.resources import resolve

_TICK_SECONDS: Final = 0.25

_MAX_NAME_BYTES: Final = 200


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
        run(reactor, _Command(reactor, options, out, outbound, progress).run)
    except OSError as error:
        raise Failed(f"{error.filename or out}: {error.strerror or error}") from None
    except Interrupted as interrupted:
        progress.end()
        sys.stderr.write("ntvmedia: interrupted; the same command goes on\n")
        raise SystemExit(128 + interrupted.number) from None
    finally:
        progress.end()


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
        path = out.with_name(f"{out.name}.download")
        sources, parts = await self._sources_and_parts(path)
        # What was begun live goes on so, though the stream may be over now: its list has only the
        # end of it.
        is_live = not all(source.playlist.ended for source in sources)
        wanted = {**_wanted(options, parts), "live": is_live}
        as_live = {"version": VERSION, **wanted, "live": True}
        other = {"query": ""} if options.resume else {}
        if header_of(path) | other == as_live | other:
            wanted["live"] = is_live = True
        folder = WorkFolder(path, wanted, force=options.force, resume=options.resume)
        # It gets ready while segments are loaded.
        worker = start_worker(self._reactor)
        try:
            places: Sequence[range | None] = [None] * len(parts)
            problem = ""
            if sources:
                places, problem = await self._load(sources, folder, is_live=is_live)
            have = [made(folder, *place) for place in enumerate(places)]
            if not any(part.loaded for part in have):
                raise Failed("there are no segments")
            step = sources[0].playlist.duration_step if sources else 0.0
            merged = await self._merge(worker, folder, parts, have, step)
            _publish(merged, out, force=options.force)
            folder.remove()
        except BaseException:
            if not folder.entries:
                folder.remove()
            raise
        finally:
            worker.close()
            folder.close()
        if problem:
            raise Failed(f"{out}: it ends where this happened: {problem}")

    async def _sources_and_parts(self, path: Path) -> tuple[Sequence[Source], Sequence[Part]]:
        """Load the playlists of what is wanted.

        Args:
            path: Of the folder that has the rest of an earlier try, perhaps.

        Returns:
            The playlists, and what they are to the file. There are none where they cannot be had
            any more, and the file is to be made of what is there.
        """
        try:
            sources = await self._sources()
        except LoadError as error:
            left = header_of(path).get("sources") if self._options.partial else None
            if not left:
                raise
            self._progress.say(f"{error}; the file is made of what was loaded before")
            return (), [
                Part(name, language, None if only is None else MediaKind(only))
                for name, language, only in left
            ]
        return sources, [source.part for source in sources]

    async def _sources(self) -> list[Source]:
        options, load = self._options, self._loader
        playlist, base = await load.playlist(options.url)
        if isinstance(playlist, MediaPlaylist):
            return [Source(0, Part(), options.url, playlist, base)]
        choice = choose(playlist, options.variant, options.audio)
        wanted = [(Part(f"{x.name} {x.language}", x.language), x.uri) for x in choice.audio]
        if choice.has_muxed_audio or not (choice.is_audio_only and wanted):
            variant = choice.variant
            only = None if choice.has_muxed_audio else MediaKind.VIDEO
            size = f"{variant.width}x{variant.height}"
            wanted.insert(0, (Part(size, "", only), variant.uri))
        sources = []
        for number, (part, uri) in enumerate(wanted):
            url = resolve(base, uri)
            found, its_base = await load_media_playlist(load, url, playlist.variables)
            sources.append(Source(number, part, url, found, its_base, playlist.variables))
        return sources

    async def _load(
        self, sources: Sequence[Source], folder: WorkFolder, *, is_live: bool
    ) -> tuple[Sequence[range | None], str]:
        """Load the segments.

        Args:
            sources: Where they are listed.
            folder: Where they go.
            is_live: They come one after the other, or have come so before.

        Returns:
            What of each source is wanted, None for all that was loaded; and why it is less than
            was wanted, or nothing.
        """
        options = self._options
        window = Window(options.begin, options.end, options.duration)
        downloads = Downloads(
            self._loader, folder, self._progress, jobs=options.jobs, partial=options.partial
        )
        if not is_live:
            return await self._load_all(sources, window, downloads), ""
        is_placed = window.begin is not None or window.end is not None
        if is_placed and any(source.playlist.kind != "EVENT" for source in sources):
            raise Failed("the stream is live: --from and --to mean nothing; --duration does")
        return [None] * len(sources), await self._load_live(sources, window, downloads, folder)

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
    ) -> str:
        begin, end = window.span
        self._progress.begin("loading", None if math.isinf(end) else end - begin)
        followings = [
            Following(
                self._reactor,
                self._loader,
                downloads,
                folder,
                self._progress,
                source,
                window,
            )
            for source in sources
        ]
        # What was begun at another time says where, for the others too.
        beside = next((x.began_at for x in followings if x.began_at is not None), None)
        for following in followings:
            began = following.begin(beside)
            beside = beside or began

        async def follow() -> None:
            await gather([Deferred.fromCoroutine(x.run()) for x in followings])
            downloads.close()

        await gather([Deferred.fromCoroutine(x) for x in (downloads.run(), follow())])
        return next((x.problem for x in followings if x.problem), "")

    async def _merge(
        self,
        worker: Worker,
        folder: WorkFolder,
        parts: Sequence[Part],
        have: Sequence[Made],
        step: float,
    ) -> Path:
        """Put together what was loaded; return where it is.

        Args:
            worker: Does it.
            folder: Where it is.
            parts: What is what.
            have: How much of each there is.
            step: To how many seconds the playlist's durations were rounded.
        """
        wanted = have[0].seconds
        progress = self._progress
        progress.begin("merging", wanted)

        def progressed(seconds: float) -> None:
            progress.done = seconds

        merged = folder.merged_path
        sources = [
            {
                "first": there.first,
                "last": there.last,
                "language": part.language,
                "only": part.only,
            }
            for part, there in zip(parts, have, strict=True)
        ]
        options = self._options
        # In the middle of a stream sound and pictures do not begin at once.
        trims = not Window(options.begin, options.end, options.duration).is_whole
        job = job_of(folder.path, sources, merged, trims=trims)
        result = await worker.merge(job, progressed)
        progress.done = wanted
        seconds = result["seconds"]
        # The playlist's own numbers are rounded.
        allowed = result["frame_seconds"] * (result["discontinuities"] + 1 + trims)
        allowed += step / 2 * (have[0].last - have[0].first + 1)
        if abs(seconds - wanted) > allowed:
            progress.say(f"the file is {seconds:.3f} s long; the playlist says {wanted:.3f} s")
        if result["unknown"]:
            progress.say(f"left out, since it cannot be carried: {', '.join(result['unknown'])}")
        elif result["left_out"]:
            progress.say(f"{result['left_out']} pictures or sounds were broken, and are left out")
        progress.say(f"{self._out}: {clock(result['seconds'])}, {size(result['size'])}")
        return merged


def _wanted(options: argparse.Namespace, parts: Sequence[Part]) -> dict[str, Any]:
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
        "sources": [list(part) for part in parts],
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
    # File systems have 255 bytes for a name, and that of the folder is longer.
    name = name.lstrip(".-").encode("utf-8", "replace")[:_MAX_NAME_BYTES].decode("utf-8", "ignore")
    return Path(f"{name or 'download'}.mp4")


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
