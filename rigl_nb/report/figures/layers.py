"""Figures of layers: their densities, and one mask update, weight by weight."""

from collections.abc import Mapping

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from rigl_nb.report.figures.style import INIT_STYLE, OTHER_METHOD, STYLE, WIDTH, Picture

SMALL_CELL = 0.4  # inches: a cell that has room for a number

# Lightness differs in equal steps, so the states differ in grey and for colour-blind readers too.
STATES = {
    "inactive": ("#E8E8E8", ""),
    "kept": ("#A6CEE3", ""),
    "regrown": ("#E08A3C", "↺"),
    "grown": ("#009E73", "+"),
    "dropped": ("#5B1A3A", "×"),
}
DARK = ("dropped",)  # white letters are easier to read on it than black ones


@rc_context(STYLE)
def layer_densities(densities: Mapping[str, Mapping[str, float]]) -> Figure:
    """Density of every layer, one marker per distribution: {"ERK": {layer: density}}.

    A distribution may leave layers out; the order is that of the distribution with the most layers.
    """
    longest_first = sorted(densities.values(), key=len, reverse=True)
    layers = list(dict.fromkeys(layer for values in longest_first for layer in values))
    figure = Picture(1.1 + 0.17 * len(layers))
    axis = figure.subplots()
    for order, (name, values) in enumerate(densities.items()):
        style = INIT_STYLE.get(name, OTHER_METHOD)
        shift = 0.25 * (order - (len(densities) - 1) / 2)  # equal densities must not hide each other
        places = [layers.index(layer) + shift for layer in values]
        axis.plot(list(values.values()), places, linestyle="", label=name, markersize=4, alpha=0.9, **style)
    axis.set_yticks(range(len(layers)), [layer.removesuffix(".weight") for layer in layers], fontsize=7)
    axis.set(xlim=(-0.02, 1.04), ylim=(len(layers) - 0.4, -0.6), xlabel="density of the layer")
    figure.legend(loc="outside upper center", ncols=len(densities))
    return figure


def states(before, kept, after) -> np.ndarray:
    """The place in STATES of every weight, as a matrix (out, in): what an update makes of it."""
    before, kept, after = (np.asarray(mask, bool).reshape(len(mask), -1) for mask in (before, kept, after))
    dropped = before & ~kept
    choices = {
        "kept": kept,
        "regrown": dropped & after,
        "grown": after & ~before,
        "dropped": dropped & ~after,
    }
    return np.select(list(choices.values()), [list(STATES).index(name) for name in choices], default=0)


@rc_context(STYLE)
def mask_update(before, kept, after, values=None, title: str = "") -> Figure:
    """One mask update on a layer: the weights kept, dropped, grown, dropped and grown again, or inactive.

    `before`, `kept` (after the drop) and `after`: boolean masks of one shape, (out, in, ...). Equal masks
    show a stage. `values`: numbers for the cells of a small layer (weights, or the score that decides).
    """
    state = states(before, kept, after)
    rows, columns = state.shape
    cell = min(0.55, (WIDTH - 0.6) / columns)
    figure = Picture(min(max(rows * cell, 1.2), 6.0) + 1.1)
    axis = figure.subplots()
    colors = ListedColormap([color for color, _ in STATES.values()])
    aspect = "equal" if cell >= SMALL_CELL else "auto"
    axis.imshow(state, cmap=colors, vmin=-0.5, vmax=len(STATES) - 0.5, aspect=aspect)
    axis.set(xlabel="input", ylabel="output unit", title=title)
    axis.grid(False)
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    if cell >= SMALL_CELL:
        _write_cells(axis, state, None if values is None else np.asarray(values, float).reshape(rows, columns))
    handles = [
        Patch(facecolor=color, edgecolor="0.4", label=f"{symbol} {name} ({(state == code).sum()})".strip())
        for code, (name, (color, symbol)) in enumerate(STATES.items())
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _write_cells(axis: Axes, state: np.ndarray, values: np.ndarray | None) -> None:
    """Symbol and number in every cell, a white line between cells."""
    names = list(STATES)
    for (row, column), code in np.ndenumerate(state):
        number = "" if values is None else f"{round(values[row, column], 2) + 0.0:.2f}"  # no "-0.00"
        text = f"{STATES[names[code]][1]}\n{number}".strip()
        color = "white" if names[code] in DARK else "black"
        axis.text(column, row, text, ha="center", va="center", fontsize=7.5, color=color)
    axis.set_xticks(np.arange(state.shape[1] + 1) - 0.5, minor=True)
    axis.set_yticks(np.arange(state.shape[0] + 1) - 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=1.5)
    axis.tick_params(which="minor", length=0)
