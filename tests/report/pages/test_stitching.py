"""A report stitched from small notebooks, for real."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from rigl_nb.report.pages import onefile, stitching
from rigl_nb.report.pages.execute import execute_all

GOOD = r"""
# %% [markdown]
# # 1. First
#
# RigL {cite}`evci2020`, after [the second](2_second.ipynb) and [one that is not made](3_third.ipynb).
#
# $$ f = \frac{\alpha}{2} $$ (half)
#
# Equation {eq}`half`, {numref}`line`.

# %% tags=["parameters"]
word = "written"
interactive = True

# %%
import os

print(word, interactive, os.path.basename(os.getcwd()))

# %% mystnb={"figure": {"name": "line", "caption": "A line."}}
from IPython.display import SVG

SVG('<svg xmlns="http://www.w3.org/2000/svg" width="90" height="9"><path d="M0 0 90 9" stroke="red"/></svg>')

# %% [markdown]
# ## Verdict
"""
SECOND = """
# %% [markdown]
# # 2. Second
#
# Back to [the first](1_first.ipynb).

# %% tags=["parameters"]
word = "written"
interactive = True

# %% tags=["hide-input"]
from IPython.display import HTML, display

display(HTML("<table><tr><td>a cell of a table</td></tr></table>"))
widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "0"}, "text/plain": "sli" + "der"}
display(widget, raw=True)

# %% tags=["hide-input"]
helper = "a helper"

# %% mystnb={"figure": {"name": "later", "caption": "A figure that is not there yet."}}
print("There is nothing to draw yet.")

# %% [markdown]
# ## Verdict
"""
NOTEBOOKS = {"1_first": GOOD, "2_second": SECOND}


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("executed")
    pairs = [(folder / f"{name}.py", folder / "out" / f"{name}.ipynb") for name in NOTEBOOKS]
    for source, _ in pairs:
        source.write_text(NOTEBOOKS[source.stem].lstrip())
    execute_all(pairs, {"word": "given", "interactive": False})
    return [output for _, output in pairs]


@pytest.fixture(scope="module")
def report(executed, tmp_path_factory) -> Path:
    return stitching.stitch(executed, tmp_path_factory.mktemp("stitched") / "report")


def test_pages_number_and_link(report):
    page = (report / "html" / "1_first.html").read_text()
    assert re.search(r'href="references.html#\S+"[^>]*>.*Evci', page)
    assert '<a class="reference internal" href="#equation-half">(1)</a>' in page
    assert re.search(r'href="#line"[^>]*><span[^>]*>Fig. 1</span>', page)
    assert 'href="2_second.html"' in page
    assert "3_third" not in page and "one that is not made" in page
    assert "word = " not in page
    assert "slider" not in (report / "html" / "2_second.html").read_text()


def test_hidden_code_stands_folded_at_the_end_of_its_page(report):
    page = (report / "html" / "2_second.html").read_text()
    above, *folds = page.split("<details class=")
    assert len(folds) == 1 and "Show the other code of this page" in folds[0]
    assert "a cell of a table" in above and 'id="verdict"' in above and "a helper" not in above
    assert folds[0].index("raw") < folds[0].index("a helper")
    assert "<details class=" not in (report / "html" / "1_first.html").read_text()


def test_a_figure_without_a_picture_is_a_sentence(report):
    page = (report / "html" / "2_second.html").read_text()
    assert "There is nothing to draw yet." in page
    assert "<figure" not in page and "A figure that is not there yet." not in page


def test_the_single_file_needs_no_other(report):
    text = (report / "report.html").read_text()
    for part in (
        "1. First",
        "2. Second",
        "a cell of a table",
        "Evci",
        "Fig. 1",
        "data:image/svg+xml",
        "MathJax",
    ):
        assert part in text
    visible = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", text, flags=re.DOTALL)
    assert not re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(?!data:)[^"]*"', visible)
    assert not re.findall(r'href="(?!#|data:|https?:)[^"]*"', visible)
    targets = re.findall(r'\bid="([^"]+)"', visible)
    links = re.findall(r'href="#([^"]+)"', visible)
    assert set(links) <= set(targets)
    assert all(targets.count(link) == 1 for link in links)
    assert {"verdict-1", "verdict-2", "cite-evci2020"} <= set(links)


def test_nothing_is_loaded_from_the_network(report):
    for page in [report / "report.html", *report.glob("html/**/*.html"), *report.glob("html/**/*.css")]:
        assert stitching.network_references(page.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        '<script defer src="https://x.org/a.js"></script>',
        "<link rel='stylesheet' href='//x.org/a.css'>",
        "a { background: url(https://x.org/a.png) }",
        '@import "https://x.org/a.css";',
    ],
)
def test_network_references_are_found(text):
    assert len(stitching.network_references(text)) == 1
    assert stitching.network_references(text.replace("https:", "").replace("//x.org", "x")) == []


@pytest.mark.skipif(onefile.chromium() is None, reason="no Chromium on this machine: the report has no PDF")
def test_the_pdf_is_a_paper_with_drawings(report):
    """A4 pages with the print's font; drawings stay drawings: no picture is in it but those of pixels."""
    paper = (report / "report.pdf").read_bytes()
    assert paper.startswith(b"%PDF-") and b"STIXGeneral" in paper
    assert b"/Subtype /Image" not in paper and b"/MediaBox [0 0 594.95996 841.91998]" in paper


def test_without_a_browser_there_is_no_pdf(report, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not onefile.pdf(report / "report.html", tmp_path / "report.pdf")
    assert not (tmp_path / "report.pdf").exists()


def test_a_browser_that_fails_is_named(report, tmp_path, monkeypatch):
    browser = tmp_path / "chromium"
    browser.write_text("#!/bin/sh\necho no display >&2; exit 3\n")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(RuntimeError, match=r"report.pdf \(exit code 3\): no display"):
        onefile.pdf(report / "report.html", tmp_path / "report.pdf")


def test_the_page_about_the_code_is_linked_and_not_in_the_single_file(report):
    page = (report / "html" / "reference.html").read_text()
    assert 'id="rigl_nb.masks.drop"' in page and "<summary>source</summary>" in page
    assert 'href="reference.html"' in (report / "html" / "1_first.html").read_text()
    assert "rigl_nb.masks.drop" not in (report / "report.html").read_text()


def test_the_one_notebook_runs_from_top_to_bottom(report, tmp_path):
    whole = nbformat.read(report / "report.ipynb", 4)
    nbformat.validate(whole)
    assert len({cell.id for cell in whole.cells}) == len(whole.cells)
    headings = [cell.source.splitlines()[0] for cell in whole.cells if cell.cell_type == "markdown"]
    assert headings == ["# 1. First", "## Verdict", "# 2. Second", "## Verdict"]
    NotebookClient(whole, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    assert whole.cells[3].outputs[0].text == f"given False {tmp_path.name}\n"


def test_a_sphinx_warning_is_an_error_with_its_log(executed, tmp_path):
    notebook = nbformat.read(executed[0], 4)
    notebook.cells.append(nbformat.v4.new_markdown_cell("{cite}`nobody1999`"))
    nbformat.write(notebook, tmp_path / "1_first.ipynb")
    with pytest.raises(stitching.ReportError, match="nobody1999"):
        stitching.stitch([tmp_path / "1_first.ipynb"], tmp_path / "report")
