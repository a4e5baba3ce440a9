"""Fixtures that run the command line in this process, on empty folders."""

import signal
from dataclasses import replace

import pytest

from rigl_nb.cli import commands as cli
from rigl_nb.experiments import grids
from rigl_nb.runs.store import Store


@pytest.fixture
def local(tmp_path, monkeypatch) -> Store:
    """Return the store of this machine's runs; results and data are empty folders beside it. One section has runs."""
    monkeypatch.setattr(grids, "SECTIONS", {"05_1": grids.SECTIONS["05_1"]})
    for name in ("results", "build", "data"):
        monkeypatch.setenv(f"RIGL_{name.upper()}", str(tmp_path / name))
    (tmp_path / "results").mkdir()
    before = signal.getsignal(signal.SIGTERM)
    yield Store(tmp_path / "build" / "runs")
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def tiny(monkeypatch):
    """Let the smoke profile train for one epoch."""
    monkeypatch.setitem(grids.PROFILES, "smoke", replace(grids.PROFILES["smoke"], epochs=1))


@pytest.fixture
def call(capsys, local):
    """Return a function that runs a command and gives (exit code, standard output, standard error)."""

    def call(*arguments) -> tuple[int, str, str]:
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return call
