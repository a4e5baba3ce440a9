"""Searches as grids that grow: replayed from records, the same after a kill and in every store."""

from dataclasses import replace

import pytest
from records import made

from rigl_nb.experiments import grids, studies
from rigl_nb.experiments.grids import PROFILES, Row, plan
from rigl_nb.experiments.studies import Study, best, finalists, runs, trials

SMALL = replace(PROFILES["smoke"], trials=6, search_seeds=(0, 1), fresh_seeds=(2, 3))
ALPHA = Study("alpha", lambda values: Row("RigL", "ERK", 0.1, fields=values), {"alpha": (0.1, 0.6, 0.001)})


def surface(spec) -> float:
    """Validation accuracy with its top at α = 0.4; a seed adds a point."""
    return 90 - 100 * (spec.alpha - 0.4) ** 2 + spec.seed


def record(spec, value):
    epoch = {"epoch": spec.total_epochs, "loss": 1.0, "train_accuracy": 50.0, "learning_rate": 0.1}
    return made(spec, history=(epoch | {"validation_accuracy": value, "drop_fraction": 0.0},), test_accuracy=value)


def trained(study, profile, batch=100, score=surface) -> dict:
    """Train what the study asks for until it asks for nothing more, at most `batch` runs between two questions."""
    there = {}
    while todo := [s for s in runs(study, profile, lambda s: there.get(s.run_id))[0] if s.run_id not in there]:
        for spec in todo[:batch]:
            there[spec.run_id] = record(spec, score(spec))
    return there


def test_without_records_the_first_trial_is_asked_for_with_every_seed():
    found = trials(ALPHA, SMALL, lambda spec: None)
    assert [(trial.score, len(trial.specs)) for trial in found] == [(None, 2)]
    assert {spec.alpha for spec in found[0].specs} == set(found[0].values.values())
    assert [spec.seed for spec in found[0].specs] == [0, 1]


def test_a_trial_is_scored_by_the_mean_over_seeds_when_all_have_ended():
    there = trained(ALPHA, SMALL)
    found = trials(ALPHA, SMALL, lambda spec: there.get(spec.run_id))
    assert len(found) == 6 and studies.complete(SMALL, found)
    for trial in found:
        alpha = trial.values["alpha"]
        assert trial.score == pytest.approx(90 - 100 * (alpha - 0.4) ** 2 + 0.5)
        assert round(alpha, 3) == alpha and 0.1 <= alpha <= 0.6
    assert best(found).score == max(trial.score for trial in found)


def test_a_missing_seed_asks_for_the_same_trial_again():
    there = trained(ALPHA, SMALL)
    whole = trials(ALPHA, SMALL, lambda spec: there.get(spec.run_id))
    del there[whole[2].specs[1].run_id]
    found = trials(ALPHA, SMALL, lambda spec: there.get(spec.run_id))
    assert len(found) == 3 and found[2].score is None
    assert [trial.values for trial in found] == [trial.values for trial in whole[:3]]
    assert not studies.complete(SMALL, found) and best(found) == max(whole[:2], key=lambda trial: trial.score)


def test_the_trials_do_not_depend_on_how_the_work_was_cut():
    assert list(trained(ALPHA, SMALL)) == list(trained(ALPHA, SMALL, batch=1))


def test_results_steer_the_search():
    """TPE looks where it was good: the same search on the mirrored surface goes elsewhere once its start-up is over."""
    profile = replace(SMALL, trials=15, search_seeds=(0,))

    def values(score):
        there = trained(ALPHA, profile, score=score)
        return [t.values["alpha"] for t in trials(ALPHA, profile, lambda s: there[s.run_id])]

    up, down = values(surface), values(lambda spec: 100 - surface(spec))
    assert up[:10] == down[:10] and up[10:] != down[10:]


def test_first_come_the_given_values_and_last_the_finalists_with_fresh_seeds():
    ends = replace(ALPHA, first=({"alpha": 0.1}, {"alpha": 0.6}), finalists=True)
    there = trained(ends, SMALL)
    found = trials(ends, SMALL, lambda spec: there.get(spec.run_id))
    assert [trial.values["alpha"] for trial in found[:2]] == [0.1, 0.6]
    last = finalists(ends, SMALL, found)
    chosen = best(found).values["alpha"]
    assert [(s.alpha, s.seed) for s in last] == [(a, seed) for a in (0.1, 0.6, chosen) for seed in (2, 3)]
    assert finalists(ends, SMALL, found[:-1]) == [] and finalists(ALPHA, SMALL, found) == []


def test_the_best_among_the_first_is_trained_again_once():
    ends = replace(ALPHA, first=({"alpha": 0.4},), finalists=True)
    there = trained(ends, SMALL)
    last = finalists(ends, SMALL, trials(ends, SMALL, lambda spec: there.get(spec.run_id)))
    assert [(s.alpha, s.seed) for s in last] == [(0.4, 2), (0.4, 3)]


def test_what_is_decided_and_what_is_to_come_add_up():
    ends = replace(ALPHA, first=({"alpha": 0.1}, {"alpha": 0.6}), finalists=True)
    there = trained(ends, SMALL)
    order = list(there.values())
    for done in range(0, len(order) + 1, 2):
        part = {r.spec.run_id: r for r in order[:done]}
        specs, future = runs(ends, SMALL, lambda spec, part=part: part.get(spec.run_id))
        assert len(specs) + len(future) == 6 * 2 + 3 * 2
    assert future == [] and len(specs) == len(there)


def test_without_optuna_the_trials_are_left_out_and_said_so(monkeypatch):
    monkeypatch.setattr(studies, "_optuna", lambda: None)
    with pytest.warns(UserWarning, match="Optuna is not installed: the trials of alpha"):
        assert trials(ALPHA, SMALL, lambda spec: None) == []
    with pytest.warns(UserWarning, match="Optuna"):
        assert {s.alpha for s in plan("05_3", "smoke").specs} == {0.3, 0.4, None}, "the grid alone"


# ---- the sections that search


SECTIONS_5_3 = grids.SECTIONS["05_3"]


@pytest.mark.parametrize(("profile", "studied", "trial"), [("smoke", 1, 1), ("quick", 0, 0), ("paper", 6, 3)])
def test_section_5_3_tunes_every_initialization_and_density(profile, studied, trial):
    found = SECTIONS_5_3.studies(PROFILES[profile])
    assert len(found) == len({study.name for study in found}) == studied
    for study in found:
        specs, future = runs(study, PROFILES[profile], lambda spec: None)
        assert len(specs) == trial and len(specs) + len(future) == PROFILES[profile].trials * trial
        assert {(s.method, s.multiplier, s.learning_rate) for s in specs} == {("RigL", 1, 0.1)}


def test_the_search_has_the_reports_domain():
    size = replace(PROFILES["paper"], search_seeds=(0,))
    study = SECTIONS_5_3.studies(size)[0]
    there = trained(study, size, score=lambda spec: 90 + spec.delta_t / 1000)
    tried = [trial.specs[0] for trial in trials(study, size, lambda s: there[s.run_id])]
    assert all(0.1 <= s.alpha <= 0.6 for s in tried)
    assert {s.delta_t for s in tried} <= set(range(50, 1001, 50)) and len({s.delta_t for s in tried}) > 5


def test_figure_2_is_the_reports_grid_and_one_rate_above_it():
    found = [s for grid in SECTIONS_5_3.grids for s in grid(PROFILES["paper"])]
    rigl = {(s.init, s.density, s.learning_rate, s.alpha, s.delta_t) for s in found if s.method == "RigL"}
    pairs = [(0.3, 100), (0.4, 200), (0.4, 500), (0.5, 750)]
    grid = {(rate, *pair) for rate in (0.1, 0.05, 0.01, 0.005) for pair in pairs} | {(0.2, 0.3, 100)}
    assert rigl == {(init, d, *point) for init in ("Random", "ERK") for d in (0.1, 0.2, 0.5) for point in grid}
    assert {s.learning_rate for s in found if s.method == "Dense"} == {0.2, 0.1, 0.05, 0.01, 0.005}
    assert {s.seed for s in found} == {0, 1, 2}


def test_section_6_3_searches_at_the_cost_of_random():
    specs = plan("06_3", "paper").specs
    erk = [s for s in specs if s.init == "ERK"]
    assert {(s.exponent, s.seed) for s in erk} == {(0.0, 0), (0.0, 1), (0.0, 2)}
    assert {(s.density, s.seed) for s in specs if s.init == "Random"} == {(0.1, seed) for seed in range(6)}
    assert {s.initialisation for s in erk} == {"ERK^0"}
