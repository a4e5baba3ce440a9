"""Figures of layers: what is drawn, read from the artists."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from rigl_nb.report.figures.layers import STATES, layer_densities, mask_update

#  column:          0  1  2  3  4
BEFORE = np.array([[1, 1, 1, 0, 0]], bool)
KEPT = np.array([[1, 0, 0, 0, 0]], bool)
AFTER = np.array([[1, 0, 1, 1, 0]], bool)
NAMES = ["kept", "dropped", "regrown", "grown", "inactive"]


def states(figure) -> list[str]:
    return [list(STATES)[code] for code in figure.axes[0].images[0].get_array().ravel()]


def test_every_state_of_an_update():
    figure = mask_update(BEFORE, KEPT, AFTER)
    assert states(figure) == NAMES
    colors = figure.axes[0].images[0].cmap
    code = list(STATES).index("dropped")
    assert colors(code)[:3] == to_rgb(STATES["dropped"][0])


def test_stages_before_the_end():
    assert states(mask_update(BEFORE, BEFORE, BEFORE)) == ["kept"] * 3 + ["inactive"] * 2
    assert states(mask_update(BEFORE, KEPT, KEPT)) == ["kept", "dropped", "dropped", "inactive", "inactive"]


def test_the_legend_counts_every_state():
    texts = [text.get_text() for text in mask_update(BEFORE, KEPT, AFTER).legends[0].get_texts()]
    assert texts == ["inactive (1)", "kept (1)", "↺ regrown (1)", "+ grown (1)", "× dropped (1)"]


def test_small_layers_print_symbol_and_number():
    values = np.array([[0.5, -0.25, 0.125, 0.0, -0.0001]])
    texts = [text.get_text() for text in mask_update(BEFORE, KEPT, AFTER, values).axes[0].texts]
    assert texts == ["0.50", "×\n-0.25", "↺\n0.12", "+\n0.00", "0.00"]


def test_symbols_without_values():
    texts = [text.get_text() for text in mask_update(BEFORE, KEPT, AFTER).axes[0].texts]
    assert texts == ["", "×", "↺", "+", ""]


def test_large_layers_print_nothing():
    mask = np.zeros((8, 8, 3, 3), bool)
    figure = mask_update(mask, mask, mask, np.zeros(mask.shape))
    assert figure.axes[0].images[0].get_array().shape == (8, 72)
    assert not figure.axes[0].texts


def test_states_differ_in_grey():
    grey = sorted(np.dot(to_rgb(color), (0.299, 0.587, 0.114)) for color, _ in STATES.values())
    assert np.diff(grey).min() > 0.12


def test_densities_are_drawn_per_layer():
    figure = layer_densities({"Random": {"b.weight": 0.1}, "ERK": {"a.weight": 1.0, "b.weight": 0.3}})
    axis = figure.axes[0]
    lines = {line.get_label(): line for line in axis.get_lines()}
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]
    assert lines["ERK"].get_xydata().tolist() == [[1.0, 0.125], [0.3, 1.125]]
    assert lines["Random"].get_xydata().tolist() == [[0.1, 0.875]]  # beside ERK's of the same layer, never under
    assert lines["ERK"].get_marker() != lines["Random"].get_marker()
    assert axis.get_ylim()[0] > axis.get_ylim()[1]  # the first layer on top


@pytest.mark.parametrize("layers", [3, 54])
def test_long_names_stay_inside_the_figure(layers):
    names = [f"blocks.{place}.a_rather_long_shortcut_name.weight" for place in range(layers)]
    figure = layer_densities({"ERK": dict.fromkeys(names, 0.5)})
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert min(box.x0 for box in boxes) >= 0
    assert all(upper.y0 >= lower.y1 - 1 for upper, lower in pairwise(boxes))
