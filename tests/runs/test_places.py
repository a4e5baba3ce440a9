"""Where a batch is to be trained, as people write it; wrong words are named with what is allowed."""

import logging
import os
import subprocess
import sys
from asyncio import CancelledError
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from records import tiny

from rigl_nb import paths
from rigl_nb.runs import cluster, engine
from rigl_nb.runs.cluster import Cluster, Pool, opened
from rigl_nb.runs.watch import told

pytest_plugins = ["commands"]

WRITTEN = {
    1: Cluster(),
    "": Cluster(),
    4: Cluster(workers=4),
    " 4 ": Cluster(workers=4),
    "tcp://node-1:8786": Cluster(scheduler="tcp://node-1:8786"),
    "tls://10.0.0.1:8786": Cluster(scheduler="tls://10.0.0.1:8786"),
    "slurm:partition=gpu,gpus=1": Cluster(slurm=(("partition", "gpu"), ("gpus", "1"))),
}
WRONG = {
    "0": "workers 0 is not allowed: it must be a whole number of at least 1",
    "-2": "workers -2 is not allowed",
    "two": "'two' is not allowed: write a number, the address",
    "tcp://node-1": "'tcp://node-1' is no address: write tcp://host:8786",
    "http://node-1:8787": "'http://node-1:8787' is no address",
    "node-1:8786": "'node-1:8786' is no address",
    "slurm:queue=gpu": "'queue' is unknown: there are partition, account, gpus",
    "slurm:gpu": "'gpu' is not allowed: write key=value, with partition",
    "slurm:gpus=one": "gpus 'one' is not allowed: it must be a whole number",
    "slurm:": "'slurm:' is not allowed: write a number",
}


@pytest.mark.parametrize("text", WRITTEN, ids=str)
def test_a_place_as_people_write_it(text):
    found = Cluster.parse(text)
    assert found == WRITTEN[text]
    assert found.alone == (found == Cluster()) and found.remote == (not found.alone and found.workers == 1)
    assert Cluster.parse(found) is found
    if found.remote:
        assert Cluster.parse(str(found)) == found


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_place(text, store):
    with pytest.raises(ValueError, match=WRONG[text]):
        engine.run([tiny()], store, workers=text)
    assert not store.root.exists()


def test_a_number_may_be_one_of_numpys():
    assert Cluster.parse(np.int64(2), jobs=np.int32(3)) == Cluster(np.int64(2), jobs=3) == Cluster(2, jobs=3)
    assert type(Cluster(np.int64(2)).workers) is int, "as JSON needs it"


@pytest.mark.parametrize("wrong", [2.0, "2", True, None])
def test_what_is_no_number_of_workers(wrong):
    for name, word in (("workers", "workers"), ("jobs", "jobs-per-gpu")):
        with pytest.raises(ValueError, match=f"{word} {wrong!r} is not allowed"):
            Cluster(**{name: wrong})


@pytest.mark.parametrize("dashboard", ["8787", "host", "a b:1", ""])
def test_what_is_no_address_of_a_dashboard(dashboard):
    with pytest.raises(ValueError, match=rf"dashboard '{dashboard}' is not allowed: write host:port"):
        Cluster(workers=2, dashboard=dashboard)


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(cluster, "installed", lambda: False)
    assert Cluster().alone
    for text in ("2", "tcp://node-1:8786", "slurm:gpus=1"):
        with pytest.raises(ValueError, match=rf"{text}.* needs dask: install it by pip install 'rigl_nb\[cluster\]'"):
            Cluster.parse(text)


def test_one_process_needs_no_dask(tmp_path):
    code = "import sys; from driving import run; from records import tiny; from pathlib import Path\n"
    code += "from rigl_nb.runs.store import Store\nprint(run([tiny()], Store(Path(sys.argv[1]))).trained)\n"
    code += "print([name for name in ('dask', 'distributed') if name in sys.modules])"
    words = [sys.executable, "-c", code, tmp_path / "runs"]
    search = os.pathsep.join((str(paths.ROOT), str(paths.ROOT / "tests")))
    done = subprocess.run(words, env=os.environ | {"PYTHONPATH": search}, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["1", "[]"]


def test_a_pool_starts_nothing_before_it_is_asked():
    with opened("tcp://node-1:8786") as pool, opened(pool) as same:
        assert pool is same and isinstance(pool, Pool)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--workers", "2", "--slurm", "gpus=1"), "--workers and --slurm are two places"),
        (("--scheduler", "node-1"), "'node-1' is not allowed"),
        (("--slurm", "queue=gpu"), "'queue' is unknown"),
        (("--slurm", "jobs=0"), "slurm jobs '0' is not allowed: it must be a whole number of at least 1"),
        (("--workers", "2", "--dashboard", "localhost:99999"), "dashboard 'localhost:99999' is not allowed"),
        (("--workers", "2", "--dashboard", "everywhere"), "dashboard 'everywhere' is not allowed"),
    ],
)
def test_wrong_options_are_named(call, local, options, said):
    code, out, err = call("run", *options)
    assert (code, out) == (2, "") and said in " ".join(err.split()) and "Traceback" not in err
    assert not local.root.exists()


def test_options_name_the_place(call, local, tiny, monkeypatch):
    given = []
    monkeypatch.setattr(engine, "campaign", lambda *a, **k: given.append(a[4]) or engine.Summary(1, {}))
    for options in (["--scheduler", "tcp://node-1:8786"], ["--slurm", "partition=gpu,gpus=1"], ["--workers", "3"]):
        assert call("run", *options, "--jobs-per-gpu", "2", "--dashboard", "0.0.0.0:8787")[0] == 0
    assert [(str(one), one.jobs, one.dashboard) for one in given] == [
        (name, 2, "0.0.0.0:8787") for name in ("tcp://node-1:8786", "slurm:partition=gpu,gpus=1", "3 workers")
    ]


def test_without_dask_the_command_trains_in_this_process(call, local, tiny, monkeypatch):
    given = []
    monkeypatch.setattr("rigl_nb.cli.training.installed", lambda: False)
    monkeypatch.setattr(engine, "campaign", lambda *a, **k: given.append(a[4]) or engine.Summary(1, {}))
    assert call("run")[0] == 0 and given[0].alone


# ---- the state of a cluster, as lines


def message(step, speed=110.0):
    return {"kind": "progress", "step": step, "text": "epoch 1/1, 110 images/s", "speed": speed, "host": "node-7"}


def test_the_state_of_a_cluster():
    """Two runs of 11 iterations of 128 images: one has 6 left, the other waits; 110 images a second."""
    specs = {spec.run_id: spec for spec in (tiny(), tiny("SET"))}
    first, second = specs
    lines = told({first: "running", second: "waiting"}, {first: message(5)}, specs, machines=3)
    assert lines[0] == f"1 runs wait, 1 are trained on 3 workers; about {17 * 128 / 110:.0f} s left"
    assert " ".join(lines[1].split()) == (
        f"RigL (ERK) at 0.2, seed 0: epoch 1/1, 110 images/s, {6 * 128 / 110:.0f} s left (node-7)"
    )


def test_a_run_that_is_not_known_here_has_its_id_and_no_time():
    lines = told({"mine/seed-0": "running", "x" * 90 + "/seed-1": "running"}, {"mine/seed-0": message(5)}, {}, 2)
    assert lines[0] == "0 runs wait, 2 are trained on 2 workers"
    assert "mine/seed-0: epoch 1/1, 110 images/s (node-7)" in lines[1]
    assert all(len(line) <= 100 for line in lines)


def test_a_state_of_ten_thousand_runs_is_short():
    specs = {spec.run_id: spec for spec in (tiny(seed=seed) for seed in range(10_000))}
    states = dict.fromkeys(specs, "waiting") | dict.fromkeys(list(specs)[:4], "running")
    lines = told(states, {run: message(1) for run in list(specs)[:4]}, specs, machines=4)
    assert len(lines) == 5 and lines[0].startswith("9996 runs wait, 4 are trained")


def test_what_the_end_of_a_scheduler_cancels_is_not_logged_as_an_error(monkeypatch):
    pytest.importorskip("distributed", reason="dask is not installed: pip install 'rigl_nb[cluster]'")
    monkeypatch.setattr(cluster, "_connected", lambda *_: nullcontext(SimpleNamespace(dashboard_link="")))
    with opened(2) as pool:
        assert pool.client
    heard, logger = [], logging.getLogger("distributed.scheduler")
    handler = logging.Handler()
    handler.emit = heard.append
    logger.addHandler(handler)
    for error in (CancelledError(), ValueError("something else")):
        try:
            raise error
        except BaseException as raised:
            logger.exception(raised)
    logger.removeHandler(handler)
    assert [record.getMessage() for record in heard] == ["something else"]
