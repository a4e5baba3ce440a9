"""Batches on dask: what is killed is trained on, nothing is trained twice, and every way gives the same numbers."""

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager

import pytest
from driving import run, stored
from records import tiny

from rigl_nb import paths
from rigl_nb.runs import batch, engine, watch, workers
from rigl_nb.runs.attempt import Setting
from rigl_nb.runs.cluster import opened
from rigl_nb.runs.origin import provenance
from rigl_nb.runs.store import MARK, Store

distributed = pytest.importorskip("distributed", reason="dask is not installed: pip install 'rigl_nb[cluster]'")
pytestmark = pytest.mark.slow
LONG = tiny(epochs=25)
SPECS = [LONG, tiny("SET"), tiny("Pruning"), tiny("Lottery")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    """Return the numbers of SPECS, trained in this process, by run id."""
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    run(SPECS, store)
    return stored(store)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def dask(*words, cwd):
    """Run one of dask's own programs, as somebody does who has machines and ssh."""
    command = [sys.executable, "-m", "dask", *map(str, words)]
    process = subprocess.Popen(
        command, cwd=cwd, env=os.environ | {"PYTHONPATH": str(paths.ROOT)}, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def cluster(port, cwd, count=2):
    """Start a scheduler and workers; its address."""
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as stack:
        process = stack.enter_context(dask("scheduler", "--host", address, "--no-dashboard", cwd=cwd))
        for _ in range(count):
            stack.enter_context(
                dask("worker", address, "--nthreads", 1, "--memory-limit", 0, "--no-dashboard", cwd=cwd)
            )
        yield address, process


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Return the address of a cluster with two workers, whose own store is elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cluster")
        patch.setenv("RIGL_BUILD", str(folder / "build"))
        with cluster(free_port(), folder) as (address, _):
            yield address


class Ear:
    """Listen to a batch: the steps and ends of every run; do something at the n-th step told of LONG."""

    def __init__(self, act=lambda: None, at=2):
        self.steps, self.ends, self.act, self.at = {}, [], act, at

    def __call__(self, event):
        if event.kind != "progress":
            self.ends.append((event.spec, event.kind))
            return
        mine = self.steps.setdefault(event.spec, [])
        mine.append(event.step)
        if event.spec == LONG and len(mine) == self.at:
            self.act()

    def begun(self) -> list:
        """Return the runs that began from nothing, as often as they did."""
        return [spec for spec, steps in self.steps.items() for step in steps if step == 1]


def worker_of(address, spec) -> int:
    """Return the process of the worker that trains a run."""
    with distributed.Client(address, set_as_default=False) as client:
        pids = client.run(os.getpid)
        return next(pids[worker] for worker, keys in client.processing().items() if spec.run_id in keys)


# ---- a worker, the scheduler, a client is lost


def test_a_killed_workers_run_goes_on_elsewhere(running, store, undisturbed):
    ear = Ear(lambda: os.kill(worker_of(running, LONG), signal.SIGKILL))
    assert run(SPECS, store, workers=running, notify=ear) == engine.Summary(4, {})
    assert stored(store) == undisturbed
    steps = ear.steps[LONG]
    assert steps == sorted(steps) and len(set(steps)) == len(steps), "from its checkpoint"
    assert len(ear.begun()) == len(set(ear.begun()))


def test_a_killed_local_worker_is_replaced(store, undisturbed):
    """The same on this machine, where the client starts the workers."""
    with opened(2) as pool:
        ear = Ear(lambda: os.kill(worker_of(pool.client.scheduler.address, LONG), signal.SIGKILL))
        assert run(SPECS, store, workers=pool, notify=ear) == engine.Summary(4, {})
    assert stored(store) == undisturbed
    assert ear.steps[LONG] == sorted(set(ear.steps[LONG]))
    assert not list(store.root.glob(f"{MARK}*")), "workers of this machine need not look whether they share the store"


def test_a_run_that_takes_its_workers_with_it_fails_with_this_reason(store, undisturbed):
    """Dask gives up on a run after so many workers; here after the first one."""
    with opened(2) as pool:
        pool.client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
        ear = Ear(lambda: os.kill(worker_of(pool.client.scheduler.address, LONG), signal.SIGKILL))
        summary = run(SPECS[:2], store, workers=pool, notify=ear)
    assert summary.trained == 1 and list(summary.failed) == [LONG.run_id]
    assert "1 workers died with it" in summary.failed[LONG.run_id] == store.failure(LONG)
    assert run([LONG], store) == engine.Summary(1, {}), "the next call goes on with it"
    assert store.find(LONG).numbers() == undisturbed[LONG.run_id]


def test_a_lost_scheduler_that_comes_back_costs_nothing(store, undisturbed, tmp_path):
    port = free_port()
    with ExitStack() as first, ExitStack() as second:
        address, process = first.enter_context(cluster(port, tmp_path, count=1))

        def lose():
            process.kill()
            first.close()
            second.enter_context(cluster(port, tmp_path, count=1))

        ear = Ear(lose)
        assert run(SPECS, store, workers=address, notify=ear) == engine.Summary(4, {})
    assert stored(store) == undisturbed
    assert len(ear.begun()) == len(set(ear.begun())), "nothing is trained twice"
    assert ear.steps[LONG] == sorted(set(ear.steps[LONG]))


def test_a_client_that_stops_leaves_checkpoints_and_the_next_one_goes_on(running, store, undisturbed):
    ear = Ear(lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run(SPECS, store, workers=running, notify=ear)
    assert store.path(LONG, ".checkpoint").exists() and (LONG, "left") in ear.ends
    again = Ear()
    assert run(SPECS, store, workers=running, notify=again).failed == {}
    assert again.steps[LONG][0] > ear.steps[LONG][-1]
    assert stored(store) == undisturbed


def test_two_clients_train_every_run_once(running, store, undisturbed):
    ears = [Ear(), Ear()]
    first = threading.Thread(target=run, args=(SPECS, store), kwargs={"workers": running, "notify": ears[0]})
    first.start()
    summary = run(SPECS[::-1], store, workers=running, notify=ears[1])
    first.join()
    assert summary == engine.Summary(4, {}) and stored(store) == undisturbed
    for ear in ears:
        assert sorted(kind for _, kind in ear.ends if kind != "busy") == ["done"] * 4
        assert ear.steps.get(LONG, []) == sorted(set(ear.steps.get(LONG, []))), "one training, of which both hear"


# ---- what is not shared


def test_without_a_shared_store_all_that_runs_leave_comes_back(running, store, undisturbed, monkeypatch, capsys):
    """The workers do not find the mark, as on a machine that has another folder of the same name."""
    monkeypatch.setattr(Store, "mark", lambda self: ".mark-elsewhere")
    assert run(SPECS, store, workers=running) == engine.Summary(4, {})
    assert stored(store) == undisturbed
    assert all(store.finished(spec) and store.find_correct(spec) is not None for spec in SPECS)
    assert not list(store.root.rglob("*.lock")), "they were trained elsewhere"
    said = " ".join(capsys.readouterr().err.split())
    assert f"2 of 2 workers do not share {store.root}: records come back" in said and "seen at once" not in said
    assert "dashboard:" not in said, "this scheduler shows none"


def test_a_folder_where_writes_are_seen_late_is_named(running, store, undisturbed, monkeypatch, capsys):
    """What the client writes has not arrived when the workers look for it, as where a network mount has a cache."""
    monkeypatch.setattr(batch, "write", lambda path, content: None)
    assert run(SPECS[1:2], store, workers=running) == engine.Summary(1, {})
    said = " ".join(capsys.readouterr().err.split())
    assert f"2 of 2 workers share {store.root}, but what is written there is not seen at once" in said
    assert not list(store.root.glob(f"{workers.TRIAL}*"))
    assert stored(store) == {SPECS[1].run_id: undisturbed[SPECS[1].run_id]}


def test_answers_that_the_client_sees_late_count_too(store):
    setting = Setting(store, (), None, provenance("cpu"), store.mark())

    class Late:
        """Three machines: one shares the store, one does so with a cache, one has another store."""

        def run(self, answer, setting, question):
            seen = answer(setting, question)
            return {"one": seen, "two": seen.with_name("not-yet-seen"), "three": None}

    assert batch._answers(Late(), setting) == ["shared", "late", "apart"]
    assert not list(store.root.glob(f"{workers.TRIAL}*"))


def test_other_code_than_the_clients_is_refused(running, store, monkeypatch):
    monkeypatch.setattr(engine, "provenance", lambda device: {"commit": "f" * 40})
    with pytest.raises(ValueError, match=r"has commit .* of the code, its client has f{40}"):
        run(SPECS[:2], store, workers=running)
    assert store.records() == []


def test_a_scheduler_that_is_not_there_is_named(store):
    with pytest.raises(OSError, match=r"no scheduler answers at tcp://127\.0\.0\.1:\d+"):
        run(SPECS, store, workers=f"tcp://127.0.0.1:{free_port()}")


# ---- what people see


def test_status_shows_the_queue_and_who_trains_what(running, store):
    seen = []

    def look():
        seen.extend(watch.watch(running, SPECS))

    run([LONG, *SPECS[1:]], store, workers=running, notify=Ear(look))
    assert "wait" in seen[0] and "trained on 2 workers" in seen[0] and "left" in seen[0]
    mine = " ".join(line.strip() for line in seen)
    assert "RigL (ERK) at 0.2, seed 0: epoch" in mine and "images/s" in mine and socket.gethostname() in mine
    assert all(len(line) <= 100 for line in seen)
