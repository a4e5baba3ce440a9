"""Moving layer densities: measures by hand on a tiny network, and against what real runs counted themselves."""

import math
from dataclasses import replace

import pytest
from records import made, tiny

from rigl_nb import paths
from rigl_nb.claims import judge, statements
from rigl_nb.claims.claim import Cell
from rigl_nb.claims.model import Printed
from rigl_nb.experiments import grids
from rigl_nb.report.figures import tables, training
from rigl_nb.report.sections import redistribution as moving
from rigl_nb.runs.store import Store

SPEC = tiny("RigL-SM", init="Random", data="cifar10", model="wrn-10-1", density=0.1, epochs=4)
SIZES = {  # WRN-10-1, counted by hand: c_out · c_in · h · w
    "blocks.0.conv1.weight": 16 * 16 * 9,
    "blocks.0.conv2.weight": 16 * 16 * 9,
    "blocks.1.conv1.weight": 32 * 16 * 9,
    "blocks.1.conv2.weight": 32 * 32 * 9,
    "blocks.1.shortcut.weight": 32 * 16,
    "blocks.2.conv1.weight": 64 * 32 * 9,
    "blocks.2.conv2.weight": 64 * 64 * 9,
    "blocks.2.shortcut.weight": 64 * 32,
    "fc.weight": 64 * 10,
}


def record(*changes, spec=SPEC, **numbers):
    """A record whose layers have density 1/4, but for `changes`: (epoch, {layer: density})."""
    active, now = [], dict.fromkeys(SIZES, 0.25)
    for epoch, densities in [(0, {}), *changes]:
        now = now | {f"{layer}.weight": density for layer, density in densities.items()}
        active.append({"epoch": epoch, "counts": {layer: round(SIZES[layer] * d) for layer, d in now.items()}})
    return made(spec, active=tuple(active), **numbers)


def test_densities_stay_until_the_next_change():
    course = training.trajectory(record((2, {"fc": 0.5})))
    assert [densities["fc.weight"] for densities in course] == [0.25, 0.25, 0.5, 0.5, 0.5]
    assert {densities["blocks.0.conv1.weight"] for densities in course} == {0.25}


def test_cost_by_hand():
    # 2 · weights · positions; the first layer (432 weights, 32×32) is not masked, so it costs what it costs dense.
    positions = dict.fromkeys(SIZES, 32 * 32) | {layer: 16 * 16 for layer in SIZES if "blocks.1" in layer}
    positions |= {layer: 8 * 8 for layer in SIZES if "blocks.2" in layer} | {"fc.weight": 1}
    cost = {layer: 2 * SIZES[layer] * positions[layer] for layer in SIZES}
    first, total = 2 * 432 * 1024, 2 * 432 * 1024 + sum(cost.values())
    before = (first + sum(cost.values()) / 4) / total
    after = before + cost["blocks.1.conv1.weight"] * 0.5 / total
    course = moving.inference(record((1, {"blocks.1.conv1": 0.75})))
    assert course == pytest.approx([before, after, after, after, after])


@pytest.mark.parametrize(
    ("changes", "epoch"),
    [
        ([], 0),
        ([(1, {"fc": 0.5})], 1),
        ([(1, {"fc": 0.5}), (3, {"fc": 0.54})], 1),  # the last step is within the tolerance
        ([(1, {"fc": 0.5}), (3, {"fc": 0.6})], 3),
        ([(1, {"fc": 0.5}), (3, {"fc": 0.25})], 3),  # where it began, but not constant
        ([(1, {"fc": 0.5}), (2, {"fc": 0.54}), (3, {"fc": 0.58}), (4, {"fc": 0.62})], 3),  # a slow drift counts
        ([(4, {"blocks.0.conv1": 0.5})], 4),
    ],
)
def test_settled(changes, epoch):
    assert moving.settled(record(*changes)) == epoch


def test_references_are_the_distributions():
    random, erk = (moving.reference(record(), init) for init in ("Random", "ERK"))
    assert random == dict.fromkeys(SIZES, 0.1)
    assert list(erk) == ["conv1.weight", *SIZES] and erk["fc.weight"] == 1
    spent = sum((SIZES | {"conv1.weight": 432})[layer] * density for layer, density in erk.items())
    assert spent == pytest.approx(0.1 * (sum(SIZES.values()) + 432))


def test_extremes_counts_layers_beyond_erk_on_its_side():
    erk = {layer.removesuffix(".weight"): d for layer, d in moving.reference(record(), "ERK").items()}
    at_erk = {layer: d for layer, d in erk.items() if layer != "conv1"}
    assert erk["blocks.1.shortcut"] == 1 and erk["blocks.2.conv2"] < 0.1 < erk["blocks.0.conv1"] < 0.3
    beyond = at_erk | {"blocks.0.conv1": erk["blocks.0.conv1"] + 0.1, "blocks.2.conv2": erk["blocks.2.conv2"] - 0.01}
    between = beyond | {layer: 0.1 for layer in at_erk if layer not in ("blocks.0.conv1", "blocks.2.conv2")}
    assert moving.extremes(record((1, between))) == (2, 0, 9)
    assert moving.extremes(record((1, between | {"fc": 1.0}))) == (2, 1, 9)
    other_side = between | {"blocks.0.conv1": 0.0, "blocks.2.conv2": 0.9}
    assert moving.extremes(record((1, other_side))) == (0, 0, 9)


def test_shortcuts_by_hand():
    found = moving.shortcuts(record((2, {"blocks.1.shortcut": 1.0, "blocks.0.conv1": 0.5})))
    small = 512 + 2048
    assert found["shortcuts"] == pytest.approx((512 + 2048 / 4) / small)
    assert found["all"] == pytest.approx(0.25 + (512 * 0.75 + 2304 * 0.25) / sum(SIZES.values()))
    added = {"shortcut": 512 * 0.75 * 256, "conv": 2304 * 0.25 * 1024}
    assert found["share"] == pytest.approx(added["shortcut"] / sum(added.values()))
    assert math.isnan(moving.shortcuts(record((2, {"blocks.0.conv1": 0.1})))["share"])  # it became cheaper


def plain(spec=SPEC, **numbers):
    return record(spec=replace(spec, method="RigL"), **numbers)


def test_measures_has_a_row_for_each_run_that_moved():
    moved = record((3, {"fc": 0.5}), test_flops=0.3)
    rows = moving.measures("quick", [plain(test_flops=0.2), moved])
    assert rows[["method", "settled", "epochs", "test_flops", "base"]].to_numpy().tolist() == [
        ["RigL-SM", 3, 4, 0.3, 0.2]
    ]
    assert math.isnan(moving.measures("quick", [moved])["base"].iloc[0])
    other = plain(replace(SPEC, seed=1), test_flops=0.2)
    assert math.isnan(moving.measures("quick", [other, moved])["base"].iloc[0])  # another seed is no pair
    assert moving.measures("quick", []).empty


LONG = replace(SPEC, epochs=10)  # an epoch is a tenth of the training, 8,800 of 88,000 iterations


def scored(profile, records, runs=1):
    table = moving.scores(moving.measures(profile, records), runs)
    return dict(zip(table["claim"].str.strip("“”").str.split().str[0], table["verdict"], strict=True))


def test_scores_judge_paper_runs_only_and_all_of_them():
    early = [plain(LONG, test_flops=0.2), record((1, {"blocks.1.shortcut": 1.0}), spec=LONG, test_flops=0.3)]
    assert set(scored("quick", early).values()) == {"not enough runs"}
    assert set(scored("paper", early, runs=2).values()) == {"not enough runs"}
    assert set(moving.scores(moving.measures("paper", []), 0)["verdict"]) == {"not enough runs"}
    found = scored("paper", early)
    assert found["The"] == found["allocating"] == found["redistribution"] == "reproduced"
    assert found["wherever"] == "contradicted"  # layers at 1/4 that ERK makes sparser than Random
    assert scored("paper", [early[1]])["redistribution"] == "not enough runs"  # RigL itself has no run
    late = record((1, {"fc": 1.0}), (2, {"fc": 0.5}), spec=LONG)
    assert scored("paper", [late])["The"] == "contradicted"


def test_an_epoch_longer_than_the_claims_time_says_nothing():
    table = moving.scores(moving.measures("quick", [record((1, {"fc": 1.0}))]), 1)
    assert table["quick: runs that agree"].iloc[0] == "–"


def test_scores_count_the_runs_that_agree():
    other = replace(SPEC, seed=1)
    dear, cheap = (record((1, {"fc": 1.0}), spec=s, test_flops=f) for s, f in ((SPEC, 0.3), (other, 0.1)))
    base = [plain(test_flops=0.2), plain(other, test_flops=0.2)]
    table = moving.scores(moving.measures("paper", [*base, dear, cheap]), 2)
    assert table["paper: runs that agree"].iloc[3] == "1 of 2" and table["verdict"].iloc[3] == "undecided"


REAL = [r for r in Store(paths.ROOT / "results").records() if not r.spec.method.startswith("Small")]


@pytest.mark.parametrize("real", [r for r in REAL if r.active], ids=lambda r: r.spec.run_id)
def test_last_cost_is_what_the_run_counted(real):
    assert moving.inference(real)[-1] == pytest.approx(real.test_flops, rel=1e-9)


def test_figures_draw_each_record():
    two = {r.spec.label: r for r in (plain(), record((2, {"fc": 0.5})))}
    axis = moving.cost_over_training(two, "some title").axes[0]
    assert axis.get_title() == "some title"
    assert {line.get_label(): list(line.get_ydata()) for line in axis.get_lines()} == {
        label: moving.inference(one) for label, one in two.items()
    }
    start = replace(record((1, {"fc": 1.0})), spec=replace(SPEC, init="ERK"))
    panels = moving.final_densities({"RigL-SM": two["RigL-SM"], "RigL-SM (ERK)": start}, "title").axes
    assert [panel.get_title() for panel in panels] == ["Random start", "ERK start"]
    for panel, density in zip(panels, (0.5, 1.0), strict=True):
        lines = {line.get_label(): line for line in panel.get_lines()}
        assert list(lines) == ["Random", "ERK", "RigL-SM"]
        place = round(lines["RigL-SM"].get_ydata()[-1])
        assert panels[0].get_yticklabels()[place].get_text() == "fc"
        assert lines["RigL-SM"].get_xdata()[-1] == density


def values():
    return moving.printed(grids.published("table5_redistribution"), grids.DATA)


def test_our_rows_come_without_values_and_show_a_dash():
    rows = moving.with_ours(values())
    ours = rows[rows["init"].str.startswith("densities")]
    assert len(rows) - len(values()) == len(ours) == 8 and ours["accuracy_mean"].isna().all()
    shown = tables.comparison(rows[rows["data"] == "cifar100"], {}).data
    cell = ("0.2", "4 densities of RigL-SM (ours)", "RigL (densities of RigL-SM (ERK))")
    assert shown.loc[cell].tolist() == ["–", "–"]
    assert shown.loc[("0.1", "3 mask of RigL-SM", "RigL (RigL-SM (ERK))")].iloc[0] == "67.8 ± 0.73 (n = 3)"


def test_the_grid_trains_every_cell_of_the_claims():
    specs = grids.specs("06_2", "paper")
    trained = {Cell(s.method, s.initialisation, s.density, s.multiplier, s.data) for s in specs}
    cells = {cell for claim in statements.REDISTRIBUTION for pair in claim.pairs for cell in pair}
    assert cells == trained  # the claims use all that is trained, too


def by_print(claim):
    rows = values()
    return judge.by_print(claim, Printed(rows[rows["data"] == claim.cells[0].data]))


def test_what_the_printed_numbers_say():
    found = {claim.name: by_print(claim) for claim in statements.REDISTRIBUTION}
    value = {name: answer.estimate.value for name, answer in found.items()}
    assert len(found) == len(statements.REDISTRIBUTION)
    assert value["CIFAR-10: redistribution over RigL"] == pytest.approx((0.5 + 0.5 - 0.2 + 0.0) / 4)
    erk = found["CIFAR-100: redistribution not over RigL (ERK)"]
    assert erk.estimate.value == pytest.approx((0.4 + 0.0 + 0.8 + 0.8) / 4)
    assert [round(end, 2) for end in erk.interval] == [0.14, 0.86] and erk.word == "not supported"
    assert found["CIFAR-10: redistribution not over RigL (ERK)"].word == "supported"
    masks = "CIFAR-100: RigL over RigL from the masks of RigL-SM"
    assert value[masks] == pytest.approx((71.8 - 67.6 + 73.5 - 68.9 + 72.6 - 67.8 + 73.4 - 68.9) / 4)
    assert found[masks].word == "supported"
    unprinted = [name for name, answer in found.items() if answer.word == "not printed"]
    assert len(unprinted) == 4 and all("densities" in name for name in unprinted)
