"""Figures from runs and histories: pure functions that return a Figure. Those of layers are in `layers`."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rigl_nb.claims.claim import Cell
from rigl_nb.report.figures.layers import layer_densities, mask_update
from rigl_nb.report.figures.style import INIT_LINE, METHOD_STYLE, STYLE, Picture, method_style
from rigl_nb.schedules import drop_fraction

__all__ = [
    "METHOD_STYLE",
    "accuracy_by_density",
    "drop_fraction_curve",
    "layer_densities",
    "mask_update",
]

PANELS = {
    "Random initialisation": {"init": "Random", "multiplier": 1},
    "ERK initialisation": {"init": "ERK", "multiplier": 1},
    "2× training": {"multiplier": 2},
}
BELOW = r"$\downarrow$"  # the marker of a value under the axis; no method has it


@rc_context(STYLE)
def accuracy_by_density(
    runs: pd.DataFrame, published: pd.DataFrame | None = None, panels: Mapping[str, Mapping] = PANELS
) -> Figure:
    """Test accuracy over density, one panel per entry of `panels` (Figure 1).

    A filled marker is one run, the line joins the means of the seeds; an open marker is a printed mean with
    its standard deviation. The dense model is a horizontal line. Values far below all others (a collapsed
    run) stand at the lower edge: an arrow down, with their number. ValueError: nothing to draw.
    """
    runs = _points(runs[runs["present"].astype(bool)], "test_accuracy")
    printed = runs.iloc[:0] if published is None else _points(published, "accuracy_mean", "accuracy_std")
    both = pd.concat([part for part in (runs, printed) if len(part)] or [runs])
    if both.empty:
        raise ValueError("nothing to draw: no run is present and no printed value is given")
    floor = _floor(both["value"])
    figure = Picture(3.8)
    axes = figure.subplots(1, len(panels), sharey=True, sharex=True, squeeze=False)[0]
    for axis, (title, wanted) in zip(axes, panels.items(), strict=True):
        axis.set(title=title, xlabel="density (log scale)", xscale="log")
        ticks = sorted({density for density in both["density"] if density < 1})
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_xticks([], minor=True)
        for points, draw in ((printed, _draw_printed), (runs, _draw_runs)):
            for (method, init), series in _panel(points, wanted).groupby(["method", "init"], sort=False):
                draw(axis, method, init, series, floor)
        _draw_dense(axis, runs, printed)
    axes[0].set_ylabel("test accuracy (%)")
    low, high = both["value"][both["value"] >= floor].agg(["min", "max"])
    room = 0.3 if (both["value"] < floor).any() else 0.08
    axes[0].set_ylim(low - room * (high - low) - 0.3, high + 0.05 * (high - low) + 0.3)
    shown = pd.concat([_panel(both, wanted) for wanted in panels.values()])
    handles = _legend(shown, runs, printed)
    if (shown["value"] < floor).any():
        handles.append(Line2D([], [], label="below the axis, with its value", ls="", marker=BELOW, color="0.3"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _points(frame: pd.DataFrame, value: str, std: str | None = None) -> pd.DataFrame:
    """Columns method, init ("" where it has none), multiplier, density, value, std."""
    points = frame[["method", "init", "multiplier", "density"]].astype({"density": float})
    spread = frame[std].astype(float) if std else 0.0
    init = points["init"].astype(object).where(points["init"].notna(), "")
    return points.assign(init=init, value=frame[value].astype(float), std=spread)


def _panel(points: pd.DataFrame, wanted: Mapping) -> pd.DataFrame:
    """Rows of a panel. Methods without an initialisation are in every panel of their length."""
    points = points[(points["method"] != "Dense") & (points["multiplier"] == wanted["multiplier"])]
    return points[points["init"].isin(["", wanted["init"]])] if "init" in wanted else points


def _floor(values: pd.Series) -> float:
    """Below this, a value would flatten all others: three interquartile ranges (3 points at least) below."""
    low, high = values.quantile([0.25, 0.75])
    return low - 3 * max(high - low, 1.0)


def _shifted(density: pd.Series | pd.Index, method: str, init: str) -> np.ndarray:
    """Densities moved sideways by a few percent, always the same for a method: markers stay apart."""
    place = list(METHOD_STYLE).index(method) if method in METHOD_STYLE else len(METHOD_STYLE)
    return np.asarray(density, float) * 1.025 ** (place - 4 + 0.5 * (init == "ERK"))


def _name(method: str, init: str, series: pd.DataFrame) -> str:
    return Cell(method, init or None, multiplier=int(series["multiplier"].iloc[0])).name


def _draw_runs(axis: Axes, method: str, init: str, runs: pd.DataFrame, floor: float) -> None:
    style, name = method_style(method), _name(method, init, runs)
    means = runs.groupby("density")["value"].mean()
    line = {"linestyle": INIT_LINE.get(init, "-"), "color": style["color"], "label": f"mean {name}"}
    axis.plot(_shifted(means.index, method, init), means, **line)
    x = _shifted(runs["density"], method, init)
    axis.plot(x, runs["value"], linestyle="", markersize=4, alpha=0.85, label=f"runs {name}", **style)
    _draw_below(axis, x, runs["value"], floor, height=0.03, color=style["color"])


def _draw_printed(axis: Axes, method: str, init: str, printed: pd.DataFrame, floor: float) -> None:
    style, x = method_style(method), _shifted(printed["density"], method, init)
    spread = printed["std"].where(printed["value"] >= floor, 0.0)
    look = {"markerfacecolor": "none", "markersize": 8, "elinewidth": 0.8, "linewidth": 0.6, "alpha": 0.7}
    look |= {"linestyle": INIT_LINE.get(init, "-"), "label": f"published {_name(method, init, printed)}"}
    axis.errorbar(x, printed["value"], spread, **look, **style)
    _draw_below(axis, x, printed["value"], floor, height=0.12, color=style["color"])


def _draw_below(axis: Axes, x: np.ndarray, values: pd.Series, floor: float, height: float, **look) -> None:
    """Values under the axis: an arrow near the lower edge, with the number above it."""
    edge = axis.get_xaxis_transform()
    for place, value in zip(x, values, strict=True):
        if value < floor:
            axis.plot(place, height, marker=BELOW, markersize=7, transform=edge, label="below the axis", **look)
            text = {"color": look["color"], "transform": edge, "ha": "center", "va": "bottom", "fontsize": 7}
            axis.text(place, height + 0.03, f"{value:.1f}", **text)


def _draw_dense(axis: Axes, runs: pd.DataFrame, printed: pd.DataFrame) -> None:
    color = METHOD_STYLE["Dense"]["color"]
    for points, line, label in ((printed, ":", "Dense, published"), (runs, "-", "Dense")):
        dense = points[points["method"] == "Dense"]["value"]
        if len(dense):
            axis.axhline(dense.mean(), color=color, linestyle=line, linewidth=1, label=label)
        if len(dense) > 1:
            axis.axhspan(dense.mean() - dense.std(), dense.mean() + dense.std(), color="0.85", zorder=0)


def _legend(shown: pd.DataFrame, runs: pd.DataFrame, printed: pd.DataFrame) -> list[Line2D]:
    methods = sorted(set(shown["method"]), key=[*METHOD_STYLE, *shown["method"]].index)
    handles = [Line2D([], [], label=method, linestyle="", **method_style(method)) for method in methods]
    grey = {"color": "0.3"}
    if len(runs):
        handles.append(Line2D([], [], label="one run", linestyle="", marker="o", markersize=4, **grey))
        handles.append(Line2D([], [], label="mean of the seeds", **grey))
    if len(printed):
        handles.append(Line2D([], [], label="published", linestyle="", marker="o", markerfacecolor="none", **grey))
    if "ERK" in set(shown["init"]):
        handles.append(Line2D([], [], label="ERK", linestyle=INIT_LINE["ERK"], **grey))
    for points, line, label in ((runs, "-", "Dense ± std"), (printed, ":", "Dense, published")):
        if (points["method"] == "Dense").any():
            handles.append(Line2D([], [], label=label, color="black", linewidth=1, linestyle=line))
    return handles


@rc_context(STYLE)
def drop_fraction_curve(alpha: float, t_end: int, updates: Iterable[int] = ()) -> Figure:
    """Share of connections that each update replaces (equation 1); `updates`: the iterations of updates."""
    figure = Picture(2.6)
    axis = figure.subplots()
    steps, updates = np.linspace(0, t_end * 4 / 3, 401), list(updates)
    axis.plot(
        steps,
        [drop_fraction(step, alpha, t_end) for step in steps],
        color=METHOD_STYLE["RigL"]["color"],
        label="f(t)",
    )
    dots = [drop_fraction(step, alpha, t_end) for step in updates]
    size = 5 if len(updates) <= 40 else 2
    axis.plot(updates, dots, "o", color="#D55E00", markersize=size, label=f"{len(updates)} mask updates")
    axis.axvline(t_end, color="0.4", linestyle="--", linewidth=1, label=r"$T_\mathrm{end}$")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.set(
        xlabel="iteration t",
        ylabel="drop fraction f(t)",
        title=rf"α = {alpha:g}, $T_\mathrm{{end}}$ = {t_end:,}",
    )
    axis.legend()
    return figure
