"""What `doctor` says of this machine, and of machines with faults, simulated."""

import shutil
import subprocess
from collections import namedtuple
from types import SimpleNamespace

import gpus
import pytest
from commands import call, local  # noqa: F401
from records import made, tiny

from rigl_nb import data
from rigl_nb.cli import doctor
from rigl_nb.cli.doctor import Finding
from rigl_nb.execution import cores

WELL = Finding("ok", "well")


@pytest.fixture
def quick(monkeypatch):
    """Leave out what trains."""
    for name in ("training", "speed"):
        monkeypatch.setitem(doctor.CHECKS, name, lambda profile: WELL)


@pytest.fixture
def line(call, quick):  # noqa: F811
    """Return a function that gives (exit code, state, text) of one subject's finding."""

    def line(subject, *arguments):
        code, out, _ = call("doctor", *arguments)
        found = doctor.examine(arguments[-1] if arguments else "smoke")[subject]
        assert found.text.split()[0] in out
        return code, found.state, found.text

    return line


def test_a_sound_machine_is_told_so_line_by_line(call, monkeypatch):  # noqa: F811
    """The trainings are real here; what it takes to plan all profiles is left to one of them."""
    gpus.none(monkeypatch)
    monkeypatch.setattr(doctor, "PROFILES", {"smoke": doctor.PROFILES["smoke"]})
    monkeypatch.setattr(doctor, "LONGEST", 0.0)
    monkeypatch.setattr(doctor, "TIMED", doctor.replace(doctor.TIMED, model="wrn-10-1"))
    code, out, err = call("doctor")
    lines = [row for row in out.splitlines() if not row.startswith("  ")]
    assert [row[5:15].strip() for row in lines] == list(doctor.CHECKS)
    assert code == 0, out
    assert "reproduce --profile smoke will work here" in err
    assert "the same numbers, bit for bit" in out and "images/s (wrn-10-1); all runs anew" in out


def test_a_profile_that_would_take_long_is_told(call, monkeypatch):  # noqa: F811
    gpus.none(monkeypatch)
    monkeypatch.setattr(doctor, "_trained", lambda execution, turn: SimpleNamespace(seconds=1.0))
    monkeypatch.setattr(doctor, "_rate", lambda execution: 100.0)
    monkeypatch.setitem(doctor.CHECKS, "training", lambda profile: WELL)
    monkeypatch.setitem(doctor.CHECKS, "data", lambda profile: WELL)
    code, out, err = call("doctor", "--profile", "short")
    assert code == 0 and "note speed" in out and "will work here, but it would take long: see speed" in err
    code, out, err = call("doctor", "--profile", "smoke")
    assert code == 0 and "ok   speed" in out and "long" not in err


def test_trainings_that_differ_are_bad(call, monkeypatch):  # noqa: F811
    results = iter(range(9))
    plain = doctor._trained.__wrapped__
    monkeypatch.setattr(doctor, "TRIAL", doctor.replace(doctor.TRIAL, epochs=1))
    monkeypatch.setattr(doctor, "_trained", lambda execution, turn: shifted(plain(execution, turn), next(results)))
    found = doctor.training(doctor.PROFILES["smoke"])
    assert found.state == "BAD" and found.text.endswith("the numbers differ")


def shifted(result, by):
    return doctor.replace(result, history=(*result.history, by))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (gpus.too_old, "has compute capability 6.1, torch "),
        (gpus.old_driver, "CUDA cannot open it: The NVIDIA driver on your system is too old"),
    ],
)
def test_a_gpu_that_cannot_be_used_stops_only_what_is_meant_for_it(line, monkeypatch, fault, words):
    fault(monkeypatch)
    assert line("GPU")[1] == "note" and line("GPU")[0] == 0
    code, state, text = line("GPU", "--profile", "short")
    assert code == 1 and state == "BAD" and words in text and "RIGL_DEVICE=cpu" in text


def test_missing_data_stop_only_what_needs_them(line, monkeypatch):
    gpus.none(monkeypatch)
    code, state, text = line("data")
    assert (code, state) == (0, "note") and text.startswith("cifar10 and cifar100 not found: set RIGL_DATA")
    assert line("data", "--profile", "quick")[:2] == (1, "BAD")


def test_damaged_data_are_bad(line, monkeypatch, tmp_path):
    (tmp_path / "data" / "cifar-10-batches-py").mkdir(parents=True)
    code, state, text = line("data", "--profile", "quick")
    assert (
        (code, state) == (1, "BAD") and "data_batch_1" in text and data.where("cifar10").name == "cifar-10-batches-py"
    )


def test_a_damaged_record_is_bad(line, local):  # noqa: F811
    path = local.save(made(tiny()))
    code, state, text = line("records")
    assert (code, state) == (0, "ok") and f"1 in {local.root}" in text
    path.write_text("{")
    code, state, text = line("records")
    assert (code, state) == (1, "BAD") and str(path) in text and "remove it" in text


def test_no_chromium_is_no_pdf(line, monkeypatch):
    plain = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, *rest: None if "chrom" in name else plain(name, *rest))
    assert line("Chromium") == (0, "note", "none: the report has no PDF, its pages are the same")


@pytest.mark.parametrize(
    ("version", "code", "state", "words"),
    [
        ("1.26.4", 1, "BAD", "numpy 1.26.4 (at least 2.0)"),
        ("", 1, "BAD", "numpy is missing (at least 2.0)"),
        ("99.1", 0, "note", "packages differ from the lock: "),
    ],
)
def test_packages_are_compared(line, monkeypatch, version, code, state, words):
    plain = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: version if name == "numpy" else plain(name))
    found = line("Python")
    assert found[:2] == (code, state) and words in found[2]


def test_one_core_is_a_note(line, monkeypatch):
    monkeypatch.setattr(cores, "usable", lambda: 1)
    code, state, text = line("cores")
    assert (code, state) == (0, "note") and text.endswith("one run trains at a time")


def test_a_full_disk_is_bad(line, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(1e12, 1e12, 2e8))
    code, state, text = line("disk")
    assert (code, state) == (1, "BAD") and text.startswith("0.2 GB free in ") and "RIGL_BUILD" in text


def test_a_file_in_the_place_of_the_folder_is_bad(line, monkeypatch, tmp_path):
    (tmp_path / "build").touch()
    monkeypatch.setenv("RIGL_BUILD", str(tmp_path / "build"))
    code, state, text = line("disk")
    assert (code, state) == (1, "BAD") and "cannot be written" in text and "RIGL_BUILD" in text


def test_a_check_that_breaks_is_a_finding(line, monkeypatch):
    monkeypatch.setitem(doctor.CHECKS, "clusters", lambda profile: subprocess.run(["/no/such"], check=True))
    code, state, text = line("clusters")
    assert (code, state) == (1, "BAD") and text.startswith("FileNotFoundError")


@pytest.mark.parametrize("fault", [gpus.too_old, gpus.old_driver])
def test_a_batch_for_the_gpu_does_not_start_on_the_processor_in_silence(call, monkeypatch, fault):  # noqa: F811
    fault(monkeypatch)
    code, _, err = call("run", "--profile", "short", "--section", "05_1", "--method", "Dense", "--seed", "0")
    assert code == 2 and "profile short is meant for the GPU, and NVIDIA" in err and "RIGL_DEVICE=cpu" in err


def test_a_machine_without_a_gpu_is_told_what_a_batch_is_meant_for(call, monkeypatch):  # noqa: F811
    gpus.none(monkeypatch)
    _, _, err = call(
        "run", "--profile", "short", "--section", "05_1", "--method", "Dense", "--seed", "0", "--time-budget", "1s"
    )
    assert "profile short is meant for a GPU: this trains on " in err
