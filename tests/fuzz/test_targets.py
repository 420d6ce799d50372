"""Every parser against mutated and random bytes, and against all that ever broke one."""

from __future__ import annotations

import os
from pathlib import Path
from time import process_time

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.fuzz.edge_targets import EDGE_TARGETS
from tests.fuzz.hls_targets import HLS_TARGETS
from tests.fuzz.mutation import mutated
from tests.fuzz.rtp_targets import RTP_TARGETS
from tests.fuzz.rtsp_targets import RTSP_TARGETS
from tests.fuzz.targets import TARGETS as PURE_TARGETS

TARGETS = PURE_TARGETS | HLS_TARGETS | RTP_TARGETS | RTSP_TARGETS | EDGE_TARGETS

CORPUS = Path(__file__).parent.parent / "data" / "fuzz"

# Short enough to run always; what `script/test --long` does is in docs/reliability.md.
EXAMPLES = 1000 if os.environ.get("NTVMEDIA_LONG") == "1" else 40


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    """The beginnings from which the rest is made, whole, cut off anywhere, and empty."""
    run, seeds = TARGETS[name]
    for seed in seeds:
        step = max(1, len(seed) // 40)
        for end in (*range(0, len(seed), step), len(seed)):
            run(seed[:end])


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated(name: str, data: st.DataObject) -> None:
    """F-RE-02, F-RE-03, F-RE-09, F-RE-10: only documented errors, soon, whatever the bytes."""
    run, seeds = TARGETS[name]
    mutant = data.draw(mutated(seeds))
    start = process_time()
    run(mutant)
    assert process_time() - start < 20  # no figure: far above what is linear, on any machine


def test_corpus() -> None:
    """What once broke a parser, or took too long, is read as it should be ever since."""
    folders = [folder for folder in CORPUS.iterdir() if folder.is_dir()]
    assert {folder.name for folder in folders} <= set(TARGETS)
    for folder in folders:
        for file in sorted(folder.iterdir()):
            TARGETS[folder.name].run(file.read_bytes())
