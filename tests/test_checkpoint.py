"""A crashed run goes on from its checkpoint, or says which file stands in the way."""

import math

import pytest
import torch
from records import PLAIN, tiny

from rigl_nb.runs import attempt, engine
from rigl_nb.runs.store import Store
from rigl_nb.spec import Execution

SPEC, OTHER = tiny(), tiny("Dense")


def run(specs, store, **options):
    return engine.run(specs, store, **({"execution": PLAIN} | options))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    """Return the numbers of the run, trained in one go."""
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    run([SPEC], store)
    return store.find(SPEC).numbers()


@pytest.fixture
def stopped(store, monkeypatch):
    """Return a spec whose run crashed after iteration 7, with the checkpoint of iteration 6."""
    spec = SPEC

    def stop(event):
        if event.step == 7:
            raise RuntimeError("stop")

    with monkeypatch.context() as patch:
        patch.setattr(attempt, "CHECKPOINT_EVERY", -math.inf)
        assert run([spec], store, notify=stop).failed == {spec.run_id: "RuntimeError: stop"}
    return spec


def steps_of(spec, store, execution=PLAIN) -> list[int]:
    steps = []
    summary = run([spec], store, execution=execution, notify=lambda event: steps.append(event.step))
    assert summary == engine.Summary(1, {})
    return steps[:-1]


def test_a_stopped_run_goes_on_from_its_checkpoint(store, stopped, undisturbed):
    assert steps_of(stopped, store) == [7, 8, 9, 10, 11]
    assert store.find(stopped).numbers() == undisturbed
    assert not store.path(stopped, ".checkpoint").exists()


def test_a_checkpoint_of_another_device_starts_anew(store, stopped, undisturbed):
    file = store.path(stopped, ".checkpoint")
    state = torch.load(file)
    state["execution"]["device"] = "cuda"
    torch.save(state, file)
    assert steps_of(stopped, store) == list(range(1, 12))
    assert store.find(stopped).numbers() == undisturbed


def test_a_record_names_one_execution(store, stopped):
    """Half a run in float32 and half in bfloat16 is neither: the record could not say so."""
    other = Execution(device="cpu", precision="bf16", channels_last=False, threads=1)
    assert steps_of(stopped, store, other) == list(range(1, 12))
    assert store.find(stopped).execution["precision"] == "bf16"


def test_a_record_names_one_commit(store, stopped, monkeypatch):
    """Half a run by changed code is not the commit's: it starts anew, or its record says that it is dirty."""
    before = engine.provenance("cpu")
    then = before | {"commit": "f" * 40, "dirty": False}
    monkeypatch.setattr(engine, "provenance", lambda device: then)
    steps = steps_of(stopped, store)
    assert steps == list(range(1, 12)) or store.find(stopped).provenance["dirty"]


DAMAGE = {
    "empty": lambda file: file.write_bytes(b""),
    "cut short": lambda file: file.write_bytes(file.read_bytes()[:5_000]),
    "overwritten": lambda file: file.write_bytes(b"\0" * 5_000),
    "of another kind": lambda file: torch.save({"masks": {}}, file),
    "of another run": lambda file: torch.save(torch.load(file) | {"run_id": "other/seed-0"}, file),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_named_with_the_way_out(store, stopped, damage, undisturbed):
    file = store.path(stopped, ".checkpoint")
    DAMAGE[damage](file)
    summary = run([stopped, OTHER], store)
    assert summary.trained == 1, "the other run is trained"
    reason = summary.failed[stopped.run_id]
    assert str(file) in reason and "remove it" in reason
    file.unlink()
    assert steps_of(stopped, store) == list(range(1, 12))
    assert store.find(stopped).numbers() == undisturbed


def test_a_crash_in_a_worker_is_kept(store):
    """The worker's checkpoint is damaged, so it raises."""
    file = store.path(SPEC, ".checkpoint")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"damaged")
    summary = run([SPEC, OTHER], store, workers=2)
    assert summary.trained == 1
    assert str(file) in summary.failed[SPEC.run_id]
    assert store.failure(SPEC) == summary.failed[SPEC.run_id]
    assert store.find(OTHER) is not None
