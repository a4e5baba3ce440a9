"""Stitch executed notebooks: linked pages, one page that is a single file, a PDF, one notebook."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import nbformat

from rigl_nb import paths
from rigl_nb.report.pages import reference
from rigl_nb.report.pages.onefile import inline, pdf
from rigl_nb.report.pages.pairs import HIDDEN, KERNEL, counted, injected, tidy
from rigl_nb.runs.origin import provenance

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?:\./)?(\w+)\.ipynb(?:#[^)]*)?\)")
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|link)\b[^>]*?\b(?:src|srcset|href)\s*=\s*["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|url\(\s*["']?((?:https?:)?//[^"')]+)|@import\s+["']((?:https?:)?//[^"']+)"""
)
FOLDED = {"code_prompt_show": "Show the other code of this page", "code_prompt_hide": "Hide it"}
FRONT = "00_overview"  # the front page, with the contents below it; without it the contents are a page of their own


class ReportError(ValueError):
    """The notebooks ran, but the report could not be made of them."""


def stitch(executed: Sequence[Path], out: Path, pages: bool = True) -> Path:
    """Make `out` anew from executed notebooks: html/, report.html, report.pdf, report.ipynb; Sphinx reads source/.

    The PDF needs a Chromium; without one there is none. Without `pages` there is neither html/ nor a PDF, which is
    sooner made. Until all is there, `out` stays what it was.

    Raises ReportError with Sphinx's log on any of its warnings, and if a page would load from the network.
    """
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    source = part / "source"
    _write_source({path.stem: _cleaned(path) for path in executed}, source)
    with tempfile.TemporaryDirectory(prefix="rigl-") as scratch, ThreadPoolExecutor() as both:
        linked = pages and both.submit(_sphinx, "html", source, Path(scratch))
        single = both.submit(_sphinx, "singlehtml", source, Path(scratch), "-t", "onefile")
        (part / "report.html").write_text(inline(single.result() / "index.html"), encoding="utf-8")
        printed = pages and both.submit(pdf, part / "report.html", part / "report.pdf")
        if linked:
            shutil.move(linked.result(), part / "html")
            printed.result()
    for page in [part / "report.html", *sorted(part.glob("html/**/*.html")), *part.glob("html/**/*.css")]:
        if found := network_references(page.read_text(encoding="utf-8")):
            raise ReportError(f"{page} would load {', '.join(found)} from the network")
    replace(part, out)
    return out


def _write_source(notebooks: dict, source: Path) -> None:
    """Write what Sphinx reads; beside it the notebooks as one."""
    shutil.copytree(paths.ROOT / "docs", source)
    (source / "reference.md").write_text(reference.page(), encoding="utf-8")
    for stem, notebook in notebooks.items():
        page = _page(notebook, present=set(notebooks))
        if stem == FRONT:
            contents = (source / "index.md").read_text(encoding="utf-8").partition("\n")[2]
            page.cells.append(nbformat.v4.new_markdown_cell(contents, id="contents"))
            (source / "index.md").unlink()
        nbformat.write(page, source / f"{'index' if stem == FRONT else stem}.ipynb")
    nbformat.write(one_notebook(notebooks), source.with_name("report.ipynb"))


def replace(made: Path, folder: Path) -> None:
    """Put a folder in another's place, whole: who opens a page of it finds the old one or the new one."""
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        folder.rename(old)
    shutil.move(made, folder)
    shutil.rmtree(old, ignore_errors=True)


def imprint() -> str:
    """The foot of every page: version, commit and date of the report."""
    made = provenance("cpu")
    commit = made["commit"][:9] + (", changed" if made["dirty"] else "") if made["commit"] else "unknown"
    return f"Version {metadata.version('rigl_nb')}, commit {commit}, made on {made['date']}. MIT licence."


def network_references(text: str) -> list[str]:
    """Return the addresses from which an HTML or CSS text loads scripts, styles, fonts or images."""
    return ["".join(match) for match in LOADED.findall(text)]


def _cleaned(path: Path):
    """Read an executed notebook without widgets, run times and papermill's notes."""
    notebook = nbformat.read(path, 4)
    notebook.metadata = nbformat.from_dict(KERNEL)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{path.stem}-{number}"[-64:]
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs = tidy(cell.outputs, cell.id)
    return notebook


def _page(notebook, present: set[str]):
    """Return a notebook as a page: no parameter cells, links only to notebooks that are `present`.

    Code that a reader need not see first stands folded at the end of the page, all in one. A cell that should draw a
    figure and has only words, because there is nothing to draw yet, gets no number.
    """
    page = nbformat.from_dict(notebook)
    page.cells = [c for c in page.cells if not injected(c) and "parameters" not in c.metadata.get("tags", [])]
    hidden = [cell for cell in page.cells if HIDDEN in cell.metadata.get("tags", [])]
    folded = nbformat.v4.new_code_cell("\n\n".join(cell.source for cell in hidden), id="folded-code")
    folded.metadata = nbformat.from_dict({"tags": [HIDDEN], "mystnb": FOLDED})
    for cell in hidden:
        cell.metadata.tags = ["remove-input"]
    for cell in page.cells:
        if not any(name.startswith("image/") for output in cell.get("outputs", ()) for name in output.get("data", ())):
            cell.metadata.get("mystnb", {}).pop("figure", None)
    page.cells = [cell for cell in page.cells if cell not in hidden or cell.outputs] + [folded] * bool(hidden)
    _link(page, present)
    return page


def _link(notebook, present: set[str]) -> None:
    def linked(text: str) -> str:
        text = LINK.sub(lambda link: link[0] if link[2] in present else link[1], text)
        return text.replace(f"({FRONT}.ipynb", "(index.ipynb")

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = linked(cell.source)
        for output in cell.get("outputs", ()):
            if words := output.get("data", {}).get("text/markdown"):
                output.data["text/markdown"] = linked(words)


def one_notebook(notebooks: dict):
    """Return the cells of all notebooks, in order, as one notebook that runs from top to bottom."""
    whole = nbformat.v4.new_notebook(metadata=KERNEL)
    whole.cells = [cell for notebook in notebooks.values() for cell in nbformat.from_dict(notebook).cells]
    _link(whole, present=set())
    return counted(whole)


def _sphinx(builder: str, source: Path, scratch: Path, *options: str) -> Path:
    target, doctrees = scratch / builder / "pages", scratch / builder / "doctrees"
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", builder, "-d", doctrees, *options]
    command += ["-D", f"html_theme_options.extra_footer={imprint()}"]
    done = subprocess.run(
        [*command, source, target], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if done.returncode:
        raise ReportError(f"sphinx could not make the {builder} pages from {source}:\n{done.stdout}")
    return target
