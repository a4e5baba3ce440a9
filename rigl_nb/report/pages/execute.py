"""Execute notebooks with papermill, each in a process and a kernel of its own.

This file is also the program of that process, which loads nothing of the package.
"""

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.1
PACKAGES = Path(__file__).resolve().parents[3]  # the folder that holds this package
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class NotebookError(ValueError):
    """Notebooks that did not run to the end; `parts` are the partly executed files that they leave."""

    def __init__(self, message: str, parts: Sequence[Path] = ()):
        super().__init__(message)
        self.parts = tuple(parts)


def execute(notebook: Path, output: Path, parameters: dict) -> None:
    """Run a notebook (.ipynb, or .py in jupytext's percent format) in its folder and write it with outputs.

    Raises ValueError for a parameter that the notebook does not have, NotebookError if a cell fails.
    """
    execute_all([(notebook, output)], parameters, jobs=1)


def execute_all(pairs: Sequence[tuple[Path, Path]], parameters: dict, jobs: int = 2, announce=None) -> None:
    """Run (notebook, output) pairs in this order, `jobs` at a time, each on its share of the cores.

    A failure is raised after the last notebook has ended. `announce` is called with a line of text for each.
    """
    from rigl_nb.execution import cores

    if jobs < 1:
        raise ValueError(f"jobs {jobs!r} is not allowed: it must be at least 1")
    for notebook, _ in pairs:
        check_parameters(notebook, parameters)
    waiting, running, failures = list(pairs), [], {}
    jobs = min(jobs, len(pairs))
    # Kernels with a thread for every core each would wait for each other, twice as long.
    share = {"OMP_NUM_THREADS": str(max(1, cores.usable() // jobs))} if jobs > 1 else {}
    with tempfile.TemporaryDirectory(prefix="rigl-") as scratch:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    running.append(_Run.start(*waiting.pop(0), parameters, Path(tempfile.mkdtemp(dir=scratch)), share))
                time.sleep(POLL_SECONDS)
                for run in [run for run in running if run.process.poll() is not None]:
                    running.remove(run)
                    if error := run.finish():
                        failures[run.notebook] = error
                    if announce:
                        announce(f"{run.notebook.stem}: {'failed' if error else 'done'}, {run.seconds():.0f} s")
        finally:
            for run in running:
                run.stop()
    if failures:
        errors = [failures[notebook] for notebook, _ in pairs if notebook in failures]
        raise NotebookError("\n\n".join(map(str, errors)), [part for error in errors for part in error.parts])


def check_parameters(notebook: Path, parameters: dict) -> None:
    """Refuse what papermill only warns about: no cell tagged `parameters`, or a name not in it."""
    cells = [cell for cell in read(notebook).cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ValueError(f"{notebook.name} has {len(cells)} cells tagged 'parameters'; it needs exactly one")
    statements = [node for node in ast.parse(cells[0].source).body if isinstance(node, ast.Assign)]
    known = [target.id for node in statements for target in node.targets if isinstance(target, ast.Name)]
    for name in parameters:
        if name not in known:
            raise ValueError(f"{notebook.name} has no parameter {name!r}; it has: {', '.join(known)}")


def read(notebook: Path):
    """Read a notebook from .ipynb or from .py in jupytext's percent format."""
    import jupytext

    return jupytext.read(notebook, fmt="py:percent" if notebook.suffix == ".py" else None)


@dataclass(frozen=True)
class _Run:
    """A notebook that is being executed by a child process."""

    notebook: Path
    output: Path
    source: Path
    process: subprocess.Popen
    began: float

    @classmethod
    def start(cls, notebook: Path, output: Path, parameters: dict, scratch: Path, share: dict[str, str]) -> "_Run":
        import nbformat

        source = scratch / notebook.with_suffix(".ipynb").name
        nbformat.write(read(notebook), source)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.with_suffix(".part.ipynb").unlink(missing_ok=True)
        request = {
            "source": str(source),
            "output": str(output.with_suffix(".part.ipynb").absolute()),
            "parameters": parameters,
            "folder": str(notebook.parent.absolute()),
            "socket": str(scratch / "kernel"),
        }
        # -P: or the modules beside this file would hide installed ones of that name. A session of its own:
        # Ctrl-C reaches only the parent, which ends its children. Standard input: see _follow_parent.
        # The two folders keep the reader's own IPython start-up files out of the report. The path comes first: a kernel
        # must import the package that asked for it, not one that is installed from another checkout.
        path = [str(PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
        folders = {"JUPYTER_RUNTIME_DIR": str(scratch), "IPYTHONDIR": str(scratch / "ipython")}
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, json.dumps(request, default=_plain)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env={**share, **os.environ, **folders, "PYTHONPATH": os.pathsep.join(path)},
        )
        return cls(notebook, output, source, process, time.monotonic())

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()

    def finish(self) -> NotebookError | None:
        """Give the finished notebook its name, or say what went wrong."""
        self.process.stdin.close()
        part = self.output.with_suffix(".part.ipynb")
        if self.process.returncode == 0:
            os.replace(part, self.output)
            return None
        where, trace = self._failed_cell(part)
        return NotebookError(f"{self.notebook.name}{where}\n{trace}\nThe notebook up to there: {part}", [part])

    def _failed_cell(self, part: Path) -> tuple[str, str]:
        """Return the position and first line of the cell that failed, and its traceback."""
        import nbformat

        dead = f"its process ended with exit code {self.process.returncode}"
        if not part.exists():
            return "", dead
        order = [cell.id for cell in read(self.source).cells]
        for cell in nbformat.read(part, 4).cells:
            state = cell.metadata.get("papermill", {})
            if state.get("exception") or state.get("status") == "running":
                number = f"cell {order.index(cell.id) + 1}" if cell.id in order else "the injected parameters"
                first_line = next(iter(cell.source.splitlines()), "")
                traces = [line for output in cell.outputs for line in output.get("traceback", [])]
                return f", {number}: {first_line}", ANSI.sub("", "\n".join(traces)) or dead
        return "", dead


def _plain(number: object) -> object:
    """Python's own number for one of numpy's, which JSON does not know."""
    if not hasattr(number, "item"):
        raise TypeError(f"{number!r} is no value that a notebook can be given: use a number, a text or a list")
    return number.item()


def _follow_parent() -> None:
    """End this process when the parent is gone: its end of the pipe closes, however it died."""
    os.read(0, 1)  # not sys.stdin: a thread that holds its lock makes the interpreter abort at exit
    os._exit(1)


def _child(request: dict) -> None:
    import papermill
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from traitlets.config import Config

    class ThisInterpreter(AsyncKernelManager):
        """A kernel in this very environment, whatever `python3` kernel is installed elsewhere."""

        kernel_spec = KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "--log-level=CRITICAL", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
        )

    threading.Thread(target=_follow_parent, daemon=True).start()
    try:
        papermill.execute_notebook(
            request["source"],
            request["output"],
            request["parameters"],
            kernel_name="python3",
            language="python",
            cwd=request["folder"],
            progress_bar=False,
            stderr_file=sys.stderr,  # progress of long cells
            kernel_manager_class=ThisInterpreter,
            # Kernels that start together over TCP can pick the same port.
            config=Config(KernelManager={"transport": "ipc", "ip": request["socket"]}),
        )
    except papermill.PapermillExecutionError:
        sys.exit(1)  # the parent finds the traceback in the notebook


if __name__ == "__main__":
    _child(json.loads(sys.argv[1]))
