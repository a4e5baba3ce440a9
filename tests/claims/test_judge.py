"""Answers: each relation with hand-set estimates; which runs a scale needs; what survives beside other claims."""

import math
from dataclasses import replace

import numpy as np
import pytest
from frames import printed, runs

from rigl_nb.claims import judge
from rigl_nb.claims.claim import Cell, Claim
from rigl_nb.claims.estimate import Estimate
from rigl_nb.claims.judge import Answer, by_print, by_runs, decide, together
from rigl_nb.claims.model import Printed, Runs

A, B, C, D = (Cell(name, "ERK", 0.1) for name in ("RigL", "SET", "Static", "SNFS"))
BETTER = Claim("A over B", "better", "5.1", ((A, B),))
NOT_WORSE, LIKE = (replace(BETTER, relation=word, margin=0.3) for word in ("at least matches", "matches"))
NOT_BETTER = replace(BETTER, relation="not better")
BY_FAR = replace(BETTER, margin=0.5)
YES, NO, SAME, OPEN = judge.SUPPORTED, judge.OPPOSITE, judge.NO_DIFFERENCE, judge.UNDECIDED


def at(value, error=0.05, freedom=20):
    """Half of the 95 % interval is 2.086 errors, of the 90 % interval 1.725."""
    return Estimate(value, error, freedom)


TABLE = [
    # claim, clear yes, clear no, small, wide
    (BETTER, (1.0, YES), (-1.0, NO), (0.05, SAME), OPEN),
    (BY_FAR, (1.0, YES), (0.2, NO), (0.45, OPEN), OPEN),
    (NOT_WORSE, (0.0, YES), (-0.5, NO), (-0.3, OPEN), OPEN),
    (LIKE, (0.1, YES), (0.5, NO), (0.3, OPEN), OPEN),
    (NOT_BETTER, (0.05, YES), (0.2, NO), (-0.05, YES), OPEN),
]


@pytest.mark.parametrize(("claim", "yes", "no", "small", "wide"), TABLE, ids=lambda one: getattr(one, "relation", ""))
def test_decisions(claim, yes, no, small, wide):
    for value, outcome in (yes, no, small):
        found, p = decide(claim, at(value), (at(value),))
        assert (found, p <= judge.LEVEL) == (outcome, outcome != OPEN)
    assert decide(claim, at(0.1, 2.0), (at(0.1, 2.0),)) == (wide, 1.0)
    unknown = Estimate(5.0, math.nan, math.nan)
    assert decide(claim, unknown, (unknown,)) == (OPEN, 1.0), "one run a cell: nothing tells how much they differ"


def test_a_difference_of_a_size_is_not_answered_by_a_small_one():
    assert decide(replace(BETTER, margin=0.1), at(0.1), (at(0.1),)) == (OPEN, 1.0)


@pytest.mark.parametrize("error", [0.02, 0.1, 0.5])
def test_outcomes_are_where_intervals_lie(error):
    """Every difference from −2 to 2: a 95 % interval for "better", a 90 % one inside the margin for "like"."""
    for value in np.linspace(-2, 2, 401):
        one = at(value, error)
        (low, high), (inner, outer) = one.interval(0.95), one.interval(0.90)
        inside = inner > -0.3 and outer < 0.3
        better = YES if low > 0 else NO if high < 0 else SAME if inside else OPEN
        expected = {
            BETTER: better,
            BY_FAR: YES if low > 0.5 else NO if high < 0.5 else OPEN,
            NOT_WORSE: YES if inner > -0.3 else NO if high < -0.3 else OPEN,
            LIKE: YES if inside else NO if low > 0.3 or high < -0.3 else OPEN,
            NOT_BETTER: NO if low > 0 else YES if outer < 0.3 else OPEN,
        }
        assert {claim: decide(claim, one, (one,))[0] for claim in expected} == expected


def test_a_claim_about_each_pair_needs_all_of_them():
    each = replace(BETTER, pairs=((A, B), (A, C), (A, D)), every=True)
    mean = replace(each, every=False)
    good, bad, open_, small = at(1.0), at(-1.0), at(0.1, 0.5), at(0.01)
    assert decide(each, good, (good, good, good))[0] == YES
    assert decide(each, good, (good, good, open_)) == (OPEN, 1.0)
    assert decide(mean, good, (good, good, open_))[0] == YES, "a mean needs the mean alone"
    assert decide(each, good, (good, good, bad))[0] == NO
    assert decide(each, small, (small, small, small))[0] == SAME
    assert decide(each, small, (small, small, open_))[0] == OPEN
    one = at(-0.115)  # p 0.032 alone, of three pairs 0.097
    assert decide(BETTER, one, (one,))[0] == NO and decide(each, good, (good, good, one))[0] == OPEN
    p = decide(each, good, (at(1.0), at(0.2), at(0.15)))[1]
    assert p == pytest.approx(2 * at(0.15).above(0)), "the least clear pair decides"


def test_equal_values_do_not_crash():
    none = Estimate(0.0, 0.0, math.inf)
    found = [decide(claim, none, (none,))[0] for claim in (BETTER, NOT_WORSE, LIKE, NOT_BETTER)]
    assert found == [SAME, YES, YES, YES]
    exact = Estimate(0.2, 0.0, math.inf)
    assert decide(BETTER, exact, (exact,)) == (YES, 0.0) and decide(NOT_BETTER, exact, (exact,)) == (NO, 0.0)


def test_words_belong_to_the_scale():
    words = {scale: [Answer(BETTER, scale, one).word for one in (YES, NO, SAME, OPEN)] for scale in judge.SCALES}
    assert words["printed"] == ["supported", "not supported", "not supported", "undecided"]
    assert words["quick"] == words["short"] == ["same direction", "opposite", "cannot tell", "cannot tell"]
    assert words["paper"] == ["reproduced", "contradicted", "no practical difference", "undecided"]
    assert Answer(BETTER, "paper", judge.NOT_ENOUGH).word == "not enough runs"


TWO = replace(BETTER, pairs=((A, B), (C, D)))


def noisy(*cells, seeds=3, gain=0.0, std=0.1, seed=0):
    rng = np.random.default_rng(seed)
    return {cell: list(90 + (cell in (A, C)) * gain + rng.normal(0, std, seeds)) for cell in cells}


def test_full_scale_needs_all_seeds_that_are_planned_in_every_cell():
    values = noisy(A, B, C, D, gain=2.0)
    assert by_runs(TWO, Runs(runs(values)), "paper").outcome == YES
    values[D][1] = None
    found = by_runs(TWO, Runs(runs(values)), "paper")
    assert (found.outcome, found.missing, found.pairs, found.n) == (judge.NOT_ENOUGH, (D,), (), 11)
    values[D].pop(1)
    assert by_runs(TWO, Runs(runs(values)), "paper").outcome == YES, "a cell may have fewer from the start"
    more = {cell: [*found, None] for cell, found in values.items()}
    assert by_runs(TWO, Runs(runs(more)), "paper").missing == (A, B, C, D)


@pytest.mark.parametrize("scale", ["quick", "short"])
def test_small_scales_leave_out_pairs_and_name_their_cells(scale):
    values = noisy(A, B, C, gain=2.0) | {D: [None]}
    found = by_runs(TWO, Runs(runs(values)), scale)
    assert (found.missing, found.n, len(found.pairs), found.agree) == ((D,), 6, 1, 1)
    assert found.estimate == Runs(runs(values)).estimate(((A, B),)) == found.pairs[0]
    assert (found.outcome, found.word) == (YES, "same direction")
    none = by_runs(TWO, Runs(runs(noisy(B, C))), scale)
    assert (none.outcome, none.missing, none.n) == (judge.NOT_ENOUGH, (A, D), 6) and math.isnan(none.interval[0])


def test_one_run_a_cell_is_enough_where_others_tell_the_noise():
    one = {A: [92.0], B: [90.0]}
    alone = by_runs(BETTER, Runs(runs(one)), "quick")
    assert (alone.outcome, alone.estimate.value, alone.p) == (OPEN, 2.0, 1.0)
    assert by_runs(BETTER, Runs(runs(one), others=runs(noisy(C, D, seeds=6))), "quick").outcome == YES


def test_broken_runs_are_apart_and_beside_it():
    values = noisy(A, B, C, D, seeds=4, gain=2.0)
    values[A][3] = 20.0
    found = by_runs(BETTER, Runs(runs(values)), "paper")
    assert (found.broken, found.n, found.outcome) == ((1, 0), 8, YES)
    assert found.estimate.value == pytest.approx(np.mean(values[A][:3]) - np.mean(values[B]))
    assert found.whole.value == pytest.approx(np.mean(values[A]) - np.mean(values[B]))
    assert by_runs(replace(BETTER, pairs=((C, D),)), Runs(runs(values)), "paper").whole is None
    lost = by_runs(BETTER, Runs(runs(values, collapsed={(A, seed) for seed in range(4)})), "paper")
    assert (lost.outcome, lost.missing, lost.broken) == (judge.NOT_ENOUGH, (A,), (4, 0))


def test_known_numbers_are_of_the_reports_length():
    fixed = replace(A, data="original")
    claim, runs_ = replace(LIKE, pairs=((A, fixed),)), Runs(runs(noisy(A)), {fixed: 90.0})
    assert by_runs(claim, runs_, "paper").outcome == YES
    for scale in judge.SMALL:
        assert (by_runs(claim, runs_, scale).outcome, by_runs(claim, runs_, scale).pairs) == (judge.NOT_ENOUGH, ())


def test_other_data_is_no_evidence_and_two_runs_of_a_seed_are_refused():
    other = runs({replace(cell, data="digits"): [90.0, 91.0, 92.0] for cell in (A, B)})
    assert by_runs(BETTER, Runs(other), "paper").missing == (A, B)
    frame = runs(noisy(A, B)).assign(seed=0)
    with pytest.raises(ValueError, match="several runs of one seed"):
        by_runs(BETTER, Runs(frame), "quick")


def test_printed_pairs_that_are_there_are_judged():
    table = Printed(printed({A: (92.4, 0.06), B: (91.2, 0.04), C: (91.0, 0.05)}))
    found = by_print(TWO, table)
    assert (found.scale, found.outcome, found.missing, found.n) == ("printed", YES, (D,), 6)
    assert found.estimate == table.estimate(((A, B),)) and found.agree == 1
    absent = by_print(replace(BETTER, pairs=((C, D),)), table)
    assert (absent.outcome, absent.missing, absent.n) == (judge.NOT_PRINTED, (D,), 0)


def test_together_adjusts_first_claims_by_holm_and_others_by_benjamini_and_hochberg():
    def answer(name, p, outcome=YES):
        pairs = () if outcome == judge.NOT_ENOUGH else (at(1.0),)
        return Answer(replace(BETTER, name=name), "paper", outcome, at(1.0), pairs, p=p, adjusted=p)

    given = [
        *(answer(name, p) for name, p in (("x", 0.04), ("a", 0.02), ("y", 0.01), ("b", 0.03))),
        answer("z", 1.0, OPEN),
        answer("w", 1.0, judge.NOT_ENOUGH),
    ]
    found = {one.claim.name: one for one in together(given, ("a", "b", "never asked"))}
    assert list(found) == ["x", "a", "y", "b", "z", "w"], "the order stays"
    assert [found[name].adjusted for name in "ab"] == pytest.approx([0.04, 0.04])  # 0.02 × 2, 0.03 × 1 but not below
    assert [found[name].adjusted for name in "xyz"] == pytest.approx([0.06, 0.03, 1.0])  # of three: 0.04 × 3 / 2
    assert [found[name].outcome for name in "axybz"] == [YES, OPEN, YES, YES, OPEN]
    assert (found["x"].p, found["w"].outcome) == (0.04, judge.NOT_ENOUGH)
