"""Commands that train: their clock, what they ask for, and how they end while a cluster starts."""

import os
import signal
import subprocess
import sys
import time

import pytest
from records import made

from rigl_nb import paths
from rigl_nb.cli import commands as cli
from rigl_nb.experiments import grids
from rigl_nb.runs import batch, engine, probe
from rigl_nb.runs.store import Store

pytest_plugins = ["commands"]


def test_a_budget_counts_from_the_start_of_the_process(local, tiny, monkeypatch):
    """And a tenth of it, at most, goes into measuring what the batch costs."""
    given, until = {}, []
    monkeypatch.setattr(engine, "run", lambda *a, **k: given.update(k) or engine.Summary(1, {}, left=2))
    monkeypatch.setattr(probe, "of", lambda specs, records, how, end: until.append(end) or [])
    assert cli.main(["run", "--method", "SET", "--time-budget", "9m"], started=100.0) == 75
    assert given["deadline"] == 640.0 and until == [154.0]


def test_no_cluster_is_started_that_could_only_end(store, monkeypatch):
    monkeypatch.setattr(batch.Batch, "connect", lambda self: pytest.fail("it takes longer to start"))
    specs = grids.specs("05_1", "smoke", method="SET")
    summary = engine.run(specs, store, workers=2, deadline=time.monotonic() + 5)
    assert summary == engine.Summary(0, {}, len(specs))


def test_sections_may_be_named_one_by_one(call, monkeypatch):
    asked = []
    monkeypatch.setattr(grids, "SECTIONS", dict.fromkeys(("05_1", "08"), grids.SECTIONS["05_1"]))
    monkeypatch.setattr(grids, "plan", lambda section, *_, **__: asked.append(section) or grids.Plan([], []))
    call("run", "--section", "5.1", "--section", "8", "--dry-run")
    assert asked[:2] == ["05_1", "08"]


def test_a_damaged_record_stops_its_own_run_alone(call, local):
    other = local.save(made(grids.specs("05_1", "quick")[0]))
    other.write_text("{ cut short")
    code, out, err = call("run", "--profile", "smoke", "--method", "Dense", "--dry-run")
    assert code == 0 and "1 to train" in out
    assert f"passed over: {other} is damaged" in " ".join(err.split()) and "remove it" in err


def test_a_network_without_a_record_has_no_time_in_the_status(call, local):
    """By operations alone it would be a number, and far from what it takes."""
    local.save(made(grids.specs("05_1", "smoke", method="Dense")[0], seconds=12.0))
    _, out, _ = call("status")
    times = {line.split()[1]: line.split()[5:] for line in out.splitlines() if line.startswith("total")}
    assert times["smoke"][-1] in ("min", "s") and times["paper"] == ["?"]
    assert "measured on Abacus" in out and "--dry-run measures" in out


@pytest.mark.slow
def test_ctrl_c_while_the_workers_start(tmp_path):
    """A terminal sends it to all processes of the group: none of them says more than that it was interrupted."""
    environment = os.environ | {f"RIGL_{name}": str(tmp_path / name.lower()) for name in ("BUILD", "RESULTS", "DATA")}
    process = subprocess.Popen(
        [sys.executable, "-m", "rigl_nb", "run", "--section", "08", "--method", "SET", "--workers", "2"],
        cwd=paths.ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    text = ""
    for line in process.stderr:
        text += line
        if line.startswith("cost:"):
            break
    time.sleep(2)  # the processes of the workers import torch now
    os.killpg(process.pid, signal.SIGINT)
    text += process.stderr.read()
    assert process.wait() == 130, text
    assert "Interrupted" in text and "Traceback" not in text and "ERROR" not in text, text
    assert not Store(tmp_path / "build" / "runs").records()
