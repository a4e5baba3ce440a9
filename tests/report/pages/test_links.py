"""Links of a page, in what is written and in what a cell prints."""

import nbformat

from rigl_nb.report.pages import stitching


def test_links_that_a_cell_prints_lead_to_pages_that_are_there():
    """Markdown in outputs as in cells: a link to a notebook that is not made becomes its words."""
    text = "[one](01_one.ipynb), [two](02_two.ipynb), [front](00_overview.ipynb)"
    output = nbformat.v4.new_output("display_data", {"text/markdown": text})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    (cell,) = stitching._page(notebook, present={"01_one", stitching.FRONT}).cells
    assert cell.outputs[0].data["text/markdown"] == "[one](01_one.ipynb), two, [front](index.ipynb)"
