"""What a run is: resolved defaults, refused values, and ids that neither drift nor collide."""

import dataclasses
import json
import math

import numpy as np
import pytest

from rigl_nb import methods
from rigl_nb.execution import Execution
from rigl_nb.spec import RunSpec

BASE = {"method": "RigL", "init": "ERK", "density": 0.1}


def spec(**fields):
    return RunSpec(**(BASE | fields))


def test_the_papers_cifar10_recipe():
    """Section 5: 352 steps an epoch, 88,000 in all, T_end 66,000."""
    run = spec()
    assert (run.data, run.model, run.epochs, run.batch_size) == ("cifar10", "wrn-22-2", 250, 128)
    assert (run.steps_per_epoch, run.total_steps, run.t_end) == (352, 88_000, 66_000)
    assert (run.learning_rate, run.momentum, run.nesterov, run.weight_decay) == (0.1, 0.9, True, 5e-4)
    assert (run.decay_every, run.decay_factor, run.warmup) == (30_000, 0.2, 0)
    assert (run.dropout, run.label_smoothing, run.validation) == (0.3, 0.0, 5_000)
    assert (run.alpha, run.delta_t, run.multiplier, run.seed) == (0.3, 100, 1, 0)


def test_the_papers_cifar100_recipe():
    run = spec(data="cifar100")
    assert run.model == "resnet50"
    assert (run.steps_per_epoch, run.total_steps, run.t_end) == (352, 88_000, 66_000)
    assert (run.weight_decay, run.label_smoothing, run.dropout) == (1e-4, 0.1, 0.0)
    assert (run.decay_every, run.warmup, run.validation) == (20_000, 2 * 352, 5_000)


def test_without_validation_images_the_training_is_longer():
    run = spec(validation=0)
    assert (run.steps_per_epoch, run.total_steps, run.t_end) == (391, 97_750, 73_312)


def test_a_multiplier_stretches_epochs_and_t_end_only():
    once, thrice = spec(), spec(multiplier=3)
    assert (thrice.total_steps, thrice.t_end) == (264_000, 198_000)
    assert thrice.delta_t == once.delta_t
    assert thrice.warmup == once.warmup


def test_methods_without_updates_have_no_update_settings():
    static = RunSpec(method="Static", init="Random", density=0.2)
    assert (static.alpha, static.delta_t) == (None, None)
    dense = RunSpec(method="Dense")
    assert (dense.init, dense.density, dense.alpha, dense.delta_t) == (None, 1.0, None, None)
    small = RunSpec(method="Small-Dense", density=0.1)
    assert (small.init, small.density, small.alpha) == (None, 0.1, None)


REFUSED = [
    ({"method": "Rigl"}, "Rigl.*RigL"),
    ({"data": "imagenet"}, "imagenet.*cifar10"),
    ({"model": "vgg16"}, "vgg16.*resnet50"),
    ({"init": "Uniform"}, "Uniform.*Random.*ERK"),
    ({"init": None}, "init None"),
    ({"density": 0}, "density 0"),
    ({"density": 1.5}, r"density 1\.5"),
    ({"density": -0.5}, r"density -0\.5"),
    ({"density": math.nan}, "density nan"),
    ({"density": None}, "density"),
    ({"density": "0.1"}, "density '0.1'"),
    ({"delta_t": 0}, "delta_t 0"),
    ({"delta_t": 1.5}, r"delta_t 1\.5"),
    ({"alpha": 1.5}, r"alpha 1\.5"),
    ({"alpha": -0.1}, r"alpha -0\.1"),
    ({"epochs": -1}, "epochs -1"),
    ({"epochs": 0}, "epochs 0"),
    ({"epochs": 2.5}, r"epochs 2\.5"),
    ({"multiplier": 0}, "multiplier 0"),
    ({"seed": -1}, "seed -1"),
    ({"batch_size": 0}, "batch_size 0"),
    ({"learning_rate": 0}, "learning_rate 0"),
    ({"learning_rate": math.nan}, "learning_rate nan"),
    ({"validation": -1}, "validation -1"),
    ({"validation": 50_000}, "validation 50000"),
    ({"warmup": -1}, "warmup -1"),
    ({"dropout": 1.0}, r"dropout 1\.0"),
    ({"momentum": 0.0}, r"nesterov True .* momentum 0"),
    ({"label_smoothing": -0.1}, r"label_smoothing -0\.1"),
    ({"exponent": math.nan}, "exponent nan"),
    ({"published_code": ("floor",)}, "published_code 'floor' is unknown: allowed are zero-regrown, ceil"),
    ({"published_code": ("ceil",), "method": "Dense", "init": None, "density": None}, "method Dense has no mask"),
    ({"exponent": 0.5, "init": "Random"}, r"exponent 0\.5 is not allowed: only init ERK"),
    ({"weight_decay": -1e-4}, "weight_decay -0.0001"),
    ({"method": "Dense", "init": None}, r"density 0\.1.*Dense"),
    ({"method": "Dense", "density": 1.0}, "init 'ERK'.*Dense"),
    ({"method": "Small-Dense"}, "init 'ERK'.*Small-Dense"),
    ({"method": "Small-Dense", "init": None, "density": None}, "density.*Small-Dense"),
    ({"method": "Static", "alpha": 0.3}, "alpha.*Static"),
    ({"method": "Static", "delta_t": 100}, "delta_t.*Static"),
    ({"method": "Static", "density": None}, "density.*Static"),
]


@pytest.mark.parametrize(("fields", "named"), REFUSED)
def test_refused_values_are_named(fields, named):
    with pytest.raises(ValueError, match=named):
        spec(**fields)


def test_a_spec_is_frozen_and_comparable():
    run = spec()
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.density = 0.2
    assert run == spec() and hash(run) == hash(spec())
    assert run != spec(seed=1)


PRUNED = RunSpec(method="Pruning", density=0.1)
OTHERS = [
    {"data": "cifar100", "model": "wrn-22-2"},
    {"model": "wrn-16-2"},
    {"method": "SET"},
    {"init": "Random"},
    {"structure": "kernel"},
    {"structure": "channel", "init": "Random"},
    {"structure": "channel", "init": "Random", "channels_multiple": 8},
    {"init": "ER"},
    {"density": 0.2},
    {"density": 0.1000001},  # the readable part rounds: the hash must not
    {"alpha": 0.4},
    {"delta_t": 50},
    {"epochs": 125},
    {"multiplier": 2},
    {"epochs": 125, "multiplier": 2},
    {"batch_size": 64},
    {"learning_rate": 0.05},
    {"momentum": 0.8},
    {"nesterov": False},
    {"weight_decay": 1e-4},
    {"decay_every": 20_000},
    {"decay_factor": 0.1},
    {"warmup": 704},
    {"label_smoothing": 0.1},
    {"dropout": 0.0},
    {"validation": 0},
    {"update_until": 1.0},
    {"exponent": 0.5},
    {"exponent": 0},
    {"optimizer": "Adam", "nesterov": False},
    {"clip": 1.0},
    {"published_code": ("ceil",)},
    {"published_code": ("ceil", "zero-regrown")},
    {"method": "Static"},
    {"method": "Dense", "init": None, "density": None},
    {"method": "Small-Dense", "init": None},
    {"method": "Pruning", "init": None},
    {"method": "Pruning", "init": None, "prune_start": 900},
    {"method": "Lottery", "init": None, "parent": PRUNED},
    {"method": "Lottery", "init": None, "parent": dataclasses.replace(PRUNED, prune_start=900)},
    {"init": "Mask", "parent": RunSpec(method="RigL-SM", init="Random", density=0.1)},
    {"init": "Mask", "parent": RunSpec(method="RigL-SM", init="ERK", density=0.1)},
    {"init": "Densities", "parent": RunSpec(method="RigL-SM", init="ERK", density=0.1)},
]


def test_every_field_changes_the_id():
    ids = [spec(**fields).config_id for fields in [{}, *OTHERS]]
    assert len(set(ids)) == len(ids)
    covered = {name for fields in OTHERS for name in fields} | {"seed"}
    assert covered == {field.name for field in dataclasses.fields(RunSpec)}, "a field is missing in this test"


def test_the_seed_is_in_the_run_id_alone():
    assert spec(seed=0).config_id == spec(seed=7).config_id
    assert spec(seed=7).run_id == spec().config_id + "/seed-7"


def test_the_same_run_has_one_id_however_it_is_written():
    plain = spec()
    assert spec(model="wrn-22-2", alpha=0.3, delta_t=100, validation=5_000).config_id == plain.config_id
    assert spec(alpha=1).config_id == spec(alpha=1.0).config_id
    assert spec(density=1).config_id == spec(density=1.0).config_id
    assert spec(density=1) == spec(density=1.0)
    assert RunSpec.from_dict(plain.to_dict()).run_id == plain.run_id


@pytest.mark.parametrize("fields", [{}, *OTHERS])
def test_ids_are_file_names(fields):
    run = spec(**fields)
    assert len(run.config_id) < 120
    assert run.config_id == run.config_id.strip()
    assert not set(run.config_id) & set('/\\ :*?"<>|%#\n')
    assert run.method in run.config_id and run.data in run.config_id


@pytest.mark.parametrize("fields", [{}, *OTHERS])
def test_round_trip_through_json(fields):
    run = spec(**fields, seed=0 if "parent" in fields else 2)
    values = json.loads(json.dumps(run.to_dict()))
    assert RunSpec.from_dict(values) == run
    assert RunSpec.from_dict(values).run_id == run.run_id


def test_an_unknown_field_is_named():
    with pytest.raises(ValueError, match="colour"):
        RunSpec.from_dict(spec().to_dict() | {"colour": "red"})


def test_labels_are_the_reports():
    assert spec().label == "RigL (ERK)"
    assert spec(init="Random").label == "RigL"
    assert spec(exponent=0.5).label == "RigL (ERK^0.5)"
    assert spec(multiplier=2).label == "RigL 2× (ERK)"
    assert spec(multiplier=3, init="Random").label == "RigL 3×"
    assert RunSpec(method="Dense").label == "Dense"
    assert RunSpec(method="Small-Dense", density=0.1).label == "Small-Dense"


def test_a_registered_method_is_allowed(monkeypatch):
    monkeypatch.setitem(methods.METHODS, "Mine", dataclasses.replace(methods.METHODS["RigL"], name="Mine"))
    assert spec(method="Mine").alpha == 0.3
    assert "Mine" in spec(method="Mine").config_id


def test_execution_is_checked_and_no_part_of_the_run():
    with pytest.raises(ValueError, match=r"fp8.*bf16"):
        Execution(precision="fp8")
    assert not {field.name for field in dataclasses.fields(Execution)} & set(spec().to_dict())


def test_numbers_of_numpy_give_the_same_run():
    """A grid made by numpy's arange or linspace: the same id, and a record that can be written."""
    plain = RunSpec(init="ERK", density=0.1, epochs=3, seed=2, delta_t=50)
    numpy = RunSpec(
        init="ERK",
        density=np.float64(0.1),
        epochs=np.int64(3),
        seed=np.int32(2),
        delta_t=np.uint8(50),
        nesterov=np.True_,
    )
    assert numpy == plain and numpy.run_id == plain.run_id
    assert json.dumps(numpy.to_dict()) == json.dumps(plain.to_dict())
    assert {type(value) for value in numpy.to_dict().values()} == {type(value) for value in plain.to_dict().values()}
    with pytest.raises(ValueError, match=r"epochs 2\.5"):
        RunSpec(init="ERK", density=0.1, epochs=np.float32(2.5))
