# %% [markdown]
# # 6.1 Sparsity distribution and FLOPs
#
# > "While the Erdos-Renyi-Kernel distribution outperforms Random distribution for a fixed parameter count, for a fixed
# > FLOP count, the latter performs better."
#
# Which of the two ways to spread weights over layers is better? The report {cite}`sundar2021` answers: it depends on
# what is fixed. This notebook rebuilds Figure 3 from records of real runs, beside the published values. First it finds
# the densities at which Random and ERK cost the same. Then it tests both halves of the sentence. The published values
# come from `rigl_nb/experiments/published/`, ours from `results/`.

# %% tags=["parameters"]
profile = ""  # smoke, quick, short or paper: train what is missing of it; empty: train nothing
filters = {}  # train a part of it, for example {"init": "ERK", "seed": 0}
workers = 1  # runs at the same time, or where: "tcp://host:8786" (notebook 10)
interactive = True

# %% tags=["hide-input"]
import itertools
from dataclasses import replace

import pandas as pd

from rigl_nb.claims import judge, statements
from rigl_nb.claims.claim import Cell
from rigl_nb.claims.model import Printed
from rigl_nb.claims.printed import table2, table3
from rigl_nb.experiments import grids
from rigl_nb.report.figures import board, tables
from rigl_nb.report.sections import accuracy_by_flops, ladder, shared

# %% [markdown]
# ## What was run
#
# All runs are RigL. "Random" gives every layer the same density. "ERK" gives small layers a higher density
# ([notebook 02](02_initialisation.ipynb)). At the same density both have about the same number of weights, but ERK
# costs more: its weights are in layers where each one is used at many positions of the image. So there are two fair
# comparisons:
#
# - *equal density*: the same number of weights, and ERK costs more FLOPs;
# - *equal FLOPs*: the same cost, and ERK has fewer weights.

# %%
print(shared.sizes("06_1"))

# %% [markdown]
# ## The evidence so far

# %%
evidence = shared.evidence("06_1")
shared.banner("06_1")

# %% [markdown]
# ## Equal FLOPs
#
# A *budget* is what Random costs at density 0.1, 0.2 or 0.5. For each we search the density at which a prediction with
# ERK costs the same. The cost grows with the density, so bisection finds it. RigL's training cost follows from the cost
# of a prediction ([notebook 03](03_flops.ipynb)), so it is the same, too.
#
# The search works with real numbers. A mask has a whole number of weights in each layer. The table therefore counts both
# costs again, from whole weights.

# %%
sizes = {name: grids.PROFILES[name] for name in grids.EVIDENCE}
pairs = {name: accuracy_by_flops.matched(size) for name, size in sizes.items()}
table = (
    pairs["paper"]
    .drop(columns=["data"])
    .rename(
        columns={
            "report": "data",
            "budget": "density, Random",
            "density": "density, ERK",
            "Random": "test FLOPs, Random",
            "ERK": "test FLOPs, ERK",
        }
    )
)

# %% tags=["hide-input"]
form = {"density, Random": "{:g}", "density, ERK": "{:.6f}"}
form |= {name: "{:.5f}×" for name in table if name.startswith("test FLOPs")}
tables.plain(table, "matched", form)

# %%
both = pd.concat(pairs.values())
apart = (both["ERK"] / both["Random"] - 1).abs().max()
print(f"Largest difference in cost, all profiles: {apart:.2%}")
for name, row in pairs["paper"].groupby("report", sort=False):
    share = row["density"] / row["budget"]
    print(f"{name}: ERK has {share.min():.0%} to {share.max():.0%} of Random's density")

# %% [markdown]
# This is the price of ERK: to cost the same, it must give up a good part of its weights. The smaller networks of
# other profiles have other layers, so their densities differ. Each profile uses its own.
#
# ## Figure 3
#
# The report draws bars and prints no numbers. *Published* here means: written in the script that draws them, in the
# report's published code ([`erk_vs_random_FLOPs.py`, lines 110–178][bars]). Open markers are these means with their
# standard deviations. Filled markers: our runs of the `paper` profile, as soon as
# there are any. The report does not say which densities it used for ERK. We take it at its word that the FLOPs are
# equal, and place its ERK values at the cost of Random. Markers of one budget are moved apart a little.
#
# [bars]: https://github.com/varun19299/rigl-reproducibility/blob/ef1c379b834ed0178b1888b342f918f28017f25a/visualization/erk_vs_random_FLOPs.py#L110-L178

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-3", "caption": "Figure 3 of the report: test accuracy of RigL at equal FLOPs. Open markers: published. Filled markers: ours. At one cost Random is moved a little to the left and ERK to the right, ours further than the published. At the two smaller costs the published Random lies above the published ERK."}, "image": {"alt": "Two panels, CIFAR-10 and CIFAR-100: accuracy over training FLOPs. The published Random lies above ERK at the two small budgets and meets it at the largest."}}
figure_3 = grids.published("figure3_flops")
printed = accuracy_by_flops.published(figure_3, grids.DATA, pairs["paper"])
ours_3 = accuracy_by_flops.measured(evidence["paper"], pairs["paper"])
accuracy_by_flops.accuracy_by_flops(printed, ours_3)

# %% [markdown]
# The same as a table, with the runs of all profiles. A row is a budget and a source. The last column is Random minus
# ERK, in points: the report claims that it is above zero. The `quick` runs have smaller networks and
# few epochs. They can show a direction, but get no verdict: what holds so early need not hold at the end.

# %%
compared = accuracy_by_flops.comparison(printed, evidence, pairs)

# %% tags=["hide-input"]


def accuracy(row, init):
    """Format "91.72 ± 0.180 (n = 3)"; a single run has no spread."""
    if not row["n", init] > 0:
        return "–"
    spread = row["std", init]
    spread = "" if pd.isna(spread) else f" ± {spread:.3f}"
    return f"{row['mean', init]:.2f}{spread} (n = {row['n', init]:.0f})"


# %% tags=["hide-input"]
shown = compared.index.to_frame(index=False)
for init in accuracy_by_flops.INITS:
    shown[init] = [accuracy(row, init) for _, row in compared.iterrows()]
shown["Random − ERK"] = compared["difference"].to_numpy()
shown = shown.rename(columns={"report": "data", "budget": "budget: Random at"})
form = {"budget: Random at": "{:g}", "Random − ERK": "{:+.2f}"}
tables.plain(shown, "figure-3", form)

# %% [markdown]
# ## Is it true at every budget?
#
# The report's sentence has no exception. We judge every published pair alone.

# %%
erk = {(row.report, row.budget): row.density for row in pairs["paper"].itertuples()}
at_equal_flops = statements.equal_flops(erk)
alone = [
    judge.by_print(replace(claim, pairs=(pair,)), Printed(rows))
    for claim in at_equal_flops
    for rows in [printed[printed["data"] == claim.pairs[0][0].data]]
    for pair in claim.pairs
]
for answer in alone:
    cell = answer.claim.pairs[0][0]
    words = f"{board.ours(answer)}, {answer.word}"
    print(f"{cell.data}, budget {cell.density:g}: {words}")

# %%
below = [answer for answer in alone if answer.estimate.value <= 0]
for left, right in (answer.claim.pairs[0] for answer in below):
    means = [cell.rows(printed)["accuracy_mean"].item() for cell in (left, right)]
    print(
        f"Not better, {left.data} at {left.density:g}: {means[0]:.2f}, {means[1]:.2f}"
    )
sure = sum(answer.outcome == judge.SUPPORTED for answer in alone)
print(f"Random is better beyond its noise in {sure} of {len(alone)} pairs")

# %% [markdown]
# ## A check with the other tables
#
# Tables 2 to 4 of the report print RigL (ERK) at other densities. Together with Figure 3 they form one curve per data
# set, ordered by density. More weights and more FLOPs should not make a network worse. Where they do, one of the two
# values is off, or the noise of the runs is that large, or ERK's unknown density is not the matched one.

# %% tags=["hide-input"]
parts = [table2().assign(data="cifar10"), table3()]
by_density = pd.concat(parts).query("method == 'RigL' and multiplier == 1")
by_density["source"] = "tables"
both = pd.concat([by_density, printed.assign(source="Figure 3")])

# %%
for data, rows in both[both["init"] == "ERK"].groupby("data"):
    rows = rows.sort_values("density").reset_index(drop=True)
    for few, more in itertools.pairwise(rows.itertuples()):
        if more.accuracy_mean < few.accuracy_mean:
            print(f"{data}: {few.accuracy_mean:.2f} ± {few.accuracy_std:.2f}", end=" ")
            print(f"at density {few.density:.3f} ({few.source}), but", end=" ")
            print(f"{more.accuracy_mean:.2f} ± {more.accuracy_std:.2f}", end=" ")
            print(f"at {more.density:.3f} ({more.source})")

# %% [markdown]
# The Random points of Figure 3 are in the tables, too. These have another standard deviation in a table:

# %% tags=["hide-input"]
for row in both[(both["init"] == "Random") & (both["source"] == "tables")].itertuples():
    cell = Cell("RigL", "Random", row.density, data=row.data)
    for point in cell.rows(printed).itertuples():
        if abs(point.accuracy_std - row.accuracy_std) > 0.006:
            print(f"{row.data}, Random at {row.density:g}:", end=" ")
            print(
                f"{row.accuracy_mean} ± {row.accuracy_std:.2f} in the table, but",
                end=" ",
            )
            print(f"{point.accuracy_mean} ± {point.accuracy_std:.2f} in Figure 3")

# %% [markdown]
# ## The claims
#
# Each claim with its answer at every scale of evidence that has one. [Notebook 07](07_discussion.ipynb) says how
# we judge: one linear model for all runs of a network, and intervals of 95 %.
#
# - *Equal FLOPs* is the mean over the three budgets of Figure 3. It can hold although a single pair does not.
# - *Equal density* is the other half of the sentence. Its runs belong to Tables 2 and 3
#   ([section 5.1](05_1_cifar10.ipynb)). Density 0.5 on CIFAR-100 is not printed in a table.

# %%
rungs = ladder.rungs_of("06_1")
board.board(rungs, "claims-06-1")

# %% [markdown]
# The text says that ERK is better *consistently* at equal density. These printed cells say otherwise:

# %%
for claim in statements.EQUAL_COUNT:
    for pair in claim.pairs:
        rows = [cell.rows(by_density)["accuracy_mean"] for cell in pair]
        if all(map(len, rows)) and rows[0].item() <= rows[1].item():
            words = [
                f"{cell.name} {row.item()}"
                for cell, row in zip(pair, rows, strict=True)
            ]
            print(f"{pair[0].data} at {pair[0].density:g}: {', '.join(words)}")

# %% [markdown]
# ## Live on this machine
#
# With a profile in the parameters above, this cell trains what no record holds yet. Stop it at any time: finished runs
# are kept, and the others go on from their checkpoints. The same happens in a terminal with
# `python -m rigl_nb run --section 06_1`.

# %% tags=["nbval-ignore-output"]
here = shared.train("06_1", profile, filters, workers, interactive)

# %% tags=["hide-input", "nbval-ignore-output"]
shared.show(here)

# %% [markdown]
# ## Verdict

# %%
print(ladder.counts(rungs).to_string(index=False))
