"""The two forms of a notebook in step: the .py that is reviewed, the .ipynb with outputs that people open."""

import hashlib
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import nbformat

from rigl_nb.report.pages.execute import execute_all, read
from rigl_nb.runs.store import write

KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KEPT = ("tags", "mystnb", "name")  # the cell metadata that the .py holds
HIDDEN = "hide-input"  # the tag of code that a reader need not see first
WIDGET = "application/vnd.jupyter.widget-view+json"
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")  # of an object in memory, as in pandas' <Styler at 0x7f...>
ICONS = {
    "minus": "−",
    "fast-backward": "«",
    "step-backward": "‹",
    "play fa-flip-horizontal": "◀",
    "pause": "‖",
    "play": "▶",
    "step-forward": "›",
    "fast-forward": "»",
    "plus": "+",
}


def write_notebooks(sources: Sequence[Path], announce: Callable[[str], None] = lambda text: None) -> list[Path]:
    """Write each .py notebook's .ipynb anew, with the outputs that the published records give.

    The same outputs give the same bytes. Raises NotebookError for a failing cell; then no .ipynb changes.
    """
    with tempfile.TemporaryDirectory(prefix="rigl-") as folder:
        executed = [Path(folder, source.with_suffix(".ipynb").name) for source in sources]
        pairs = list(zip(sources, executed, strict=True))
        execute_all(pairs, {"profile": "", "interactive": False}, announce=announce)
        texts = {source.with_suffix(".ipynb"): nbformat.writes(tidied(result)) + "\n" for source, result in pairs}
    for notebook, text in texts.items():
        write(notebook, text)
    return list(texts)


def stale(notebook: Path) -> bool:
    """Say whether the cells of an .ipynb differ from those of the .py beside it."""

    def cells(path: Path) -> list:
        return [
            (cell.cell_type, cell.source, {k: cell.metadata[k] for k in KEPT if k in cell.metadata})
            for cell in read(path).cells
        ]

    return cells(notebook) != cells(notebook.with_suffix(".py"))


def tidied(executed: Path):
    """Return an executed notebook as it was written, parameters included, with outputs that are always the same."""
    notebook = nbformat.read(executed, 4)
    notebook.metadata = nbformat.from_dict(KERNEL)
    notebook.cells = [cell for cell in notebook.cells if not injected(cell)]
    seen = Counter()
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[digest] += 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        cell.metadata = nbformat.from_dict({k: cell.metadata[k] for k in KEPT if cell.metadata.get(k)})
        if cell.cell_type == "code":
            if HIDDEN in cell.metadata.get("tags", []):  # the report folds such code; JupyterLab does it by this
                cell.metadata["jupyter"] = {"source_hidden": True}
            cell.outputs = tidy(cell.outputs, cell.id)
    return counted(notebook)


def counted(notebook):
    """Return the valid notebook, its code cells counted as if they ran from top to bottom."""
    for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    nbformat.validate(notebook)
    return notebook


def injected(cell) -> bool:
    """Say whether papermill put this cell in."""
    return "injected-parameters" in cell.metadata.get("tags", [])


def tidy(outputs: list, name: str) -> list:
    """Return outputs that do not depend on the moment and need neither a kernel nor a network.

    Printed pieces are joined, widgets (they need a kernel) left out, animation ids follow from `name`.
    """
    kept = []
    for output in outputs:
        data = output.get("data", {})
        if WIDGET in data:
            continue
        if "text/plain" in data:
            data["text/plain"] = ADDRESS.sub("0x0", data["text/plain"])
        if "text/html" in data:
            data["text/html"] = _still_html(data["text/html"], name)
        if output.output_type == "stream" and kept and kept[-1].get("name") == output.name:
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def _still_html(html: str, name: str) -> str:
    """Give matplotlib's animation player fixed ids, characters for its icons from the network, and a still.

    Where scripts do not run (a code host, a notebook that is not trusted) the first frame is what one sees.
    """
    html = re.sub(r'<link[^>]*href="https?:[^>]*>', "", html)
    html = re.sub(r'<i class="fa fa-([\w -]+)"></i>', lambda icon: ICONS.get(icon[1], icon[0]), html)
    frames = re.findall(r'frames\[0\] = "([^"]+)"', html)
    stills = (f'src="{frame}">'.replace("\\\n", "") for frame in frames)
    html = re.sub(r'(<img id="_anim_img\w+")>', lambda image: f"{image[1]} {next(stills, '>')}", html)
    for number, random_id in enumerate(dict.fromkeys(re.findall(r"_anim_img([0-9a-f]{32})", html))):
        html = html.replace(random_id, hashlib.sha256(f"{name}-{number}".encode()).hexdigest()[:32])
    return html
