"""From the sections' notebooks to what is read: the report, at first and in full, its site, the committed notebooks."""

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat

from rigl_nb import paths
from rigl_nb.report.pages.execute import execute_all
from rigl_nb.report.pages.pairs import write_notebooks
from rigl_nb.report.pages.stitching import ReportError, replace, stitch
from rigl_nb.runs import progress

README_PICTURE, PICTURED = "docs/mask_update.svg", "01_mask_update"


def sections(wanted: Sequence[str] | None = None) -> list[str]:
    """Return the sections that have a notebook ("00", "05_1"), in order: all, or the wanted ones."""
    known = list(dict.fromkeys(_section(source) for source in _sources()))
    for name in wanted or ():
        if name not in known:
            raise ValueError(f"no notebook for section {name!r}: there are {', '.join(known)}")
    return [name for name in known if not wanted or name in wanted]


def first(names: Sequence[str]) -> Path:
    """Return the single file of the report so far; where there is none, make it at once.

    The committed notebooks hold what the published records give: nothing is executed. Raises ReportError.
    """
    page = _report() / "report.html"
    return page if page.exists() else stitch(_notebooks(names), _report(), pages=False) / page.name


def site(names: Sequence[str]) -> Path:
    """Make the folder that a host of static pages serves, of the committed notebooks as they are."""
    with tempfile.TemporaryDirectory(prefix="rigl-") as scratch:
        made, folder = stitch(_notebooks(names), Path(scratch, "report")), paths.build() / "site"
        for name in ("report.html", "report.pdf", "report.ipynb"):
            if (made / name).exists():
                shutil.move(made / name, made / "html" / name)
        (made / "html" / ".nojekyll").touch()  # or GitHub leaves out the folders whose names begin with _
        replace(made / "html", folder)
    return folder


def reproduce(names: Sequence[str], profile: str) -> Path:
    """Execute the sections' notebooks and stitch them; return the page that is a single file.

    With an empty profile nothing is trained. Raises NotebookError, ReportError.
    """
    folder = paths.build() / "notebooks"
    pairs = [(notebook, folder / notebook.name) for notebook in _notebooks(names)]
    with progress.pieces(len(pairs) + 1) as announce:
        execute_all(pairs, {"profile": profile, "interactive": False}, announce=announce)
        page = stitch([output for _, output in pairs], _report()) / "report.html"
        announce("the report: done")
    return page


def make_notebooks(names: Sequence[str]) -> list[Path]:
    """Write the sections' committed notebooks anew, with the outputs that the published records give."""
    sources = _sources(names)
    with progress.pieces(len(sources)) as announce:
        written = write_notebooks(sources, announce)
    if any(path.stem == PICTURED for path in written):
        (paths.ROOT / README_PICTURE).write_text(readme_picture(), encoding="utf-8")
    return written


def readme_picture() -> str:
    """Return the README's picture: a figure of the committed notebooks, as SVG."""
    notebook = nbformat.read(paths.ROOT / "notebooks" / f"{PICTURED}.ipynb", 4)
    for cell in notebook.cells:
        if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == "fig-eight-after":
            return cell.outputs[0].data["image/svg+xml"]
    raise ReportError("notebook 01 has no figure named fig-eight-after, the README's picture")


def _sources(names: Sequence[str] | None = None) -> list[Path]:
    found = sorted((paths.ROOT / "notebooks").glob("[0-9]*.py"))
    return [source for source in found if not names or _section(source) in names]


def _notebooks(names: Sequence[str]) -> list[Path]:
    found = [source.with_suffix(".ipynb") for source in _sources(names)]
    for notebook in found:
        if not notebook.exists():
            raise ValueError(f"{notebook} does not exist: `python -m rigl_nb notebooks` makes it of the .py")
    return found


def _report() -> Path:
    return paths.build() / "report"


def _section(notebook: Path) -> str:
    return re.match(r"\d+(_\d+)*", notebook.stem)[0]
