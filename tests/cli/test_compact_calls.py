"""`--compact` on the command line: a dry run refuses what the command refuses, before anything is timed or trained."""

import pytest

from rigl_nb.experiments import grids
from rigl_nb.runs import engine, probe

pytest_plugins = ["commands"]

RUN = ("run", "--profile", "smoke", "--section", "13", "--compact")
STRUCTURES = grids.SECTIONS["13"]


@pytest.fixture
def structures(local, tiny, monkeypatch):
    """Let section 13 be all there is, and nothing be trained; return what is timed."""
    timed = []
    monkeypatch.setattr(grids, "SECTIONS", {"13": STRUCTURES})
    monkeypatch.setattr(engine, "run", lambda *a, **k: pytest.fail("nothing may be trained"))
    monkeypatch.setattr(probe, "seconds", lambda spec, execution: timed.append((spec.structure, execution)) or 7.0)
    return timed


@pytest.mark.parametrize("more", [(), ("--workers", "1"), ("--scheduler", "tcp://nowhere:8786")])
def test_a_dry_run_refuses_what_the_command_refuses(call, local, structures, more):
    told = call(*RUN, *more)
    assert call(*RUN, *more, "--dry-run") == told
    code, out, err = told
    assert (code, out) == (2, "")
    assert "compact is not allowed with runs of structure" in err and "--structure channel" in err
    assert structures == [] and not local.root.exists()


def test_runs_of_channels_alone_are_timed_as_they_are_trained(call, structures):
    code, out, err = call(*RUN, "--structure", "channel", "--dry-run")
    assert (code, err) == (0, "") and "3 to train" in out and "cost: about" in out
    assert [(structure, execution.compact) for structure, execution in structures] == [("channel", True)]


@pytest.mark.parametrize("command", ["run", "reproduce"])
def test_help_says_what_is_refused_and_the_way_out(call, command):
    words = " ".join(call(command, "--help")[1].split())
    assert (
        "Refused where runs of other structures are missing too: `run` leaves those out with --structure chan" in words
    )
