"""The front page's words follow from the answers; its tables from methods and records."""

from dataclasses import replace

import pytest

from rigl_nb.claims import judge
from rigl_nb.claims.claim import Cell, Claim
from rigl_nb.claims.estimate import Estimate
from rigl_nb.claims.fact import Fact
from rigl_nb.claims.judge import Answer
from rigl_nb.experiments import grids, inventory
from rigl_nb.experiments.profiles import PROFILES, Row
from rigl_nb.report.sections import overview
from rigl_nb.report.sections.ladder import PRIMARY, Rung
from rigl_nb.spec import RunSpec

PAIR = (Cell("RigL", "ERK", 0.1), Cell("SET", "ERK", 0.1))
CENTRAL = next(iter(PRIMARY))
FACTS = [Fact("one", "quote", "1", "cases", 5, 5, "03"), Fact("two", "quote", "1", "cases", 3, 4, "03")]


def rung(name, own=False, **outcomes):
    claim = Claim(name, "quote", "5", (PAIR, PAIR[::-1]), own=own)
    one = Estimate(0.5, 0.1, 10)
    answers = {
        scale: Answer(claim, scale, outcome, one, (one, one) if outcome != judge.NOT_ENOUGH else (), agree=1)
        for scale, outcome in outcomes.items()
    }
    return Rung("05_1", claim, answers)


def lines(*rungs):
    return [line.removeprefix("- ") for line in overview.known(rungs, FACTS).data.splitlines()]


@pytest.fixture(autouse=True)
def no_records(tmp_path, monkeypatch):
    monkeypatch.setenv("RIGL_RESULTS", str(tmp_path / "results"))
    runs = inventory.Inventory(wanted={"a": None, "b": None}, todo={"a": paper("RigL", "ERK", 0.1)})
    monkeypatch.setattr(inventory, "together", lambda profile, *stores: {"paper": runs}[profile])


def paper(*row, data="cifar10", **fields) -> RunSpec:
    return PROFILES["paper"].spec(Row(*row, data=data, **fields), 0)


def test_what_is_known_without_training_and_by_the_printed_numbers():
    found = lines(
        rung(CENTRAL, printed=judge.UNDECIDED),
        rung("good", printed=judge.SUPPORTED),
        rung("fine", printed=judge.SUPPORTED),
        rung("bad", printed=judge.OPPOSITE),
        rung("small", printed=judge.NO_DIFFERENCE),
        rung("ours", own=True, printed=judge.SUPPORTED),
        rung("silent"),
    )
    assert found.pop(0).startswith("**No claim has been reproduced or contradicted yet**")
    assert found[0].endswith("(9 cases): 1 of 2 sentences are verified.")
    assert found[1].startswith("**By the report's own numbers**") and "of 5 claims that can be asked, " in found[1]
    assert {"2 supported", "1 undecided", "2 not supported"} == set(
        found[1].split("asked, ")[1].rstrip(".").split(", ")
    )
    half = 2.228139 * 0.1
    numbers = f"+0.50 [+{0.5 - half:.2f},\N{NO-BREAK SPACE}+{0.5 + half:.2f}] points, 1 of 2 pairs agree"
    assert found[2] == f"Of these, the central one, “{PRIMARY[CENTRAL]}”: {numbers}, undecided."
    interval = numbers.split(" points")[0]
    assert found[3] == f"Not supported: bad, {interval}; small, {interval}."
    assert found[4].startswith("**The published code** differs from the rules ([notebook 08]")
    assert len(found) == 6 and found[5].startswith("**Open**: 1 of 2 full trainings, 2 GPU-hours by the report's own")


def test_small_and_full_runs_speak_where_there_are_any():
    found = lines(
        rung(CENTRAL, printed=judge.SUPPORTED, quick=judge.UNDECIDED, paper=judge.SUPPORTED),
        rung("other", quick=judge.SUPPORTED, paper=judge.NOT_ENOUGH),
        rung("third", quick=judge.NO_DIFFERENCE, paper=judge.OPPOSITE),
        rung("ours", own=True, quick=judge.SUPPORTED),
    )
    assert not any(line.startswith(("Not supported", "**No claim")) for line in found)
    (quick,) = [line for line in found if line.startswith("**Our `quick` runs**")]
    assert quick.endswith(
        f"({PROFILES['quick'].about.partition(';')[0]}): of 3 claims, 2 cannot tell, 1 same direction."
    )
    assert not any("`short`" in line for line in found)
    assert found[-2] == "**At the report's length**: 1 reproduced, 1 contradicted."


def test_primary_claims_in_their_order():
    rungs = [rung(name) for name in reversed(PRIMARY)] + [rung("another")]
    assert [one.claim.name for one in overview.primary(rungs)] == list(PRIMARY)


def test_gpu_hours_by_hand():
    """Two hours for a training on CIFAR-10, six on CIFAR-100; twice as long takes twice, 25 of 250 epochs a tenth."""
    specs = [paper("RigL", "ERK", 0.1), paper("RigL", "ERK", 0.1, 2), paper("Dense", None, 1.0, data="cifar100")]
    specs.append(PROFILES["short"].spec(Row("Static", "ERK", 0.1), 0))
    assert inventory.gpu_hours(specs) == pytest.approx(2 + 4 + 6 + 0.2)
    assert inventory.gpu_hours([]) == 0


def test_the_methods_of_the_reports_tables():
    table = overview.methods().set_index("method")
    names = {"Dense", "Small-Dense", "Static", "SET", "SNFS", "RigL", "RigL-SG", "RigL-SM", "Pruning", "Lottery"}
    assert set(table.index) == overview.printed_methods() == names
    assert table["grows"].to_dict() == dict.fromkeys(names, "–") | {
        "SET": "at random",
        "SNFS": "largest |momentum|",
        "RigL": "largest |gradient|",
        "RigL-SG": "largest |gradient|",
        "RigL-SM": "largest |gradient|",
    }
    assert table["moves weights between layers"][["RigL", "RigL-SG", "RigL-SM", "SNFS"]].tolist() == [
        "no",
        "by mean |gradient|",
        "by mean |momentum|",
        "by mean |momentum|",
    ]
    needs = table["dense gradients"]
    assert needs[["Dense", "Static", "SET", "RigL", "SNFS"]].tolist() == [
        "–",
        "never",
        "never",
        "at updates",
        "every iteration",
    ]
    assert (
        table.loc["Small-Dense", "start"] == "fewer channels" and table.loc["Lottery", "start"] == "the mask of Pruning"
    )
    assert (table["drops"] == "smallest |weight|").sum() == 6
    assert table.loc["Pruning", "extra hyperparameters"] == "when to prune"


def test_runs_are_counted_for_every_section():
    table = overview.runs()
    assert len(table) == len(grids.SECTIONS) and table.columns.tolist() == ["section", "paper", "short", "quick"]
    assert table.set_index("section").loc["5.1", "paper"].startswith("0 of ")
    assert table.set_index("section").loc["13", "paper"] == "–"


def test_agreement_that_only_compares_lengths_is_called_so():
    longer = ((Cell("RigL", "ERK", 0.1, 2), Cell("SET", "ERK", 0.1)),)
    one, other = (rung(name, quick=judge.SUPPORTED) for name in ("long", "short"))
    long = replace(one.answers["quick"], claim=replace(one.claim, pairs=longer))
    alone, central = replace(one, answers={"quick": long}), rung(CENTRAL)
    for rungs, words in (((alone,), "All of these compare"), ((alone, other), "1 of these 2 compare")):
        (line,) = [line for line in lines(central, *rungs) if "`quick`" in line]
        assert f"{words} a longer training with a shorter one" in line
