"""The command line: what it prints, what it returns, and what it leaves."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import records
from records import made

from rigl_nb import methods, paths
from rigl_nb.cli import commands as cli
from rigl_nb.experiments import grids
from rigl_nb.runs import attempt
from rigl_nb.runs.store import Store

pytest_plugins = ["commands"]

COMMANDS = ("reproduce", "run", "status", "report", "site", "notebooks", "publish", "doctor")


def smoke(**filters):
    return grids.specs("05_1", "smoke", **filters)


# ---- help


def test_help_lists_the_commands(call):
    code, out, _ = call("--help")
    assert code == 0
    assert all(command in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(call, command):
    code, out, err = call(command, "--help")
    assert (code, err) == (0, "")
    assert f"python -m rigl_nb {command}" in out
    for option in ("profile", "workers", "fresh", "jobs-per-gpu", "time-budget", "dry-run"):
        assert (f"--{option}" in out) == (
            command in ("reproduce", "run") or (option == "profile" and command in ("status", "doctor"))
        ), option


def test_the_module_runs(local):
    """`python -m rigl_nb` itself: the exit code reaches the shell, and no traceback the reader."""
    done = subprocess.run(
        [sys.executable, "-m", "rigl_nb", "run", "--density", "0.7"],
        cwd=paths.ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == "" and "Traceback" not in done.stderr
    assert "density 0.7" in done.stderr and "0.1" in done.stderr
    assert not local.root.exists()


# ---- run


def test_run_trains_what_the_filters_select(call, local, tiny):
    filters = ("--method", "RigL", "--init", "ERK", "--density", "0.1", "--multiplier", "1", "--seed", "0")
    code, out, err = call("run", "--profile", "smoke", "--sections", "05_1", *filters)
    assert (code, out) == (0, "")
    (spec,) = smoke(method="RigL", init="ERK", multiplier=1)
    assert [one.spec for one in local.records()] == [spec]
    first, *_, last = err.splitlines()
    assert first.startswith("1 run, 0 there already, 1 to train")
    assert "[1/1] done" in last and f"{local.find(spec).test_accuracy:.2f}" in last
    made_at = local.path(spec).stat().st_mtime_ns

    code, out, err = call("run", "--profile", "smoke", *filters)
    assert code == 0
    assert "1 there already, 0 to train" in err
    assert local.path(spec).stat().st_mtime_ns == made_at
    assert not any((local.root.parent.parent / "results").iterdir()), "training writes build/ only"


def test_published_runs_are_trained_only_by_a_sceptic(call, local, tiny):
    (spec,) = smoke(method="Dense")
    Store(paths.results()).save(made(spec, test_accuracy=12.3))
    assert call("run", "--method", "Dense")[0] == 0
    assert local.records() == []
    code, _, err = call("run", "--method", "Dense", "--fresh")
    assert code == 0 and "1 to train" in err
    assert local.find(spec) is not None
    assert Store(paths.results()).find(spec).test_accuracy == 12.3


def test_a_crash_is_told_and_counted(call, local, tiny, monkeypatch):
    def broken(grad, generator):
        raise RuntimeError("boom")

    with monkeypatch.context() as patch:
        patch.setitem(methods.METHODS, "SET", replace(methods.SET, growth=broken))
        code, out, err = call("run", "--method", "SET", "--init", "ERK", "--multiplier", "1", "--workers", "1")
    (spec,) = smoke(method="SET", init="ERK", multiplier=1)
    assert (code, out) == (1, "")
    assert f"failed: {spec.run_id}: RuntimeError: boom" in err and "Traceback" not in err
    code, out, _ = call("status", "--profile", "smoke")
    assert code == 0
    assert f"{spec.run_id}: RuntimeError: boom" in out


def test_runs_of_channels_train_compact(call, local, monkeypatch):
    """Of a grid with two structures, one by the filter; both are too many."""
    both = [records.tiny(init="Random", density=0.5, structure=structure) for structure in ("weight", "channel")]
    monkeypatch.setitem(grids.SECTIONS, "05_1", grids.Section((lambda size: both,)))
    code, out, err = call("run", "--compact")
    assert (code, out) == (2, "") and "structure weight" in err and "--structure channel" in err
    assert not local.records() and "Traceback" not in err
    assert call("run", "--compact", "--structure", "channel", "--workers", "1")[0] == 0
    assert [one.spec for one in local.records()] == both[1:]
    assert local.find(both[1]).execution["compact"] is True
    assert call("run", "--workers", "1")[0] == 0 and local.find(both[0]).execution["compact"] is False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_has_the_shells_exit_code(call, local, tiny, monkeypatch, number, code):
    plain = attempt.train

    def train(*arguments):
        steps = plain(*arguments)
        yield next(steps)
        signal.raise_signal(number)
        return (yield from steps)

    monkeypatch.setattr(attempt, "train", train)
    found, out, err = call("run", "--method", "Dense")
    assert (found, out) == (code, "")
    assert "Traceback" not in err
    assert local.path(smoke(method="Dense")[0], ".checkpoint").exists()


# ---- status


def counts(text: str) -> dict[str, list[str]]:
    """Return present, missing, failed and the rest of the line, by profile."""
    lines = [line.split(maxsplit=5) for line in text.splitlines()[1:] if line.startswith("05_1")]
    return {words[1]: words[2:] for words in lines}


def test_status_of_nothing(call, local):
    code, out, err = call("status")
    assert (code, err) == (0, "")
    for profile in grids.PROFILES:
        n = len(grids.specs("05_1", profile))
        assert counts(out)[profile][:3] == ["0", str(n), "0"]
        assert counts(out)[profile][3] == "?"
    assert "time: ? no record tells; python -m rigl_nb run --profile smoke --dry-run measures" in out
    assert not local.root.exists()


def test_status_counts_and_estimates(call, local):
    one, two, *_ = smoke(method="SET")
    local.save(made(one, seconds=60.0))
    Store(paths.results()).save(made(two))
    local.fail(smoke(method="Dense")[0], "RuntimeError: boom", "")
    code, out, _ = call("status", "--profile", "smoke", "--sections", "05_1")
    assert code == 0
    assert list(counts(out)) == ["smoke"]
    present, missing, failed, time = counts(out)["smoke"]
    assert (present, missing, failed) == ("2", str(len(smoke()) - 2), "1")
    assert time.endswith("min") and out.count("Abacus") == 1, "the hardware whose records say so is named once"
    assert "RuntimeError: boom" in out


def test_a_complete_profile_costs_nothing(call, local):
    for spec in smoke():
        local.save(made(spec))
    _, out, _ = call("status", "--profile", "smoke")
    assert counts(out)["smoke"] == [str(len(smoke())), "0", "0", "–"]
    assert out.splitlines()[-1].startswith("next: python -m rigl_nb report")


def test_a_campaign_trains_every_section_and_the_searches_last():
    assert sorted(cli.TURNS) == sorted(grids.SECTIONS) and cli.TURNS[-1] == "05_3"
