"""All claims on one board: every section's claims once, judged by published records and by printed values."""

import pytest
from records import made

from rigl_nb.claims import judge, statements
from rigl_nb.experiments import grids
from rigl_nb.report.figures import tables
from rigl_nb.report.sections import shared, verdicts
from rigl_nb.runs.store import Store

ACCURACY = {"Dense": 94, "RigL": 92, "SNFS": 92.5, "SET": 91, "Static": 89, "Small-Dense": 88, "Pruning": 92.6}


@pytest.fixture
def no_records(tmp_path, monkeypatch):
    monkeypatch.setenv("RIGL_RESULTS", str(tmp_path / "results"))
    return Store(tmp_path / "results")


@pytest.mark.parametrize("name", verdicts.JUDGES)
def test_every_claim_of_a_section_is_judged_once_by_both(name, no_records):
    found = verdicts.judged(name)
    ours = [verdict.claim for verdict in found.ours]
    assert len(set(ours)) == len(ours) > 0
    assert {verdict.verdict for verdict in found.ours} == {judge.NOT_ENOUGH}
    if found.published:
        assert [verdict.claim for verdict in found.published] == ours


def test_names_are_unique_on_the_whole_board(no_records):
    names = [verdict.claim.name for name in verdicts.JUDGES for verdict in verdicts.judged(name).ours]
    assert len(set(names)) == len(names)


def test_records_decide_the_verdicts(no_records):
    """Made-up runs with plain differences between methods: seeds move all methods alike."""
    for spec in grids.specs("05_1", "paper", density=0.1):
        value = ACCURACY.get(spec.method, 90) + (spec.init == "ERK") + 0.4 * (spec.multiplier - 1) + 0.1 * spec.seed
        no_records.save(made(spec, test_accuracy=value))
    found = {v.claim.name: v for v in verdicts.judged("05_1").ours}
    exceeds = found["RigL 2× (ERK) over Pruning"]
    assert exceeds.verdict == judge.REPRODUCED and exceeds.difference == pytest.approx(93.4 - 92.6)
    assert found["SET over Static"].verdict == judge.NOT_ENOUGH, "density 0.2 is missing"
    assert shared.evidence("05_1")["paper"]["present"].sum() == len(grids.specs("05_1", "paper", density=0.1))


def test_section_5_1_has_the_instability_beside_the_accuracies(no_records):
    found = [verdict.claim for verdict in verdicts.judged("05_1").ours]
    assert found == [*statements.CIFAR10, *statements.INSTABILITY]


def test_counts_add_up(no_records):
    boards = {name: verdicts.judged(name) for name in ("05_1", "06_2")}
    table = verdicts.counts(boards)
    assert list(table.index) == ["5.1", "6.2", "all"]
    assert (table.loc["all"] == table.loc["5.1"] + table.loc["6.2"]).all()
    assert table.loc["5.1", ("", "claims")] == len(boards["05_1"].ours)
    words = [verdict.verdict for verdict in boards["05_1"].published]
    for word in (judge.REPRODUCED, judge.CONTRADICTED, judge.INCONCLUSIVE):
        assert table.loc["5.1", ("published", tables.SYMBOLS[word])] == words.count(word)
        assert table.loc["all", ("ours", tables.SYMBOLS[word])] == 0


def test_unknown_sections_are_named():
    with pytest.raises(ValueError, match=r"section '03' has no claims.*05_1"):
        verdicts.judged("03")
