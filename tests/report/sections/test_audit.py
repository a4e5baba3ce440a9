"""The audit's counts against hand-made networks and independent sums; effects from made-up records."""

import math
import re
from dataclasses import replace

import jupytext
import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from records import made
from scipy import stats

from rigl_nb import models, schedules
from rigl_nb.experiments import equal_flops, grids
from rigl_nb.report.sections import audit
from rigl_nb.runs.record import collapse_limit
from rigl_nb.runs.store import Store

WRN = audit.shapes("wrn-22-2")
TINY = {"a.weight": (10, 10), "b.weight": (40, 40), "fc.weight": (10, 40)}


def test_shapes_are_those_of_the_models():
    model = models.build("wrn-22-2", 10)
    assert {name: tuple(w.shape) for name, w in models.maskable(model).items()} == WRN
    assert list(audit.shapes("wrn-22-2", first_layer=False)) == list(WRN)[1:]
    assert audit.CLASSIFIER in WRN and audit.CLASSIFIER in audit.shapes("resnet50")


def test_the_updates_of_a_training():
    found = audit.drop_fractions()
    assert len(found) == 660 and found[0] == schedules.drop_fraction(99, 0.3, 66_000)
    assert found.mean() == pytest.approx(0.15, abs=3e-4), "half of α on average"
    assert len(audit.drop_fractions(132_000)) == 1320


def test_dense_layers_by_the_exact_reference():
    """With ERK solved in exact fractions: conv1, two shortcuts and the classifier of WRN-22-2 at 0.1."""
    exact = reference.erdos_renyi(WRN, 0.1, kernel=True)
    dense = [name for name, density in exact.items() if density == 1]
    found = audit.dense_layers(WRN, 0.1)
    assert found["dense layers"] == len(dense) == 4 and found["of"] == 23
    weights = sum(math.prod(WRN[name]) for name in dense)
    assert found["share of active weights"] == pytest.approx(
        weights / (0.1 * sum(map(math.prod, WRN.values()))), rel=1e-4
    )
    assert found["wiped"] == sum(math.floor(0.29999 * math.prod(WRN[name])) for name in dense)
    assert found["times"] == pytest.approx(660 * 0.15, rel=0.01), "each weight is wiped about a hundred times"


def test_large_nearly_dense_layers_are_spared():
    """ERK at 0.8: a and fc are dense, b has 1,100 of 1,600 weights; 667 are the average, so only fc is spared."""
    layers = TINY | {"fc.weight": (20, 40)}
    assert audit.erk_counts(layers, 0.8) == {"a.weight": 100, "b.weight": 1100, "fc.weight": 800}
    assert audit.spared_layers(layers, 0.8) == ["fc.weight"]
    resnet = audit.shapes("resnet50")
    counts = audit.erk_counts(resnet, 0.5)
    spared = audit.spared_layers(resnet, 0.5)
    dense = [name for name in resnet if counts[name] == math.prod(resnet[name])]
    assert len(dense) == 33 and len(set(spared) & set(dense)) == 11


def test_rounding_up_adds_at_most_one_a_layer_and_update():
    more = audit.rounded_up(TINY, 0.495)
    active = audit.erk_counts(TINY, 0.495).values()
    fractions = audit.drop_fractions()
    down = sum(int(f * n) for f in fractions for n in active)
    extra = sum(f * n != int(f * n) for f in fractions for n in active)
    assert more == pytest.approx(extra / down)


def test_signs_cancel_by_hand():
    """Two of four go: the mixed and the tiny one by |mean|, the tiny and the small one by size."""
    kernels = np.array([[9.0, -9.0], [1.0, 1.0], [5.0, 5.0], [0.1, 0.1]])
    assert audit.signs_cancel(kernels, 0.5) == 0.5
    assert audit.signs_cancel(np.abs(kernels), 0.5) == 0


def test_the_spread_of_coins():
    draws = np.random.default_rng(0).binomial(2100, 0.1, 20_000)
    assert audit.coin_spread(TINY, 0.1) == pytest.approx(draws.std() / 210, rel=0.03)


def test_counts_walk_and_an_empty_layer_stays_empty():
    history = audit.coin_growth(TINY, 0.05, multiplier=2, trainings=20)
    assert history.shape == (1321, 20, 3)
    assert history[0].sum(axis=1).mean() == pytest.approx(105, abs=10)
    for layer in history.reshape(1321, -1).T:
        empty = np.flatnonzero(layer == 0)
        assert not len(empty) or (layer[empty[0] :] == 0).all()
    assert (history[-1, :, 0] == 0).sum() > 10, "five weights in 1,320 updates"


def test_the_shared_error_swings():
    layers = {f"layer{i}.weight": (40, 40) for i in range(22)}
    plain, shared = (audit.coin_growth(layers, 0.1, flag, trainings=5).sum(axis=2) for flag in (False, True))
    assert (plain.max(axis=0) < 1.5 * plain[0]).all() and (shared.max(axis=0) > 3 * shared[0]).all()
    lone = audit.coin_growth({"layer.weight": (400, 400)}, 0.1, True, trainings=5).sum(axis=2)
    assert abs(lone / lone[0] - 1).max() < 0.02, "for a single layer the correction is right"


def test_emptied_counts_trainings():
    found = audit.emptied(TINY, 0.05, trainings=300)
    ends = audit.coin_growth(TINY, 0.05, trainings=300)[-1]
    assert found["a layer is empty"] == (ends == 0).any(axis=1).mean() > 0
    assert found["the classifier is empty"] == (ends[:, 2] == 0).mean()


def test_the_cap_takes_weights_from_dense_layers():
    """TINY at 0.495 drops 30, 162 and 120; 104 for each: dense layers may take 29.7 and 118.8, the rest goes on."""
    found = audit.lost_to_the_cap(TINY, 0.495)
    assert found["dropped"] == sum(math.ceil(0.3 * n) for n in audit.erk_counts(TINY, 0.495).values())
    assert found["in dense layers"] > 0 and 0 <= found["lost"] <= len(TINY)


def test_the_published_rate_passes_the_base_and_decays_late():
    spec = grids.PROFILES["paper"].spec(grids.Row("Pruning", None, 0.1), 0)
    rates = audit.published_rate(spec, 3500)
    assert len(rates) == spec.total_steps and rates[0] == 0
    assert max(rates) == pytest.approx(0.1 * 3520 / 3500) and rates.index(max(rates)) == 3520
    assert [step for step in range(1, len(rates)) if rates[step] < rates[step - 1]] == [33_520, 63_520]
    plain = audit.published_rate(replace(spec, method="RigL", init="ERK", prune_start=None, warmup=0), 0)
    assert plain[0] == 0.1 and plain[29_999] == 0.1 and plain[30_000] == pytest.approx(0.02)


def test_late_fractions_are_those_of_the_iteration_before():
    late = audit.drop_fractions(792, 39, late=1)
    assert len(late) == len(audit.drop_fractions(792, 39)) == 20
    assert late[0] == schedules.drop_fraction(37, 0.3, 792) == pytest.approx(0.298387, abs=1e-6)


def test_the_published_count_of_a_linear_layer():
    """64 inputs and 10 classes, taken for 10 inputs and 64 outputs: 640 products, 576 sums, 64 biases, 64 ReLUs."""
    assert audit.linear_flops((10, 64)) == 640 + 576 + 64 + 64 == 2 * 640 + 64
    assert audit.linear_flops((10, 64), density=0.5) == 2 * 320 + 64


def test_three_runs_lie_where_mean_and_deviation_leave_them_no_choice():
    """0, 3 and 3 have the mean 2 and the deviation √3; with 3 as the most there is no other way."""
    found = audit.three_runs(2, math.sqrt(3), 3)
    for (low, high), value in zip(found, (0, 3, 3), strict=True):
        assert (low, high) == pytest.approx((value, value), abs=1e-6)
    with pytest.raises(ValueError, match="no three runs up to"):
        audit.three_runs(2, math.sqrt(3), 2.9)


@given(st.lists(st.floats(0, 100), min_size=3, max_size=3), st.floats(0, 20))
def test_any_three_runs_lie_within_what_is_said_of_them(runs, room):
    for (low, high), run in zip(
        audit.three_runs(float(np.mean(runs)), float(np.std(runs, ddof=1)), max(runs) + room + 1e-9),
        sorted(runs),
        strict=True,
    ):
        assert low - 1e-4 <= run <= high + 1e-4


def test_the_printed_spread_of_set_2x_is_no_collapse():
    """83.3 ± 15.33, where no printed mean is above 93.4: one run near 65.6, and two between 90.8 and 93.4."""
    worst, middle, best = audit.three_runs(83.3, 15.33, 93.4)
    assert worst == pytest.approx((65.6, 65.66), abs=0.02)
    assert middle == pytest.approx((90.84, 92.15), abs=0.02) and best == pytest.approx((92.15, 93.4), abs=0.02)
    assert worst[0] > collapse_limit("cifar10") == 20


def test_permalinks_lead_to_a_commits_lines():
    assert audit.permalink("grow.py 80–97") == (
        "https://github.com/varun19299/rigl-reproducibility/blob/ef1c379b834ed0178b1888b342f918f28017f25a"
        "/sparselearning/funcs/grow.py#L80-L97"
    )
    assert audit.permalink("core.py 633 (00043ba)").endswith("/blob/00043ba/sparselearning/core.py#L633")
    with pytest.raises(ValueError, match="names no lines"):
        audit.permalink("conf/specific")
    assert audit.linked("conf/specific") == "conf/specific" and audit.linked("ops.py 69").startswith("<a href=")


def test_all_lines_that_the_audit_names_are_links():
    """A file in code type, then its lines in brackets: the address says the same file and lines."""
    token = r"`([\w./]+\.(?:py|mk))`|commit (\w+)|\[([\d–]+)\]\[([\w-]+)\]"
    labels, where, version = set(), "", ""
    for cell in jupytext.read("notebooks/08_published_code_audit.py").cells:
        if cell.cell_type == "markdown":
            targets = dict(re.findall(r"^\[([\w-]+)\]: (\S+)$", cell.source, re.MULTILINE))
            for file, commit, lines, label in re.findall(token, cell.source):
                if file:
                    where, version = file, ""
                elif commit:
                    version = f" ({commit})"
                else:
                    assert targets.pop(label) == audit.permalink(f"{where} {lines}{version}")
                    labels.add(label)
            assert not targets, "an address that nothing uses"
            assert not re.search(r"lines? \d", cell.source), "lines without a link"
    assert len(labels) > 25


def test_batch_means_by_hand():
    """Three images in batches of two, one wrong: the mean is 3/4 or 1/2, with chances 2/3 and 1/3."""
    assert audit.batch_means(3, 2, 66.7, draws=20_000) == pytest.approx(100 * math.sqrt(2 / 9) / 4, rel=0.02)
    assert audit.batch_means(100, 10, 80) == pytest.approx(0, abs=1e-9), "equal batches: no noise"


@pytest.mark.parametrize(("init", "density", "printed"), [("Random", 0.1, 0.10), ("ERK", 0.2, 0.35)])
def test_the_cost_of_a_prediction(init, density, printed):
    assert equal_flops.inference("wrn-22-2", "cifar10", init, density) == pytest.approx(printed, abs=0.005)


def test_effects_are_differences_of_means_with_the_models_error(tmp_path):
    """Seven cells of three runs that spread by 0.1 around their means, but in another order of the seeds."""
    profile, store = grids.PROFILES["quick"], Store(tmp_path)
    specs = grids.specs("08", "quick")
    cells = list(dict.fromkeys(replace(spec, seed=0) for spec in specs))
    for spec in specs:
        place = cells.index(replace(spec, seed=0))
        noise = 0.1 * ((spec.seed + place) % 3 - 1)
        store.save(made(spec, test_accuracy=55 - 2 * bool(spec.published_code) + noise))
    found = audit.effects(profile, store).set_index(["runs", "behaviour"])
    row = found.loc[("RigL (ERK) at 0.1", "zero-regrown")]
    assert row[["difference", "n", "imitated", "ordinary"]].tolist() == pytest.approx([-2, 3, 53, 55])
    half = stats.t.ppf(0.975, 2 * len(cells)) * math.sqrt(2 * 0.1**2 / 3)
    assert (row["low"], row["high"]) == pytest.approx((-2 - half, -2 + half))
    assert row["detectable"] > half
    page = audit.shown_effects(audit.effects(profile, store), "live", "quick").to_html()
    assert ">53.00<" in page and ">−2.00<" in page and "333" not in page, "two decimals everywhere"


def test_an_effect_without_runs_of_one_side_has_no_numbers(tmp_path):
    store = Store(tmp_path)
    for spec in grids.specs("08", "quick"):
        if not spec.published_code:
            store.save(made(spec, test_accuracy=55 + spec.seed))
    found = audit.effects(grids.PROFILES["quick"], store)
    assert set(found["n"]) == {0} and found[["difference", "low", "high", "imitated"]].isna().all(axis=None)
    assert found["ordinary"].notna().all()
