"""Two processes and one search: they agree on every trial, share its seeds, and go on after a kill."""

import multiprocessing
import os
import signal
from dataclasses import replace

from driving import PLAIN
from records import ORIGIN

from rigl_nb.experiments.profiles import PROFILES, Row
from rigl_nb.experiments.studies import Study, runs, trials
from rigl_nb.runs import attempt, engine, turns
from rigl_nb.runs.store import Store

SMALL = replace(PROFILES["smoke"], epochs=1, trials=3, search_seeds=(0, 1))
RANGES = {"learning_rate": (0.01, 0.2, 0.01)}


def row(values) -> Row:
    return Row("RigL", "ERK", 0.2, fields=values)


STUDY = Study("rates", row, RANGES)


def work(root, told, victim=False) -> None:
    """Train the search to its end; tell each run whose training begins here. A victim dies after its first."""
    turns.LOOK_AGAIN, engine.provenance = 0.05, lambda device: ORIGIN
    store, plain = Store(root), attempt.train

    def train(spec, *arguments):
        told.put(spec.run_id)
        return (yield from plain(spec, *arguments))

    attempt.train = train

    class Show:
        def __init__(self, todo):
            pass

        def __enter__(self):
            return self.hear

        def __exit__(self, *error):
            pass

        def hear(self, event):
            if event.kind == "done" and victim:
                told.close()
                told.join_thread()
                os.kill(os.getpid(), signal.SIGKILL)

    engine.campaign(lambda: runs(STUDY, SMALL, store.find)[0], store, show=Show, execution=PLAIN)


def start(store, *victims):
    """Run a process for each entry of `victims` and return what all of them trained."""
    context = multiprocessing.get_context("forkserver")
    told = [context.Queue() for _ in victims]
    processes = [context.Process(target=work, args=(store.root, q, v)) for q, v in zip(told, victims, strict=True)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    return [run for queue in told for run in iter(lambda queue=queue: None if queue.empty() else queue.get(), None)]


def test_two_processes_train_every_run_of_a_search_once(store):
    told = start(store, False, False)
    found = trials(STUDY, SMALL, store.find)
    assert len(found) == 3 and all(trial.score is not None for trial in found)
    wanted = {spec.run_id for trial in found for spec in trial.specs}
    assert sorted(told) == sorted(wanted), "each run by one of the two"


def test_a_killed_process_costs_the_search_nothing(store, tmp_path):
    first = start(store, True)
    assert len(first) == 1 and len(store.records()) == 1
    rest = start(store, False)
    undisturbed = Store(tmp_path / "undisturbed")
    start(undisturbed, False)
    assert len(first) + len(rest) == 6
    assert [t.values for t in trials(STUDY, SMALL, store.find)] == [
        t.values for t in trials(STUDY, SMALL, undisturbed.find)
    ]
    assert {r.spec.run_id: r.numbers() for r in store.records()} == {
        r.spec.run_id: r.numbers() for r in undisturbed.records()
    }
