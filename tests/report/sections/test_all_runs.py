"""All runs as a table, and the runs that the menus choose."""

import pytest
from records import made, tiny

from rigl_nb.experiments import profiles
from rigl_nb.report.figures.style import Picture
from rigl_nb.report.sections import all_runs
from rigl_nb.runs.store import Store

pytest_plugins = ["commands"]

QUICK = {"data": "digits", "epochs": 3}


@pytest.fixture
def stores(local, tmp_path):
    """Return published records: two seeds of RigL, one SET, one longer RigL; and one that only this machine has."""
    results = Store(tmp_path / "results")
    published = [tiny(seed=0, **QUICK), tiny(seed=1, **QUICK), tiny("SET", **QUICK), tiny(data="digits", epochs=25)]
    for spec in published:
        results.save(made(spec, test_accuracy=90.0 + spec.seed))
    local.save(made(tiny("Dense", **QUICK), origin={"hardware": "Slate, 1 core"}))
    return results, local


def menus(view) -> dict:
    return {box.children[0].value: box.children[1] for box in view.children[0].children}


def test_records_come_by_profile_and_method(stores):
    assert [record.spec.label for record in all_runs.records()] == [
        "RigL (ERK)",
        "SET (ERK)",
        "RigL (ERK)",
        "RigL (ERK)",
    ]
    assert [record.spec.method for record in all_runs.records(local=True)][1] == "Dense"
    stores[1].save(made(tiny("SET", **QUICK), test_accuracy=1.0))
    both = all_runs.records(local=True)
    assert len(both) == 5 and min(record.test_accuracy for record in both) > 1, "a published record comes first"


def test_a_row_for_every_configuration(stores):
    table = all_runs.configurations(all_runs.records(local=True))
    assert table["profile"].tolist() == ["short", "quick", "quick", "quick"]
    row = table.iloc[-1].to_dict()
    assert row == {
        "profile": "quick",
        "network": "digits, wrn-10-1",
        "configuration": "RigL (ERK) at 0.2",
        "n": 2,
        "test accuracy": "90.5 ± 0.71",
        "FLOPs (train, test)": "0.167,\N{NO-BREAK SPACE}0.143",
        "seconds": "33",
        "commit": "0123456",
        "hardware": "Abacus, 2 cores",
    }
    assert table.iloc[1]["hardware"] == "Slate, 1 core"
    assert table.iloc[2]["test accuracy"] == "90.0", "one run has no spread"


@pytest.fixture
def drawn(monkeypatch) -> list:
    """Collect what would be drawn."""
    drawn = []
    monkeypatch.setattr(all_runs, "training_plots", lambda runs: drawn.append([run.spec.run_id for run in runs]))
    monkeypatch.setattr(all_runs.widgets, "markup", lambda picture, alt: alt)
    return drawn


def test_menus_choose_the_runs_that_have_all_values(stores, drawn):
    view = all_runs.chooser(all_runs.records(local=True))
    menu, words = menus(view), view.children[1]
    assert list(menu) == list(all_runs.FACETS)
    assert menu["profile"].value == ("quick",)
    for name in ("method", "init", "density"):
        menu[name].value = ()
    assert words.value == "4 runs of 3 configurations"
    menu["method"].value = ("RigL", "SET")
    assert words.value == "3 runs of 2 configurations" and len(drawn[-1]) == 3
    menu["profile"].value = ()
    assert words.value == "4 runs of 3 configurations"
    menu["density"].value = (1.0,)
    assert words.value == "No run has all of these values." and view.children[2].value == ""


def test_without_a_kernel_a_frame_for_every_method(stores, monkeypatch):
    monkeypatch.setattr(all_runs, "training_plots", lambda runs: Picture(1.0))
    page = all_runs.by_method(all_runs.records()).data
    assert page.count("<figure") == 2
    assert "<figcaption>SET, profile quick: 1 run</figcaption>" in page
    assert "<figcaption>RigL, profile quick: 2 runs</figcaption>" in page


def test_a_machine_without_marks():
    assert all_runs._machine("Intel(R) Xeon(R) Processor, 2 cores") == "Intel Xeon, 2 cores"
    assert all_runs._machine("NVIDIA H100 80GB HBM3") == "NVIDIA H100 80GB HBM3"


def test_a_run_of_ones_own_length_is_other():
    assert profiles.name_of(tiny(epochs=7)) == "other" and profiles.name_of(tiny(epochs=250)) == "paper"


def test_without_a_record_everything_is_empty():
    assert list(all_runs.configurations([]).columns) == list(all_runs.COLUMNS)
    assert "nothing to draw yet" in all_runs.by_method([]).data
    assert "No run has" in all_runs.chooser([]).children[1].value
