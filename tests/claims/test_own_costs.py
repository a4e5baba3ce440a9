"""Each run's costs by its own specification: against real trainings, and all published records."""

from dataclasses import replace

import pytest
from driving import drive
from records import ORIGIN, PLAIN, made, tiny

from rigl_nb import paths
from rigl_nb.claims import own_costs
from rigl_nb.runs.record import RecordError, from_result
from rigl_nb.runs.store import Store

KINDS = [("Dense", {}), ("Small-Dense", {}), ("Static", {}), ("SET", {"init": "Random"}), ("RigL", {"init": "ER"})]
KINDS += [("RigL", {"exponent": 0.3}), ("RigL", {"published_code": ("zero-regrown",)}), ("RigL", {"multiplier": 2})]


@pytest.mark.parametrize(("method", "fields"), KINDS)
def test_a_training_counts_what_its_specification_gives(method, fields):
    spec = tiny(method, **fields)
    result, _ = drive(spec)
    assert own_costs.constant(spec)
    assert own_costs.expected(spec) == pytest.approx((result.test_flops, result.train_flops), rel=1e-9)


@pytest.mark.parametrize("method", ["Dense", "Small-Dense", "SET", "RigL-SG", "Pruning"])
def test_a_training_passes_the_check_and_other_numbers_do_not(method):
    spec = tiny(method)
    record = from_result(spec, drive(spec)[0], PLAIN, ORIGIN)
    own_costs.check([record])
    for name in ("test_flops", "train_flops") if own_costs.constant(spec) else ("test_flops",):
        with pytest.raises(RecordError, match=f"{spec.run_id}: {name} is .* but .* by its masks"):
            own_costs.check([record, replace(record, **{name: getattr(record, name) * 1.001})])


def test_an_exponent_has_costs_of_its_own():
    assert own_costs.expected(tiny(exponent=0.3)) != pytest.approx(own_costs.expected(tiny()), rel=1e-3)


def test_runs_whose_layers_move_are_not_asked():
    moving = [
        tiny("SNFS"),
        tiny("RigL-SG"),
        tiny("Pruning"),
        tiny("Lottery"),
        tiny("SET", published_code=("bernoulli",)),
    ]
    assert not any(map(own_costs.constant, moving))
    assert own_costs.compared([made(spec) for spec in moving]).empty
    coins = made(tiny("SET", published_code=("bernoulli",)))
    assert set(own_costs.kept([coins, made(tiny("RigL"))])) == {tiny("RigL").run_id}


def test_every_published_run_counted_the_costs_of_its_specification():
    records = Store(paths.results()).records()
    own_costs.check(records)
    table = own_costs.compared(records)
    assert len(table) > 50
    for kind in ("test", "train"):
        assert table[kind].to_numpy() == pytest.approx(table[f"{kind} by shapes"].to_numpy(), rel=1e-9)
    assert all(own_costs.kept(records).values())
