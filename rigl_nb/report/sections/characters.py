"""Tables and figures of language models: bits per character, the lower the better. From runs and records; no files."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas.io.formats.style import Styler

from rigl_nb.claims import judge
from rigl_nb.claims.claim import Cell, Claim
from rigl_nb.claims.model import Runs
from rigl_nb.data.sources import SOURCES
from rigl_nb.distributions import DISTRIBUTIONS, counts
from rigl_nb.experiments import grids
from rigl_nb.experiments.equal_flops import layers
from rigl_nb.experiments.language import DATA, DENSITY, INIT
from rigl_nb.report.figures import tables
from rigl_nb.report.figures.style import STYLE, Picture
from rigl_nb.report.figures.training import groups, trajectory
from rigl_nb.runs.record import Record
from rigl_nb.spec import RunSpec

FREQUENCIES = "frequencies alone"  # what a guess costs that knows how often each character is, and nothing else


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean, std (ddof 1) and n of the bits of every method and density of `runs` (`Store.frame`), and its means.

    Collapsed runs count; one without a finite number of bits has no part in the mean.
    """
    shown = runs[runs["present"].astype(bool)]
    return (
        shown.groupby(["method", "density"], sort=False)
        .agg(
            bits=("test_bits", "mean"),
            std=("test_bits", "std"),
            n=("present", "size"),
            collapsed=("collapsed", "sum"),
            accuracy=("test_accuracy", "mean"),
            train_flops=("train_flops", "mean"),
            test_flops=("test_flops", "mean"),
        )
        .reset_index()
    )


def table(evidence: Mapping[str, pd.DataFrame], uuid: str, caption: str = "") -> Styler:
    """Bits per character of every method, in a column for each profile that has runs; below, guessing by frequency.

    Accuracy and FLOPs are those of the last of these profiles.
    """
    found = {name: summary(runs) for name, runs in evidence.items() if runs["present"].any()}
    if not found:
        return tables.plain(pd.DataFrame({"method": ["no run yet"]}), uuid, caption=caption)
    order = pd.concat([part[["method", "density"]] for part in found.values()]).drop_duplicates()
    rows = []
    for method, density in order.itertuples(index=False):
        row = {"method": method, "density": f"{density:g}"}
        for name, part in found.items():
            mine = part[(part["method"] == method) & (part["density"] == density)]
            row[f"bits per character, {name}"] = cell(mine.iloc[0]) if len(mine) else tables.NONE
        if len(mine):
            row["next character right"] = f"{mine['accuracy'].item():.1f} %"
            row["FLOPs (train, test)"] = f"{mine['train_flops'].item():.3f}×, {mine['test_flops'].item():.3f}×"
        rows.append(row)
    (name,) = {name for runs in evidence.values() for name in runs["data"]}
    guess = {f"bits per character, {profile}": f"{SOURCES[name].baseline:.3f}" for profile in found}
    return tables.plain(pd.DataFrame([*rows, {"method": FREQUENCIES} | guess]), uuid, caption=caption)


def cell(row: Mapping) -> str:
    """Format "2.016 ± 0.004 (n = 3)"; a single run has no spread."""
    spread = "" if np.isnan(row["std"]) else f" ± {row['std']:.3f}"
    collapsed = f", {row['collapsed']} collapsed" if row["collapsed"] else ""
    return f"{row['bits']:.3f}{spread} (n = {row['n']}{collapsed})"


def shapes(spec: RunSpec, pruned: Iterable[Record] = ()) -> pd.DataFrame:
    """Shape, weights and share of a prediction's FLOPs of every layer that can be masked; its density by distribution.

    Random and ERK at the run's density; `pruned`: where Pruning ended, the mean of its records.
    """
    sizes, cost = layers(spec.model, spec.data)
    found = pd.DataFrame(index=pd.Index(sizes, name="layer"))
    found["shape"] = ["\xa0×\xa0".join(map(str, shape)) for shape in sizes.values()]
    found["weights"] = [int(np.prod(shape)) for shape in sizes.values()]
    found["share of FLOPs"] = [cost[name] / sum(cost.values()) for name in sizes]
    for name in ("Random", "ERK"):
        active = counts(sizes, DISTRIBUTIONS[name](sizes, spec.density))
        found[f"density, {name}"] = pd.Series(active) / found["weights"]
    if ends := [trajectory(record)[-1] for record in pruned]:
        found["density, after Pruning"] = pd.DataFrame(ends).mean()
    return found.reset_index()


@rc_context(STYLE)
def curves(records: Iterable[Record]) -> Figure | Markdown:
    """Bits per character of the validation text after every epoch: a thin line for a seed, a thick one for the mean.

    Without a record, a sentence.
    """
    shown = groups(records)
    if not shown:
        return Markdown("There is nothing to draw yet: no run has a record.")
    figure = Picture(3.4)
    axis = figure.subplots()
    for group in shown:
        values = np.array([[row["validation_bits"] for row in record.history] for record in group.records], float)
        epochs = [row["epoch"] for row in group.records[0].history]
        if len(values) > 1:
            axis.plot(epochs, values.T, color=group.color, linewidth=0.6, alpha=0.45)
        label = f"{group.name} (n = {len(values)})"
        axis.plot(epochs, values.mean(0), color=group.color, marker=group.marker, markersize=4, label=label)
    axis.set(xlabel="epoch", ylabel="validation bits per character")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def settings(spec: RunSpec) -> pd.DataFrame:
    """The network, the text and the recipe of a run, beside those of the RigL paper, with the place there."""
    source, hidden = SOURCES[spec.data], int(spec.model.removeprefix("gru-"))
    here = {
        "text": "documentation of Python",
        "symbols": source.classes,
        "embedding": hidden // 4,
        "state of the GRU": hidden,
        "readout": "one layer",
        "density": f"{spec.density:g}",
        "distribution": "uniform",
        "optimizer": spec.optimizer,
        "learning rate": f"{spec.learning_rate:g}",
        "L2 coefficient": f"{spec.weight_decay:g}",
        "characters of a window": source.shape[0],
        "windows of a batch": spec.batch_size,
        "largest gradient norm": f"{spec.clip:g}",
        "α": f"{spec.alpha:g}",
        "ΔT": spec.delta_t,
        "masks move until": f"{spec.update_until:.0%} of the training",
        "iterations": f"{spec.total_steps:,}",
    }
    theirs = grids.published("original_character_lm").set_index("setting")
    rows = [(name, value, *theirs.loc[name, ["value", "place"]]) for name, value in here.items()]
    return pd.DataFrame(rows, columns=["setting", "here", "RigL paper", "there in"])


# What the RigL paper says of its plot (section 4.2): which of two needs fewer bits. All rows of a sentence must hold.
ORDERS = (
    ("SET performs worse than the other dynamic training methods", ("RigL", "SET")),
    ("RigL exceeds the performance of the other sparse training approaches", ("RigL", "SET")),
    ("RigL exceeds the performance of the other sparse training approaches", ("RigL", "Static")),
    ("it fails to match the performance of pruning", ("Pruning", "RigL")),
)


def said(runs: pd.DataFrame) -> pd.DataFrame:
    """Each sentence of the paper about the order of methods, beside our difference in bits with its 95 % interval."""
    ended = runs[runs["test_bits"].notna()]
    found = Runs(ended.assign(test_accuracy=-ended["test_bits"]))  # fewer bits are better
    rows = []
    for quote, pair in ORDERS:
        left, right = (Cell(m, None if m == "Pruning" else INIT, DENSITY, data=DATA) for m in pair)
        answer = judge.by_runs(Claim(quote, quote, "4.2", ((left, right),)), found, judge.SMALL[0])
        low, high = answer.interval
        words = f"{answer.estimate.value:+.3f} [{low:+.3f},\N{NO-BREAK SPACE}{high:+.3f}]".replace("-", "−")
        rows.append((f"“{quote}”", f"{pair[1]} − {pair[0]}", words if answer.pairs else tables.NONE, answer.word))
    return pd.DataFrame(rows, columns=["the RigL paper says", "bits per character", "ours", "answer"])


def order(runs: pd.DataFrame) -> str:
    """The methods from the fewest bits to the most, by the means of their runs: "Dense 2.05, RigL 2.3"."""
    best = summary(runs).sort_values("bits")
    return ", ".join(f"{row.method} {row.bits:.2f}" for row in best.itertuples())
