"""The .py and the .ipynb of a notebook in step."""

import nbformat

from rigl_nb.report.pages import pairs

NOTEBOOK = """
# %% [markdown]
# # A title

# %% tags=["parameters"]
profile = "written"
interactive = True

# %%
import time

print(repr(profile), interactive, flush=True)
time.sleep(0.3)
print("and more")
object()

# %%
1
"""


def test_the_same_outputs_give_the_same_bytes(tmp_path):
    sources = [tmp_path / "one.py", tmp_path / "two.py"]
    for source in sources:
        source.write_text(NOTEBOOK.lstrip())
    one, two = pairs.write_notebooks(sources)
    assert one.read_bytes() == two.read_bytes()
    assert b"injected" not in one.read_bytes() and b"papermill" not in one.read_bytes()
    notebook = nbformat.read(one, 4)
    assert len({cell.id for cell in notebook.cells}) == 4
    assert "interactive = True" in notebook.cells[1].source
    assert notebook.cells[2].outputs[0].text == "'' False\nand more\n"
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2, 3]
    assert not pairs.stale(one)
    sources[0].write_text(sources[0].read_text().replace('["parameters"]', '["parameters", "hide-input"]'))
    assert pairs.stale(one) and not pairs.stale(two)


def test_animations_get_fixed_ids_and_need_no_network():
    def player(random_id: str) -> list:
        html = f'<link rel="x" href="https://fonts"><img id="_anim_img{random_id}">frames[0] = "data:a\\\nb"'
        return [nbformat.v4.new_output("display_data", {"text/html": html})]

    first, second = (pairs.tidy(player(32 * digit), "cell") for digit in "ab")
    assert first == second != pairs.tidy(player(32 * "a"), "other")
    assert "https" not in first[0].data["text/html"]
    assert ' src="data:ab">' in first[0].data["text/html"]


def test_widgets_are_left_out():
    widget = nbformat.v4.new_output("display_data", {pairs.WIDGET: {"model_id": "0"}, "text/plain": "slider"})
    printed = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in ("a", "b")]
    assert [output.get("text") for output in pairs.tidy([printed[0], widget, printed[1]], "cell")] == ["ab"]
