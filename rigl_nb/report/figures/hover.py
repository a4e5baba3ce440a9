"""One mask update as a table that answers the mouse: every weight says why it stayed, went or came."""

import html
from collections.abc import Callable

import numpy as np
from IPython.display import HTML

from rigl_nb.report.figures.layers import DARK, STATES, states

WIDEST = 640  # pixels: the room that a page has
LARGE_CELL = 62  # pixels: a cell with a number

# Viewers that leave style sheets out still show colours, numbers and words. The outline is seen on every colour.
SHEET = """<style>
.rigl-cells table{border-collapse:separate;border-spacing:1px;margin:4px 0;width:auto}
.rigl-cells td{padding:0;border:0;text-align:center;line-height:1.3;font-size:13px;cursor:help}
.rigl-cells td:hover{outline:2px solid #000;box-shadow:inset 0 0 0 2px #fff}
.rigl-cells p{margin:4px 0;font-size:13px;line-height:1.9}
.rigl-cells p span{padding:2px 7px;white-space:nowrap}
</style>"""


def mask_update(before, kept, after, weight, gradient, by_chance=False, values=None, title: str = "") -> HTML:
    """The picture of `layers.mask_update` in HTML, with `reasons` under the mouse.

    `values`: numbers for the cells of a small layer.
    """
    found, names = states(before, kept, after), list(STATES)
    rows, columns = found.shape
    numbers = None if values is None else np.asarray(values, float).reshape(found.shape)
    size = LARGE_CELL if numbers is not None else max(5, WIDEST // columns - 1)
    words = np.reshape(reasons(before, kept, after, weight, gradient, by_chance), found.shape)
    lines = []
    for row in range(rows):
        cells = []
        for column in range(columns):
            name = names[found[row, column]]
            text = "" if numbers is None else f"{STATES[name][1]}<br>{round(numbers[row, column], 2) + 0.0:.2f}"
            said = html.escape(words[row, column]).replace("\n", "&#10;")
            cells.append(f'<td style="{_look(name)};width:{size}px;height:{size}px" title="{said}">{text}</td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    key = " ".join(
        f'<span style="{_look(name)}">{symbol} {name} ({(found == code).sum()})</span>'
        for code, (name, (_, symbol)) in enumerate(STATES.items())
    )
    head = f"<p>{html.escape(title)}</p>" if title else ""
    return HTML(f'<div class="rigl-cells">{SHEET}{head}<table>{"".join(lines)}</table><p>{key}</p></div>')


def _look(name: str) -> str:
    return f"background-color:{STATES[name][0]};color:{'#FFF' if name in DARK else '#000'}"


def reasons(before, kept, after, weight, gradient, by_chance: bool = False) -> list[str]:
    """Why each weight of a layer is what it is after an update, in flat order, with the numbers that decided.

    The arguments are those of one update: masks before it, after the drop, and after growth; `by_chance`: growth does
    not look at the gradient. ValueError: the masks do not follow from these numbers.
    """
    columns = np.asarray(weight).reshape(len(weight), -1).shape[1]
    before, kept, after = (np.asarray(mask, bool).ravel() for mask in (before, kept, after))
    weight, gradient = (np.asarray(numbers, float).ravel() for numbers in (weight, gradient))
    went = _ranking("|weight|", -np.abs(weight), before, before & ~kept, "smallest", "active weights")
    rank = _drawn if by_chance else _ranking
    came = rank("|gradient|", np.abs(gradient), ~kept, after & ~kept, "largest", "candidates")
    found = []
    for i in range(weight.size):
        if kept[i]:
            why = f"kept: {went(i) or 'nothing is dropped'}"
        elif before[i]:
            again = f"{'regrown' if after[i] else 'not regrown'}: {came(i)}" if came(i) else ""
            why = "\n".join(filter(None, (f"dropped: {went(i)}", again)))
        else:
            why = f"{'grown' if after[i] else 'left out'}: {came(i) or 'nothing is grown'}"
        place = f"index {i}: row {i // columns}, column {i % columns}"
        found.append(f"{place}\nweight {weight[i]:.3g}, gradient {gradient[i]:.3g}\n{why}")
    return found


Words = Callable[[int], str]


def _ranking(name: str, score: np.ndarray, eligible: np.ndarray, chosen: np.ndarray, most: str, noun: str) -> Words:
    """What decides between the eligible entries: those of highest `score` are chosen."""
    rest = eligible & ~chosen
    if chosen.any() and rest.any() and score[chosen].min() < score[rest].max():
        raise ValueError(f"the masks do not follow from {name}: the {most} {noun} are not the chosen ones")
    edge = set(score[chosen]) & set(score[rest])  # a tie: one value at most
    first = "the lower index is kept" if most == "smallest" else "the lower index comes first"
    several = f"among the {chosen.sum()} {most}" if chosen.sum() > 1 else f"the {most}"

    def words(i: int) -> str:
        if not chosen.any():
            return ""
        tie = f"; of equal ones {first}" if score[i] in edge else ""
        return f"{name} {abs(score[i]):.3g} is {'' if chosen[i] else 'not '}{several} of {eligible.sum()} {noun}{tie}"

    return words


def _drawn(name: str, score: np.ndarray, eligible: np.ndarray, chosen: np.ndarray, most: str, noun: str) -> Words:
    """The same where chance decides, whatever the score."""
    total = f"the {chosen.sum()} drawn at random from {eligible.sum()} {noun}"
    return lambda i: f"{'one' if chosen[i] else 'not one'} of {total}" if chosen.any() else ""
