"""Fuzz one target guided by coverage: `python -m tests.fuzz.coverage TARGET [SECONDS]`.

Needs atheris (`pip install atheris`), which the tests do not. What breaks the target is written to
`tests/data/fuzz/TARGET/`, where it is replayed ever after; mend the parser, and keep the file.
"""

from __future__ import annotations

import sys
import tempfile
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent.parent / "data" / "fuzz"


def main(arguments: list[str]) -> None:
    """Run until something breaks, or the time is over."""
    atheris: Any = import_module("atheris")
    name, seconds = arguments[0], float(arguments[1]) if len(arguments) > 1 else 60.0
    with atheris.instrument_imports(include=["ntvmedia"]):
        targets = import_module("tests.fuzz.test_targets").TARGETS
    run, seeds = targets[name]

    def run_one(data: bytes) -> None:
        try:
            run(data)
        except Exception:
            folder = CORPUS / name
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / sha256(data).hexdigest()[:16]
            path.write_bytes(data)
            print(f"{name} breaks at {path}", file=sys.stderr)  # noqa: T201
            raise

    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, seed in enumerate(seeds):
            (corpus / str(number)).write_bytes(seed)
        limits = [f"-max_total_time={seconds:.0f}", "-max_len=20000", "-timeout=5"]
        # libFuzzer's own copy of what broke is not needed.
        limits += ["-print_final_stats=1", f"-artifact_prefix={folder}/"]
        atheris.Setup([sys.argv[0], *limits, str(corpus)], run_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
