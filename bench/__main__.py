"""The command: `bench/run [SCENARIO ...] [OPTIONS]`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.flv import BadStream
from bench.proc import pin, raise_file_limit
from bench.report import Metrics, cells_table, figures_table
from bench.scenarios import NGINX, NODE, OURS, SCENARIOS, Bench, Options, Scenario
from bench.servers import NotStarted
from bench.source import load_source

_OPEN_FILES = 16384


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios named (all of them by default), and print their tables."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if unknown := set(given.scenario) - set(SCENARIOS):
        parser.error(f"no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    raise_file_limit(_OPEN_FILES)
    pin(given.generator_core)
    quick = given.quick
    options = Options(
        players=given.players or (50 if quick else None),
        tick_seconds=given.tick / 1000,
        publishers=given.publishers or (20 if quick else 200),
        seconds=given.seconds or (3.0 if quick else 15.0),
        settings=tuple(given.set),
        http_path=given.http_path,
        http_connections=given.http_connections,
        http_rate=given.http_rate,
        server_core=given.server_core,
        generator_core=given.generator_core,
    )
    rounds = given.rounds or (1 if quick else 3)
    bench = Bench(load_source(), options)
    everything: dict[str, dict[str, list[Metrics]]] = {}
    report = [_machine(rounds)]
    failed = False
    for name in given.scenario or SCENARIOS:
        scenario = bench.scenario(name)
        results = _run(name, scenario, given.server or (OURS, NGINX, NODE), rounds)
        failed = failed or any(not runs for runs in results.values())
        everything[name] = results
        tables = [f"### {name}", cells_table(results), figures_table(scenario.figures, results)]
        report.append("\n\n".join(tables))
        sys.stdout.write("\n" + report[-1] + "\n\n")
        sys.stdout.flush()
        if given.json:
            given.json.write_text(json.dumps(everything, indent=1))
        if given.markdown:
            given.markdown.write_text("\n\n".join(report) + "\n", "utf-8")
    return 1 if failed else 0


def _run(
    name: str, scenario: Scenario, servers: Sequence[str], rounds: int
) -> dict[str, list[Metrics]]:
    """Run the cells in turn, every second round in the opposite order: drift hits all alike."""
    cells = [cell for cell in scenario.cells if cell.server in servers]
    results: dict[str, list[Metrics]] = {cell.label: [] for cell in cells}
    for number in range(rounds):
        for cell in reversed(cells) if number % 2 else cells:
            try:
                metrics = cell.run()
            except (NotStarted, BadStream, OSError, EOFError) as error:
                sys.stderr.write(f"{name}: {cell.label}: {type(error).__name__}: {error}\n")
                continue
            results[cell.label].append(metrics)
            figures = " ".join(f"{key}={value:.4g}" for key, value in metrics.items())
            sys.stderr.write(f"{name} {number + 1}/{rounds}: {cell.label}: {figures}\n")
            # What the last server left to the kernel (a thousand connections) is put away.
            time.sleep(1.0)
    return results


def _machine(rounds: int) -> str:
    """Say where and when this was measured."""
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return (
        f"{time.strftime('%Y-%m-%d')}, {model}, {os.cpu_count()} cores, Linux "
        f"{os.uname().release}, Python {sys.version.split()[0]}; medians of {rounds} runs"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/run", description=main.__doc__)
    add = parser.add_argument
    add("scenario", nargs="*", help=", ".join(SCENARIOS))
    add("--server", action="append", choices=(OURS, NGINX, NODE), help="only these (repeatable)")
    add("--players", type=int, help="instead of the scenario's own numbers")
    add("--publishers", type=int, help="in `publishers` (200)")
    add("--tick", type=float, default=0.0, help="ms between two writes of one of those (0: frames)")
    add("--seconds", type=float, help="length of the measured window (15)")
    add("--rounds", type=int, help="alternating runs of each (3)")
    add("--quick", action="store_true", help="one short run of everything, to see that it works")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="for our server")
    add("--http-path", default="/healthz", help="what `http` asks our server for (/healthz)")
    add("--http-connections", type=int, default=32, help="of `http` (32)")
    add(
        "--http-rate",
        type=float,
        help="requests/s of `hls-segments`, `hls-playlists` (0: as fast as answered)",
    )
    add("--server-core", type=int, default=0, help="CPU of the server (0)")
    add("--generator-core", type=int, default=1, help="CPU of the load generator (1)")
    add("--json", type=Path, help="write every run's figures there")
    add("--markdown", type=Path, help="write the tables there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
