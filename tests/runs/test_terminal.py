"""What fits a terminal, and what a pipe gets: every line of every command, for all sections and profiles."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from records import made

from rigl_nb import paths
from rigl_nb.cli.usage import COMMANDS
from rigl_nb.experiments import grids
from rigl_nb.runs import progress
from rigl_nb.runs.attempt import Event
from rigl_nb.runs.progress import display, pieces
from rigl_nb.runs.terminal import WIDTH, count, fold, program

pytest_plugins = ["commands"]

SECTIONS = dict(grids.SECTIONS)  # before a test leaves only one of them
LONG_NAME = "Imaginary Threadripper PRO 5995WX with 64 Cores and a long name, 128 cores"


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


# ---- lines


def test_short_lines_stay():
    text = "a line\n\n  an indented one\n" + "x" * WIDTH
    assert fold(text) == text


def test_a_long_line_goes_on_indented():
    first, *rest = fold("  " + "word " * 50).splitlines()
    assert first.startswith("  word") and all(line.startswith("    word") for line in rest)
    assert widest(fold("word " * 50)) <= WIDTH
    assert fold("word " * 50).split() == ["word"] * 50


def test_a_path_stays_whole():
    path = "/a/long-path" * 20
    assert path in fold(f"cannot read {path}: remove it").splitlines()[1]


def test_one_thing_and_several():
    assert [count(n, "run") for n in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]


# ---- help


def test_no_command_gives_an_overview(call):
    code, out, err = call()
    assert (code, out) == (2, "")
    assert widest(err) <= 80
    for name, command in COMMANDS.items():
        assert f"\n  {name} " in err and f" {command.does}\n" in err
    assert err.count("\n  python -m rigl_nb ") == 3
    assert "README.md" in err and "CONTRIBUTING.md" in err
    assert call("--help")[1] == err


@pytest.mark.parametrize("columns", [80, 100, 200])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_is_left_where_and_gives_examples(call, monkeypatch, name, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = call(name, "--help")
    assert code == 0
    assert widest(out) <= min(columns, WIDTH)
    assert COMMANDS[name].does in out and "Leaves" in out
    examples = out.split("examples:\n")[1].splitlines()
    assert len(examples) == len(COMMANDS[name].examples) >= 2
    assert all(line.startswith(f"  python -m rigl_nb {name}") for line in examples)


def test_the_examples_can_be_called():
    from rigl_nb.cli.usage import parser

    for name, command in COMMANDS.items():
        for options in command.examples:
            assert parser().parse_args([name, *options.split()]).name == name


def test_help_shows_the_choices(call):
    out = call("run", "--help")[1]
    assert all(word in out.split() for word in ("RigL-SM,", "Lottery", "ERK,"))
    assert all(f"\n  {name} " in out for name in grids.PROFILES)


# ---- tables


@pytest.fixture
def everything(call, local, monkeypatch):
    """Return `call`, with all sections and one record, timed on hardware of a long name."""
    monkeypatch.setattr(grids, "SECTIONS", SECTIONS)
    local.save(made(grids.specs("05_1", "short", method="Dense")[0], {"hardware": LONG_NAME}, seconds=6000.0))
    return call


def test_the_status_of_everything_fits(everything, local):
    crashed = grids.specs("06_2", "smoke")[-1]
    local.fail(crashed, "RuntimeError: " + "a long reason " * 30, "")
    code, out, err = everything("status")
    assert (code, err) == (0, "")
    trace = next(word for word in out.split() if word.endswith(".failed.json"))
    assert Path(trace).is_file(), "a path stays whole"
    assert widest(out.replace(trace, "")) <= WIDTH
    assert " ".join(out.split()).count(LONG_NAME) == 1, "said once, not in every line"
    rows = [line for line in out.splitlines() if line.startswith((*SECTIONS, "total"))]
    assert len(rows) == (len(SECTIONS) + 1) * len(grids.PROFILES)
    assert len({len(row) for row in rows}) == 1, "the columns are aligned"
    assert f"failed: {crashed.run_id}" in out and trace == str(local.path(crashed, ".failed.json"))
    total = next(row.split() for row in rows if row.startswith("total    short"))
    unique = {spec.run_id for name in SECTIONS for spec in grids.specs(name, "short")}
    future = sum(len(grids.plan(name, "short").future) for name in SECTIONS)
    assert total[2:5] == ["1", str(len(unique) + future - 1), "0"], "a run of several sections counts once"
    assert "next: python -m rigl_nb run --profile smoke  (" in out


@pytest.mark.parametrize("profile", grids.PROFILES)
def test_the_plan_of_everything_fits(everything, profile):
    code, out, err = everything("run", "--profile", profile, "--dry-run", "--workers", "2")
    assert (code, err) == (0, "")
    assert widest(out) <= WIDTH
    rows = [line for line in out.splitlines() if " × " in line]
    assert len({line.index(" × ") for line in rows}) == 1, "the columns are aligned"


def test_the_next_command_names_the_sections_that_were_asked_for(everything):
    out = everything("status", "--profile", "quick", "--sections", "06_1", "08")[1]
    assert "next: python -m rigl_nb run --profile quick --sections 06_1 08  (" in out


# ---- progress


def test_progress_of_every_run_fits(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY", -1.0)
    specs = {spec.run_id: spec for name in SECTIONS for spec in grids.specs(name, "paper")}
    with display(list(specs.values()), live=False) as notify:
        for spec in specs.values():
            notify(Event(spec, "progress", 5, "epoch 250/250, 123,456 images/s, validation 94.3 %"))
            notify(Event(spec, "failed", text="RuntimeError: " + "a long reason " * 30))
    captured = capsys.readouterr()
    assert captured.out == "" and widest(captured.err) <= WIDTH
    assert len(captured.err.splitlines()) > 2 * len(specs)


def test_pieces_of_work_count_and_estimate(capsys, monkeypatch):
    clock = iter([0.0, 30.0, 60.0, 90.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with pieces(3, live=False) as announce:
        for name in ("first", "second", "third"):
            announce(f"{name}: done")
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == (
        "",
        ["[1/3] first: done; about 1.0 min left", "[2/3] second: done; about 30 s left", "[3/3] third: done"],
    )


def test_a_terminal_gets_one_line_of_pieces(capsys):
    with pieces(2, live=True) as announce:
        announce("first: done")
        announce("second: done")
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "1 of 2" in err and "2 of 2" in err and "second: done" in err


# ---- pipes


@pytest.mark.parametrize("command", [("status", "--profile", "smoke"), ("run", "--help")])
def test_a_reader_that_has_seen_enough_gets_no_traceback(local, command):
    """As in `python -m rigl_nb status | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "rigl_nb", *command]
    process = subprocess.Popen(command, cwd=paths.ROOT, env=os.environ, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert process.communicate(timeout=120)[1] == b""
    assert process.returncode in (0, 141)  # argparse keeps silent about its help; 141 is the shell's for SIGPIPE


def test_a_closed_stream_gets_no_traceback(local):
    """As in `python -m rigl_nb status >&-`."""
    line = f'"{sys.executable}" -m rigl_nb status --profile smoke >&-'
    done = subprocess.run(line, shell=True, cwd=paths.ROOT, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# ---- other encodings

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
EACH = """
import sys
from benchmarks.__main__ import main as measure
from rigl_nb.cli.commands import main
for line in sys.argv[1:]:
    program, *words = line.split()
    try:
        code = {"benchmarks": measure, "rigl_nb": main}[program](words)
    except SystemExit as end:
        code = end.code
    print("exit code", code)
"""


def test_a_stream_without_our_characters_gets_others_like_them(tmp_path):
    commands = {
        "rigl_nb status --profile paper": "05_1",
        "rigl_nb run --profile paper --section 05_3 --dry-run": "alpha 0.",
        "rigl_nb run --help": "KEY=VALUE,...",
        "rigl_nb reproduce --help": "epochs",
        "benchmarks --help": "seeds for each arm",
    }
    environment = os.environ | ASCII | dict.fromkeys(("RIGL_BUILD", "RIGL_RESULTS"), str(tmp_path))  # no timed run
    command = [sys.executable, "-c", EACH, *commands]
    done = subprocess.run(command, cwd=paths.ROOT, env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    *outputs, rest = done.stdout.decode("ascii").split("exit code 0\n")
    assert rest == "" and "\\" not in done.stdout.decode()
    for words, output in zip(commands.values(), outputs, strict=True):
        assert words in output


def test_the_module_writes_to_such_a_stream(local):
    command = [sys.executable, "-m", "rigl_nb", "status"]
    done = subprocess.run(command, cwd=paths.ROOT, env=os.environ | ASCII, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_words_and_paths_pass_through_any_stream(monkeypatch):
    """A path of a file system that is not UTF-8 has bytes that are no text."""
    for encoding, written in (
        ("ascii", b"3 x 4-5, Delta T ... ? e /\xff"),
        ("utf-8", "3 × 4–5, ΔT … 円 é /".encode() + b"\xff"),
    ):
        stream = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        assert program(lambda: print("3 × 4–5, ΔT … 円 é /\udcff", end="") or 7) == 7
        assert stream.buffer.getvalue() == written
