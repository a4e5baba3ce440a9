"""Execute notebooks with papermill, each in a kernel of its own."""

import ast
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat

from rigl_nb.execution import cores
from rigl_nb.report.pages.kernels import manager

POLL_SECONDS = 0.1


class NotebookError(ValueError):
    """A notebook that did not run to the end; the message names the cell, and the partly executed file."""


def execute(notebook: Path, output: Path, parameters: dict) -> None:
    """Run a notebook (.ipynb, or .py in jupytext's percent format) in its folder and write it with outputs.

    Raises ValueError for a parameter that the notebook does not have, NotebookError if a cell fails.
    """
    execute_all([(notebook, output)], parameters, jobs=1)


def execute_all(
    pairs: Sequence[tuple[Path, Path]],
    parameters: dict,
    jobs: int = 2,
    announce: Callable[[str], None] = lambda text: None,
) -> None:
    """Run (notebook, output) pairs in this order, `jobs` at a time, each on its share of the cores.

    A failure is raised after the last notebook has ended. `announce` is called with a line of text for each.
    """
    if jobs < 1:
        raise ValueError(f"jobs {jobs!r} is not allowed: it must be at least 1")
    for notebook, _ in pairs:
        check_parameters(notebook, parameters)
    parameters = json.loads(json.dumps(parameters, default=_plain))
    jobs = max(1, min(jobs, len(pairs)))
    # Kernels with a thread for every core each would wait for each other, twice as long.
    share = {"OMP_NUM_THREADS": str(max(1, cores.usable() // jobs))} if jobs > 1 else {}
    kernels, failures = [], {}
    with tempfile.TemporaryDirectory(prefix="rigl-") as folder, ThreadPoolExecutor(jobs) as pool:

        def run(notebook: Path, output: Path) -> tuple[Path, float, str]:
            start, scratch = time.monotonic(), Path(tempfile.mkdtemp(dir=folder))
            error = _run(notebook, output, parameters, scratch, manager(scratch, share, kernels))
            return notebook, time.monotonic() - start, error

        runs = [pool.submit(run, *pair) for pair in pairs]
        try:
            for done in as_completed(runs):
                notebook, seconds, failures[notebook] = done.result()
                announce(f"{notebook.stem}: {'failed' if failures[notebook] else 'done'}, {seconds:.0f} s")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while not all(run.done() for run in runs):  # a kernel may still be starting
                for kernel in kernels:
                    if kernel.has_kernel:
                        kernel.provisioner.process.kill()
                time.sleep(POLL_SECONDS)
            raise
    if errors := [failures[notebook] for notebook, _ in pairs if failures[notebook]]:
        raise NotebookError("\n\n".join(errors))


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


def _plain(number: object) -> object:
    """Python's own number for one of numpy's, which JSON does not know."""
    if not hasattr(number, "item"):
        raise TypeError(f"{number!r} is no value that a notebook can be given: use a number, a text or a list")
    return number.item()


def _run(notebook: Path, output: Path, parameters: dict, scratch: Path, kernel: type) -> str:
    """Execute a notebook; what went wrong, in words, or nothing."""
    import papermill

    source, part = scratch / notebook.with_suffix(".ipynb").name, output.with_suffix(".part.ipynb").absolute()
    content = read(notebook)
    nbformat.write(content, source)
    part.parent.mkdir(parents=True, exist_ok=True)
    part.unlink(missing_ok=True)
    try:
        papermill.execute_notebook(
            source,
            part,
            parameters,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            stderr_file=sys.stderr,  # progress of long cells
            kernel_manager_class=kernel,
            resources={"metadata": {"path": str(notebook.parent.absolute())}},  # papermill's `cwd` is for all threads
        )
    except papermill.PapermillExecutionError as error:
        before = content.cells[
            : error.cell_index
        ]  # with the parameters' cell, papermill's own is before the failed one
        given = bool(parameters) and any("parameters" in cell.metadata.get("tags", []) for cell in before)
        line = next(iter(error.source.splitlines()), "")
        what = f", cell {error.cell_index + 1 - given}: {line}\n{error}"
    except RuntimeError as error:  # the kernel died
        what = f"\n{error}"
    else:
        os.replace(part, output)
        return ""
    return f"{notebook.name}{what}\nThe notebook up to there: {part}"
