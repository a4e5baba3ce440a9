"""The claims of section 5.3: known answers from made-up records, and what the printed numbers say."""

import csv
import math
import statistics
from dataclasses import replace

import pytest
from scipy import stats
from tuned import SMALL, fill, flat, hill, search

from rigl_nb.claims import instability, judge
from rigl_nb.claims.instability import Instability
from rigl_nb.claims.model import Printed, Runs
from rigl_nb.claims.statements import TUNING
from rigl_nb.claims.statements.tuning import FASTER
from rigl_nb.experiments import grids
from rigl_nb.experiments.grids import PUBLISHED
from rigl_nb.report.sections import tuning
from rigl_nb.runs.store import Store

WHOLE = replace(SMALL, grid=4)  # all learning rates


def verdicts(runs):
    """Answers of full scale, with the profile's two seeds."""
    frame = Runs(tuning.claim_runs(runs))
    asks = {True: instability.by_runs, False: judge.by_runs}
    return {claim.name: asks[isinstance(claim, Instability)](claim, frame, "paper") for claim in TUNING}


def test_all_cells_of_the_claims_have_runs(store):
    found = verdicts(fill(store, hill, WHOLE))
    assert len(found) == len(TUNING) and not any(verdict.missing for verdict in found.values())
    assert found["tuned like the reference"].n == 6 * 2 * 2
    assert found["most runs with learning rate 0.2 break"].n == 7 * 2 * 2


def test_equal_settings_reproduce_what_says_that_nothing_matters(store):
    found = verdicts(fill(store, lambda spec: (90 + spec.seed / 10,) * 2, WHOLE))
    nothing = [name for name in found if "like the reference" in name or "near the best" in name]
    assert len(nothing) == 11 and {found[name].word for name in nothing} == {"reproduced"}
    assert found["most runs with learning rate 0.2 break"].word == "contradicted"


def test_a_gain_by_tuning_contradicts(store):
    """The tuned runs of ERK at 0.5 are a point better than the reference, 0.05 is a point worse, 0.2 one better."""
    rates = {0.05: -1, grids.FAST: 1}

    def accuracy(spec):
        better = spec.density == 0.5 and spec.init == "ERK" and spec.alpha not in (0.3, 0.4)
        return (90 + spec.seed / 10 + better + rates.get(spec.learning_rate, 0),) * 2

    found = verdicts(fill(store, accuracy, WHOLE))
    one, other = (found[f"tuned like the reference, RigL{init} at 0.5"] for init in (" (ERK)", ""))
    assert (one.word, one.estimate.value) == ("contradicted", pytest.approx(1))
    assert (other.word, other.estimate.value) == ("reproduced", pytest.approx(0))
    for method in ("RigL", "Dense"):
        assert found[f"{method}: learning rate 0.1 near the best"].word == "reproduced"
        assert found[f"{method}: learning rate 0.05 near the best"].word == "contradicted"
    assert found["tuning gains more for Random than for ERK"].estimate.value == pytest.approx(0 - 1 / 3)
    assert found["most runs with learning rate 0.2 break"].word == "contradicted"


def test_too_few_runs_give_no_verdict(store, tmp_path):
    """A search that has not ended has no optimum, a grid with a hole no best learning rate."""
    fill(store, flat, WHOLE)
    last = search(store.find)[-1].specs[-1]
    hole = next(s for s in grids.learning_rates(WHOLE) if (s.init, s.density, s.alpha) == ("ERK", 0.2, 0.4))

    class Without(Store):
        def find(self, spec):
            return None if spec in (last, hole) else super().find(spec)

    found = verdicts(tuning.collect(WHOLE, Without(store.root)))
    lacking = {name for name, verdict in found.items() if verdict.word == "not enough runs"}
    assert lacking == {
        "tuned like the reference",
        "tuned like the reference, RigL at 0.1",
        "tuning gains more for Random than for ERK",
        "RigL: learning rate 0.1 near the best",
        "RigL: learning rate 0.05 near the best",
    }
    assert {v.word for v in verdicts(tuning.collect(WHOLE, Store(tmp_path / "empty"))).values()} == {"not enough runs"}


def collapsing(share):
    """Runs at 0.2: with `share` of the seeds at chance, the others as good as at 0.1."""

    def accuracy(spec):
        return (10.0 if spec.learning_rate == grids.FAST and spec.seed < share * 2 else 90.0 + spec.seed / 10,) * 2

    return accuracy


@pytest.mark.parametrize(("share", "word"), [(1, "reproduced"), (0.5, "undecided"), (0, "contradicted")])
def test_what_does_not_converge_breaks(store, share, word):
    runs = fill(store, collapsing(share))
    assert verdicts(runs)["most runs with learning rate 0.2 break"].word == word
    dense = tuning.shown_rates(tuning.fast(runs)).iloc[0]
    assert dense["method"] == "Dense" and dense["η = 0.1"] == "90.05 ± 0.07 (n = 2)"
    assert ("2 collapsed" in dense["η = 0.2"], "1 collapsed" in dense["η = 0.2"]) == (share == 1, share == 0.5)
    store.path(next(s for s in grids.learning_rates(SMALL) if s.learning_rate == grids.FAST)).unlink()
    assert (
        verdicts(tuning.collect(runs.profile, store))["most runs with learning rate 0.2 break"].word
        == "not enough runs"
    )


def test_a_learning_rate_is_compared_with_every_other_one_and_never_with_itself():
    for claim in TUNING:
        if "near the best" in claim.name:
            assert all(left.data != right.data for left, right in claim.pairs)
            assert len(claim.pairs) == len(claim.cells) // len(grids.RATES) * (len(grids.RATES) - 1)


def test_what_the_printed_numbers_say():
    with open(PUBLISHED / "table4_tuning.csv") as stream:
        rows = list(csv.DictReader(stream))
    cells = tuning.printed_cells(grids.published("table4_tuning"))
    tuned = [claim for claim in TUNING if "learning rate" not in claim.name]
    found = {claim.name: judge.by_print(claim, Printed(cells)) for claim in TUNING if claim != FASTER}
    stds = [float(row[f"{side}_std"]) for row in rows for side in ("optimal", "reference")]
    noise, printing = 2 * statistics.fmean(std**2 for std in stds) / 3, 2 * 0.1**2 / 12
    freedom = (noise + printing) ** 2 / (noise**2 / 24)  # twelve cells of three runs
    half = stats.t.ppf(0.975, freedom) * math.sqrt(noise + printing)
    gains = {init: [] for init in ("Random", "ERK")}
    for row in rows:
        gains[row["init"]].append(float(row["optimal_mean"]) - float(row["reference_mean"]))
        name = "RigL (ERK)" if row["init"] == "ERK" else "RigL"
        answer, gain = found[f"tuned like the reference, {name} at {row['density']}"], gains[row["init"]][-1]
        assert answer.estimate.value == pytest.approx(gain)
        assert answer.interval == pytest.approx((gain - half, gain + half))
    assert found["tuned like the reference"].estimate.value == pytest.approx(sum(map(sum, gains.values())) / 6)
    especially = found["tuning gains more for Random than for ERK"]
    assert especially.estimate.value == pytest.approx((sum(gains["Random"]) - sum(gains["ERK"])) / 3)
    assert especially.outcome == judge.NO_DIFFERENCE and especially.word == "not supported"
    assert {a.word for name, a in found.items() if "learning rate" in name} == {"not printed"} and len(tuned) == 8
