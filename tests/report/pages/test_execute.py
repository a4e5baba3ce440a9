"""Notebooks executed for real: what they get, what they leave, and how they end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest

from rigl_nb import paths
from rigl_nb.execution import cores
from rigl_nb.report.pages.execute import NotebookError, execute, execute_all

GOOD = """
# %% tags=["parameters"]
word = "written"

# %%
import os, sys

print(word, os.path.basename(os.getcwd()), sys.executable)
"""
BROKEN = """
# %% tags=["parameters"]
word = "written"

# %%
print("before")

# %%
# first line
1 / 0

# %%
print("after")
"""


def write(folder: Path, **notebooks: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in notebooks.items():
        (folder / f"{name}.py").write_text(text.lstrip())
    return [folder / f"{name}.py" for name in notebooks]


def text_of(path: Path) -> str:
    cells = nbformat.read(path, 4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A broken notebook and then a good one, where a useless `python3` kernel is found before any other."""
    folder = tmp_path_factory.mktemp("executed")
    kernel = folder / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": ["/bin/false"], "display_name": "x", "language": "python"}))
    sources = write(folder / "notebooks", broken=BROKEN, good=GOOD)
    outputs = [folder / "out" / f"{source.stem}.ipynb" for source in sources]
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
        with pytest.raises(NotebookError) as error:
            execute_all(list(zip(sources, outputs, strict=True)), {"word": "given"}, 1, lines.append)
    return outputs, error.value, lines


def test_parameters_folder_and_interpreter(executed):
    (_, good), _, _ = executed
    assert text_of(good).split() == ["given", "notebooks", sys.executable]
    assert not good.with_suffix(".part.ipynb").exists()


def test_a_failing_cell_is_named_and_the_others_still_run(executed):
    (broken, good), error, lines = executed
    assert "broken.py, cell 3: # first line" in str(error)
    assert "ZeroDivisionError: division by zero" in str(error)
    assert "\x1b" not in str(error)
    part = broken.with_suffix(".part.ipynb")
    assert str(error).endswith(f"The notebook up to there: {part}")
    assert text_of(part) == "before\n"
    assert not broken.exists() and good.exists()
    assert [line.split(",")[0] for line in lines] == ["broken: failed", "good: done"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BROKEN, r"broken.py has no parameter 'profile'; it has: word"),
        ("# %%\nx = 1\n", "has 0 cells tagged"),
    ],
)
def test_parameters_are_checked_before_anything_runs(tmp_path, text, message):
    (source,) = write(tmp_path, broken=text)
    with pytest.raises(ValueError, match=message):
        execute(source, tmp_path / "out" / "broken.ipynb", {"profile": "smoke"})
    assert not (tmp_path / "out").exists()


KERNEL = """
import sys
there = {"matplotlib", "pandas", "torch"} <= set(sys.modules)
import os, pathlib, time, matplotlib, pandas
found = os.getpid(), there, pandas.options.display.max_columns, matplotlib.rcParams["backend"].split(".")[-1]
pathlib.Path("part").write_text(" ".join(map(str, found)))
os.rename("part", "found")
time.sleep(99)"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_a_kernel_has_its_libraries_at_once_and_ends_with_its_parent(tmp_path, signum):
    """Forked from a process that has imported them; they find what they find where a kernel imports them itself."""
    (source,) = write(tmp_path, slow=BROKEN.replace("1 / 0", KERNEL))
    code = "import sys; from rigl_nb.report.pages.execute import *; execute(*map(Path, sys.argv[1:]), {})"
    command = [sys.executable, "-c", code, source, tmp_path / "out.ipynb"]
    parent = subprocess.Popen(command, cwd=paths.ROOT, stderr=subprocess.DEVNULL)
    wait_for((tmp_path / "found").exists)
    kernel, *found = (tmp_path / "found").read_text().split()
    assert found == ["True", "20", "backend_inline"]
    parent.send_signal(signum)
    assert parent.wait(timeout=20) != 0
    wait_for(lambda: not alive(int(kernel)))


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.parametrize(("wanted", "threads"), [(None, "3"), ("2", "2")])
def test_notebooks_side_by_side_share_the_cores_unless_the_reader_says_how(tmp_path, monkeypatch, wanted, threads):
    text = '# %% tags=["parameters"]\nword = ""\n\n# %%\nimport os; print(os.environ.get("OMP_NUM_THREADS"))'
    monkeypatch.setattr(cores, "usable", lambda: 7)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if wanted:
        monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    sources = write(tmp_path, one=text, other=text)
    pairs = [(source, source.with_suffix(".ipynb")) for source in sources]
    execute_all(pairs, {}, jobs=2)
    assert [text_of(output).strip() for _, output in pairs] == [threads, threads]
    execute_all(pairs[:1], {}, jobs=2)
    assert text_of(pairs[0][1]).strip() == str(wanted), "one alone has them all"


def test_a_notebook_imports_the_package_that_runs_it(tmp_path, monkeypatch):
    """Not one of that name from another checkout, wherever that stands."""
    other = tmp_path / "other" / "rigl_nb"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(other.parent))
    (notebook,) = write(
        tmp_path, which='# %% tags=["parameters"]\nword = ""\n\n# %%\nimport rigl_nb; print(rigl_nb.__file__)'
    )
    execute(notebook, tmp_path / "out.ipynb", {})
    printed = nbformat.read(tmp_path / "out.ipynb", 4).cells[-1].outputs[0].text
    assert Path(printed.strip()) == paths.ROOT / "rigl_nb" / "__init__.py"


def test_parameters_may_be_numpys_numbers(tmp_path):
    text = '# %% tags=["parameters"]\nseeds = 1\n\n# %%\nprint(seeds + 1, type(seeds).__name__)'
    (source,) = write(tmp_path, one=text)
    execute(source, tmp_path / "one.ipynb", {"seeds": np.int64(4)})
    assert text_of(tmp_path / "one.ipynb").strip() == "5 int"
    with pytest.raises(TypeError, match="no value that a notebook can be given"):
        execute(source, tmp_path / "one.ipynb", {"seeds": {4}})


def test_a_kernel_that_dies_is_named_and_the_others_still_run(tmp_path):
    """As one that has used up the memory."""
    sources = write(tmp_path, dead=BROKEN.replace("1 / 0", "import os; os.kill(os.getpid(), 9)"), good=GOOD)
    with pytest.raises(NotebookError, match=r"dead\.py\nKernel died\nThe notebook up to there: .*dead\.part\.ipynb"):
        execute_all([(source, source.with_suffix(".ipynb")) for source in sources], {"word": "given"})
    assert text_of(tmp_path / "dead.part.ipynb") == "before\n"
    assert text_of(tmp_path / "good.ipynb").startswith("given")


def test_no_notebook_at_a_time_is_refused(tmp_path):
    """It would wait for ever."""
    with pytest.raises(ValueError, match="jobs 0 is not allowed"):
        execute_all([(tmp_path / "one.py", tmp_path / "one.ipynb")], {}, jobs=0)
