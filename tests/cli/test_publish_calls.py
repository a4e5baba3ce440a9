"""`publish`: which records it takes, what it refuses, and what it says of the others."""

import json

import pytest
from records import ORIGIN, kept

from rigl_nb import paths
from rigl_nb.cli import commands as cli
from rigl_nb.experiments import grids
from rigl_nb.runs import publishing
from rigl_nb.runs.store import Store

pytest_plugins = ["commands"]
QUICK, (SMOKE, *_) = grids.specs("05_1", "quick", method="Dense"), grids.specs("05_1", "smoke")


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """Let the commit of made-up records be one that is known here."""
    monkeypatch.setattr(publishing, "has", lambda commit: commit == ORIGIN["commit"])


def test_it_copies_the_evidence_only(call, local):
    for spec in [*QUICK[:2], SMOKE]:
        kept(local, spec)
    code, out, err = call("publish", "--keep-notebooks")
    assert (code, err) == (0, "")
    results = Store(paths.results())
    assert {one.spec for one in results.records()} == set(QUICK[:2])
    assert "2 records published" in out and "1 left out" in out and str(results.root) in out
    code, out, _ = call("publish", "--keep-notebooks")
    assert code == 0 and "0 records published" in out and "2 there already\n" in out


def test_records_of_the_same_runs_with_other_numbers_are_told(call, local):
    kept(Store(paths.results()), QUICK[0], test_accuracy=1.0)
    for spec in QUICK[:2]:
        kept(local, spec)
    code, out, _ = call("publish", "--keep-notebooks")
    assert code == 0 and "1 record published" in out
    assert f"1 there already; with other numbers, which stay: 1\n  {QUICK[0].run_id}\n" in out


def test_another_persons_folder(call, local, tmp_path):
    folder = tmp_path / "from a friend"
    kept(Store(folder), QUICK[0])
    assert call("publish", folder, "--keep-notebooks")[0] == 0
    assert Store(paths.results()).find(QUICK[0]) is not None


def test_changed_code_only_when_told(call, local):
    for spec, dirty in zip(QUICK[:2], (False, True), strict=True):
        kept(local, spec, {"dirty": dirty})
    code, out, err = call("publish", "--keep-notebooks")
    assert (code, out) == (1, "")
    assert "--allow-dirty" in err and QUICK[1].config_id in err
    assert Store(paths.results()).records() == []
    assert call("publish", "--keep-notebooks", "--allow-dirty")[0] == 0
    assert len(Store(paths.results()).records()) == 2


def test_the_notebooks_are_remade_when_something_is_new(call, local, monkeypatch):
    remade = []
    monkeypatch.setattr(cli, "notebooks", lambda options: remade.append(1) or 0)
    kept(local, QUICK[0])
    assert call("publish")[0] == 0
    assert call("publish")[0] == 0
    assert remade == [1]


EDITED = {
    "test_flops": ({"test_flops": 0.5}, "test_flops is 0.5 in its record, but 1.0 by its masks"),
    "train_flops": ({"train_flops": 0.1}, "train_flops is 0.1 in its record, but 1.0"),
    "dense_flops": ({"dense_flops": 1e6}, "dense_flops is 1000000.0 in its record"),
    "active": (
        {"active": [{"epoch": 0, "counts": {"conv1.weight": 10**9}}]},
        "active weights are not those of wrn",
    ),
    "test_accuracy": ({"test_accuracy": 99.0}, "but the record's test accuracy is 99.0 %"),
    "commit": ({"provenance": ORIGIN | {"commit": "e" * 40}}, "commit eeeeeeeee, which this repository does not have"),
    "a name for a commit": ({"provenance": ORIGIN | {"commit": "HEAD"}}, "which this repository does not have"),
    "nobody knows whether it is dirty": ({"provenance": ORIGIN | {"dirty": None}}, "--allow-dirty"),
    "no commit": ({"provenance": ORIGIN | {"commit": None}}, "set RIGL_COMMIT"),
}


@pytest.mark.parametrize("case", EDITED)
def test_an_edited_record_is_refused(call, local, case):
    change, words = EDITED[case]
    kept(local, QUICK[0])
    path = local.path(QUICK[0])
    content = json.loads(path.read_text()) | change
    path.write_text(json.dumps(content))
    code, _, err = call("publish", "--keep-notebooks")
    assert code == 1 and f"{path} is damaged: its content is not what was written" in " ".join(err.split())
    del content["digest"]  # an older record, or somebody who knows of it
    path.write_text(json.dumps(content))
    code, out, err = call("publish", "--keep-notebooks")
    assert (code, out) == (1, "") and words in " ".join(err.split()) and "rain" in err
    assert Store(paths.results()).records() == []


def test_another_runs_damage_is_told_and_stops_nothing(call, local):
    for spec in (QUICK[0], SMOKE):
        kept(local, spec)
    local.path(SMOKE).write_text("{")
    code, out, err = call("publish", "--keep-notebooks")
    assert code == 0 and "1 record published" in out and "passed over:" in err and str(local.path(SMOKE)) in err


def test_a_folder_without_records_is_told(call, local, tmp_path):
    kept(local, QUICK[0])
    (tmp_path / "empty").mkdir()
    Store(tmp_path / "failed").fail(QUICK[0], "RuntimeError: boom", "")
    (tmp_path / "file").touch()
    for folder, words in (
        (tmp_path / "nowhere", "nowhere is not there"),
        (tmp_path / "file", "file is a file: name a folder that holds records"),
        (tmp_path / "empty", "empty holds no records: a record lies at CONFIGURATION/seed-N.json"),
        (tmp_path / "failed", "failed holds no records"),
        (paths.build(), f"do you mean {local.root}?"),
        (local.path(QUICK[0]).parent, f"do you mean {local.root}?"),
    ):
        code, out, err = call("publish", folder)
        assert (code, out) == (2, "") and words in " ".join(err.split()), err


def test_records_that_lie_deeper_are_told(call, local):
    deeper = Store(local.root / "from a friend")
    for store, spec in ((local, QUICK[0]), (deeper, QUICK[1])):
        kept(store, spec)
    code, out, err = call("publish", "--keep-notebooks")
    assert code == 0 and "1 record published" in out
    assert f"records in {deeper.root}; publish each" in " ".join(err.split())


def test_before_anything_was_trained(call, local):
    code, _, err = call("publish")
    assert code == 2 and str(local.root) in err


def test_a_folder_after_the_sections_is_no_section(call, local, tmp_path):
    kept(local, QUICK[0])
    code, _, err = call("publish", "--sections", "05_1", tmp_path / "friend")
    assert code == 2 and str(tmp_path / "friend") in err and Store(paths.results()).records() == []
