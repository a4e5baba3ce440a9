"""The number of CPU threads decides a run's numbers: it belongs to the run from its first step to its record."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from driving import PLAIN, held, run
from records import tiny

from rigl_nb.execution import Execution
from rigl_nb.execution.cores import computing
from rigl_nb.execution.graph import on_a_lane
from rigl_nb.runs.store import Store

pytestmark = pytest.mark.usefixtures("chatty")
STEEP = {"learning_rate": 2.0, "warmup": 0}  # sums in another order soon show
SPEC, OTHER = tiny(**STEEP), tiny("Dense", **STEEP)
SEVERAL = 3  # more than the cores of a small machine: its threads then wait without spinning


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    """Return the numbers of both runs, each trained alone and in one go, by run and threads."""
    numbers = {}
    for threads in (1, SEVERAL):
        store = Store(tmp_path_factory.mktemp(f"threads-{threads}"))
        run([SPEC, OTHER], store, execution=replace(PLAIN, threads=threads))
        numbers |= {(spec, threads): store.find(spec).numbers() for spec in (SPEC, OTHER)}
    for spec in (SPEC, OTHER):
        assert numbers[spec, 1] != numbers[spec, SEVERAL], "or these tests show nothing"
    return numbers


def stop(store, threads, steps=4):
    """Train the first run with so many threads, and leave it after some more steps."""
    before, seen = held(store, SPEC), []
    run([SPEC], store, execution=replace(PLAIN, threads=threads), notify=seen.append, asked=lambda: len(seen) >= steps)
    assert held(store, SPEC) == before + steps


def outcome(store, spec) -> tuple[dict, int]:
    record = store.find(spec)
    return record.numbers(), record.execution["threads"]


@pytest.mark.parametrize(("begun", "now"), [(1, SEVERAL), (SEVERAL, 1)])
def test_a_stopped_run_goes_on_with_the_threads_it_began_with(store, begun, now, undisturbed):
    """However many there are now, by the batch's word; and a person hears of it once."""
    stop(store, begun)
    said = []
    run([SPEC], store, execution=replace(PLAIN, threads=now), notify=said.append)
    assert outcome(store, SPEC) == (undisturbed[SPEC, begun], begun)
    assert said[0].step == 5
    words = [event.text for event in said if "as it began" in event.text]
    assert len(words) == 1 and f"on {begun} CPU thread" in words[0]


@pytest.mark.parametrize("sharing", [1, 2])
def test_the_others_of_its_batch_have_torchs_own_number(store, sharing, undisturbed):
    """Also where they take turns with it, iteration by iteration; each record names its own."""
    stop(store, 1)
    said = []
    with computing(SEVERAL):
        run([SPEC, OTHER], store, execution=replace(PLAIN, threads=None, sharing=sharing), notify=said.append)
        assert torch.get_num_threads() == SEVERAL, "no training leaves another number behind"
    assert outcome(store, SPEC) == (undisturbed[SPEC, 1], 1)
    assert outcome(store, OTHER) == (undisturbed[OTHER, SEVERAL], SEVERAL)
    assert not [event for event in said if event.spec == OTHER and "began" in event.text]


def test_a_run_stopped_twice_keeps_its_threads(store, undisturbed):
    stop(store, 1)
    with computing(SEVERAL):
        stop(store, None)
        run([SPEC], store, execution=replace(PLAIN, threads=None))
    assert outcome(store, SPEC) == (undisturbed[SPEC, 1], 1)


@pytest.mark.slow
def test_a_run_stopped_alone_goes_on_in_a_worker(store):
    """Workers have one thread each."""
    native = replace(Execution.best(), threads=SEVERAL)
    seen = []
    run([SPEC], store, execution=native, notify=seen.append, asked=lambda: len(seen) >= 7)
    seen.clear()
    run([SPEC, OTHER], store, execution=None, workers=2, notify=seen.append)
    if native.device == "cpu":
        assert [store.find(spec).execution["threads"] for spec in (SPEC, OTHER)] == [SEVERAL, 1]
        assert [event.spec for event in seen if f"on {SEVERAL} CPU threads" in event.text] == [SPEC]


def test_a_step_on_its_lane_has_its_threads_and_nobody_else():
    def steps():
        while True:
            yield torch.get_num_threads()

    lanes = [on_a_lane(steps(), replace(PLAIN, threads=threads)) for threads in (1, None, SEVERAL)]
    with computing(2):
        assert [next(lane) for _ in range(2) for lane in lanes] == [1, 2, SEVERAL] * 2
        assert torch.get_num_threads() == 2
    assert next(lanes[1]) == torch.get_num_threads()


def test_numbers_may_be_numpys():
    """A record and a checkpoint know only Python's own."""
    numbers = asdict(Execution(threads=np.int64(2), sharing=np.int32(3)))
    assert json.loads(json.dumps(numbers))["threads"] == 2 and numbers["sharing"] == 3


def test_threads_that_are_no_number_are_refused():
    for wrong in (0, -1, 1.5, "2", True):
        with pytest.raises(ValueError, match=f"threads {wrong!r} is not allowed"):
            Execution(threads=wrong)
