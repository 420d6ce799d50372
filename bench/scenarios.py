"""What is measured: for each row of the table of goals, which runs, and which of their figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench import measure_relays as relaying
from bench.measure import (
    FanOut,
    Publishing,
    measure_fan_out,
    measure_http,
    measure_latencies,
    measure_publishers,
    nginx_file_like,
)
from bench.measure_admin import measure_joins, measure_pages
from bench.measure_download import measure_download
from bench.measure_hls import HLSLoad, Polling, capture_hls, measure_hls, measure_polling
from bench.measure_ll import measure_blocked
from bench.measure_mux import measure_muxer_alone, measure_muxing, measure_watched
from bench.players import FLV, RTMP, RTSP, RTSP_UDP, WEBSOCKET
from bench.report import Figure, Metrics
from bench.servers import NginxFiles, NginxRTMP, NodeMediaServer, Ours, Server
from bench.slowserver import FAR, NEAR, Line
from bench.source import TWO_MEGABITS, Source, load_source
from bench.transcoding import measure_ffmpeg, measure_ours

OURS: Final = "ours"
NGINX: Final = "nginx"
NODE: Final = "node"


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured.

    Attributes:
        players: Overrides a scenario's number of players.
        publishers: In `publishers`.
        tick_seconds: Each of those sends this seldom; 0: every frame when it is due.
        seconds: The length of a window.
        settings: `--set` for our server.
        http_path: What `http` asks our server for.
        http_rate: Requests a second in `hls-segments` and `hls-playlists`, instead of their own; 0:
            each viewer asks again as soon as it is answered.
        server_core: The servers' CPU.
        generator_core: That of everybody else.
    """

    players: int | None
    publishers: int
    tick_seconds: float
    seconds: float
    settings: tuple[str, ...]
    http_path: str
    http_connections: int
    http_rate: float | None
    server_core: int
    generator_core: int

    def counts(self, *usual: int) -> tuple[int, ...]:
        """Return a scenario's numbers of players."""
        return usual if self.players is None else (self.players,)


@dataclass(frozen=True, slots=True)
class Cell:
    """One server under one load: a row of a table."""

    label: str
    server: str
    run: Callable[[], Metrics]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Runs to alternate between, and the figures to read from them."""

    cells: tuple[Cell, ...]
    figures: tuple[Figure, ...]


class Bench:
    """Makes the scenarios."""

    def __init__(self, source: Source, options: Options) -> None:
        self._source = source
        self._options = options
        self._files: dict[str, bytes] = {}

    def scenario(self, name: str) -> Scenario:
        """Return the scenario of this name, one of `SCENARIOS`."""
        return SCENARIOS[name](self)

    def fanout(self) -> Scenario:
        """RTMP players, default settings, against nginx-rtmp."""
        cells, figures = [], []
        for count in self._options.counts(500, 1000):
            ours, nginx = f"ours, {count} RTMP players", f"nginx-rtmp, {count} RTMP players"
            cells += [
                self._fan_out(ours, OURS, FanOut(RTMP, count, 100, self._seconds)),
                self._fan_out(nginx, NGINX, FanOut(RTMP, count, 100, self._seconds)),
            ]
            figures += [
                Figure(f"CPU s per GB, {count} players", "cpu_per_gb", ours, nginx, 0.20, 0.13),
                Figure(f"largest gap p99, {count} players, ms", "gap_p99", ours, None, 420),
                _complete(f"least bytes, {count} players, % of the source", ours),
            ]
        return Scenario(tuple(cells), tuple(figures))

    def flv(self) -> Scenario:
        """HTTP-FLV players against RTMP players of our own."""
        cells, figures = [], []
        for count in self._options.counts(500, 1000):
            rtmp, flv = f"ours, {count} RTMP players", f"ours, {count} HTTP-FLV players"
            cells += [
                self._fan_out(rtmp, OURS, FanOut(RTMP, count, 100, self._seconds)),
                self._fan_out(flv, OURS, FanOut(FLV, count, 100, self._seconds)),
            ]
            figures += [
                Figure(f"CPU s per GB, {count} players", "cpu_per_gb", flv, rtmp, 1.1, 1.0),
                Figure(f"largest gap p99, {count} players, ms", "gap_p99", flv, None, 420),
                _complete(f"least bytes, {count} players, % of the source", flv),
            ]
        return Scenario(tuple(cells), tuple(figures))

    def low(self) -> Scenario:
        """`hub.latency=low` against nginx-rtmp."""
        cells, figures = [], []
        for count in self._options.counts(500):
            ours, nginx = f"ours (low), {count} RTMP players", f"nginx-rtmp, {count} RTMP players"
            load = FanOut(RTMP, count, 100, self._seconds)
            cells += [
                self._fan_out(ours, OURS, load, "hub.latency=low"),
                self._fan_out(nginx, NGINX, load),
            ]
            figures += [
                Figure(f"CPU s per GB, {count} players", "cpu_per_gb", ours, nginx, 0.60, 0.42),
                Figure(f"largest gap p99, {count} players, ms", "gap_p99", ours, None, 70),
                _complete(f"least bytes, {count} players, % of the source", ours),
            ]
        return Scenario(tuple(cells), tuple(figures))

    def join(self) -> Scenario:
        """Players joining 400 a second, against Node-Media-Server."""
        (count,) = self._options.counts(500)
        load = FanOut(RTMP, count, 400, min(self._seconds, 3.0))
        ours, node = f"ours, {count} joining 400/s", f"Node-Media-Server, {count} joining 400/s"
        return Scenario(
            (self._fan_out(ours, OURS, load), self._fan_out(node, NODE, load)),
            (Figure("first keyframe p99", "keyframe_p99", ours, node, 1.0, 0.2),),
        )

    def latency(self) -> Scenario:
        """The way of one frame with one viewer."""
        servers = {OURS: "ours", NGINX: "nginx-rtmp", NODE: "Node-Media-Server"}
        cells = []
        for protocol, title in ((RTMP, "RTMP"), (FLV, "HTTP-FLV")):
            for server, label in servers.items():
                if (server, protocol) == (NGINX, FLV):
                    continue
                cells.append(self._latency(f"{label}, {title} out", server, protocol))
        figures = []
        for title in ("RTMP", "HTTP-FLV"):
            cell = f"ours, {title} out"
            figures += [
                Figure(f"latency {title} out p50, ms", "latency_p50", cell, None, 1.0, 0.3),
                Figure(f"latency {title} out p99, ms", "latency_p99", cell, None, 5.0, 1.0),
            ]
        return Scenario(tuple(cells), tuple(figures))

    def memory(self) -> Scenario:
        """Resident memory of a player."""
        (count,) = self._options.counts(500)
        cells, figures = [], []
        for protocol, title in ((RTMP, "RTMP"), (FLV, "HTTP-FLV")):
            label = f"ours, {count} {title} players"
            cells.append(self._fan_out(label, OURS, FanOut(protocol, count, 100, self._seconds)))
            figures.append(Figure(f"KiB per {title} player", "kib_each", label, None, 16, 8))
        nginx = f"nginx-rtmp, {count} RTMP players"
        cells.append(self._fan_out(nginx, NGINX, FanOut(RTMP, count, 100, self._seconds)))
        return Scenario(tuple(cells), tuple(figures))

    def publishers(self) -> Scenario:
        """Many publishers and nobody watching, against nginx-rtmp."""
        count, cells, figures = self._options.publishers, [], []
        for chunk_bytes, must, aim in ((4096, 6.0, 4.0), (128, 5.0, 3.0)):
            ours = f"ours, {count} publishers, chunks of {chunk_bytes}"
            nginx = f"nginx-rtmp, {count} publishers, chunks of {chunk_bytes}"
            cells += [
                self._publishers(ours, OURS, chunk_bytes),
                self._publishers(nginx, NGINX, chunk_bytes),
            ]
            title = f"CPU s per publisher-minute, chunks of {chunk_bytes}"
            figures += [
                Figure(title, "cpu_per_minute", ours, nginx, must, aim),
                # A fifth of a second is "at once" for a viewer, and a tenth of the GOP.
                Figure("first keyframe of a player then, p99 ms", "keyframe_p99", ours, None, 200),
            ]
        return Scenario(tuple(cells), tuple(figures))

    def http(self) -> Scenario:
        """Small answers on keep-alive, against nginx serving a file of the same content."""
        options, core = self._options, self._options.server_core
        ours, nginx = f"ours, GET {options.http_path}", "nginx, file of that size"

        def load(server: Server, path: str) -> Metrics:
            return measure_http(server, path, options.http_connections, self._seconds)

        def load_nginx() -> Metrics:
            return load(nginx_file_like(self._server(OURS), options.http_path, core), "/file")

        cells = (
            Cell(ours, OURS, lambda: load(self._server(OURS), options.http_path)),
            Cell(nginx, NGINX, load_nginx),
        )
        figure = Figure("CPU s per 1000 small answers", "cpu_per_1000", ours, nginx, 2.5, 1.2)
        return Scenario(cells, (figure,))

    def stall(self) -> Scenario:
        """One player in ten stops reading."""
        (count,) = self._options.counts(200)
        some, seconds = max(1, count // 10), self._seconds
        if seconds >= _FULL_SECONDS:
            seconds = _STALL_SECONDS
        without = f"ours, {count} RTMP players"
        stalled = f"ours, {count} RTMP players of whom {some} stall"
        figures = (
            Figure("stalled players cut within, s", "cut_max", stalled, None, 30),
            Figure("stalled players not cut", "uncut", stalled, None, 0),
            Figure("MiB for each meanwhile", "stalled_mib_each", stalled, None, 8),
            # Resident memory wanders by a few MiB without any of them, too.
            Figure("MiB kept afterwards, all together", "kept_mib", stalled, None, 4),
            Figure("largest gap p99 of the others", "gap_p99", stalled, without, 1.2),
        )
        cells = (
            self._fan_out(without, OURS, FanOut(RTMP, count, 100, seconds)),
            self._fan_out(stalled, OURS, FanOut(RTMP, count, 100, seconds, some)),
        )
        return Scenario(cells, figures)

    def ws(self) -> Scenario:
        """WebSocket-FLV players against HTTP-FLV players."""
        (count,) = self._options.counts(500)
        flv, ws = f"ours, {count} HTTP-FLV players", f"ours, {count} WebSocket-FLV players"
        cells = (
            self._fan_out(flv, OURS, FanOut(FLV, count, 100, self._seconds)),
            self._fan_out(ws, OURS, FanOut(WEBSOCKET, count, 100, self._seconds)),
        )
        figures = (
            Figure(f"CPU s per GB, {count} players", "cpu_per_gb", ws, flv, 1.1, 1.0),
            Figure(f"largest gap p99, {count} players, ms", "gap_p99", ws, None, 420),
            _complete(f"least bytes, {count} players, % of the source", ws),
        )
        return Scenario(cells, figures)

    def rtsp(self) -> Scenario:
        """Players of RTSP within its connection against RTMP players."""
        (count,) = self._options.counts(500)
        rtmp, rtsp = f"ours, {count} RTMP players", f"ours, {count} RTSP players"
        cells = (
            self._fan_out(rtmp, OURS, FanOut(RTMP, count, 100, self._seconds)),
            self._fan_out(rtsp, OURS, FanOut(RTSP, count, 100, self._seconds)),
        )
        figures = (
            Figure(f"CPU s per GB, {count} players", "cpu_per_gb", rtsp, rtmp, 1.3, 1.1),
            Figure(f"largest gap p99, {count} players, ms", "gap_p99", rtsp, None, 420),
            Figure("KiB per RTSP player", "kib_each", rtsp, None, 16, 8),
            _complete(f"least bytes, {count} players, % of the source", rtsp),
        )
        return Scenario(cells, figures)

    def rtsp_udp(self) -> Scenario:
        """Players of RTSP over UDP, their datagrams cut by the kernel and one by one, and RTMP's.

        By as many RTMP players, and by 500: with fewer each block is smaller, and costs more.
        """
        (count,) = self._options.counts(200)
        seconds = min(self._seconds, _MINUTE)
        load = FanOut(RTSP_UDP, count, 100, seconds)
        rtmp = {number: f"ours, {number} RTMP players" for number in {count, max(500, count)}}
        cut, single = f"ours, {count} UDP players", f"ours, {count} UDP players, no segmentation"
        cells = (
            *(
                self._fan_out(title, OURS, FanOut(RTMP, number, 100, seconds))
                for number, title in rtmp.items()
            ),
            self._fan_out(cut, OURS, load),
            self._fan_out(single, OURS, load, "rtsp.udp_segmentation=false"),
        )
        figures = []
        for label in (cut, single):
            name = label.removeprefix("ours, ")
            figures += [
                *(
                    Figure(f"CPU s per GB, {name} by {number} RTMP", "cpu_per_gb", label, title, 6)
                    for number, title in rtmp.items()
                ),
                # In seconds: live555 took 3.3, ZLMediaKit 4.5, MediaMTX 5.2 on such a machine.
                Figure(f"the same in seconds, {name}", "cpu_per_gb", label, None, 5.2, 3.3),
                Figure(f"KiB each, {name}", "kib_each", label, None, 16, 8),
                _complete(f"least bytes, {name}, % of the source", label),
            ]
        return Scenario(cells, tuple(figures))

    def hls_segments(self) -> Scenario:
        """Segments of a live stream, against nginx serving the same from disk."""
        options = self._options
        (count,) = options.counts(32)
        rate = _SEGMENTS_PER_SECOND if options.http_rate is None else options.http_rate
        load = HLSLoad(count, rate, _REFRESH_SECONDS, self._seconds)
        ours, nginx = f"ours, {count} viewers, segments", f"nginx, {count} viewers, segments"
        figures = (
            Figure("CPU s per GB", "cpu_per_gb", ours, nginx, 2.0, 1.2),
            Figure("the same less the publisher's", "net_cpu_per_gb", ours, nginx, 2.0, 1.2),
        )
        return Scenario(self._hls(ours, nginx, load), figures)

    def hls_playlists(self) -> Scenario:
        """Media playlists of a live stream, against nginx serving such a file."""
        options = self._options
        (count,) = options.counts(200)
        rate = _PLAYLISTS_PER_SECOND if options.http_rate is None else options.http_rate
        load = HLSLoad(count, rate, 0.0, self._seconds)
        ours, nginx = f"ours, {count} viewers, playlists", f"nginx, {count} viewers, playlists"
        figures = (
            Figure("CPU s per 1000 playlists", "cpu_per_1000", ours, nginx, 2.5, 1.2),
            Figure("the same less the publisher's", "net_cpu_per_1000", ours, nginx, 2.5, 1.2),
        )
        return Scenario(self._hls(ours, nginx, load), figures)

    def hls_viewers(self) -> Scenario:
        """Viewers who poll as players do, against nginx serving the same from disk."""
        (count,) = self._options.counts(1000)
        ours, nginx = f"ours, {count} viewers who poll", f"nginx, {count} viewers who poll"
        load = Polling(count, self._seconds)

        def run() -> Metrics:
            return measure_polling(self._server(OURS), self._source, {}, load)

        def run_nginx() -> Metrics:
            files = self._captured()
            server = NginxFiles(self._options.server_core, files)
            return measure_polling(server, None, files, load)

        figures = (
            Figure("CPU s per GB", "cpu_per_gb", ours, nginx, 2.0, 1.2),
            Figure("the same less the publisher's", "net_cpu_per_gb", ours, nginx, 2.0, 1.2),
            # Each viewer asks seven or eight times in 15 s: what is at the edges counts.
            Figure(
                "segments that viewers were given, %",
                "segments_percent",
                ours,
                None,
                97,
                at_least=True,
            ),
        )
        return Scenario((Cell(ours, OURS, run), Cell(nginx, NGINX, run_nginx)), figures)

    def ll_blocked(self) -> Scenario:
        """Low-latency viewers who wait for the same part, against plain requests."""
        (count,) = self._options.counts(500)
        label = f"ours, {count} low-latency viewers"

        def run() -> Metrics:
            return measure_blocked(self._ours(), self._source, count, self._seconds)

        # A ratio within one run: part by part, on the same connections.
        figure = Figure("all who wait answered, by all plain", "blocked_ratio", label, None, 1.5)
        return Scenario((Cell(label, OURS, run),), (figure,))

    def ts_mux(self) -> Scenario:
        """What MPEG-TS segments of a 2 Mb/s stream cost."""
        server, loop = "ours, one stream of 2 Mb/s", "the muxer alone, 2 Mb/s"

        def run() -> Metrics:
            return measure_muxing(self._ours(), load_source(TWO_MEGABITS), self._seconds)

        cells = (Cell(server, OURS, run), self._muxer_alone(loop, "ts"))
        return Scenario(cells, _muxing(2.0, server, loop))

    def fmp4_mux(self) -> Scenario:
        """What fragmented MP4 of a 2 Mb/s stream costs, in segments and in parts."""
        cells = []
        for form, title in (("fmp4", "segments"), ("ll", "low latency")):
            label = f"ours, 2 Mb/s to one player, {title}"
            cells.append(self._watched(label, form))
            cells.append(self._muxer_alone(f"the muxer alone, 2 Mb/s, {title}", form))
        return Scenario(tuple(cells), _muxing(1.0, *(cell.label for cell in cells)))

    def guarded_joins(self) -> Scenario:
        """Joins by signed addresses, past 100 IP rules, against joins that need neither."""
        plain, guarded = "ours, 1000 joins", "ours, 1000 joins, signed, 100 IP rules"

        def join(is_guarded: bool) -> Callable[[], Metrics]:
            return lambda: measure_joins(self._ours(), self._source, guarded=is_guarded)

        cells = (Cell(plain, OURS, join(False)), Cell(guarded, OURS, join(True)))
        title = "CPU s per 1000 joins"
        return Scenario(cells, (Figure(title, "cpu_per_1000", guarded, plain, 1.5, 1.2),))

    def transcode(self) -> Scenario:
        """720p to 480p by x264, and AAC: our child process against FFmpeg's program."""
        core = self._options.server_core
        ours, ffmpeg = "ours, transcoding", "ffmpeg, transcoding"
        cells = (
            Cell(ours, OURS, lambda: measure_ours(core)),
            Cell(ffmpeg, OURS, lambda: measure_ffmpeg(core)),
        )
        title = "pictures for a CPU second"
        figure = Figure(title, "frames_per_cpu", ours, ffmpeg, 0.8, 1.0, at_least=True)
        return Scenario(cells, (figure,))

    def relays(self) -> Scenario:
        """Tasks that copy streams of other servers, within the server; nobody watches."""
        (count,) = self._options.counts(50)
        cells, figures = [], []
        for title, kind in (("RTMP", NginxRTMP), ("HTTP-FLV", NodeMediaServer)):
            label = f"ours, {count} relays of 1 Mb/s by {title}"

            def run(kind: type[Server] = kind) -> Metrics:
                ours, other = self._ours(relaying.ALLOWED), kind(self._options.generator_core)
                return relaying.measure_relays(ours, other, self._source, count, self._seconds)

            cells.append(Cell(label, OURS, run))
            figures.append(Figure(f"{label}: core %", "cpu_percent", label, None, 30))
        return Scenario(tuple(cells), tuple(figures))

    def child_relays(self) -> Scenario:
        """Tasks with a process of their own, that copy."""
        cells = []
        for kind, count in (("file", 1), ("file", 5), ("udp", 1), ("udp", 5)):

            def run(kind: str = kind, count: int = count) -> Metrics:
                ours = self._ours(relaying.ALLOWED, relaying.folders())
                return relaying.measure_children(ours, count, kind, self._seconds)

            cells.append(Cell(f"ours, {count} of {kind}: in child processes", OURS, run))
        figures = [Figure(f"{x.label}, MiB each", "rss_mib", x.label, None, 80) for x in cells]
        return Scenario(tuple(cells), tuple(figures))

    def admin_pages(self) -> Scenario:
        """Pages of lists in a large database, against those of an empty one."""
        cells, figures = [], []
        for path in ("/applications", "/audit"):
            empty, large = f"empty, GET {path}", f"large, GET {path}"

            def ask(asked: str, is_filled: bool) -> Callable[[], Metrics]:
                return lambda: measure_pages(self._ours(), asked, filled=is_filled)

            cells += [Cell(empty, OURS, ask(path, False)), Cell(large, OURS, ask(path, True))]
            figures.append(Figure(f"time of a page, {path}", "answer_p50", large, empty, 3.0, 1.5))
        return Scenario(tuple(cells), tuple(figures))

    def hls_download(self) -> Scenario:
        """`ntvmedia hls-download` from far away, with one job and with eight, and from near."""
        # A window of a few seconds only shows that it works.
        laps = _FAR_LAPS if self._seconds >= _FULL_SECONDS else 1
        one, eight = "1 job, 20 ms and 5 Mb/s each", "8 jobs, 20 ms and 5 Mb/s each"
        near = "8 jobs, no limits"
        cells = (
            self._download(one, laps, 1, FAR),
            self._download(eight, laps, 8, FAR),
            self._download(near, _NEAR_LAPS * laps, 8, NEAR),
        )
        figures = (
            # Starting and merging are in it, which have nothing to do with jobs.
            Figure("8 jobs by 1 job", "mb_per_second", eight, one, 6, 7, at_least=True),
        )
        return Scenario(cells, figures)

    def _hls(self, ours: str, nginx: str, load: HLSLoad) -> tuple[Cell, Cell]:
        def run() -> Metrics:
            return measure_hls(self._server(OURS), self._source, load)

        def run_nginx() -> Metrics:
            files = NginxFiles(self._options.server_core, self._captured())
            return measure_hls(files, None, load)

        return Cell(ours, OURS, run), Cell(nginx, NGINX, run_nginx)

    def _captured(self) -> dict[str, bytes]:
        """Return what one viewer of ours is given; captured when it is wanted first."""
        if not self._files:
            self._files = capture_hls(self._ours(), self._source)
        return self._files

    @property
    def _seconds(self) -> float:
        return self._options.seconds

    def _server(self, name: str, *settings: str) -> Server:
        core = self._options.server_core
        if name == OURS:
            return Ours(core, (*self._options.settings, *settings))
        return NginxRTMP(core) if name == NGINX else NodeMediaServer(core)

    def _ours(self, *settings: str) -> Ours:
        return Ours(self._options.server_core, (*self._options.settings, *settings))

    def _download(self, label: str, laps: int, jobs: int, line: Line) -> Cell:
        def run() -> Metrics:
            load_source()  # makes the file
            return measure_download(self._options.server_core, laps, jobs, line)

        return Cell(label, OURS, run)

    def _watched(self, label: str, form: str) -> Cell:
        def run() -> Metrics:
            return measure_watched(self._ours(), load_source(TWO_MEGABITS), form, self._seconds)

        return Cell(label, OURS, run)

    def _muxer_alone(self, label: str, form: str) -> Cell:
        def run() -> Metrics:
            load_source(TWO_MEGABITS)  # makes the file
            return measure_muxer_alone(self._options.server_core, form, min(self._seconds, 3.0))

        return Cell(label, OURS, run)

    def _fan_out(self, label: str, server: str, load: FanOut, *settings: str) -> Cell:
        def run() -> Metrics:
            return measure_fan_out(self._server(server, *settings), self._source, load)

        return Cell(label, server, run)

    def _latency(self, label: str, server: str, protocol: str) -> Cell:
        def run() -> Metrics:
            return measure_latencies(self._server(server), self._source, protocol, self._seconds)

        return Cell(label, server, run)

    def _publishers(self, label: str, server: str, chunk_bytes: int) -> Cell:
        def run() -> Metrics:
            options = self._options
            load = Publishing(options.publishers, chunk_bytes, options.tick_seconds)
            return measure_publishers(self._server(server), self._source, load, self._seconds)

        return Cell(label, server, run)


# A stalled player must be cut within 30 s; a little longer shows what is given back.
_STALL_SECONDS: Final = 40.0

# A player over UDP that says nothing is ended after a minute, its joining included.
_MINUTE: Final = 40.0
_FULL_SECONDS: Final = 10.0

# What a fifth of a core or so serves: the server is busy, and still waits for the next request.
_SEGMENTS_PER_SECOND: Final = 1000.0
_PLAYLISTS_PER_SECOND: Final = 8000.0

# Players ask for the playlist once in a target duration.
_REFRESH_SECONDS: Final = 2.0

# About a minute's load for a single connection; and 250 MB, a second or some more of work.
_FAR_LAPS: Final = 12
_NEAR_LAPS: Final = 7


SCENARIOS: Final[dict[str, Callable[[Bench], Scenario]]] = {
    "fanout": Bench.fanout,
    "flv": Bench.flv,
    "low": Bench.low,
    "join": Bench.join,
    "latency": Bench.latency,
    "memory": Bench.memory,
    "publishers": Bench.publishers,
    "http": Bench.http,
    "stall": Bench.stall,
    "ws": Bench.ws,
    "rtsp": Bench.rtsp,
    "rtsp-udp": Bench.rtsp_udp,
    "hls-segments": Bench.hls_segments,
    "hls-playlists": Bench.hls_playlists,
    "hls-viewers": Bench.hls_viewers,
    "ll-blocked": Bench.ll_blocked,
    "ts-mux": Bench.ts_mux,
    "fmp4-mux": Bench.fmp4_mux,
    "hls-download": Bench.hls_download,
    "guarded-joins": Bench.guarded_joins,
    "admin-pages": Bench.admin_pages,
    "transcode": Bench.transcode,
    "relays": Bench.relays,
    "child-relays": Bench.child_relays,
}


def _complete(title: str, cell: str) -> Figure:
    return Figure(title, "bytes_min", cell, None, 98, at_least=True)


def _muxing(must: float, *labels: str) -> tuple[Figure, ...]:
    return tuple(Figure(f"{label}: core %", "mux_percent", label, None, must) for label in labels)
