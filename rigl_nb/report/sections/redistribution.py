"""Layer densities that move during training (section 6.2), from records: where they go, when they settle, their cost.

The layers and the FLOPs are those of the network that the record trained.
"""

import math
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rigl_nb import flops
from rigl_nb.claims import judge
from rigl_nb.distributions import DISTRIBUTIONS
from rigl_nb.experiments.equal_flops import layers
from rigl_nb.report.figures.style import INIT_LINE, INIT_STYLE, STYLE, Picture, method_style
from rigl_nb.report.figures.training import trajectory
from rigl_nb.runs.record import Record

SETTLED = 0.05  # a layer's density is constant once it stays this close to its last value
SATURATION = 10_000 / 88_000  # of the training: the report's "few epochs (~10k steps)"
INITS = ("Random", "ERK")
GROUPS = {
    "Random": "1 Random",
    "ERK": "2 ERK",
    "RigL-SM (Random)": "3 mask of RigL-SM",
    "RigL-SM (ERK)": "3 mask of RigL-SM",
    "densities of RigL-SM (Random)": "4 densities of RigL-SM (ours)",
    "densities of RigL-SM (ERK)": "4 densities of RigL-SM (ours)",
}


def printed(table5: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The published rows of Table 5 with the columns that cells are found by; `names`: data by the printed name."""
    groups = table5["init"].map(GROUPS)
    return table5.assign(multiplier=1, data=table5["dataset"].map(names), group=groups)


def with_ours(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of `printed`, and those that only we have, without values: RigL from the densities of RigL-SM."""
    copied = rows[rows["init"].str.startswith("RigL-SM")]
    ours = copied.assign(init="densities of " + copied["init"])
    ours = ours.assign(group=ours["init"].map(GROUPS), accuracy_mean=math.nan, accuracy_std=math.nan)
    return pd.concat([rows, ours.assign(train_flops=math.nan, test_flops=math.nan)], ignore_index=True)


def inference(record: Record) -> list[float]:
    """FLOPs of a prediction, as a fraction of the dense model's, at the start and after every epoch."""
    _, cost = layers(record.spec.model, record.spec.data)
    return [flops.weighted(cost, densities) / sum(cost.values()) for densities in trajectory(record)]


def settled(record: Record, tolerance: float = SETTLED) -> int:
    """The epoch after which every layer stays within `tolerance` of its final density; 0: from the start."""
    course = trajectory(record)
    final = course[-1]
    moved = [max(abs(densities[layer] - final[layer]) for layer in final) > tolerance for densities in course]
    return max((epoch + 1 for epoch, far in enumerate(moved) if far), default=0)


def reference(record: Record, init: str) -> dict[str, float]:
    """The densities that a distribution gives the record's network, at its density; Random leaves the first out."""
    shapes, _ = layers(record.spec.model, record.spec.data)
    covered = list(shapes)[init == "Random" :]
    return DISTRIBUTIONS[init]({layer: shapes[layer] for layer in covered}, record.spec.density)


def extremes(record: Record) -> tuple[int, int, int]:
    """Layers that end further from Random than ERK does, on ERK's side; those of ERK and record dense; and all.

    Only layers that Random and the record both mask. Where ERK is dense nothing can be further.
    """
    random, erk, final = reference(record, "Random"), reference(record, "ERK"), trajectory(record)[-1]
    further = dense = 0
    compared = [layer for layer in random if layer in final and not math.isclose(erk[layer], random[layer])]
    for layer in compared:
        side = 1 if erk[layer] > random[layer] else -1
        further += side * (final[layer] - erk[layer]) > 1e-9
        dense += math.isclose(erk[layer], 1) and math.isclose(final[layer], 1)
    return further, dense, len(compared)


def shortcuts(record: Record) -> dict[str, float]:
    """Of the 1×1 shortcuts: density, that of all masked layers, and the share of the FLOPs added to `start`.

    "start" is the distribution that the run started from. A share of NaN: nothing was added.
    """
    shapes, cost = layers(record.spec.model, record.spec.data)
    start, final = trajectory(record)[0], trajectory(record)[-1]
    small = [layer for layer in final if "shortcut" in layer and set(shapes[layer][2:]) == {1}]
    added = {layer: cost[layer] * (final[layer] - start[layer]) for layer in final}
    total = sum(added.values())
    share = sum(added[layer] for layer in small) / total if total > 0 else math.nan
    return {"shortcuts": _mean(shapes, final, small), "all": _mean(shapes, final, list(final)), "share": share}


def _mean(shapes: Mapping[str, tuple[int, ...]], densities: Mapping[str, float], layers: Sequence[str]) -> float:
    sizes = {layer: math.prod(shapes[layer]) for layer in layers}
    return sum(sizes[layer] * densities[layer] for layer in layers) / sum(sizes.values())


def measures(profile: str, records: Sequence[Record]) -> pd.DataFrame:
    """One row per record whose densities moved: what the text says of them, as numbers. `base`: RigL's test FLOPs."""
    base = {_place(r): r.test_flops for r in records if r.spec.method == "RigL"}
    rows = []
    for record in records:
        if len(record.active) > 1:
            spec, (further, dense, layers) = record.spec, extremes(record)
            row = {"profile": profile, "data": spec.data, "model": spec.model, "method": spec.label}
            row |= {"density": spec.density, "seed": spec.seed, "epochs": spec.total_epochs}
            row |= {"settled": settled(record), "further": further, "dense": dense, "layers": layers}
            row |= shortcuts(record)
            rows.append(row | {"test_flops": record.test_flops, "base": base.get(_place(record), math.nan)})
    columns = ["profile", "data", "model", "method", "density", "seed", "epochs", "settled", "further", "dense"]
    return pd.DataFrame(rows, columns=[*columns, "layers", "shortcuts", "all", "share", "test_flops", "base"])


def _place(record: Record) -> tuple:
    spec = record.spec
    return spec.data, spec.model, spec.initialisation, spec.density, spec.seed


# What the text says of moving densities, and the condition on a record's row of `measures`.
STATEMENTS = {
    "The layer-wise sparsity distribution largely becomes constant within a few epochs": (
        "settled in the first 10,000 of 88,000 iterations",
        # Only where an epoch, the finest that a record knows, is not longer than that.
        lambda rows: (rows["settled"] / rows["epochs"] <= SATURATION)[rows["epochs"] * SATURATION >= 1],
    ),
    "wherever ERK exceeds/falls short of Random, redistribution does so by a greater extent": (
        "every layer that can be",
        lambda rows: rows["further"] + rows["dense"] == rows["layers"],
    ),
    "allocating higher densities to 1×1 convolutions": (
        "shortcuts above all layers together",
        lambda rows: rows["shortcuts"] > rows["all"],
    ),
    "redistribution significantly increases the FLOP requirement": (
        "test FLOPs above those of RigL with this start",
        lambda rows: (rows["test_flops"] > rows["base"])[rows["base"].notna()],  # where RigL has a run
    ),
}


def scores(found: pd.DataFrame, runs: int) -> pd.DataFrame:
    """Each statement: how many rows of `measures` satisfy it, by profile; a verdict on `paper` if all `runs` exist."""
    paper = found[found["profile"] == "paper"]
    rows = []
    for quote, (tested, condition) in STATEMENTS.items():
        row = {"claim": f"“{quote}”", "tested, for each run": tested}
        for profile, part in found.groupby("profile", sort=False):
            agree = condition(part)
            row[f"{profile}: runs that agree"] = f"{agree.sum()} of {len(agree)}" if len(agree) else "–"
        agree = condition(paper)
        row["verdict"] = _word(agree) if len(agree) == runs > 0 else judge.NOT_ENOUGH
        rows.append(row)
    return pd.DataFrame(rows)


def _word(agree: pd.Series) -> str:
    outcome = judge.SUPPORTED if agree.all() else judge.UNDECIDED if agree.any() else judge.OPPOSITE
    return judge.WORDS[judge.FULL][outcome]


@rc_context(STYLE)
def cost_over_training(records: Mapping[str, Record], title: str) -> Figure:
    """FLOPs of a prediction after every epoch, relative to the dense model (Figure 4, left): {label: record}."""
    figure = Picture(3.2)
    axis = figure.subplots()
    for label, record in records.items():
        style, course = method_style(record.spec.method), inference(record)
        marker = {"marker": style["marker"], "markeredgecolor": "0.3"} if len(course) <= 30 else {}
        line = {"color": style["color"], "linestyle": INIT_LINE.get(record.spec.init, "-")}
        axis.plot(range(len(course)), course, label=label, **line, **marker)
    axis.set(title=title, xlabel="epoch (0: the start)", ylabel="FLOPs of a prediction (dense: 1)")
    axis.set_ylim(bottom=0)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@rc_context(STYLE)
def final_densities(records: Mapping[str, Record], title: str) -> Figure:
    """Final density of every layer beside Random and ERK (Figure 4, right), a panel for each start of the records."""
    starts = list(dict.fromkeys(record.spec.init for record in records.values()))
    first = next(iter(records.values()))
    layers = list(reference(first, "ERK"))
    figure = Picture(1.7 + 0.17 * len(layers))
    panels = figure.subplots(1, len(starts), sharey=True, squeeze=False)[0]
    for axis, start in zip(panels, starts, strict=True):
        series = [(init, reference(first, init), INIT_STYLE[init] | {"markerfacecolor": "none"}) for init in INITS]
        for record in records.values():
            if record.spec.init == start:
                look = method_style(record.spec.method) | {"markeredgecolor": "0.3"}
                series.append((record.spec.method, trajectory(record)[-1], look))
        _draw(axis, layers, series)
        axis.set(title=f"{start} start", xlabel="density of the layer")
    panels[0].set_yticks(range(len(layers)), [layer.removesuffix(".weight") for layer in layers], fontsize=7)
    panels[0].set_ylim(len(layers) - 0.4, -0.6)
    handles = {line.get_label(): line for axis in panels for line in axis.get_lines()}
    figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=len(handles))
    figure.suptitle(title, fontsize=10)
    return figure


def _draw(axis: Axes, layers: list[str], series: Sequence[tuple[str, Mapping[str, float], Mapping]]) -> None:
    for order, (label, values, look) in enumerate(series):
        shift = 0.18 * (order - (len(series) - 1) / 2)  # equal densities must not hide each other
        places = [layers.index(layer) + shift for layer in values]
        axis.plot(list(values.values()), places, linestyle="", label=label, markersize=4.5, **look)
    axis.set_xlim(-0.03, 1.05)
