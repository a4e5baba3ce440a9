"""The other sections' grids: Tables 1, 3 and 5, Figure 3; each run once, whoever asks for it."""

import csv
import functools
import math
from dataclasses import replace

import pytest

from rigl_nb import data, flops, models
from rigl_nb.distributions import DISTRIBUTIONS
from rigl_nb.experiments import grids
from rigl_nb.experiments.grids import PROFILES, PUBLISHED, SECTIONS, Row, specs


def printed(name) -> list[dict]:
    """Return a published table's rows, read without the code under test."""
    with open(PUBLISHED / f"{name}.csv") as file:
        return list(csv.DictReader(file))


def cells(found) -> set[tuple]:
    return {(s.method, s.initialisation, s.multiplier, s.density) for s in found}


@pytest.mark.parametrize("profile", ["short", "paper"])
def test_table_1_holds_no_image_out(profile):
    found = specs("04", profile)
    assert {(s.method, s.init, s.density) for s in found} == {
        (r["method"], r["init"] or None, float(r["density"])) for r in printed("table1")
    }
    assert {(s.validation, s.steps_per_epoch, s.data) for s in found} == {(0, 391, "cifar10")}
    assert {s.seed for s in found} == {0, 1, 2}


def test_table_1_has_the_reports_steps():
    run = specs("04", "paper", method="RigL", density=0.1)[0]
    assert (run.total_steps, run.t_end, run.decay_every, run.delta_t) == (97_750, 73_312, 30_000, 100)


def test_table_3_and_its_figure():
    found = specs("05_2", "paper")
    wanted = {
        (r["method"], r["init"] or None, int(r["multiplier"]), float(r["density"])) for r in printed("table3_cifar100")
    }
    assert wanted <= cells(found)
    assert {("Lottery", None, 1, 0.5), ("Pruning", None, 1, 0.5), ("RigL", "Random", 3, 0.05)} <= cells(found)
    assert {(s.data, s.model, s.total_steps // s.multiplier) for s in found} == {("cifar100", "resnet50", 88_000)}
    assert {(s.warmup, s.label_smoothing) for s in found} == {(704, 0.1)}
    assert {s.parent.run_id for s in found if s.method == "Lottery"} <= {s.run_id for s in found}


def test_the_small_stand_in_of_cifar100_is_a_bottleneck_network():
    found = specs("05_2", "smoke")
    assert {(s.data, s.model, s.seed) for s in found} == {("digits", "resnet14-8", 0)}
    assert {s.density for s in found} == {0.1, 1.0}
    model = models.build("resnet14-8", 10, channels=1)
    assert sum(isinstance(module, models.Bottleneck) for module in model.modules()) == 4
    assert {tuple(w.shape[2:]) for w in models.maskable(model).values()} == {(3, 3), (1, 1), ()}


def test_smoke_shows_something_in_every_section_and_repeats_little():
    """On the second network each way to a mask once; searches and redistribution from one initialisation."""
    assert cells(specs("05_2", "smoke")) == {
        ("Dense", None, 1, 1.0),
        *((method, None, 1, 0.1) for method in ("Pruning", "Lottery")),
        *(("RigL", init, 1, 0.1) for init in ("Random", "ERK")),
    }
    assert {s.method for s in specs("06_2", "smoke", data="digits", model="wrn-10-1")} == {"RigL", "RigL-SG", "RigL-SM"}
    assert all(specs(section, "smoke") for section in grids.SECTIONS)
    assert len({s.run_id for section in grids.SECTIONS for s in specs(section, "smoke")}) <= 60


@pytest.mark.parametrize("profile", PROFILES)
def test_figure_3_compares_at_equal_cost(profile):
    """A prediction with ERK costs what Random's costs, counted layer by layer without rounding to whole weights."""
    found = specs("06_1", profile)
    random = [s for s in found if s.init == "Random"]
    erk = [s for s in found if s.init == "ERK"]
    assert len(random) == len(erk) > 0 and {s.method for s in found} == {"RigL"}
    for name in {s.data for s in found}:
        for model in {s.model for s in found if s.data == name}:
            prices = [sorted(price(s) for s in side if (s.data, s.model) == (name, model)) for side in (random, erk)]
            assert prices[0] == pytest.approx(prices[1], abs=2e-6)


@functools.cache
def network(data_set: str, model: str):
    """Return the network with initial weights, and what its layers cost."""
    source = data.SOURCES[data_set]
    built = models.build(model, source.classes, channels=source.shape[0])
    return built, flops.layer_flops(built, source.shape)


def price(spec) -> float:
    built, cost = network(spec.data, spec.model)
    covered = models.maskable(built, first_layer=spec.init != "Random")
    shapes = {layer: tuple(weight.shape) for layer, weight in covered.items()}
    return flops.weighted(cost, DISTRIBUTIONS[spec.init](shapes, spec.density)) / math.fsum(cost.values())


def test_the_reports_budgets():
    budgets = {s.density for s in specs("06_1", "paper", init="Random", data="cifar10")}
    assert budgets == {float(r["budget_density"]) for r in printed("figure3_flops")}


@pytest.mark.parametrize("profile", ["short", "paper"])
def test_every_row_of_table_5(profile):
    """The third group starts from the masks of the very RigL-SM runs of the first two, and from their densities."""
    found = specs("06_2", profile)
    wanted = {
        (grids.DATA[r["dataset"]], r["method"], r["init"], float(r["density"]))
        for r in printed("table5_redistribution")
    }
    there = {(s.data, s.method, s.initialisation, s.density) for s in found}
    assert wanted <= there
    assert {init for *_, init, _ in there - wanted} == {f"densities of RigL-SM ({init})" for init in ("Random", "ERK")}
    ids = {s.run_id for s in found}
    assert all(s.parent.run_id in ids for s in found if s.parent)


def test_sections_share_their_runs():
    """RigL of Table 2 is RigL of Table 5 and of Figure 3: trained once."""
    table2, table5, figure3 = ({s.run_id for s in specs(name, "paper")} for name in ("05_1", "06_2", "06_1"))
    assert len(table2 & table5) == 12 and len(table2 & figure3) == 9


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("profile", PROFILES)
def test_each_run_once_and_parents_first(section, profile):
    found = specs(section, profile)
    ids = [s.run_id for s in found]
    assert len(ids) == len(set(ids))
    for place, spec in enumerate(found):
        if spec.parent:
            assert spec.parent.run_id in ids[:place]


def test_beyond_table_2_quick_has_more_seeds_only_where_the_front_page_asks():
    assert {s.seed for s in specs("04", "quick")} == {0}
    assert {s.seed for s in specs("06_1", "quick") if s.method == "RigL"} == {0, 1, 2}
    assert {(s.data, s.init) for s in specs("06_2", "quick") if s.seed} == {("cifar10", "Random")}
    for section in ("04", "06_1", "06_2"):
        assert {s.data for s in specs(section, "quick")} == (
            {"cifar10"} if section == "04" else {"cifar10", "cifar100"}
        )


def test_a_row_names_its_parent():
    moved = Row("RigL-SM", "Random", 0.1)
    spec = PROFILES["paper"].spec(Row("RigL", "Mask", 0.1, parent=moved), seed=1)
    assert spec.parent == PROFILES["paper"].spec(moved, seed=1)
    assert spec.label == "RigL (RigL-SM (Random))"


@pytest.mark.parametrize("profile", ["quick", "paper"])
def test_the_audit_has_pairs_that_differ_in_one_field(profile):
    found = specs("08", profile)
    plain = [s for s in found if not s.published_code]
    assert {replace(s, published_code=()).run_id for s in found if s.published_code} == {s.run_id for s in plain}
    rows = [("RigL", "ERK", 0.1), ("RigL", "ERK", 0.5), ("SET", "Random", 0.1)]
    assert {(s.method, s.init, s.density, s.seed) for s in plain} == {(*row, k) for row in rows for k in (0, 1, 2)}
    assert {s.run_id for s in plain} & {s.run_id for s in specs("05_1", profile)}, "shared with Table 2 and Figure 1"


def test_quick_has_no_tuning_but_the_reference_of_table_4():
    found = specs("05_3", "quick")
    assert {s.run_id for s in found} < {s.run_id for s in specs("05_1", "quick")}, "Table 2's own runs"
    assert {(s.method, s.init, s.density, s.seed) for s in found} == {
        ("RigL", init, 0.1, seed) for init in ("Random", "ERK") for seed in (0, 1, 2)
    }
