"""Four roots, one environment variable each but for the repository; nothing is created by looking."""

from pathlib import Path

import pytest

from rigl_nb import paths

VARIABLES = {"results": "RIGL_RESULTS", "build": "RIGL_BUILD", "data": "RIGL_DATA"}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


def test_root_is_the_repository():
    assert Path(__file__).resolve().parents[2] == paths.ROOT


@pytest.mark.parametrize("name", VARIABLES)
def test_default_lies_in_the_repository(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert getattr(paths, name)() == paths.ROOT / name


@pytest.mark.parametrize("name", VARIABLES)
def test_variable_wins_and_becomes_absolute(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLES[name], "elsewhere")
    assert getattr(paths, name)() == tmp_path / "elsewhere"
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")  # kernels start elsewhere and must agree with who started them
    assert getattr(paths, name)() == tmp_path / "elsewhere"


def test_runs_live_below_build(monkeypatch, tmp_path):
    monkeypatch.setenv("RIGL_BUILD", str(tmp_path / "b"))
    assert paths.runs() == tmp_path / "b" / "runs"
    assert not paths.build().exists()


@pytest.mark.parametrize("name", VARIABLES)
def test_empty_variable_means_the_default(name, monkeypatch):
    """`RIGL_DATA= make test` must not make the current folder a data root."""
    monkeypatch.setenv(VARIABLES[name], "")
    assert getattr(paths, name)() == paths.ROOT / name
