"""What happened while runs trained, for any set of records: one figure in which they can be compared."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from IPython.display import Markdown
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rigl_nb.experiments.equal_flops import layers
from rigl_nb.report.figures.style import INIT_LINE, STYLE, Picture, method_style
from rigl_nb.runs.record import Record
from rigl_nb.spec import RunSpec

PALEST = 0.6  # how far the lightest shade of a method's colour is from it, on the way to white
FEW = 10  # epochs of a run whose points are marked
TELLING = {  # what sets configurations of one name apart, in this order
    "data": "{}",
    "model": "{}",
    "total_epochs": "{} epochs",
    "learning_rate": "η {:g}",
    "alpha": "α {:g}",
    "delta_t": "ΔT {}",
    "validation": "{} held out",
}


@dataclass(frozen=True)
class Group:
    """The records of one configuration, one for each seed, and how they are drawn."""

    name: str
    records: tuple[Record, ...]
    color: tuple[float, float, float]
    linestyle: str | tuple
    marker: str


def groups(records: Iterable[Record]) -> list[Group]:
    """Records by configuration, in order of appearance; a colour for each method, a line style for each init.

    What still looks alike gets lighter shades. A name holds what sets it apart from the others here.
    """
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.spec.config_id, []).append(record)
    called = names(runs[0].spec for runs in found.values())
    look = {config: (runs[0].spec.method, _line(runs[0].spec.init)) for config, runs in found.items()}
    result = []
    for config, runs in found.items():
        alike = [other for other in found if look[other] == look[config]]
        lighter = PALEST * alike.index(config) / max(len(alike) - 1, 2)
        style = method_style(runs[0].spec.method)
        color = tuple((1 - lighter) * part + lighter for part in to_rgb(style["color"]))
        result.append(Group(called[config], tuple(runs), color, look[config][1], style["marker"]))
    return result


def _line(init: str | None) -> str | tuple:
    return INIT_LINE.get(init, "-" if init in (None, "Random") else "-.")


def names(specs: Iterable[RunSpec]) -> dict[str, str]:
    """Names by config_id: the row's name and density, and of those that share them what differs."""
    known = {spec.config_id: spec for spec in specs}
    sharing: dict[str, list[str]] = {}
    for config, spec in known.items():
        sharing.setdefault(f"{spec.label} at {spec.density:g}", []).append(config)
    result = {}
    for name, configs in sharing.items():
        told = [field for field in TELLING if len({getattr(known[config], field) for config in configs}) > 1]
        for config in configs:
            words = [TELLING[field].format(getattr(known[config], field)) for field in told]
            result[config] = ", ".join([name, *words])
    return result


def trajectory(record: Record) -> list[dict[str, float]]:
    """Densities of the masked layers at the start and after every epoch. Record: only the epochs that change them."""
    shapes, _ = layers(record.spec.model, record.spec.data)
    changes = {entry["epoch"]: entry["counts"] for entry in record.active}
    found, counts = [], {}
    for epoch in range(record.spec.total_epochs + 1):
        counts = changes.get(epoch, counts)
        found.append({layer: n / math.prod(shapes[layer]) for layer, n in counts.items()})
    return found


@rc_context(STYLE)
def training_plots(records: Iterable[Record]) -> Figure | Markdown:
    """Loss, accuracy, learning rate, drop fraction, densities of the layers and FLOPs of any set of runs.

    A thick line is the mean of a configuration's seeds, a thin one a single seed. Without a record, a sentence.
    """
    shown = groups(records)
    if not shown:
        return Markdown("There is nothing to draw yet: none of these runs has a record.")
    longest = max(len(group.name) for group in shown)
    columns = 1 if longest > 45 else 2 if longest > 26 else 3
    rows = math.ceil((len(shown) + 3) / columns)
    figure = Picture(7.4 + 0.17 * rows)
    loss, accuracy, rate, drop, depth, cost = figure.subplots(3, 2).flat
    for group in shown:
        _curve(loss, group, "loss")
        _curve(accuracy, group, "train_accuracy", alpha=0.3, seeds=False)
        _curve(accuracy, group, "validation_accuracy")
        _curve(rate, group, "learning_rate", drawstyle="steps-mid")
        _curve(drop, group, "drop_fraction")
        _layers(depth, group)
        _cost(cost, group)
    loss.set(title="training loss")
    accuracy.set(title="accuracy (%): validation, pale: training")
    rate.set(title="learning rate", xlabel="epoch")
    drop.set(title="drop fraction", xlabel="epoch", ylim=(0, None))
    depth.set(title="density of layers at the end, pale: start", xlabel="layer, from the input", ylim=(0, 1.05))
    cost.set(title="FLOPs, of dense", xlabel="one prediction", ylabel="training", xlim=(0, 1.08))
    cost.set_ylim(0, max(1.08, 1.05 * cost.dataLim.y1))
    for axis in (loss, accuracy, rate, drop, depth):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis, words in ((drop, "no method that moves its masks"), (depth, "no method with masks")):
        if not axis.get_lines():
            axis.text(0.5, 0.5, words, ha="center", transform=axis.transAxes, color="0.4")
    handles = [_handle(group) for group in shown]  # long ones: dashes must show beside the marker
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=7.5, handlelength=3.2)
    return figure


def _handle(group: Group) -> Line2D:
    style = {"color": group.color, "linestyle": group.linestyle, "marker": group.marker, "markersize": 4}
    return Line2D([], [], label=f"{group.name} (n = {len(group.records)})", **style)


def _curve(axis: Axes, group: Group, key: str, alpha: float = 1.0, seeds: bool = True, **look) -> None:
    """The mean over the seeds, and each of several seeds thinly; nothing where all is missing or 0."""
    values = np.array([[_number(row.get(key)) for row in record.history] for record in group.records])
    if not np.nan_to_num(values).any():
        return
    epochs = [row["epoch"] for row in group.records[0].history]
    style = {"color": group.color, "linestyle": group.linestyle, **look}
    marker = {"marker": ".", "markersize": 4} if len(epochs) <= FEW else {}
    if seeds and len(values) > 1:
        axis.plot(epochs, values.T, linewidth=0.6, alpha=0.45 * alpha, **style)
    mean = _mean(values)
    axis.plot(epochs, mean, linewidth=1.8, alpha=alpha, label=group.name, **style, **marker)


def _mean(values: np.ndarray) -> np.ndarray:
    """Means of the columns over what is known; NaN where a column has nothing."""
    known = ~np.isnan(values)
    return np.where(known.any(0), np.where(known, values, 0).sum(0) / np.maximum(known.sum(0), 1), np.nan)


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _layers(axis: Axes, group: Group) -> None:
    """Density of every layer of a network with masks, the mean of the seeds; the start too, where it was another."""
    if not group.records[0].active[0]["counts"]:
        return
    spec = group.records[0].spec
    shapes, paths = layers(spec.model, spec.data)[0], [trajectory(record) for record in group.records]
    start, end = (np.mean([[path[at].get(name, 1) for name in shapes] for path in paths], axis=0) for at in (0, -1))
    style = {"color": group.color, "linestyle": group.linestyle, "marker": ".", "markersize": 4}
    places = range(1, len(shapes) + 1)
    if not np.allclose(start, end):
        axis.plot(places, start, linewidth=1, alpha=0.3, **style)
    axis.plot(places, end, label=group.name, **style)


def _cost(axis: Axes, group: Group) -> None:
    """A marker for every run: what a prediction costs, and what its training did."""
    test, train = zip(*((record.test_flops, record.train_flops) for record in group.records), strict=True)
    axis.plot(
        test, train, linestyle="", color=group.color, marker=group.marker, markersize=5, alpha=0.85, label=group.name
    )
