"""Runs that start from another's masks: what they may start from, what they inherit, and who is trained first."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from driving import PLAIN, drive, equal, numbers, run, stored, tiny, trainings
from records import ORIGIN

from rigl_nb.runs import attempt, engine
from rigl_nb.runs.publishing import publish
from rigl_nb.runs.record import RecordError
from rigl_nb.runs.store import MASKS, Store
from rigl_nb.spec import RunSpec

PRUNING, TICKET = tiny("Pruning"), tiny("Lottery")
MOVED = tiny("RigL-SM")
COPIED, SPREAD = (replace(tiny("RigL"), init=init, parent=MOVED) for init in ("Mask", "Densities"))
SOON = {"delta_t": 4, "prune_start": 5}
FAMILY = [TICKET, COPIED, PRUNING, SPREAD, MOVED]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Store:
    """Return a store with the whole family, trained in one go."""
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    assert run(FAMILY, store) == engine.Summary(5, {})
    return store


# ---- what a run may start from


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"method": "Lottery", "density": 0.2}, "parent is missing: method Lottery"),
        ({"method": "RigL", "init": "Mask", "density": 0.2}, "parent is missing: method RigL with init Mask"),
        ({"method": "RigL", "init": "ERK", "parent": MOVED}, "parent is not allowed: method RigL with init ERK"),
        ({"method": "Dense", "parent": MOVED}, "parent|density"),
        ({"method": "Lottery", "init": "ERK", "parent": PRUNING}, "init 'ERK' is not allowed: method Lottery"),
        (
            {"method": "Pruning", "init": "Random", "density": 0.2} | SOON,
            "init 'Random' is not allowed: method Pruning",
        ),
        ({"method": "Lottery", "parent": PRUNING, "seed": 1}, "seed 1 is not the parent's, 0"),
        ({"method": "Lottery", "parent": PRUNING, "density": 0.1}, r"density 0\.1 is not the parent's, 0\.2"),
        ({"method": "Lottery", "parent": PRUNING, "model": "wrn-16-1"}, "model 'wrn-16-1' is not the parent's"),
        ({"method": "Lottery", "parent": tiny("Small-Dense")}, "Small-Dense.* has no mask"),
        ({"method": "Lottery", "parent": PRUNING, "delta_t": 5}, "delta_t 5 is not allowed: method Lottery"),
        ({"method": "RigL", "init": "ERK", "density": 0.2, "prune_start": 5}, "prune_start 5 .*RigL"),
        ({"method": "Pruning", "density": 0.2, "delta_t": 100}, "delta_t 100 and prune_start 700"),
        ({"method": "Pruning", "density": 0.2, "epochs": 250, "update_until": 1.0}, "delta_t 100"),
        ({"method": "SNFS", "init": "ERK", "density": 0.2, "momentum": 0.0, "nesterov": False}, "SNFS ranks by it"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, named):
    with pytest.raises(ValueError, match=named):
        RunSpec(**({"data": "digits", "epochs": 2} | fields))


def test_a_child_has_its_parents_density_and_names_it():
    ticket = RunSpec(method="Lottery", parent=RunSpec(method="Pruning", density=0.1))
    assert (ticket.density, ticket.warmup, ticket.label) == (0.1, 0, "Lottery")
    assert (ticket.parent.warmup, ticket.parent.prune_start, ticket.parent.delta_t) == (3_500, 700, 100)
    assert (COPIED.label, SPREAD.label) == ("RigL (RigL-SM (ERK))", "RigL (densities of RigL-SM (ERK))")
    assert RunSpec(data="cifar100", method="Pruning", density=0.1).warmup == 704


def test_the_parents_seed_is_not_in_the_childs_config():
    other = replace(TICKET, seed=3, parent=replace(PRUNING, seed=3))
    assert other.config_id == TICKET.config_id
    assert RunSpec.from_dict(other.to_dict()) == other


# ---- what it inherits


def left_by(spec, store):
    return attempt.inheritance(spec, attempt.Setting(store, (), PLAIN, ORIGIN))


def test_a_ticket_is_the_pruned_mask_on_the_first_weights(undisturbed):
    """Its masks never move, its first weights are the pruned run's own, and its cost has both trainings."""
    masks, _ = undisturbed.find_masks(PRUNING)
    assert sum(mask.sum() for mask in masks.values()) == round(0.2 * sum(mask.size for mask in masks.values()))
    assert all(np.array_equal(mask, masks[name]) for name, mask in undisturbed.find_masks(TICKET)[0].items())
    first = {}

    def look(progress):
        first.setdefault("weights", {k: v.clone() for k, v in progress.snapshot()["model"].items()})

    drive(tiny("Dense", learning_rate=1e-12), look=look)
    dense = first.pop("weights")
    legacy = left_by(PRUNING, undisturbed)
    drive(replace(TICKET, learning_rate=1e-12), parent=legacy, look=look)
    for name, mask in masks.items():
        torch.testing.assert_close(first["weights"][name], dense[name] * torch.from_numpy(mask), atol=1e-9, rtol=0)
    ticket, pruned = undisturbed.find(TICKET), undisturbed.find(PRUNING)
    assert ticket.train_flops == pytest.approx(ticket.test_flops + pruned.train_flops)
    assert ticket.test_flops == pruned.test_flops


def test_a_mask_is_copied_or_only_its_densities(undisturbed):
    left = left_by(MOVED, undisturbed).masks
    starts = []

    def look(progress):
        if progress.step == 1:
            starts.append({k: v.clone() for k, v in progress.snapshot()["sparsifier"]["masks"].items()})

    for spec in (COPIED, SPREAD):
        drive(spec, parent=left_by(MOVED, undisturbed), look=look)
    copied, spread = starts
    assert all(torch.equal(mask, left[name]) for name, mask in copied.items())
    assert all(mask.sum() == left[name].sum() for name, mask in spread.items())
    assert not all(torch.equal(mask, left[name]) for name, mask in spread.items())
    assert undisturbed.find(COPIED).active[0]["counts"] == undisturbed.find(MOVED).active[-1]["counts"]


def test_other_initial_weights_are_an_error_that_names_both_machines(store, undisturbed):
    """Another processor, or another numpy, may draw other numbers: the ticket would be none."""
    masks, _ = undisturbed.find_masks(PRUNING)
    store.save_masks(PRUNING, masks, "0" * 64)
    record = undisturbed.find(PRUNING)
    store.save(replace(record, provenance=record.provenance | {"hardware": "Abacus, 2 cores"}))
    reason = run([TICKET], store).failed[TICKET.run_id]
    here = record.provenance["hardware"]
    assert f"seed 0 gives other weights on {here} than on Abacus, 2 cores" in reason and PRUNING.run_id in reason


def test_a_child_alone_says_what_it_needs():
    with pytest.raises(ValueError, match=PRUNING.run_id):
        drive(TICKET)


@pytest.mark.parametrize("spec", [TICKET, PRUNING, MOVED, COPIED], ids=lambda spec: spec.label)
def test_a_resumed_run_is_the_same_run(spec, undisturbed, tmp_path):
    """Between two updates, of which one comes before and two after."""
    parent, file = spec.parent and left_by(spec.parent, undisturbed), tmp_path / "state.pt"
    result, end = drive(spec, parent=parent, look=lambda p: p.step == 10 and torch.save(p.snapshot(), file))
    again, last = drive(spec, parent=parent, state=torch.load(file))
    assert numbers(again) == numbers(result) and equal(last, end)
    assert all(torch.equal(mask, again.masks[name]) for name, mask in result.masks.items())


# ---- who is trained first


def test_parents_come_first_and_everybody_once(store):
    assert engine.missing([TICKET, COPIED, PRUNING, SPREAD], store) == [PRUNING, TICKET, MOVED, COPIED, SPREAD]


@pytest.mark.parametrize("how", [{}, {"execution": replace(PLAIN, sharing=3)}, {"workers": 2}])
def test_every_way_gives_the_same_family(store, undisturbed, how):
    assert run(FAMILY, store, **how) == engine.Summary(5, {})
    assert stored(store) == stored(undisturbed)


def test_a_published_parent_is_not_trained_again(store, undisturbed, monkeypatch):
    begun = trainings(monkeypatch)
    assert run([TICKET], store, published=[undisturbed]) == engine.Summary(0, {})
    published = Store(store.root.parent / "published")
    done = publish(undisturbed, published, [PRUNING, TICKET], allow_dirty=True)
    assert done == [undisturbed.find(s) for s in (PRUNING, TICKET)]
    assert published.path(PRUNING, MASKS).exists() and not published.path(TICKET, MASKS).exists()
    published.path(TICKET).unlink()
    assert run([TICKET], store, published=[published]) == engine.Summary(1, {})
    assert begun == [TICKET.run_id] and store.find(TICKET).numbers() == undisturbed.find(TICKET).numbers()


def test_a_parent_without_its_masks_is_trained_again(store, undisturbed, monkeypatch):
    published, begun = Store(store.root.parent / "published"), trainings(monkeypatch)
    published.save(undisturbed.find(PRUNING))
    assert run([TICKET], store, published=[published]) == engine.Summary(2, {})
    assert begun == [PRUNING.run_id, TICKET.run_id]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_child_fails_with_its_parent(store, workers, monkeypatch):
    store.path(PRUNING).parent.mkdir(parents=True)
    store.path(PRUNING, ".checkpoint").write_bytes(b"junk")
    summary = run([TICKET, MOVED], store, workers=workers)
    assert (summary.trained, set(summary.failed)) == (1, {PRUNING.run_id, TICKET.run_id})
    assert summary.failed[TICKET.run_id] == f"its parent {PRUNING.run_id} failed"
    store.path(PRUNING, ".checkpoint").unlink()
    assert run([TICKET], store) == engine.Summary(2, {})
    assert store.failure(TICKET) is None


@pytest.mark.parametrize("damage", [b"", b"junk" * 50])
def test_damaged_masks_are_named_with_the_way_out(store, undisturbed, damage):
    store.save(undisturbed.find(PRUNING))
    store.path(PRUNING, MASKS).write_bytes(damage)
    with pytest.raises(RecordError, match=r"seed-0\.masks\.npz is damaged .*train the run again"):
        store.find_masks(PRUNING)
    assert run([TICKET], store).failed[TICKET.run_id].startswith("RecordError")


def test_a_method_of_this_process_needs_one_worker(store, monkeypatch):
    from rigl_nb.methods import METHODS, RIGL

    monkeypatch.setitem(METHODS, "Mine", replace(RIGL, name="Mine"))
    with pytest.raises(ValueError, match="method 'Mine' is known to this process only"):
        run([tiny("Mine"), tiny()], store, workers=2)
    assert run([tiny("Mine")], store) == engine.Summary(1, {})
