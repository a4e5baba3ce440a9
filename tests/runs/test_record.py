"""A record is one small JSON file: it comes back as it was, or says what is wrong with it."""

import copy
import dataclasses
import json
import math

import pytest
from records import ORIGIN, PLAIN, made, result, tiny

from rigl_nb.runs.record import Record, from_result
from rigl_nb.spec import RunSpec

SPEC = tiny(epochs=3)
TEXT = made(SPEC).to_json()
PAPER = RunSpec(method="RigL", init="ERK", density=0.1)


def damaged(change) -> str:
    content = json.loads(TEXT)
    change(content)
    return json.dumps(content)


def test_round_trip():
    once = made(SPEC)
    again = Record.from_json(once.to_json())
    assert again == once
    assert again.to_json() == once.to_json()
    assert again.numbers() == once.numbers()
    assert isinstance(again.history, tuple) and isinstance(again.active, tuple)


def test_the_file_says_what_design_promises():
    content = json.loads(TEXT)
    assert RunSpec.from_dict(content["spec"]) == SPEC
    assert content["run_id"] == SPEC.run_id
    wanted = {
        "epoch",
        "loss",
        "train_accuracy",
        "validation_accuracy",
        "learning_rate",
        "drop_fraction",
    }
    assert set(content["history"]) == wanted
    assert all(len(column) == 3 for column in content["history"].values())
    assert content["active"][0]["counts"]["blocks.0.conv1.weight"] == 14_001
    assert {"test_accuracy", "test_flops", "train_flops", "seconds", "images_per_second"} <= set(content)
    assert content["execution"] == dataclasses.asdict(PLAIN)
    assert content["provenance"] == ORIGIN


def test_final_numbers_are_exact_and_curves_have_six_digits():
    one = made(SPEC)
    assert (one.test_flops, one.train_flops) == (1 / 7, 1 / 6)
    assert one.history[2]["loss"] == 2.0
    assert one.history[1]["train_accuracy"] == 25.0
    assert one.history[0]["drop_fraction"] == float(f"{0.15 * (1 + math.cos(1 / 249)):.6g}")


def test_the_papers_record_is_small():
    assert PAPER.total_epochs == 250
    assert len(made(PAPER).to_json().encode()) < 40_000


def test_numbers_leave_out_how_and_where():
    here = made(SPEC)
    there = made(SPEC, {"hardware": "Slide rule", "dirty": True}, seconds=1.0, images_per_second=1.0)
    assert here != there
    assert here.numbers() == there.numbers()


@pytest.mark.parametrize("field", ["test_accuracy", "test_flops", "train_flops", "dense_flops"])
def test_numbers_tell_runs_apart(field):
    assert made(SPEC).numbers() != made(SPEC, **{field: 0.5}).numbers()


@pytest.mark.parametrize("field", ["history", "active"])
def test_numbers_tell_curves_apart(field):
    rows = copy.deepcopy(getattr(result(SPEC), field))
    rows[-1]["epoch"] = 99
    assert made(SPEC).numbers() != made(SPEC, **{field: rows}).numbers()


@pytest.mark.parametrize(
    ("data", "accuracy", "expected"),
    [
        ("digits", 10.0, True),
        ("digits", 20.0, True),
        ("digits", 20.1, False),
        ("cifar10", 10.0, True),
        ("cifar10", 83.3, False),
        ("cifar100", 1.0, True),
        ("cifar100", 2.0, True),
        ("cifar100", 10.0, False),
    ],
)
def test_collapsed_near_chance(data, accuracy, expected):
    """At most twice what guessing gives: 10 % for ten classes, 1 % for a hundred."""
    assert made(tiny(data=data), test_accuracy=accuracy).collapsed is expected


@pytest.mark.parametrize("lost", [math.nan, math.inf, -math.inf])
def test_a_lost_loss_is_null_in_the_file_and_a_collapse(lost):
    rows = tuple(row | {"loss": lost} for row in result(SPEC).history)
    one = made(SPEC, history=rows)
    assert one.collapsed
    assert json.loads(one.to_json(), parse_constant=pytest.fail)["history"]["loss"] == [None] * 3
    assert Record.from_json(one.to_json()) == one


def test_a_loss_lost_and_found_is_no_collapse():
    rows = result(SPEC).history
    assert not made(SPEC, history=({**rows[0], "loss": math.nan}, *rows[1:])).collapsed


def test_without_validation_images_the_accuracy_is_null():
    rows = tuple(row | {"validation_accuracy": None} for row in result(SPEC).history)
    one = Record.from_json(made(SPEC, history=rows).to_json())
    assert [row["validation_accuracy"] for row in one.history] == [None] * 3


def test_a_record_takes_numbers_execution_and_origin():
    one = from_result(SPEC, result(SPEC), PLAIN, ORIGIN)
    assert (one.spec, one.test_accuracy, one.seconds) == (SPEC, 91.7, 33.3333)
    assert (one.execution["threads"], one.provenance) == (1, ORIGIN)
