"""The committed notebooks: in step with their sources, with outputs, small, and written as the house asks."""

import ast
import re

import nbformat
import pytest

from rigl_nb import paths
from rigl_nb.report.pages import build, pairs, stitching

NOTEBOOKS = sorted((paths.ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def cells(path):
    return nbformat.read(path, 4).cells


def tags(cell):
    return cell.metadata.get("tags", [])


def test_every_section_has_its_notebook():
    assert [build._section(path) for path in NOTEBOOKS] == build.sections()
    assert {"00", "01", "02", "05_1"} <= set(build.sections())


def test_in_step_with_its_source(path):
    assert not pairs.stale(path), f"run: python -m rigl_nb notebooks --sections {build._section(path)}"


def test_under_one_megabyte(path):
    assert path.stat().st_size < 1_000_000


def test_a_title_begins_with_its_number(path, cells):
    """As pages are cited: the report's sections by its numbers (5.1), our own notebooks by theirs (01, 12)."""
    section = build._section(path)
    number = section.lstrip("0").replace("_", ".") if "04" <= section < "08" else section
    assert cells[0].source.startswith(f"# {number} " if path.stem != stitching.FRONT else "# Rigging")


def test_first_a_title_then_literal_parameters(cells):
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")
    assert "parameters" in tags(cells[1])
    assigned = {}
    for statement in ast.parse(cells[1].source).body:
        assert isinstance(statement, ast.Assign), "literals only"
        assigned[statement.targets[0].id] = ast.literal_eval(statement.value)
    assert assigned["profile"] == "" and assigned["interactive"] is True


def test_code_cells_are_short_and_were_run(cells):
    for cell in cells:
        if cell.cell_type == "code":
            lines = [line for line in cell.source.splitlines() if line.strip() and not line.startswith("#")]
            assert len(lines) <= 15, f"too long for one idea:\n{cell.source}"
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert sum(bool(cell.outputs) for cell in code) >= len(code) / 3, "stored outputs are missing"
    assert code[-1].outputs, "the last cell is a verdict computed from data"


def test_no_traces_of_one_execution(path, cells):
    text = path.read_text()
    for trace in ("papermill", "iopub.execute_input", "application/vnd.jupyter.widget", '"widgets"', "/tmp/", "/home/"):
        assert trace not in text, trace
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_the_readme_shows_the_notebooks_figure():
    assert f"]({build.README_PICTURE})" in (paths.ROOT / "README.md").read_text()
    assert (paths.ROOT / build.README_PICTURE).read_text(encoding="utf-8") == build.readme_picture(), (
        "run: python -m rigl_nb notebooks"
    )


def test_prose_has_no_typed_in_results(cells):
    """A result in prose goes stale: accuracies with a decimal stand in outputs only (quotes of the report aside)."""
    import re

    for cell in cells:
        if cell.cell_type == "markdown":
            own = "\n".join(line for line in cell.source.splitlines() if not line.startswith(">"))
            assert not re.search(r"\b\d\d\.\d+ ?%", own), own


def test_prose_has_british_spelling_and_quotes_keep_theirs(path):
    """The overview links titles; what a notebook quotes stands behind “>” or in “…”."""
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"^>.*$|“[^”]*”|https?://\S+", "", cell.source, flags=re.MULTILINE)
            assert not re.search(r"(?i)(initial|normal|summar|recogn|general|visual)iz|behavior|\bcolors?\b", prose)


def test_nobody_says_that_it_trains_exactly_as_the_report(path):
    """Notebook 04 lists what is different."""
    assert "exactly as the report" not in path.with_suffix(".py").read_text()
