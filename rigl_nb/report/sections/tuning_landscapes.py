"""Figures of section 5.3: accuracy over α and ΔT, and over the learning rate, from the frames of `tuning`."""

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.tri import Triangulation

from rigl_nb.claims.statements.tuning import DENSITIES, INITS
from rigl_nb.experiments import grids
from rigl_nb.report.figures.style import METHOD_STYLE, STYLE, Picture
from rigl_nb.report.sections import tuning

SPAN = [high - low for low, high, _ in grids.TUNED.values()]
LEVELS, FLAT = 8, 0.2  # bands of colour, and the range in points that they cover at least
DENSITY_STYLE = dict(zip(DENSITIES, (("#6baed6", "o"), ("#2171b5", "s"), ("#08306b", "^")), strict=True))
MARKS = {
    "reference": {"marker": "X", "color": "#D55E00", "markersize": 8, "markeredgecolor": "white"},
    "best trial": {"marker": "*", "color": "#CC79A7", "markersize": 13, "markeredgecolor": "black"},
    "published optimum": {"marker": "*", "color": "none", "markersize": 13, "markeredgecolor": "black"},
}


@rc_context(STYLE)
def contours(points: pd.DataFrame, printed: pd.DataFrame, densities: tuple[float, ...] = DENSITIES) -> Figure:
    """Validation accuracy over α and ΔT, below the best trial of each panel, in points; a dot is a trial.

    `points`: `tuning.means` of the trials; a panel without any shows the published optimum and the reference alone.
    """
    best = points.groupby(["init", "density"])["validation"].transform("max")
    points = points.assign(below=points["validation"] - best)
    depth = max(FLAT, -points["below"].min() if len(points) else 0)
    edges = np.append(np.linspace(-depth, 0, LEVELS + 1)[:-1], 1e-6)  # bands do not hold a triangle at their upper edge
    norm = BoundaryNorm(edges, colormaps["cividis"].N)
    figure = Picture(5.2 if len(densities) > 1 else 3.2)
    shape = (len(INITS), len(densities)) if len(densities) > 1 else (1, len(INITS))
    panels = figure.subplots(*shape, sharex=True, sharey=True, squeeze=False)
    cells = [(init, density) for init in INITS for density in densities]
    for axis, (init, density) in zip(panels.flat, cells, strict=True):
        own = [frame[(frame["init"] == init) & (frame["density"] == density)] for frame in (points, printed)]
        _surface(axis, *own, norm)
        axis.set_title(f"{init}, density {density:g}")
        if own[0].empty:
            axis.text(0.97, 0.95, "no trial yet", transform=axis.transAxes, ha="right", va="top", color="0.4")
    for axis in panels[-1]:
        axis.set_xlabel("α")
    for axis in panels[:, 0]:
        axis.set_ylabel("ΔT")
    if len(points):
        colours = ScalarMappable(norm, "cividis")
        figure.colorbar(colours, ax=panels, label="points below the best trial", format="%.2f", shrink=0.8)
    marks = [name for name in MARKS if len(points) or name != "best trial"]
    handles = [Line2D([], [], label=name, linestyle="", **MARKS[name]) for name in marks]
    if len(points):
        handles.append(Line2D([], [], label="trial", linestyle="", marker="o", color="0.6", markeredgecolor="black"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _surface(axis: Axes, points: pd.DataFrame, printed: pd.DataFrame, norm: BoundaryNorm) -> None:
    points = points.sort_values("trial")
    distinct = points.drop_duplicates(["alpha", "delta_t"])  # a search may ask for a setting again
    x, y, below = (distinct[name].to_numpy(float) for name in ("alpha", "delta_t", "below"))
    if (triangles := _triangles(x, y)) is not None:
        axis.tricontourf(Triangulation(x, y, triangles), below, levels=norm.boundaries, norm=norm, cmap="cividis")
    axis.scatter(x, y, c=below, norm=norm, cmap="cividis", s=18, edgecolors="black", linewidths=0.6, zorder=3)
    top = tuning.best(points)
    marks = {
        "reference": [[value] for value in tuning.REFERENCE],
        "published optimum": (printed["optimal_alpha"], printed["optimal_delta_t"]),
        "best trial": (top["alpha"], top["delta_t"]),
    }
    for name, place in marks.items():
        axis.plot(*place, linestyle="", label=name, zorder=4, **MARKS[name])
    (low, high, _), (short, long, _) = grids.TUNED.values()
    axis.set(xlim=(low - 0.03, high + 0.03), ylim=(short - 50, long + 50))


def _triangles(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Delaunay's triangles, with both ranges of the search scaled to 1; None where all points are on a line."""
    unit = np.column_stack((x / SPAN[0], y / SPAN[1]))
    if len(unit) < 3 or np.linalg.matrix_rank(unit - unit.mean(axis=0), tol=1e-6) < 2:
        return None
    return Triangulation(*unit.T).triangles


@rc_context(STYLE)
def learning_rates(points: pd.DataFrame) -> Figure | Markdown:
    """Test accuracy over the learning rate (Figure 2): `tuning.means` of the grid. Without a run, a sentence.

    A pale marker is a pair of α and ΔT. The line joins the best pairs by validation accuracy, with their std.
    """
    points = points[points["learning_rate"].isin(grids.RATES)]
    if points.empty:
        return Markdown("There is nothing to draw yet: no run of this grid has a record.")
    dense, rigl = points[points["method"] == "Dense"], points[points["method"] != "Dense"]
    figure = Picture(3.4)
    panels = figure.subplots(1, len(INITS), sharex=True, sharey=True)
    for axis, init in zip(panels, INITS, strict=True):
        own = rigl[rigl["init"] == init]
        for place, (density, (color, marker)) in enumerate(DENSITY_STYLE.items()):
            _rates(axis, own[own["density"] == density], place - 1, f"density {density:g}", color, marker)
        _rates(axis, dense, 2, "Dense", **METHOD_STYLE["Dense"])
        axis.set(title=f"{init} initialisation", xlabel="learning rate η", xscale="log")
        axis.set_xticks(grids.RATES, [f"{rate:g}" for rate in grids.RATES])
        axis.set_xticks([], minor=True)
        axis.set_xlim(min(grids.RATES) / 1.3, max(grids.RATES) * 1.3)
    panels[0].set_ylabel("test accuracy (%)")
    lines = {line.get_label(): line for axis in panels for line in axis.containers}
    figure.legend(handles=list(lines.values()), loc="outside lower center", ncols=4)
    return figure


def _rates(axis: Axes, points: pd.DataFrame, place: int, label: str, color: str, marker: str) -> None:
    if points.empty:
        return
    aside = 1.03**place  # equal values must not hide each other
    look = {"color": color, "marker": marker}
    axis.plot(points["learning_rate"] * aside, points["mean"], linestyle="", alpha=0.3, markersize=4, **look)
    top = tuning.best(points, of=["learning_rate"]).sort_values("learning_rate")
    spread = top["std"].fillna(0)
    axis.errorbar(top["learning_rate"] * aside, top["mean"], spread, label=label, markersize=5, elinewidth=0.8, **look)
