"""Section 6.3: the search for a distribution, what it may claim, and the words of its result."""

import itertools
from dataclasses import replace

import pandas as pd
import pytest
from records import made

from rigl_nb.claims import judge
from rigl_nb.claims.claim import Cell
from rigl_nb.claims.judge import Answer
from rigl_nb.claims.statements import best_over
from rigl_nb.experiments import grids, studies
from rigl_nb.experiments.grids import PROFILES
from rigl_nb.report.sections import beyond
from rigl_nb.runs.store import Store

PAPER, QUICK = PROFILES["paper"], PROFILES["quick"]
SMALL = replace(QUICK, trials=5)  # the ends and three more


def missing(store, profile):
    """The runs that a campaign asks for, each after the records of those before it."""
    (study,), first = grids.distributions(profile), grids.spread_reference(profile)
    while todo := [s for s in first + studies.runs(study, profile, store.find)[0] if store.find(s) is None]:
        yield todo[0]


def fill(root, validation, test, profile=SMALL, limit=None):
    """Save the records of a search, at most `limit`; functions of the spec give their accuracies."""
    store = Store(root)
    for spec in itertools.islice(missing(store, profile), limit):
        history = [dict(epoch) for epoch in made(spec).history]
        history[-1]["validation_accuracy"] = validation(spec)
        store.save(made(spec, history=tuple(history), test_accuracy=test(spec)))
    return beyond.search(profile, store)


def is_fresh(spec):
    return spec.seed in SMALL.fresh_seeds


def bump(spec):
    """A curve over the exponent with its top at 0.6, between the ends, and Random below."""
    return 60 - 2 * (spec.exponent - 0.6) ** 2 - (spec.init == "Random")


def wobble(spec, size=0.05):
    """Noise of fresh seeds: one seed up, one down, one not; other way round at the ends, so that means stay."""
    sign = 1 if spec.init == "ERK" and spec.exponent in (0, 1) else -1
    return sign * size * {1: 1, 2: -1, 3: 0}.get(spec.seed, 0)


SITUATIONS = {
    # the best is 0.32 above ERK, 0.72 above Uniform; the differences of the seeds spread by 0.1
    "better": (bump, lambda s: bump(s) + wobble(s)),
    # the search sees a bump that is not there; the fresh seeds differ by ±0.6 around nothing
    "equal": (lambda s: 60 if is_fresh(s) else bump(s), lambda s: 60 + wobble(s, 0.3)),
    # what looked best is truly worse
    "misled": (lambda s: 50 if is_fresh(s) else bump(s), lambda s: 120 - bump(s) + wobble(s)),
    # the top of the curve is ERK itself
    "end": (lambda s: 60 + s.exponent, lambda s: 60 + s.exponent + wobble(s)),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return {name: fill(tmp_path_factory.mktemp(name), *two) for name, two in SITUATIONS.items()}


def words(answers):
    return {name: answer.outcome for name, answer in answers.items()}


def test_the_best_has_the_highest_score(found):
    one = found["better"]
    assert list(one.trials.index) == [1, 2, 3, 4, 5] and list(one.trials["exponent"][:2]) == [0, 1]
    scores = {e: 60 - 2 * (e - 0.6) ** 2 for e in one.trials["exponent"]}
    assert dict(zip(one.trials["exponent"], one.trials["score"], strict=True)) == pytest.approx(scores)
    assert one.best == max(scores, key=scores.get) and one.best not in (0, 1)
    assert len(one.runs) == 5 + 3 * 3 + 4 and len(one.fresh) == 3 * 3 + 3
    assert found["end"].best == 1 and len(found["end"].fresh) == 2 * 3 + 3


def test_truly_better(found):
    judged = beyond.answers(found["better"])
    best = found["better"].best
    assert words(judged) == dict.fromkeys(["Uniform", "ERK", "Random"], judge.SUPPORTED)
    assert judged["Uniform"].estimate.value == pytest.approx(2 * 0.36 - 2 * (best - 0.6) ** 2)
    assert judged["ERK"].n == 6
    lines = beyond.outcome(found["better"]).splitlines()
    assert lines[-2] == "Answer: yes. The best of the search is better than both ends, beyond the noise."
    assert lines[-1].startswith("These runs (CIFAR-10, WRN-10-1, 3 epochs) decide nothing")
    assert "Lost: +0.00" in lines[1] and lines[1].endswith("The rows that were not chosen lost +0.00 to +0.00.")


def test_all_equal(found):
    judged, text = beyond.answers(found["equal"]), beyond.outcome(found["equal"])
    assert words(judged)["Uniform"] == words(judged)["ERK"] == judge.UNDECIDED
    assert "not shown. The noise hides whether the best is better than Uniform and ERK." in text
    assert "[" not in text  # intervals stand in a table
    # four cells of 0.3, −0.3 and 0: std 0.3, error 0.3 √(2/3), t(0.975, 8) = 2.306, half width 0.56
    row = beyond.differences(judged).set_index("").loc["best − ERK"]
    assert row.tolist() == ["+0.0", "−0.6 to +0.6", "0.8", 6, "–", "not told apart"]


def test_a_broken_run_is_apart(found, tmp_path):
    """The fresh seed 3 of Uniform fails (its wobble is 0): it is told, and in no mean and not in the noise."""
    failing = [
        lambda s, good=good: 40.0 if (s.init, s.exponent, s.seed) == ("ERK", 0.0, 3) else good(s)
        for good in SITUATIONS["better"]
    ]
    one, clean = fill(tmp_path, *failing), found["better"]
    assert one.runs["broken"].sum() == 1 and not clean.runs["broken"].any()
    row, whole = (beyond.finals(each).loc["Uniform"] for each in (one, clean))
    assert list(row[["n", "broken", "lost", "mean"]]) == pytest.approx([2, 1, 0, whole["mean"]])
    assert beyond.noise(one) == (pytest.approx(0.0), beyond.noise(clean)[1] - 1)
    row, whole = (beyond.differences(beyond.answers(each)).set_index("").loc["best − Uniform"] for each in (one, clean))
    assert (row["points"], row["runs"], whole["broken apart"]) == (whole["points"], 5, "–")
    count, value = row["broken apart"].split(": ")
    assert count == "1" and float(value) > 5


def test_misled_by_noise(found):
    one = found["misled"]
    assert words(beyond.answers(one))["ERK"] == judge.OPPOSITE
    assert beyond.finals(one).loc[beyond.BEST, "lost"] == pytest.approx(one.trials["score"].max() - 50)
    assert "was misled: its best is worse than Uniform and ERK, beyond the noise." in (text := beyond.outcome(one))
    assert f"Lost: +{one.trials['score'].max() - 50:.2f} ±" in text


def test_an_end_that_is_best_is_not_compared_with_itself(found):
    judged = beyond.answers(found["end"])
    assert list(judged) == ["Uniform", "Random"]
    assert "Answer: no. The search found nothing better than ERK." in beyond.outcome(found["end"])
    finals = beyond.finals(found["end"])
    assert finals.loc[beyond.BEST].equals(finals.loc["ERK"])


def test_better_than_one_end_only():
    judged = {"Uniform": judge.SUPPORTED, "ERK": judge.UNDECIDED, "Random": judge.OPPOSITE}
    (claim,) = best_over(Cell("RigL", "ERK^0.5", 0.1), {"ERK": Cell("RigL", "ERK", 0.1)})
    pair = (Answer(claim, "quick", judge.UNDECIDED).estimate,)
    answer = beyond._answer({name: Answer(claim, "quick", word, pairs=pair) for name, word in judged.items()})
    assert answer == "Answer: not shown. The noise hides whether the best is better than ERK."


def test_search_seeds_judge_nothing(found):
    one = found["better"]
    runs = one.runs.copy()
    runs.loc[runs["phase"] == "search", "test_accuracy"] = 0.0
    assert words(beyond.answers(replace(one, runs=runs))) == words(beyond.answers(one))
    assert set(one.fresh["seed"]) == {1, 2, 3}


def test_one_fresh_seed_shows_a_difference_and_no_interval(found):
    one = found["better"]
    few = replace(one, runs=one.runs[one.runs["seed"] <= 1], others=None)
    assert set(words(beyond.answers(few)).values()) == {judge.UNDECIDED}
    assert "Answer: not shown." in (text := beyond.outcome(few)) and "nan" not in text
    shown = beyond.differences(beyond.answers(few))
    assert (shown["95 % interval"] == "–").all() and (shown["runs"] == 2).all()


def test_fresh_seeds_of_the_best_alone_say_what_it_lost(found):
    one = found["better"]
    kept = (one.runs["phase"] == "search") | one.runs.index.isin(one.finalists[beyond.BEST].rows(one.runs).index)
    text = beyond.outcome(replace(one, runs=one.runs[kept]))
    assert "Lost: +0.00" in text and "not chosen" not in text and "nan" not in text


def test_without_fresh_seeds_there_is_no_answer(found):
    one = found["better"]
    none = replace(one, runs=one.runs[one.runs["phase"] == "search"])
    assert set(words(beyond.answers(none)).values()) == {judge.NOT_ENOUGH}
    assert "Answer: not enough runs." in beyond.outcome(none)
    assert beyond.differences(beyond.answers(none)).iloc[0].tolist()[1:] == ["–", "–", "–", 0, "–", judge.NOT_ENOUGH]


@pytest.mark.parametrize(("limit", "ended"), [(0, 0), (6, 2), (7, 3)])
def test_a_search_that_has_not_ended(tmp_path, limit, ended):
    one = fill(tmp_path, *SITUATIONS["better"], limit=limit)
    assert (len(one.trials), one.best) == (ended, None)
    assert beyond.outcome(one) == f"quick: {ended} of 5 trials have ended. There is no result yet."
    judged = beyond.answers(one)
    assert list(judged) == ["Uniform", "ERK", "Random"] and set(words(judged).values()) == {judge.NOT_ENOUGH}
    assert beyond.BEST not in beyond.finals(one).index
    drawn = beyond.score_by_exponent(one)
    if ended:
        assert {t.get_text() for t in drawn.axes[0].texts} == {"Uniform", "ERK", *map(str, range(1, ended + 1))}
    else:
        assert "no trial has ended" in drawn.data  # a sentence, no empty axes


def test_without_optuna_there_is_no_trial(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "_optuna", lambda: None)
    with pytest.warns(UserWarning, match="Optuna is not installed"):
        one = beyond.search(SMALL, Store(tmp_path))
    assert one.trials.empty and one.best is None


def test_search_figure_shows_trials_best_and_fresh_seeds(found):
    one = found["better"]
    axis = beyond.score_by_exponent(one).axes[0]
    lines = {line.get_label(): line for line in axis.get_lines()}
    x, y = lines["a trial (number: order)"].get_data()
    assert (list(x), list(y)) == (list(one.trials["exponent"]), list(one.trials["score"]))
    ring = lines[beyond.BEST]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (one.best, one.trials["score"].max())
    (bars,) = axis.containers
    assert sorted(bars.lines[0].get_xdata()) == sorted([one.best, 0.0, 1.0])
    assert lines["Random, mean of fresh seeds"].get_ydata()[0] == pytest.approx(60 - 2 * 0.4**2 - 1)


def test_equal_trials_share_a_number(found):
    one = found["better"]
    again = pd.concat([one.trials, one.trials.loc[[3]].set_axis([6])])
    (axis,) = beyond.score_by_exponent(replace(one, trials=again)).axes
    assert "3, 6" in (texts := [text.get_text() for text in axis.texts]) and "3" not in texts


def test_strongest(found):
    paper = beyond.Search(PAPER, found["better"].trials.iloc[:0], found["better"].runs.iloc[:0], None)
    begun = replace(paper, trials=found["better"].trials)
    assert beyond.strongest([paper, found["better"]]) is found["better"]
    assert beyond.strongest([begun, found["better"]]) is found["better"], "a result before a beginning"
    assert beyond.strongest([paper, begun]) is begun
    assert beyond.strongest([paper]) is paper


def test_the_finalists_are_what_the_grid_trains(found):
    for one in found.values():
        assert all(len(cell.rows(one.fresh)) == 3 for cell in one.finalists.values())
