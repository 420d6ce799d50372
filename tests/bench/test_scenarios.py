"""The scenarios, as far as they are data."""

from __future__ import annotations

import pytest

from bench.__main__ import main
from bench.report import COLUMNS
from bench.scenarios import SCENARIOS, Bench, Options
from tests.bench.media import small_source

OPTIONS = Options(
    players=None,
    publishers=200,
    tick_seconds=0.0,
    seconds=15.0,
    settings=(),
    http_path="/healthz",
    http_connections=32,
    http_rate=None,
    server_core=0,
    generator_core=1,
)


@pytest.mark.parametrize("name", SCENARIOS)
def test_figures_name_cells(name: str) -> None:
    """Every figure is read from a run of its scenario, and has a column."""
    scenario = Bench(small_source(), OPTIONS).scenario(name)
    labels = [cell.label for cell in scenario.cells]
    assert len(set(labels)) == len(labels)
    assert scenario.figures
    for figure in scenario.figures:
        assert figure.cell in labels
        assert figure.baseline is None or figure.baseline in labels
        assert figure.metric in COLUMNS


def test_unknown_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt scenario is told before anything is started or pinned."""
    with pytest.raises(SystemExit):
        main(["fanuot"])
    assert "no scenario fanuot" in capsys.readouterr().err
