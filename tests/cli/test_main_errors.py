"""A wrong call names the value and what is allowed; what is missing or damaged is named too; never a traceback."""

import errno
import os

import pytest
from records import made

from rigl_nb.cli import commands as cli
from rigl_nb.cli import training
from rigl_nb.experiments import grids
from rigl_nb.runs import engine

pytest_plugins = ["commands"]

WRONG = {
    "no command": ((), 2, ["run", "status"]),
    "unknown command": (("train",), 2, ["train", "reproduce"]),
    "unknown method": (("run", "--method", "Rigl"), 2, ["Rigl", "RigL", "Small-Dense"]),
    "unknown profile": (("run", "--profile", "huge"), 2, ["huge", "smoke", "paper"]),
    "unknown profile of status": (("status", "--profile", "huge"), 2, ["huge", "smoke", "paper"]),
    "unknown section": (("run", "--sections", "99"), 2, ["99", "05_1"]),
    "unknown section of status": (("status", "--sections", "99"), 2, ["99", "05_1"]),
    "unknown section of reproduce": (("reproduce", "--sections", "99"), 2, ["99", "05_1"]),
    "unknown section of report": (("report", "--sections", "99"), 2, ["99", "05_1"]),
    "unknown section beside a known one": (("run", "--sections", "05_1", "99"), 2, ["99", "05_1"]),
    "density not in the grid": (("run", "--density", "0.3"), 2, ["0.3", "0.1"]),
    "density as a word": (("run", "--density", "low"), 2, ["low"]),
    "unknown distribution": (("run", "--init", "Uniform"), 2, ["Uniform", "Random", "ERK"]),
    "seed not in the grid": (("run", "--seed", "5"), 2, ["5"]),
    "multiplier not in the grid": (("run", "--multiplier", "7"), 2, ["7", "1, 2"]),
    "nothing has both": (("run", "--method", "Dense", "--init", "ERK"), 2, ["ERK", "without init"]),
    "unknown structure": (("run", "--structure", "channels"), 2, ["channels", "channel", "fan-in"]),
    "structure not in the grid": (("run", "--structure", "2:4"), 2, ["2:4", "weight"]),
    "no workers": (("run", "--workers", "0"), 2, ["workers 0", "at least 1"]),
    "fewer workers": (("run", "--workers", "-2"), 2, ["workers -2", "at least 1"]),
    "workers as a word": (("run", "--workers", "two"), 2, ["two"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_call_names_the_value_and_what_is_allowed(call, local, case, monkeypatch):
    monkeypatch.setattr(engine, "run", lambda *a, **k: pytest.fail("nothing may be trained"))
    arguments, expected, words = WRONG[case]
    code, out, err = call(*arguments)
    assert code == expected, err
    assert "Traceback" not in out + err
    assert all(word in err for word in words), err
    assert not local.root.exists()


def test_without_data_three_ways_are_named(call, local, tmp_path, monkeypatch):
    """A data folder that cannot be made: no download is tried."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("RIGL_DATA", str(tmp_path / "file" / "data"))
    code, out, err = call("run", "--profile", "quick", "--method", "Dense", "--seed", "0")
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    for word in ("cifar10", str(tmp_path / "file" / "data"), "RIGL_DATA", "(1)", "(2)", "(3)"):
        assert word in err, err
    assert local.records() == []


def test_debug_shows_the_traceback(local):
    with pytest.raises(ValueError, match="99"):
        cli.main(["--debug", "run", "--sections", "99"])


def test_an_empty_section_names_the_way_out(call, local):
    code, _, err = call("run", "--profile", "quick", "--method", "Static", "--section", "05_1", "--seed", "99")
    assert code == 2 and "method Static" in err and "99" in err and "there are 0, 1, 2" in err
    with pytest.raises(ValueError, match="no runs at all, choose another section or profile"):
        grids.filtered([], "section 05_2, profile quick,", {"seed": 0})


def test_a_damaged_reason_of_a_crash_is_named(call, local):
    (spec,) = grids.specs("05_1", "smoke", method="Dense")
    local.fail(spec, "RuntimeError: boom", "")
    path = local.path(spec, ".failed.json")
    path.write_text("{")
    code, _, err = call("status")
    assert code == 1
    assert str(path) in err and "Remove it" in " ".join(err.split()) and "Traceback" not in err


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_read_only_folder_is_named_once_with_the_way_out(call, local, tiny, monkeypatch, number):
    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number), str(local.root))

    monkeypatch.setattr(training.Path, "mkdir", refuse)
    monkeypatch.setattr(engine, "run", lambda *a, **k: pytest.fail("nothing may be trained"))
    code, out, err = call("run")
    assert (code, out) == (1, "")
    assert err.count(str(local.root)) == 1 and "RIGL_BUILD" in err and "Traceback" not in err


def test_a_folder_that_only_others_may_write(call, local, tiny, monkeypatch):
    monkeypatch.setattr(training.os, "access", lambda path, mode: False)
    code, _, err = call("run", "--method", "Dense")
    assert code == 1 and str(local.root) in err and "Make it writable" in err


def test_a_full_disk_says_that_the_work_goes_on(call, local, tiny, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(local.root))

    monkeypatch.setattr(engine, "run", full)
    code, _, err = call("run", "--method", "Dense")
    assert code == 1 and "Free some space" in err and "goes on" in err


def test_a_build_folder_that_cannot_be_written(call, tmp_path, monkeypatch, tiny):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RIGL_BUILD", str(tmp_path / "file" / "build"))
    code, out, err = call("run", "--method", "Dense")
    assert (code, out) == (1, "")
    assert err.count(str(tmp_path / "file")) == 1 and "RIGL_BUILD" in err and "Traceback" not in err


@pytest.mark.parametrize("command", ["run", "publish"])
def test_a_damaged_record_is_named(call, local, command):
    path = local.save(made(grids.specs("05_1", "quick")[0]))
    path.write_text(path.read_text()[:100])
    code, _, err = call(command, *(["--profile", "quick"] if command == "run" else []))
    assert code == 1
    assert str(path) in err and "emove it" in err and "Traceback" not in err


@pytest.mark.parametrize("profile", ["quick", "smoke"])
def test_in_the_status_a_damaged_record_counts_as_missing(call, local, profile):
    """Whether its run is asked for or not: the table stands, and the file is named once."""
    path = local.save(made(grids.specs("05_1", "quick")[0]))
    path.write_text(path.read_text()[:100])
    code, out, err = call("status", "--profile", profile)
    total = len(grids.specs("05_1", profile))
    assert (code, err) == (0, "")
    assert f"total    {profile:8} {0:8} {total:8}" in out
    assert out.count(str(path)) == 1 and "counts as missing:" in out and "emove it" in out


def test_each_command_says_what_it_does():
    from rigl_nb.cli import commands, usage

    assert usage.COMMANDS.keys() == commands.COMMANDS.keys()


@pytest.mark.parametrize(("given", "plans"), [("5.1", "05_1"), ("05_1", "05_1"), ("12", "12"), ("8", "08")])
def test_a_section_may_be_named_as_on_the_pages(call, monkeypatch, given, plans):
    asked = []
    monkeypatch.setattr(grids, "plan", lambda section, *_, **__: asked.append(section) or grids.Plan([], []))
    call("run", "--section", given, "--dry-run")
    assert asked[0] == plans


def test_a_folder_that_cannot_be_made_has_a_way_out(call, monkeypatch):
    monkeypatch.setenv("RIGL_BUILD", "/proc/nope")
    code, _, error = call("run", "--section", "05_1")
    assert code == 1 and "/proc/nope: No such file" in error and "RIGL_BUILD" in error


@pytest.mark.parametrize("name", ["resluts", "a file"])
def test_published_records_that_are_nowhere_are_told(call, tmp_path, monkeypatch, name):
    assert call("status")[2] == ""
    (tmp_path / "a file").touch()
    monkeypatch.setenv("RIGL_RESULTS", str(tmp_path / name))
    code, _, err = call("status")
    assert code == 0
    said = f"{tmp_path / name} is no folder: no record counts as published. RIGL_RESULTS names another one"
    assert err.split() == said.split()
