"""From no records to the report, through the command line, papermill and Sphinx, on one section of the smoke grid.

And the same command stopped on its way, in every way: the runs go on, and are the same runs, bit for bit.
"""

import os
import re
import signal
import subprocess
import sys
import threading

import nbformat
import pytest
from driving import held, run, stored

from rigl_nb import paths
from rigl_nb.execution import Execution
from rigl_nb.experiments import grids
from rigl_nb.methods import METHODS
from rigl_nb.runs import engine
from rigl_nb.runs.store import Store
from rigl_nb.runs.terminal import count

LEARNING = {"multiplier": 1}  # of section 05_1: all methods, once
EXPECTED = grids.specs("05_1", "smoke", **LEARNING)
SHOWN = grids.specs("06_1", "smoke")
PATIENCE = 600  # seconds until a hanging process is given up


def environment(folder) -> dict:
    return os.environ | {"RIGL_BUILD": str(folder / "build"), "RIGL_RESULTS": str(folder / "results")}


def call(*words, folder):
    command = [sys.executable, "-m", "rigl_nb", *words]
    return subprocess.run(command, cwd=paths.ROOT, env=environment(folder), capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """Return the folder of a section's report, what its command said, and what the training of all methods said."""
    folder = tmp_path_factory.mktemp("reproduced")
    before = worktree()
    trained = call("run", *options("05_1", LEARNING), folder=folder)
    assert trained.returncode == 0, trained.stderr
    done = call("reproduce", "--sections", "06_1", "--workers", "2", folder=folder)
    assert done.returncode == 0, done.stderr
    assert worktree() == before, "reproducing must leave the work tree as it was"
    return folder, done, trained


def options(section, filters) -> list[str]:
    return ["--section", section, *(f"--{name}={value}" for name, value in filters.items()), "--workers=2"]


def worktree():
    shown = subprocess.run(["git", "status", "--porcelain"], cwd=paths.ROOT, capture_output=True, text=True)
    return shown.stdout


def test_every_run_is_trained_and_learns(reproduced):
    folder, _, trained = reproduced
    assert f"{len(EXPECTED)} runs, 0 there already, {len(EXPECTED)} to train" in trained.stderr
    frame = Store(folder / "build" / "runs").frame(EXPECTED)
    assert frame["present"].all() and not frame["collapsed"].any()
    assert set(frame["method"]) == set(METHODS) - {"RigL-SM", "RigL-SG"}, "which section 06_2 compares"
    dense = frame["method"] == "Dense"
    assert (frame.loc[dense, "test_accuracy"] > 95).all()
    assert (frame.loc[~dense, "test_accuracy"] > 85).all(), frame[["method", "init", "test_accuracy"]]


def test_the_report_shows_them_and_opens_from_disk(reproduced):
    folder, done, _ = reproduced
    page = folder / "build" / "report" / "report.html"
    assert done.stdout.strip() == str(page)
    assert done.stderr.index(f"\n  {page}\n") < done.stderr.index("to train"), "a first page, before any training"
    assert f"{len(SHOWN)} runs, 1 there already, {len(SHOWN) - 1} to train" in done.stderr, (
        "a run of both is trained once"
    )
    assert "[1/2] 06_1_distribution_and_flops: done" in done.stderr and "[2/2] the report: done" in done.stderr
    assert not {"\r", "\x1b"} & set(done.stderr), "a pipe gets plain lines"
    text = page.read_text()
    assert "On this machine: digits, wrn-10-1, 12 epochs" in text
    assert "These runs judge no claim" in text
    assert (folder / "build" / "report" / "html" / "06_1_distribution_and_flops.html").exists()


def test_the_executed_notebook_says_that_no_smoke_run_is_evidence(reproduced):
    folder, _, _ = reproduced
    notebook = nbformat.read(folder / "build" / "notebooks" / "06_1_distribution_and_flops.ipynb", 4)
    printed = "".join(o.get("text", "") for o in notebook.cells[-1].outputs)
    assert "printed" in printed and not re.search("smoke|paper|reproduced|contradicted", printed)


def test_a_second_call_trains_nothing(reproduced):
    folder = reproduced[0]
    done = call("run", "--section", "06_1", folder=folder)
    assert done.returncode == 0
    assert f"{len(SHOWN)} runs, {len(SHOWN)} there already, 0 to train" in done.stderr


def test_a_notebook_that_fails_stops_with_its_name_and_keeps_the_runs(reproduced):
    folder = reproduced[0]
    records = sorted((folder / "build" / "runs").rglob("*.json"))
    quick = grids.specs("06_1", "quick")[0]
    broken = folder / "results" / quick.config_id / "seed-0.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{ cut short")
    done = call("report", "--sections", "06_1", folder=folder)
    assert done.returncode == 1
    assert "06_1_distribution_and_flops" in done.stderr and str(broken) in done.stderr and "remove it" in done.stderr
    assert (folder / "build" / "notebooks" / "06_1_distribution_and_flops.part.ipynb").exists()
    assert sorted((folder / "build" / "runs").rglob("*.json")) == records


# ---- stopped on its way

TWO = {"method": "RigL", "multiplier": 2}  # Random and ERK, long enough to be stopped that often
RUNS = grids.specs("05_1", "smoke", **TWO)
TALKATIVE = """
import runpy
from rigl_nb.runs import progress

progress.LINE_EVERY = 0  # every event is a line: the test sees which runs are under way
runpy.run_module("rigl_nb", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def local(tmp_path) -> Store:
    """Return the store of a command whose folder is `tmp_path`."""
    return Store(tmp_path / "build" / "runs")


def steps(store) -> list[int]:
    return [held(store, spec) for spec in RUNS]


def stop(folder, act) -> tuple[int, str]:
    """Start the command, call `act(process)` when both runs are under way; return (exit code, standard error).

    Standard error ends when its last writer does, so this returns when the workers are gone too.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", TALKATIVE, "run", *options("05_1", TWO)],
        env=environment(folder),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    watchdog = threading.Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    try:
        seen, text = set(), ""
        for line in process.stderr:
            text += line
            seen |= {spec.label for spec in RUNS if f" {spec.label} at " in line and "epoch" in line}
            if len(seen) == len(RUNS):
                break
        assert len(seen) == len(RUNS), text
        act(process)
        text += process.stderr.read()
        return process.wait(), text
    finally:
        assert watchdog.is_alive(), "the command did not end"
        watchdog.cancel()


def went_on(before: list[int], now: list[int]) -> bool:
    """Tell whether every run came further, or is done."""
    return all(b < n or n == spec.total_steps for spec, b, n in zip(RUNS, before, now, strict=True))


@pytest.mark.slow
def test_a_command_stopped_in_every_way_gives_the_same_numbers(local, tmp_path):
    """Ctrl-C, which every process of the group gets; kill -9 of the parent; SIGTERM, to it and to all; a budget."""
    code, text = stop(tmp_path, lambda process: os.killpg(process.pid, signal.SIGINT))
    assert code == 130, text
    assert "Traceback" not in text, text
    assert "goes on from here" in text
    first = steps(local)
    assert min(first) > 0, text

    code, text = stop(tmp_path, lambda process: process.kill())
    assert code == -signal.SIGKILL
    second = steps(local)
    assert went_on(first, second), (first, second, text)

    third = second
    for act in (subprocess.Popen.terminate, lambda process: os.killpg(process.pid, signal.SIGTERM)):
        code, text = stop(tmp_path, act)
        assert code == 128 + signal.SIGTERM, text
        assert "Ended by a signal" in text and "Traceback" not in text, text
        before, third = third, steps(local)
        assert went_on(before, third), (before, third, text)
    assert engine.missing(RUNS, local), "both runs ended before the last signal: they are too short for this machine"

    codes, now, budget = [], third, 8  # seconds, ever more of them: a slow machine comes to an end too
    while not codes or codes[-1] == 75:
        done = call("run", *options("05_1", TWO), f"--time-budget={budget}s", folder=tmp_path)
        codes.append(done.returncode)
        left = len(engine.missing(RUNS, local))
        assert (f"{count(left, 'run')} left" in done.stderr) == (left > 0), done.stderr
        assert "Traceback" not in done.stderr and "failed" not in done.stderr, done.stderr
        before, now = now, steps(local)
        assert all(old <= new for old, new in zip(before, now, strict=True)), (before, now)
        budget *= 8
    assert codes == [75] * (len(codes) - 1) + [0] and len(codes) > 1, "the runs are too short for this machine"
    assert not any(local.failure(spec) for spec in RUNS)
    undisturbed = Store(tmp_path / "undisturbed")
    run(RUNS, undisturbed, execution=Execution.best(threads=1))
    assert stored(local) == stored(undisturbed) and len(RUNS) == 2
