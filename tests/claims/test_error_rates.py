"""How often claims are decided where nothing differs: simulated runs with a fixed seed, 5 % or less.

Limits are three standard errors of the simulation above 5 %.
"""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from math import sqrt

import numpy as np
import pandas as pd
import pytest
from frames import runs

from rigl_nb.claims import judge
from rigl_nb.claims.claim import Cell, Claim
from rigl_nb.claims.judge import Answer, by_runs, decide, together
from rigl_nb.claims.model import Runs, fit, summed

CELLS = tuple(Cell("RigL", "ERK", place / 100) for place in range(1, 9))
A, B, C, D, *REST = CELLS
DECIDED = (judge.SUPPORTED, judge.OPPOSITE)
SEEDS, REPEATS = 3, 500


def claim(*pairs, **fields) -> Claim:
    return Claim("left over right", "better", "5.1", pairs, **fields)


@cache
def simulated(repeats=REPEATS, std=(1.0,) * 8, shared=0.0, seed=0):
    """Return fitted models of runs that all have the same mean; `shared`: deviation of what runs of one seed share."""
    rng, places = np.random.default_rng(seed), np.repeat(np.arange(len(std)), SEEDS)
    frame = pd.DataFrame({"configuration": places, "seed": np.tile(range(SEEDS), len(std)), "test_accuracy": 0.0})
    found = []
    for _ in range(repeats):
        noise = rng.normal(0, np.asarray(std)[:, None], (len(std), SEEDS)) + shared * rng.normal(size=SEEDS)
        found.append(fit(frame.assign(test_accuracy=90 + noise.ravel()), len(std)))
    return found


def answered(one: Claim, model) -> tuple[str, float]:
    def estimate(pairs):
        weights = np.zeros(len(model.means))
        for cell, weight in summed(pairs).items():
            weights[CELLS.index(cell)] = weight
        return model.contrast(weights)

    return decide(one, estimate(one.pairs), tuple(estimate((pair,)) for pair in one.pairs))


def rate(one: Claim, **how) -> float:
    found = [answered(one, model)[0] in DECIDED for model in simulated(**how)]
    return sum(found) / len(found)


def limit(repeats=REPEATS):
    return 0.05 + 3 * sqrt(0.05 * 0.95 / repeats)


CLAIMS = {
    "one pair": claim((A, B)),
    "pairs that share a cell": claim((A, B), (A, C)),
    "a cell in several pairs": claim((A, B), (B, C), (D, B), (A, D)),
    "all cells": claim((A, B), (C, D), (REST[0], REST[1]), (REST[2], REST[3])),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_equal_means_are_told_apart_in_one_of_twenty_cases(name):
    """Not much rarer, too: an F test that finds noisier cells by chance costs a little."""
    assert 0.02 < rate(CLAIMS[name]) < limit()


@pytest.mark.parametrize("shared", [0.5, 2.0])
@pytest.mark.parametrize("name", ["one pair", "a cell in several pairs"])
def test_what_seeds_share_is_no_evidence(name, shared):
    assert rate(CLAIMS[name], shared=shared, seed=2) < limit()


def test_two_cells_alone_choose_no_blocks_by_chance():
    """With 2 degrees of freedom the chosen error would be small by luck: 6.9 % instead of 5 %."""
    found = [answered(CLAIMS["one pair"], m)[0] in DECIDED for m in simulated(1000, std=(1.0, 1.0), seed=3)]
    assert np.mean(found) < limit(1000)


@pytest.mark.parametrize("std", [(3, 3, 1, 1, 1, 1, 1, 1), (3, 1, 1, 1, 1, 1, 1, 1), (1, 1, 4, 4, 4, 1, 1, 1)])
def test_cells_of_unequal_variance(std):
    """Three seeds tell little about a variance: with a pooled one it is 22 to 26 %, else at most 9 %."""
    assert rate(CLAIMS["one pair"], std=std, seed=4) < 0.09 + 3 * sqrt(0.09 * 0.91 / REPEATS)


def test_a_claim_about_each_pair_is_rarely_true_by_chance():
    each = claim((A, B), (C, D), every=True)
    found = [answered(each, model)[0] for model in simulated(seed=5)]
    assert found.count(judge.SUPPORTED) / REPEATS < 0.01, "both pairs by chance: 0.025²"
    assert found.count(judge.OPPOSITE) / REPEATS < limit()
    shifted = [answered(each, replace(m, means=m.means + 9 * (np.arange(8) == 0))) for m in simulated(seed=6)]
    true = sum(outcome == judge.SUPPORTED for outcome, _ in shifted)
    assert true / REPEATS < limit(), "one pair is better for sure: the other decides"


@pytest.mark.parametrize("relation", ["matches", "at least matches"])
def test_margins_that_are_just_missed(relation):
    one = claim((A, B), relation=relation, margin=0.3)
    found = []
    for model in simulated(std=(0.1,) * 8, seed=7):
        found.append(answered(one, replace(model, means=model.means - 0.3 * (np.arange(8) == 0)))[0])
    assert found.count(judge.SUPPORTED) / REPEATS < limit()
    assert found.count(judge.SUPPORTED) / REPEATS > 0.02 and found.count(judge.OPPOSITE) / REPEATS < limit()


def test_holm_keeps_the_chance_of_any_false_answer():
    asked = [replace(claim(pair), name=str(place)) for place, pair in enumerate(pairwise(CELLS))]
    some = alone = 0
    for model in simulated(400, seed=8):
        answers = []
        for one in asked:
            outcome, p = answered(one, model)
            answers.append(Answer(one, "paper", outcome, pairs=(judge.NOTHING,), p=p, adjusted=p))
        alone += any(answer.outcome in DECIDED for answer in answers)
        some += any(answer.outcome in DECIDED for answer in together(answers, [one.name for one in asked]))
    assert some / 400 < limit(400) < 0.2 < alone / 400


def test_through_the_whole_path():
    """Frames, broken runs, blocks and decision: two pairs that share a cell, beside other cells."""
    rng, decided = np.random.default_rng(9), 0
    frame = runs({cell: [90.0] * SEEDS for cell in CELLS})
    for _ in range(100):
        now = frame.assign(test_accuracy=90 + rng.normal(0, 0.2, len(frame)))
        decided += by_runs(CLAIMS["pairs that share a cell"], Runs(now), "paper").outcome in DECIDED
    assert 0 < decided / 100 < limit(100)
