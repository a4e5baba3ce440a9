"""From no records to the report, through the command line, papermill and Sphinx, on one section of the smoke grid."""

import os
import subprocess
import sys

import nbformat
import pytest

from rigl_nb import paths
from rigl_nb.report import grids, statements
from rigl_nb.runs.store import Store

EXPECTED = grids.specs("05_1", "smoke")


def call(*words, folder):
    environment = os.environ | {"RIGL_BUILD": str(folder / "build"), "RIGL_RESULTS": str(folder / "results")}
    command = [sys.executable, "-m", "rigl_nb", *words]
    return subprocess.run(command, cwd=paths.ROOT, env=environment, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduced")
    before = worktree()
    done = call("reproduce", "--sections", "05_1", "--workers", "2", folder=folder)
    assert done.returncode == 0, done.stderr
    assert worktree() == before, "reproducing must leave the work tree as it was"
    return folder, done


def worktree():
    shown = subprocess.run(["git", "status", "--porcelain"], cwd=paths.ROOT, capture_output=True, text=True)
    return shown.stdout


def test_every_run_is_trained_and_learns(reproduced):
    folder, done = reproduced
    assert f"{len(EXPECTED)} runs, 0 there already, {len(EXPECTED)} to train" in done.stderr
    frame = Store(folder / "build" / "runs").frame(EXPECTED)
    assert frame["present"].all() and not frame["collapsed"].any()
    dense = frame["method"] == "Dense"
    assert (frame.loc[dense, "test_accuracy"] > 97).all()
    assert (frame.loc[~dense, "test_accuracy"] > 90).all(), frame[["method", "init", "test_accuracy"]]


def test_the_report_shows_them_and_opens_from_disk(reproduced):
    folder, done = reproduced
    page = folder / "build" / "report" / "report.html"
    assert done.stdout.strip() == str(page)
    assert "[1/2] 05_1_cifar10: done" in done.stderr and "[2/2] the report: done" in done.stderr
    assert not {"\r", "\x1b"} & set(done.stderr), "a pipe gets plain lines"
    text = page.read_text()
    assert "On this machine: digits, wrn-10-1, 40 epochs" in text
    assert "These runs judge no claim" in text
    assert (folder / "build" / "report" / "html" / "05_1_cifar10.html").exists()


def test_the_executed_notebook_says_that_no_smoke_run_is_evidence(reproduced):
    folder, _ = reproduced
    notebook = nbformat.read(folder / "build" / "notebooks" / "05_1_cifar10.ipynb", 4)
    printed = "".join(o.get("text", "") for o in notebook.cells[-1].outputs)
    every = (*statements.CIFAR10, *statements.INSTABILITY)
    assert printed.count("claims") == 4 and f"0 of {len(every)} claims reproduced" in printed


def test_a_second_call_trains_nothing(reproduced):
    folder, _ = reproduced
    done = call("run", "--section", "05_1", folder=folder)
    assert done.returncode == 0
    assert f"{len(EXPECTED)} runs, {len(EXPECTED)} there already, 0 to train" in done.stderr


def test_a_notebook_that_fails_stops_with_its_name_and_keeps_the_runs(reproduced):
    folder, _ = reproduced
    records = sorted((folder / "build" / "runs").rglob("*.json"))
    quick = grids.specs("05_1", "quick")[0]
    broken = folder / "results" / quick.config_id / "seed-0.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{ cut short")
    done = call("report", "--sections", "05_1", folder=folder)
    assert done.returncode == 1
    assert "05_1_cifar10" in done.stderr and str(broken) in done.stderr and "Remove it" in done.stderr
    assert (folder / "build" / "notebooks" / "05_1_cifar10.part.ipynb").exists()
    assert sorted((folder / "build" / "runs").rglob("*.json")) == records
