"""All claims at every scale: each once, answered only where something speaks, together with the others of the scale."""

from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest
from frames import runs
from records import made

from rigl_nb.claims import judge, statements
from rigl_nb.claims.claim import Cell, Claim
from rigl_nb.claims.judge import Answer
from rigl_nb.experiments import grids
from rigl_nb.report.sections import ladder, shared
from rigl_nb.report.sections.ladder import PRIMARY, Rung
from rigl_nb.runs.store import Store

ACCURACY = {"Dense": 94, "RigL": 92, "SNFS": 92.5, "SET": 91, "Static": 89, "Small-Dense": 88, "Pruning": 92.6}


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """The rungs where no record is published."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RIGL_RESULTS", str(tmp_path_factory.mktemp("none") / "results"))
        return ladder.rungs()


@pytest.fixture(scope="module")
def with_paper(tmp_path_factory):
    """The rungs with made-up runs of Table 2 at density 0.1: plain differences between methods, and a little noise."""
    store = Store(tmp_path_factory.mktemp("paper") / "results")
    for place, spec in enumerate(grids.specs("05_1", "paper", density=0.1)):
        value = ACCURACY.get(spec.method, 90) + (spec.init == "ERK") + 0.4 * (spec.multiplier - 1)
        store.save(made(spec, test_accuracy=value + 0.05 * ((place * 7 + spec.seed) % 5 - 2)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RIGL_RESULTS", str(store.root))
        assert shared.evidence("05_1")["paper"]["present"].sum() == len(store.records())
        return ladder.rungs()


def by_name(rungs):
    return {rung.claim.name: rung for rung in rungs}


def test_every_claim_is_there_once(printed):
    names = [rung.claim.name for rung in printed]
    assert len(set(names)) == len(names) > 60
    assert list(dict.fromkeys(rung.section for rung in printed)) == list(ladder.QUESTIONS)
    assert set(PRIMARY) <= set(names)
    of = Counter(rung.section for rung in printed)
    assert of["04"] == len(statements.SETTINGS) and of["05_2"] == len(statements.CIFAR100)
    assert of["05_3"] == len(statements.TUNING) and of["06_2"] == len(statements.REDISTRIBUTION)
    first = [rung.claim for rung in printed if rung.section == "05_1"]
    assert first == [
        *statements.CIFAR10,
        *statements.HIGHEST,
        *statements.INSTABILITY,
        *statements.IMPACT,
    ]


def test_without_records_only_the_printed_numbers_speak(printed):
    assert {scale for rung in printed for scale in rung.answers} == {"printed"}
    assert all(answer.pairs for rung in printed for answer in rung.answers.values())
    assert not any(rung.answers for rung in printed if rung.section == "04"), "Table 1 prints no spread"


def test_printed_answers(printed):
    found = {name: rung.answers["printed"] for name, rung in by_name(printed).items() if rung.answers}
    erk = found["CIFAR-100: redistribution not over RigL (ERK)"]
    assert erk.word == "not supported" and round(erk.estimate.value, 2) == 0.5
    assert [round(end, 2) for end in erk.interval] == [0.14, 0.86] and erk.p < erk.adjusted < 0.05
    assert found["RigL over SET, mean of all densities"].word == "undecided"
    assert found["SET over Static"].word == "supported"
    both = found["CIFAR-10: redistribution over RigL"]
    assert both.p < 0.05 < both.adjusted and both.word == "undecided", "one of nine primary claims"


def test_primary_claims_are_adjusted_by_holm_beside_each_other_alone(printed):
    first = [by_name(printed)[name].answers["printed"] for name in PRIMARY]
    smallest = min(first, key=lambda answer: answer.p)
    assert smallest.adjusted == pytest.approx(min(1, smallest.p * len(first)))
    others = [r.answers["printed"] for r in printed if r.answers and r.claim.name not in PRIMARY]
    largest = max((a for a in others if a.adjusted < 1), key=lambda answer: answer.p)
    rank = sum(answer.p <= largest.p for answer in others)
    assert largest.adjusted == pytest.approx(largest.p * len(others) / rank)


def test_records_decide(with_paper):
    found = by_name(with_paper)
    exceeds = found["RigL 2× (ERK) over Pruning"].answers["paper"]
    assert exceeds.word == "reproduced" and exceeds.estimate.value == pytest.approx(93.4 - 92.6, abs=0.1)
    static = found["SET over Static"].answers["paper"]
    assert static.word == "not enough runs" and {cell.density for cell in static.missing} == {0.2}
    assert {scale for rung in with_paper for scale in rung.answers} == {"printed", "paper"}
    assert "paper" not in found["CIFAR-100: SET over Static"].answers, "no record of this data set"


def test_other_runs_of_the_network_tell_the_noise():
    """One run of each cell has no spread; six of other cells have, and those of another network count for nothing."""
    one, other, more = (Cell(method, "ERK", 0.1) for method in ("RigL", "SET", "SNFS"))
    claim, frame = Claim("one over other", "quote", "5", ((one, other),)), runs({one: [91.0], other: [90.0]})
    noise = runs({more: [88.0, 88.1, 88.3, 88.2, 87.9, 88.4]})
    far = runs({replace(more, density=0.2): [10.0, 90.0, 50.0]}).assign(model="resnet50")
    question = ladder.Question({"quick": (claim,), "paper": (claim,)}, {"quick": frame})
    (found,) = ladder._answered(question, {"quick": pd.concat([noise, far])})["quick"]
    assert (found.estimate.value, found.estimate.freedom) == (1.0, 5)
    variance = noise["test_accuracy"].var()
    assert found.estimate.error == pytest.approx((2 * variance) ** 0.5)


def test_one_section_has_its_own_claims(with_paper, monkeypatch):
    monkeypatch.setattr(ladder, "rungs", lambda: with_paper)
    assert ladder.rungs_of("06_2") == [rung for rung in with_paper if rung.section == "06_2"]
    with pytest.raises(ValueError, match=r"section '03' has no claims.*05_1"):
        ladder.rungs_of("03")


def test_counts_add_up(with_paper):
    table = ladder.counts(with_paper)
    assert table["scale"].drop_duplicates().tolist() == ["printed", "paper"]
    for scale, part in table.groupby("scale"):
        words = Counter(r.answers[scale].word for r in with_paper if scale in r.answers and not r.claim.own)
        assert dict(zip(part["answer"], part["claims"], strict=True)) == words


def test_our_own_questions_are_not_counted():
    pair = (Cell("RigL", "ERK", 0.1), Cell("SET", "ERK", 0.1))
    rungs = []
    for place, own in enumerate((False, False, True)):
        claim = Claim(f"claim {place}", "quote", "5", (pair,), own=own)
        rungs.append(Rung("05_1", claim, {"quick": Answer(claim, "quick", judge.SUPPORTED)}))
    assert ladder.counts(rungs).to_numpy().tolist() == [["quick", "same direction", 2]]
    assert ladder.counts([]).columns.tolist() == ["scale", "answer", "claims"]
