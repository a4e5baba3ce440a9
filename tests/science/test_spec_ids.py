"""Pinned ids: a changed default, or a changed id, would orphan every published record. It must be noticed.

If a pair fails on purpose, raise the schema number where runs now compute something else, or say why the old
records may stay.
"""

import pytest

from rigl_nb.spec import RunSpec

REFERENCE = {
    "data": "cifar10",
    "model": "wrn-22-2",
    "method": "RigL",
    "init": "ERK",
    "density": 0.1,
    "alpha": 0.3,
    "delta_t": 100,
    "epochs": 250,
    "multiplier": 1,
    "seed": 0,
    "batch_size": 128,
    "learning_rate": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 5e-4,
    "decay_every": 30_000,
    "decay_factor": 0.2,
    "warmup": 0,
    "label_smoothing": 0.0,
    "dropout": 0.3,
    "validation": 5_000,
    "update_until": 0.75,
    "prune_start": None,
    "exponent": 1.0,
    "published_code": (),
    "parent": None,
}
UNMASKED = {"init": None, "alpha": None, "delta_t": None}
CIFAR100 = {
    "model": "resnet50",
    "weight_decay": 1e-4,
    "decay_every": 20_000,
    "warmup": 704,
    "label_smoothing": 0.1,
}
PINNED = {  # run id: (what is given, where the resolved specification differs from the reference besides)
    "cifar10_wrn-22-2_RigL_ERK_0.1_250ep_7674a781/seed-0": ({"init": "ERK", "density": 0.1}, {}),
    "cifar10_wrn-22-2_RigL_Random_0.1_500ep_650667ab/seed-2": (
        {"init": "Random", "density": 0.1, "multiplier": 2, "seed": 2},
        {},
    ),
    "cifar10_wrn-22-2_Dense_1_250ep_10d79c59/seed-0": ({"method": "Dense"}, UNMASKED | {"density": 1.0}),
    "cifar10_wrn-22-2_Dense_1_250ep_5532d705/seed-0": (
        {"method": "Dense", "validation": 0},
        UNMASKED | {"density": 1.0},
    ),
    "cifar10_wrn-22-2_Small-Dense_0.2_250ep_15d328cf/seed-0": (
        {"method": "Small-Dense", "density": 0.2},
        UNMASKED,
    ),
    "cifar100_resnet50_Static_Random_0.2_250ep_f2fa9e00/seed-1": (
        {"data": "cifar100", "method": "Static", "init": "Random", "density": 0.2, "seed": 1},
        CIFAR100 | {"dropout": 0.0, "alpha": None, "delta_t": None},
    ),
    "digits_wrn-10-1_SET_ER_0.05_3ep_ca459c3a/seed-0": (
        {"data": "digits", "method": "SET", "init": "ER", "density": 0.05, "epochs": 3, "delta_t": 2},
        {"model": "wrn-10-1", "validation": 200},
    ),
}


@pytest.mark.parametrize("run_id", PINNED)
def test_pinned(run_id):
    given, besides = PINNED[run_id]
    spec = RunSpec(**given)
    assert spec.to_dict() == REFERENCE | given | besides
    assert spec.run_id == run_id


CODE = {"init": "ERK", "density": 0.1, "published_code": ("ceil", "late-rate")}


@pytest.mark.parametrize("names", [["late-rate", "ceil"], {"ceil", "late-rate"}, ("ceil", "late-rate", "ceil")])
def test_behaviours_have_one_id_whatever_holds_their_names(names):
    assert RunSpec(**CODE | {"published_code": names}).run_id == RunSpec(**CODE).run_id
    assert RunSpec(**CODE | {"published_code": iter(names)}).published_code == ("ceil", "late-rate")
    assert RunSpec(**CODE).run_id == "cifar10_wrn-22-2_RigL_ERK_0.1_250ep_809e096e/seed-0"


@pytest.mark.parametrize(
    "names", ["ceil", "", b"ceil", None, 5, True, ["ceil", 5], ("ceil", None), [["ceil"]]], ids=repr
)
def test_behaviours_that_are_no_tuple_of_names_are_refused(names):
    with pytest.raises(ValueError, match=r"published_code .* is not allowed: it must be a tuple of names") as told:
        RunSpec(**CODE | {"published_code": names})
    assert repr(names) in str(told.value)
