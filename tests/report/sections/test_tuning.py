"""Section 5.3: searches replayed from made-up records, Table 4, and luck."""

import csv
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from records import made
from tuned import SMALL, fill, hill, save, search

from rigl_nb.experiments import grids, studies
from rigl_nb.experiments.grids import PROFILES, PUBLISHED
from rigl_nb.report.sections import tuning
from rigl_nb.runs.store import Store, finding

PRINTED = grids.published("table4_tuning")
with open(PUBLISHED / "table4_tuning.csv") as stream:
    ROWS = list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("whole"))
    return store, fill(store, hill)


# ---- the search


def test_a_search_ends_with_its_best_trial(whole):
    store, _ = whole
    done = search(store.find)
    assert len(done) == SMALL.trials and studies.complete(SMALL, done)
    top = max(done, key=lambda trial: -((trial.values["alpha"] - 0.4) ** 2))
    assert studies.best(done) == top
    for trial in done:
        assert trial.score == pytest.approx(92 - 10 * (trial.values["alpha"] - 0.4) ** 2 + 0.01)
        assert 0.1 <= trial.values["alpha"] <= 0.6 and trial.values["delta_t"] in range(50, 1001, 50)


def test_the_same_trials_after_a_restart_and_in_whichever_store(whole, tmp_path):
    store, runs = whole
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    for place, spec in enumerate([*grids.table4(SMALL), *(s for trial in search(store.find) for s in trial.specs)]):
        target = (here, there)[place % 2]
        target.path(spec).parent.mkdir(parents=True, exist_ok=True)
        target.path(spec).write_text(store.path(spec).read_text())
    assert search(store.find) == search(finding(here, there)) == search(finding(there, here))
    for stores in ((here, there), (there, here)):
        split = tuning.collect(replace(SMALL, tuned_densities=(0.1,)), *stores)
        own = split.trials[split.trials["init"] == "Random"].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, runs.trials.head(len(own)))
        assert own["present"].all()


def test_a_trial_that_lacks_a_seed_is_asked_again(whole, tmp_path):
    store, _ = whole
    done = search(store.find)
    lost = done[1].specs[1]
    again = search(lambda spec: None if spec == lost else store.find(spec))
    assert [trial.values for trial in again] == [trial.values for trial in done[:2]]
    assert again[1].score is None and again[1].specs == done[1].specs
    partial = Store(tmp_path)
    for spec in (*done[0].specs, done[1].specs[0]):
        save(partial, spec, *hill(spec))
    runs = tuning.collect(SMALL, partial)
    assert tuning.counts(runs)["Random", 0.1] == 1 and tuning.counts(runs).sum() == 1
    assert tuning.means(runs.trials)["trial"].tolist() == [1]  # half a trial has no mean


def test_the_first_trials_of_all_searches_are_the_same():
    """As the notebook says: the sampler's random start does not look at any score."""
    start = replace(PROFILES["paper"], trials=10)
    one, *_, other = grids.tuning(start)

    class Scored:
        def __init__(self, value):
            self.history = [{"validation_accuracy": value}]

    rising = studies.trials(one, start, lambda spec: Scored(spec.alpha))
    falling = studies.trials(other, start, lambda spec: Scored(-spec.delta_t))
    assert [trial.values for trial in rising] == [trial.values for trial in falling]


# ---- Table 4


def test_table_4_without_runs_is_the_printed_one(store):
    shown = tuning.shown(tuning.table4(PRINTED, {"paper": tuning.collect(PROFILES["paper"], store)}))
    assert len(shown) == len(ROWS) and set(shown["source"]) == {"published"}
    for text, row in zip(shown.to_dict("records"), ROWS, strict=True):
        assert (text["init"], text["density"]) == (row["init"], row["density"])
        for side in ("reference", "optimal"):
            alpha, delta_t, mean, std = (row[f"{side}_{name}"] for name in ("alpha", "delta_t", "mean", "std"))
            assert text[f"{side} (α, ΔT)"] == f"{alpha}, {delta_t}"
            assert text[f"{side}, test accuracy"] == f"{mean}0 ± {std} (n = 3)"


def test_table_4_chooses_by_validation_and_reports_test_accuracy(whole):
    store, runs = whole
    table = tuning.table4(PRINTED, {"ours": runs})
    assert table["source"].tolist() == ["published", "ours"] * len(ROWS)
    row = table[(table["source"] == "ours") & (table["init"] == "Random") & (table["density"] == 0.1)].iloc[0]
    top = studies.best(search(store.find))
    assert (row["optimal_alpha"], row["optimal_delta_t"]) == (top.values["alpha"], top.values["delta_t"])
    assert row["optimal_scaled"] == top.specs[0].delta_t == round(0.13 * top.values["delta_t"])
    assert row["optimal_mean"] == pytest.approx(91 + top.values["alpha"] + 0.01)
    assert row["reference_mean"] == pytest.approx(91.31) and row["reference_std"] == pytest.approx(0.02 / math.sqrt(2))
    assert (row["reference_n"], row["trials"], row["of"]) == (2, 3, 3)
    text = tuning.shown(table).iloc[1]
    assert text["reference (α, ΔT)"] == "0.3, 100 (here 13)" and text["trials"] == "3 of 3"
    assert text["difference"] == f"{top.values['alpha'] - 0.3:+.2f}".replace("-", "−")


def test_a_profile_without_searches_has_the_reference_alone(store):
    runs = tuning.collect(PROFILES["quick"], store)
    assert not runs.any and tuning.counts(runs).empty
    assert len(tuning.table4(PRINTED, {"quick": runs})) == len(ROWS), "no run, no row"
    assert tuning.choices(runs).empty and tuning.shown_rates(tuning.fast(runs)).empty
    for spec in grids.table4(PROFILES["quick"]):
        store.save(made(spec, test_accuracy=50.0 + spec.seed))
    table = tuning.table4(PRINTED, {"quick": tuning.collect(PROFILES["quick"], store)})
    ours = tuning.shown(table[table["source"] == "quick"])
    assert ours["density"].tolist() == ["0.1", "0.1"] and ours["trials"].tolist() == ["no search"] * 2
    assert ours["reference, test accuracy"].iloc[0] == "51.00 ± 1.00 (n = 3)"
    assert ours["optimal, test accuracy"].tolist() == ["–", "–"]


def test_what_a_choice_by_test_accuracy_gains(whole):
    store, runs = whole
    found = tuning.choices(runs).set_index(["init", "density"]).loc[("Random", 0.1)]
    alphas = [trial.values["alpha"] for trial in search(store.find)]
    chosen = min(alphas, key=lambda alpha: abs(alpha - 0.4))
    assert found["by_test"].startswith(f"{max(alphas):g}, ") and found["by_validation"].startswith(f"{chosen:g}, ")
    assert found["flattery"] == pytest.approx(max(alphas) - chosen)
    scores = [-10 * (alpha - 0.4) ** 2 for alpha in alphas]
    assert found["lead"] == pytest.approx(max(scores) - sum(scores) / 3, abs=1e-4)
    # Both seeds are 0.02 apart in every trial: a std of 0.02/√2, and the largest of three is 3/(2√π) above.
    assert found["chance"] == pytest.approx(3 / (2 * math.sqrt(math.pi)) * 0.02 / 2, rel=1e-3)


# ---- luck


def test_luck_is_what_a_simulation_of_equal_settings_gives():
    spreads = np.array([0.06, 0.18, 0.1])
    noise = np.random.default_rng(0).normal(size=(20_000, 15, 3)) * math.sqrt((spreads**2).mean())
    simulated = noise.mean(axis=2).max(axis=1).mean()
    assert tuning.luck(spreads, seeds=3, trials=15) == pytest.approx(simulated, rel=0.02)
