# %% [markdown]
# # 5.2 ResNet-50 on CIFAR-100
#
# > "We see similar trends when training sparse variants of ResNet-50 on the CIFAR-100 dataset."
#
# > "In each group below, RigL outperforms or matches existing sparse-to-sparse and dense-to-sparse methods."
#
# Does what held for a small network on ten classes also hold for a large one on a hundred? This notebook rebuilds
# Table 3 of the report {cite}`sundar2021` and the figure beside it from records of real runs, with the published values
# next to ours. Then it tests each sentence of the section. The published values come from `rigl_nb/experiments/published/`,
# ours from `results/`.

# %% tags=["parameters"]
profile = ""  # smoke, quick, short or paper: train what is missing of it; empty: train nothing
filters = {}  # train a part of it, for example {"method": "RigL", "density": 0.1}
workers = 1  # runs at the same time, or where: "tcp://host:8786" (notebook 10)
interactive = True

# %% tags=["hide-input"]
from IPython.display import Markdown

from rigl_nb.claims.statements import cifar
from rigl_nb.experiments import grids
from rigl_nb.report.figures import board, plots, tables, training
from rigl_nb.report.sections import ladder, shared

# %% [markdown]
# ## What was run
#
# The methods are those of [notebook 05.1](05_1_cifar10.ipynb). The network is a ResNet-50 {cite}`he2016`, with a first
# layer for small images. Two kinds of rows are new. "3×" trains three times as long. "Lottery" is the Lottery Ticket
# Hypothesis {cite}`frankle2018`: it takes the mask that Pruning found, goes back to the initial weights, and trains
# again.
#
# The report needed six hours on a GPU for one run. So two processor cores train less: `quick` a small ResNet of the same
# kind on the report's images, at one density, for a few epochs; `smoke` a tiny one on small images of digits. Only
# records of the `paper` profile can earn a verdict.

# %%
print(shared.sizes("05_2"))

# %% [markdown]
# ## The evidence so far

# %%
evidence = shared.evidence("05_2")
printed = grids.published("table3_cifar100")
shared.banner("05_2")

# %% [markdown]
# ## Table 3
#
# Each cell is the mean test accuracy over the seeds, its standard deviation, and the number of runs n. The groups are
# the report's: 1 has the cheapest rows, 2 the rows with ERK, 3 the methods that cost more, and 4 the dense network.
# FLOPs are fractions of the dense model's: the published ones were computed by formulas, ours were counted from the
# masks of the runs.

# %%
tables.comparison(
    printed, evidence, caption="Table 3: ResNet-50 on CIFAR-100.", uuid="table3"
)

# %% [markdown]
# ## The figure across densities
#
# Open markers are published means with their standard deviations, as far as the report prints them. Filled markers are
# our runs of the `paper` profile, one for each seed. The report draws two more densities, 0.05 and 0.5, and prints no
# numbers for them: there only our runs can fill the figure. Look for two things: is ERK above Random, and how close does
# RigL come to the dense network when it trains longer?
#
# One of these values is known all the same. The script that draws Figure 3 ([notebook 06.1](06_1_distribution_and_flops.ipynb))
# holds RigL (Random) at density 0.5. It is in no table of the report, so no claim of this section is judged by it:

# %%
figure_3 = grids.published("figure3_flops")
known = figure_3.query("dataset == 'CIFAR-100' and init == 'Random'")
known = known[~known["budget_density"].isin(printed["density"])]
for row in known.itertuples():
    accuracy = f"{row.accuracy_mean:.2f} ± {row.accuracy_std:.2f}"
    print(f"RigL (Random) at {row.budget_density:g}: {accuracy}, from the script")
dense = printed.loc[printed["method"] == "Dense", "accuracy_mean"].item()
print(f"Dense, in Table 3: {dense}")

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-table-3", "caption": "The figure beside Table 3: test accuracy across densities. Open markers: published. Filled markers: ours. Markers of one density are moved sideways a little, so that they do not hide each other. Look at the lottery tickets: far below on CIFAR-10, they are at the top here."}, "image": {"alt": "Four panels: Random, ERK, two times and three times the training. Accuracy grows with density in all, and the longer trainings come closest to the line of the dense network."}}
PANELS = {
    "Random": {"init": "Random", "multiplier": 1},
    "ERK": {"init": "ERK", "multiplier": 1},
    "2× training": {"multiplier": 2},
    "3× training": {"multiplier": 3},
}
plots.accuracy_by_density(evidence["paper"], printed, PANELS)

# %% [markdown]
# ## What a run looks like
#
# Five rows at density 0.1, of the strongest profile that has most of these rows. Here the learning rate rises from a small
# value in the first hundredth of the training, and only then falls in steps. In a training of few epochs that rise is
# over before the first point of the curve.

# %% tags=["hide-input"] mystnb={"figure": {"name": "curves-05-2", "caption": "Training curves and costs, one colour for each method."}, "image": {"alt": "Six panels: loss, accuracy, learning rate and drop fraction over the epochs, density of every layer, and FLOPs."}}
training.training_plots(shared.typical("05_2"))

# %% [markdown]
# ## Similar trends
#
# Which trends does the report mean? Section 5.1 lists them for CIFAR-10: RigL over SET, SET over static masks, ERK over
# Random, and so on. So we ask each claim of that section again, with the cells of Table 3.
#
# Each claim with its answer at every scale of evidence that has one. [Notebook 07](07_discussion.ipynb) says how
# we judge: one linear model for all runs of a network, and intervals of 95 %.

# %%
rungs = ladder.rungs_of("05_2")


def answers(found, uuid):
    """The board of some claims."""
    return board.board([rung for rung in rungs if rung.claim in found], uuid)


answers(cifar.TRENDS, "claims-05-2-trends")

# %% [markdown]
# ## The groups of Table 3
#
# "Outperforms or matches" is tested as: not worse by 0.3 points or more. Every method of a group is compared alone,
# since an average over methods could hide one that RigL loses to. Group 3 has three rows of RigL. The caption puts
# RigL 2× (ERK) above the other two, so it stands for the group.

# %%
answers(cifar.GROUPS, "claims-05-2-groups")

# %% [markdown]
# ## Longer training against Pruning
#
# > "Notably, RigL 3× at 90% sparsity and RigL 2× at 80% sparsity surpass iterative pruning with similar FLOP
# > consumption. RigL 2× (ERK) further improves performance but requires a larger training budget."
#
# Each half of the first sentence is one cell against another. The second can be read in two ways: ERK over Random at
# the same length, or over the two cells that the first sentence names. We test both.

# %%
answers(cifar.LONGER, "claims-05-2-longer")

# %% [markdown]
# And the costs, as the report prints them:

# %% tags=["hide-input"]
longer = {pair: None for claim in cifar.LONGER for pair in claim.pairs}
for left, right in longer:
    cost, other = (
        cell.rows(printed)["train_flops"].astype(float).item() for cell in (left, right)
    )
    print(f"{left.label}: {cost:.2f}×, {right.label}: {other:.2f}×")

# %% [markdown]
# ## Lottery tickets
#
# > "We obtain tickets with a commensurate performance for sparsities lower than 80%."
#
# Sparsities lower than 80 % are densities above 0.2. The report prints no such cell. We train tickets at 0.5, and
# compare them with the pruned networks that they come from, and with the dense one. Of sparsities from 80 % on the
# sentence says nothing.

# %%
answers(cifar.TICKETS, "claims-05-2-tickets")

# %% [markdown]
# ## Initialisation or method: which one matters more?
#
# > "The choice of initialization scheme affects the performance and FLOP consumption by a greater extent than the method
# > used itself, with the exception of SNFS (groups 1 and 2)."
#
# Take two methods, each with Random and with ERK: four cells. What ERK gains is the mean of two differences, and so is
# what the better method gains. Subtract the second from the first, and two of the four cells cancel. What is left is
#
# $$\text{worse method (ERK)} - \text{better method (Random)}.$$
#
# So the question is simple: does the worse method with the better initialisation win? The text does not say which
# methods it compares, and the answer depends on it. So we ask for each two of Static, SET and RigL. SNFS is the
# exception, so there it is the other way round: SNFS (Random) has to win over RigL (ERK).

# %%
answers(cifar.EXTENT, "claims-05-2-extent")

# %% [markdown]
# The same for the cost: by which factor does a change of the initialisation, or of the method, multiply the printed
# training FLOPs?

# %% tags=["hide-input"]
KEY = ["method", "init", "multiplier", "density"]
costs = printed.set_index(KEY)["train_flops"].astype(float)
for density in (0.1, 0.2):
    at = {(m, i): costs[m, i, 1, density] for m, i, n, d in costs.index if d == density}
    erk = at["RigL", "ERK"] / at["RigL", "Random"]
    rigl = at["RigL", "Random"] / at["SET", "Random"]
    snfs = at["SNFS", "Random"] / at["RigL", "Random"]
    print(f"density {density}: ERK for Random ×{erk:.1f}", end=", ")
    print(f"RigL for SET ×{rigl:.1f}, SNFS for RigL ×{snfs:.1f}")

# %% [markdown]
# ## Numbers that do not fit together
#
# An average over cells can hide one that lies on the other side. These are the printed cells that speak against a
# claim above. A difference of 0.1 is well inside the noise of three seeds. But a sentence without an exception is about
# every cell.

# %% tags=["hide-input"]
against = {}
for claim in cifar.CIFAR100:
    room = claim.margin if claim.relation != "outperforms" else 0
    for pair in claim.pairs:
        rows = [cell.rows(printed) for cell in pair]
        if all(len(row) for row in rows):
            means = [row["accuracy_mean"].item() for row in rows]
            if round(means[0] - means[1] + room, 2) <= 0:
                against.setdefault(claim.quote, {})[pair] = means
lines = []
for quote, cells in against.items():
    lines += ["", f"“{quote}”", ""]
    for (cell, other), (left, right) in cells.items():
        lines.append(f"- {cell.label}: {left}, {other.label}: {right}")
Markdown("\n".join(lines))

# %% [markdown]
# A ticket costs a Pruning run, and then a training at the ticket's own cost. The printed cells of the same column give
# both. In Table 2 the sum is what the report prints for Lottery. In Table 3 it is not
# ([notebook 03](03_flops.ipynb) explains it, and all other printed costs).

# %% tags=["hide-input"]
for number, data in {2: "cifar10", 3: "cifar100"}.items():
    rows = grids.published(f"table{number}_{data}").set_index(["method", "density"])
    for density in (0.1, 0.2):
        pruning, lottery = rows.loc["Pruning", density], rows.loc["Lottery", density]
        total = float(pruning["train_flops"]) + float(lottery["test_flops"])
        cost = float(lottery["train_flops"])
        print(f"Table {number}, density {density}: sum {total:.2f}×", end=", ")
        print(f"printed {cost:.2f}×")

# %% [markdown]
# One cell of Table 5 that is about CIFAR-100 does not fit either: [notebook 06.2](06_2_redistribution.ipynb) shows it.
#
# ## Live on this machine
#
# With a profile in the parameters above, this cell trains what no record holds yet. Stop it at any time: finished runs
# are kept, and the others go on from their checkpoints. The same happens in a terminal with
# `python -m rigl_nb run --section 05_2`.
#
# The tiny ResNet of `smoke` is fragile at density 0.1. Some of its channels have no connection at all. When the first one
# grows there, batch normalisation divides by a variance of nearly 0, and the weights of that channel become huge. Then
# the running statistics, which the test uses, can miss those of the training. Such a run ends far below its own training
# accuracy. With statistics that are computed anew from the training images, the same network is as good as the others.

# %% tags=["nbval-ignore-output"]
here = shared.train("05_2", profile, filters, workers, interactive)

# %% tags=["hide-input", "nbval-ignore-output"]
shared.show(here, {"cifar100": printed})

# %% [markdown]
# ## Verdict

# %%
print(ladder.counts(rungs).to_string(index=False))
