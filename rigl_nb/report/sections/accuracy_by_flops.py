"""Random and ERK at equal FLOPs (section 6.1): which densities cost the same, and what accuracy they reach."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rigl_nb import flops
from rigl_nb.claims.claim import PUBLISHED_SEEDS
from rigl_nb.experiments import grids
from rigl_nb.experiments.equal_flops import inference
from rigl_nb.experiments.profiles import Profile, Row
from rigl_nb.report.figures.style import INIT_LINE, INIT_STYLE, STYLE, Picture

INITS = ("Random", "ERK")
TITLES = {"cifar10": "CIFAR-10, WRN-22-2", "cifar100": "CIFAR-100, ResNet-50"}


def matched(profile: Profile) -> pd.DataFrame:
    """One row per data set of the report and budget that the profile trains: both densities and both costs.

    `budget` is the density of Random, `density` the one of ERK that costs as much; `Random`, `ERK` are what a
    prediction costs, as fractions of the dense network's. `data` is what the profile trains on.
    """
    rows = []
    for report in (name for name in grids.DATA.values() if name in profile.data):
        spec = profile.spec(Row("Dense", None, 1.0, data=report), seed=0)
        trained = {run.density for run in grids.figure3(profile) if (run.model, run.init) == (spec.model, "Random")}
        for budget in sorted(trained):
            densities = dict(zip(INITS, (budget, grids.matched(profile, report, budget)), strict=True))
            costs = [inference(spec.model, spec.data, init, density) for init, density in densities.items()]
            rows.append((report, spec.data, spec.model, *densities.values(), *costs))
    return pd.DataFrame(rows, columns=["report", "data", "model", "budget", "density", *INITS])


def published(figure3: pd.DataFrame, names: Mapping[str, str], pairs: pd.DataFrame) -> pd.DataFrame:
    """The printed points of Figure 3 as rows of a results table: ERK at the density that `pairs` matched.

    `names`: data by the printed name. The report does not print ERK's densities.
    """
    rows = figure3.assign(data=figure3["dataset"].map(names), method="RigL", multiplier=1)
    rows = rows.rename(columns={"budget_density": "budget"})
    rows = rows.merge(pairs[["data", "budget", "density", *INITS]], on=["data", "budget"], validate="many_to_one")
    random = rows["init"] == "Random"
    fraction = rows["Random"].where(random, rows["ERK"])
    train = [flops.train_fraction("RigL", f) for f in fraction]
    return rows.assign(density=rows["density"].where(~random, rows["budget"]), train_flops=train)


def measured(runs: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """The present runs of one profile (`Store.frame`) that belong to a pair, with the `budget` of each."""
    sides = [
        pairs.assign(init=init, density=pairs[column])[["data", "model", "init", "density", "budget", "report"]]
        for init, column in zip(INITS, ("budget", "density"), strict=True)
    ]
    runs = runs[runs["present"].astype(bool) & (runs["method"] == "RigL") & (runs["multiplier"] == 1)]
    return runs.merge(pd.concat(sides), on=["data", "model", "init", "density"], validate="many_to_one")


def comparison(
    printed: pd.DataFrame, evidence: Mapping[str, pd.DataFrame], pairs: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Mean, std and n of Random and ERK at every budget, and Random minus ERK: printed, and per profile with runs."""
    values = printed.rename(columns={"accuracy_mean": "mean", "accuracy_std": "std"})
    parts = [values.assign(source="published", report=printed["data"], n=PUBLISHED_SEEDS)]
    for name, runs in evidence.items():
        here = measured(runs, pairs[name])
        grouped = here.groupby(["report", "budget", "init", "density"], sort=False)["test_accuracy"]
        parts.append(grouped.agg(["mean", "std", "count"]).reset_index().rename(columns={"count": "n"}))
        parts[-1]["source"] = name
    columns = ["report", "budget", "source", "init", "density", "mean", "std", "n"]
    table = pd.concat([part[columns] for part in parts if len(part)], ignore_index=True)
    wide = table.pivot(index=["report", "budget", "source"], columns="init", values=["density", "mean", "std", "n"])
    wide = wide.reindex(columns=pd.MultiIndex.from_product([["density", "mean", "std", "n"], INITS]))
    order = {name: place for place, name in enumerate(["published", *evidence])}
    wide = wide.sort_index(key=lambda level: level.map(order) if level.name == "source" else level)
    wide["difference", ""] = wide["mean", "Random"] - wide["mean", "ERK"]
    return wide


@rc_context(STYLE)
def accuracy_by_flops(
    printed: pd.DataFrame, runs: pd.DataFrame | None = None, titles: Mapping[str, str] = TITLES
) -> Figure:
    """Test accuracy over training FLOPs, a panel per data set (Figure 3); `runs` as `measured` returns them.

    Open marker: a printed mean with its standard deviation. Filled marker: one run, at the cost that it counted;
    the line joins the means. At a budget both initialisations have one cost: ERK's markers are moved a little aside.
    """
    figure = Picture(3.4)
    for axis, (data, title) in zip(figure.subplots(1, len(titles), squeeze=False)[0], titles.items(), strict=True):
        for init in INITS:
            points = printed[(printed["data"] == data) & (printed["init"] == init)].sort_values("train_flops")
            hollow = INIT_STYLE[init] | {"markerfacecolor": "none", "linestyle": INIT_LINE.get(init, "-")}
            x = _aside(points["train_flops"], init, 1)
            axis.errorbar(x, points["accuracy_mean"], points["accuracy_std"], capsize=2, linewidth=0.8, **hollow)
            ours = printed.iloc[:0] if runs is None else runs[(runs["report"] == data) & (runs["init"] == init)]
            if len(ours):
                _draw(axis, ours, init)
        random = printed[(printed["data"] == data) & (printed["init"] == "Random")]
        budgets = sorted(random["train_flops"])
        axis.set(title=title, xlabel="training FLOPs, dense = 1 (log scale)", xscale="log")
        axis.set_xticks(budgets, [f"{budget:.3f}×" for budget in budgets])
        axis.set_xticks([], minor=True)
    figure.axes[0].set_ylabel("test accuracy (%)")
    handles = [
        Line2D([], [], label=f"{init}, published", markerfacecolor="none", linestyle=INIT_LINE.get(init, "-"), **look)
        for init, look in INIT_STYLE.items()
        if init in INITS
    ]
    if runs is not None and len(runs):
        handles += [Line2D([], [], label=f"{init}, one run", linestyle="", **INIT_STYLE[init]) for init in INITS]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _draw(axis: Axes, runs: pd.DataFrame, init: str) -> None:
    means, look = runs.groupby("budget")[["train_flops", "test_accuracy"]].mean(), INIT_STYLE[init]
    x = _aside(means["train_flops"], init, 2)
    axis.plot(x, means["test_accuracy"], color=look["color"], linestyle=INIT_LINE.get(init, "-"))
    axis.plot(_aside(runs["train_flops"], init, 2), runs["test_accuracy"], linestyle="", markersize=4, **look)


def _aside(x: Iterable[float], init: str, step: int) -> np.ndarray:
    """Costs moved sideways by a few percent, so that equal ones can be told apart."""
    return np.asarray(x, float) * 1.03 ** (step if init == "ERK" else -step)
