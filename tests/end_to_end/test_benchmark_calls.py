"""The benchmarks' command: a budget, a part that fails, an interruption, and calls that cannot work."""

import pytest

from benchmarks import report
from benchmarks.__main__ import PARTS, main


def test_a_spent_budget_leaves_the_rest_out_and_says_so(tmp_path, capsys):
    assert main(["--device", "cpu", "--quick", "--budget", "0.000001s", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert all(name in said for name in ("left out", *PARTS))
    assert report.raw_files(tmp_path) == []


def test_a_part_that_fails_takes_nothing_from_the_others(tmp_path, monkeypatch, capsys):
    def fails(machine):
        raise RuntimeError("no memory")

    monkeypatch.setitem(PARTS, "masks", fails)
    assert main(["--device", "cpu", "--quick", "--only", "masks", "packing", "--out", str(tmp_path)]) == 1
    parts = report.read(report.raw_files(tmp_path)[0])["parts"]
    assert parts["masks"]["failed"] == "RuntimeError: no memory" and parts["packing"]["measurements"]
    assert "no memory" in capsys.readouterr().err


def test_what_was_measured_before_ctrl_c_is_kept(tmp_path, monkeypatch, capsys):
    def interrupted(machine):
        raise KeyboardInterrupt

    monkeypatch.setitem(PARTS, "masks", interrupted)
    assert main(["--device", "cpu", "--quick", "--only", "packing", "masks", "--out", str(tmp_path)]) == 130
    assert list(report.read(report.raw_files(tmp_path)[0])["parts"]) == ["packing"]
    said = capsys.readouterr().err
    assert "Interrupted" in said and str(tmp_path) in said and "Traceback" not in said


@pytest.mark.parametrize("wrong", [("--out", "/proc/nope"), ("--pairs", "-1"), ("--pairs", "1"), ("--pairs", "two")])
def test_a_wrong_call_is_refused_before_anything_is_measured(monkeypatch, capsys, wrong):
    monkeypatch.setitem(PARTS, "masks", lambda machine: pytest.fail("nothing may be measured"))
    with pytest.raises(SystemExit) as caught:
        main(["--device", "cpu", "--quick", "--only", "masks", *wrong])
    assert caught.value.code == 2 and wrong[1] in capsys.readouterr().err
