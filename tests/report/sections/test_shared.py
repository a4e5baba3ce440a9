"""What the sections' notebooks share: the banner, live training of a growing grid, counts of runs."""

from dataclasses import replace

import pandas as pd
import pytest
from frames import runs
from records import made, tiny

from rigl_nb import paths
from rigl_nb.claims.claim import Cell
from rigl_nb.experiments import grids, inventory
from rigl_nb.report.sections import overview, shared
from rigl_nb.runs import attempt
from rigl_nb.runs.store import Store

RANDOM, SET = Cell("RigL", "Random", 0.1), Cell("SET", "Random", 0.1)

pytest_plugins = ["commands"]


@pytest.fixture
def small(local, monkeypatch):
    """Two runs, and a search of two trials over the learning rate, of one epoch each; return the local store."""

    def grid(profile):
        return [tiny("Dense"), tiny("SET")]

    def search(profile):
        row = lambda values: grids.Row("RigL", "ERK", 0.2, fields=values)  # noqa: E731
        return [grids.studies.Study("rates", row, {"learning_rate": (0.05, 0.2, 0.01)})]

    monkeypatch.setattr(grids, "SECTIONS", {"05_3": grids.Section((grid,), search)})
    profiles = {name: replace(one, epochs=1, trials=2, search_seeds=(0,)) for name, one in grids.PROFILES.items()}
    profiles |= {"paper": replace(profiles["paper"], stand_in=profiles["smoke"].stand_in)}
    for name, one in profiles.items():
        monkeypatch.setitem(grids.PROFILES, name, one)
    return local


def test_sizes_count_the_runs_to_come(small):
    lines = shared.sizes("05_3").splitlines()
    assert [line.split()[0] for line in lines] == list(grids.PROFILES)
    assert all(line.endswith(", 4 runs") for line in lines)


def test_training_follows_the_search_to_its_end(small, capsys):
    here = shared.train("05_3", "smoke", {})
    assert here["present"].all() and list(here["method"]) == ["RigL", "RigL", "Dense", "SET"]
    assert len(set(here["config_id"])) == 4, "the second trial has a rate of its own"
    assert len(small.records()) == 4
    again = shared.train("05_3", "smoke", {})
    pd.testing.assert_frame_equal(again, here)
    only = shared.train("05_3", "smoke", {"method": "SET"})
    assert list(only["method"]) == ["SET"]


def test_an_empty_profile_trains_nothing(small, capsys):
    here = shared.train("05_3", "", {})
    assert here.empty and not small.root.exists()
    shared.show(here)
    assert "No run was trained here" in capsys.readouterr().out


def test_published_runs_are_not_trained_again(small):
    results = Store(small.root.parent.parent / "results")
    for spec in grids.specs("05_3", "smoke"):
        results.save(made(spec))
    here = shared.train("05_3", "smoke", {})
    assert list(here["present"]) == [False, True, False, False], "only the second trial was missing"


def test_a_crash_is_raised_with_its_reason(small, monkeypatch):
    def crash(*_):
        raise RuntimeError("no luck")
        yield

    monkeypatch.setattr(attempt, "train", crash)
    with pytest.raises(RuntimeError, match=r"3 runs failed.*no luck"):
        shared.train("05_3", "smoke", {})


def test_evidence_records_and_banner_follow_the_published_trials(small):
    results = Store(small.root.parent.parent / "results")
    first, *rest = grids.specs("05_3", "paper")
    results.save(made(first))
    frame = shared.evidence("05_3")["paper"]
    assert list(frame["present"]) == [True, False, False, False], "with its record the second trial is known"
    assert shared.records("05_3")["paper"] == [made(first)]
    lines = shared.banner("05_3").data.splitlines()
    assert lines[0].startswith("- **paper**: 1 of 4 runs; the rest (about ")
    assert lines[0].endswith("`python -m rigl_nb reproduce --profile paper --sections 05_3`")
    results.save(made(rest[0]))
    assert shared.banner("05_3").data.splitlines()[0].startswith("- **paper**: 2 of 4 runs")


def test_the_strongest_profile_with_most_rows_is_typical(local):
    results = Store(paths.results())

    def add(profile, *labels):
        for spec in grids.specs("05_1", profile, density=0.1):
            if spec.label in labels and spec.seed == 0:
                results.save(made(spec))

    def rows():
        found = shared.typical("05_1")
        return sorted(r.spec.label for r in found), {r.spec.epochs for r in found}

    assert shared.typical("05_1") == []
    add("quick", "Static", "SET", "Pruning")
    add("short", "RigL", "Pruning")
    assert rows() == (["SET", "Static"], {3})
    add("short", "RigL (ERK)")
    assert rows() == (["RigL", "RigL (ERK)"], {25})
    add("quick", "RigL")
    assert rows() == (["RigL", "SET", "Static"], {3})
    add("short", "SET", "SET (ERK)")
    assert rows() == (["RigL", "RigL (ERK)", "SET"], {25})


def test_printed_values_stand_beside_the_reports_data_and_network_only(local, monkeypatch):
    """Digits, and CIFAR-10 with a smaller network, get none: nothing printed is comparable."""
    shown = []
    monkeypatch.setattr(shared, "display", shown.append)
    kinds = [{"model": "resnet14-8", "data": "digits"}, {"model": "wrn-10-1", "data": "cifar10"}]
    kinds += [{"data": "cifar10", "model": None}, {"data": "cifar100", "model": None}]
    specs = [tiny("SET", **kind) for kind in kinds]
    for spec in specs:
        local.save(made(spec))
    row = {"method": "SET", "init": "ERK", "density": 0.2, "multiplier": 1, "accuracy_std": 0.25}
    flops = {"train_flops": 0.38, "test_flops": 0.38}
    printed = {
        name: pd.DataFrame([row | flops | {"accuracy_mean": mean}])
        for name, mean in (("cifar10", 93.5), ("cifar100", 73.5))
    }
    shared.show(local.frame(specs), printed)
    beside = [table.data.get("published, 250 epochs", pd.Series([""])).item() for table in shown]
    assert beside == ["", "", "93.5 ± 0.25 (n = 3)", "73.5 ± 0.25 (n = 3)"]
    alone = ["no numbers for this data and network" in table.caption for table in shown]
    assert alone == [True, True, False, False]
    assert "digits, resnet14-8" in shown[0].caption and "cifar10, wrn-10-1" in shown[1].caption


@pytest.mark.parametrize(
    ("profile", "same"),
    [("smoke", (False, False)), ("quick", (False, False)), ("short", (True,) * 2), ("paper", (True,) * 2)],
)
def test_a_profile_knows_where_it_stands_in_for_the_report(profile, same):
    assert tuple(map(grids.PROFILES[profile].as_report, ("cifar10", "cifar100"))) == same


def test_the_overview_counts_published_runs(small):
    results = Store(small.root.parent.parent / "results")
    first, *_ = grids.specs("05_3", "paper")
    results.save(made(first))
    table = overview.runs()
    assert table.columns.tolist() == ["section", "paper", "short", "quick"]
    assert table.iloc[0][["section", "paper"]].tolist() == ["5.3", "1 of 4"]


def test_a_run_of_two_sections_is_counted_once(small, monkeypatch):
    monkeypatch.setattr(grids, "SECTIONS", {name: grids.SECTIONS["05_3"] for name in ("05_3", "06_2")})
    results = Store(small.root.parent.parent / "results")
    results.save(made(grids.specs("05_3", "paper")[0]))
    both = inventory.together("paper", results)
    assert (both.present, both.total) == (1, 4)


def test_banner_counts_and_names_cost_and_command():
    evidence = {
        "paper": runs({RANDOM: [None] * 3}),
        "short": runs({RANDOM: [90.0, 91.0], SET: [None]}),
        "quick": runs({RANDOM: [70.0]}),
    }
    paper, short, quick = shared.shares(evidence, {"paper": "about 3 h", "short": None}, "05_1").splitlines()
    assert paper == (
        "- **paper**: 0 of 3 runs; the rest (about 3 h): `python -m rigl_nb reproduce --profile paper --sections 05_1`"
    )
    assert short.startswith("- **short**: 2 of 3 runs; the rest: `python -m rigl_nb")
    assert quick == "- **quick**: 1 of 1 runs"


def test_banner_without_costs_or_section():
    line = shared.shares({"paper": runs({RANDOM: [None]})})
    assert line == "- **paper**: 0 of 1 runs; the rest: `python -m rigl_nb reproduce --profile paper`"


def test_banner_counts_the_runs_to_come():
    line = shared.shares({"paper": runs({RANDOM: [90.0]})}, {"paper": "about 3 h"}, "06_3", {"paper": 27})
    assert line.startswith("- **paper**: 1 of 28 runs; the rest (about 3 h): `python")


def test_a_profile_without_runs_has_none_missing():
    assert shared.shares({"quick": runs({RANDOM: [90.0]}).iloc[:0]}, section="05_2") == "- **quick**: no runs"


def test_a_profile_is_told_in_the_words_of_the_data_at_hand():
    quick = grids.PROFILES["quick"]
    assert shared.words(quick, {"cifar10"}) == "CIFAR-10, WRN-10-1, 3 epochs"
    assert shared.words(quick, {"cifar100"}) == "CIFAR-100, a small ResNet, 5 epochs"
    assert shared.words(quick, {"cifar10", "cifar100"}) == shared.words(quick, set()) == quick.about
    assert shared.words(grids.PROFILES["smoke"], {"digits"}) == grids.PROFILES["smoke"].about
