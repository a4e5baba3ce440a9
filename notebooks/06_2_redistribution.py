# %% [markdown]
# # 6.2 Effect of redistribution
#
# > "Table 5 shows that redistribution significantly improves RigL (Random), but not RigL (ERK)."
#
# RigL keeps the number of weights in every layer. SNFS moves weights between layers. This section of the report
# {cite}`sundar2021` gives RigL that ability, as in {cite}`dettmers2020`, and asks what it brings and what it costs.
# The notebook rebuilds Table 5 and Figure 4 from records of real runs, beside the published values. Then it tests each
# claim of the section. The published values come from `rigl_nb/experiments/published/`, ours from `results/`.

# %% tags=["parameters"]
profile = ""  # smoke, quick, short or paper: train what is missing of it; empty: train nothing
filters = {}  # train a part of it, for example {"method": "RigL-SM", "density": 0.1}
workers = 1  # runs at the same time, or where: "tcp://host:8786" (notebook 10)
interactive = True

# %% tags=["hide-input"]
import pandas as pd

from rigl_nb.experiments import grids
from rigl_nb.report.figures import board, tables
from rigl_nb.report.sections import ladder, redistribution, shared

# %% [markdown]
# ## What was run
#
# At every mask update RigL drops weights in each layer and grows as many in the same layer. With redistribution, all
# dropped weights go into one pot. Each layer gets back a share of it, in proportion to the mean size of a signal over
# its active weights: the gradient in **RigL-SG**, the momentum in **RigL-SM**. The total number of weights stays.
#
# Table 5 has three groups:
#
# 1. *Random*: training starts with the same density in every layer ([notebook 02](02_initialisation.ipynb)).
# 2. *ERK*: training starts with higher densities in small layers.
# 3. *Re-initialisation*: RigL without redistribution starts from the initial weights and the final mask of RigL-SM.
#
# The third group copies two things at once: how many weights each layer has, and which ones. The report concludes
# about the first. So we add a fourth group: it copies only the densities, and draws the masks anew.

# %%
print(shared.sizes("06_2"))

# %% [markdown]
# ## The evidence so far

# %%
evidence = shared.evidence("06_2")
table5 = grids.published("table5_redistribution")
printed = redistribution.printed(table5, grids.DATA)
shared.banner("06_2")

# %% [markdown]
# ## Table 5
#
# Each cell is the mean test accuracy over the seeds, its standard deviation, and the number of runs n. FLOPs are
# fractions of the dense model's: the published ones were computed by formulas, ours were counted from the masks of the
# runs. The report marks the best of groups 1 and 2 together; here each group has its own.
#
# The `quick` runs are very short and use smaller networks, most of them with one seed. Differences of a point or two
# between single runs mean nothing. The runs come from several machines, some in bfloat16, others in float32
# ([notebook 07](07_discussion.ipynb) asks whether that matters). RigL's rows have the seeds that this table asks for;
# another section may show more of them. Compare their FLOPs among themselves, not with the published column.


# %%
def table_5(data, caption):
    """Table 5 for one data set, with the rows that only we have."""
    rows = redistribution.with_ours(printed[printed["data"] == data])
    ours = {name: runs[runs["data"] == data] for name, runs in evidence.items()}
    return tables.comparison(rows, ours, caption=caption, uuid=f"table5-{data}")


table_5("cifar10", "Table 5: Wide ResNet on CIFAR-10.")

# %%
table_5("cifar100", "Table 5: ResNet-50 on CIFAR-100.")

# %% [markdown]
# ## Figure 4, left: the cost over the training
#
# > "FLOPs required per forward pass, shown relative to the dense baseline, rises quickly and saturates within a few
# > epochs (~10k steps)"
#
# A record keeps how many weights each layer has after every epoch. From that follows what a prediction costs at that
# time. The figure shows the strongest profile in which layers exchanged weights, on CIFAR-10, and of it one seed.
# The report's figure is for density 0.2. Where no such run exists, this one is for density 0.1: its title says so.

# %% tags=["hide-input"]
found = shared.records("06_2")
moved = {
    name: [r.spec for r in every if len(r.active) > 1 and r.spec.data == "cifar10"]
    for name, every in found.items()
}
strongest = next((name for name in grids.EVIDENCE if moved[name]), None)

# %% tags=["hide-input"]
chosen, title = {}, "no run yet"
if strongest:
    specs = moved[strongest]
    spec = next((s for s in specs if s.density == 0.2), specs[0])
    same = {
        "data": spec.data,
        "density": spec.density,
        "seed": spec.seed,
        "parent": None,
    }
    for record in found[strongest]:
        if all(getattr(record.spec, key) == value for key, value in same.items()):
            chosen[record.spec.label] = record
    network = f"CIFAR-10, {spec.model.upper()}, {spec.total_epochs} epochs"
    title = f"{strongest}: {network}, density {spec.density:g}, seed {spec.seed}"

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-4-left", "caption": "Figure 4 of the report, left: the cost of a prediction over the training. Without redistribution it stays; with it, it rises early and then stays."}, "image": {"alt": "One line per method and start over the epochs: the cost of a prediction with RigL, RigL-SG and RigL-SM."}}
redistribution.cost_over_training(chosen, title) if chosen else print("No run yet.")

# %% [markdown]
# ## Figure 4, right: where the weights go
#
# The densities at the end of training, layer by layer. Open markers: the two distributions that one can start with.
# Filled markers: what redistribution made of them. With a Random start the first layer is dense and takes no part.

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-4-right", "caption": "Figure 4 of the report, right: final layer densities, beside Random and ERK. Markers of one layer are moved up or down a little, so that they do not hide each other. A filled marker far from its row's open ones is a layer that redistribution changed most."}, "image": {"alt": "One row per layer. Markers show its density under Random, ERK, and at the end of RigL-SG and RigL-SM."}}
ends = {label: r for label, r in chosen.items() if len(r.active) > 1}
redistribution.final_densities(ends, title) if ends else print("No run yet.")

# %% [markdown]
# ## What the text says of the densities
#
# > "The layer-wise sparsity distribution largely becomes constant within a few epochs. The final distribution is
# > similar, but more 'extreme' than ERK—wherever ERK exceeds/falls short of Random, redistribution does so by a greater
# > extent."
#
# > "By allocating higher densities to 1×1 convolutions (convShortcut in Figure 4), redistribution significantly
# > increases the FLOP requirement"
#
# One row is one run whose layers exchanged weights.
#
# - *Settled*: the epoch after which no layer is further than 0.05 from its final density, and its share of the
#   training. Records have one entry per epoch, so it cannot be finer. Masks stay in the last quarter of the training.
# - *Further than ERK*: layers on ERK's side of Random, but further out. Where ERK is dense, nothing can be further:
#   layers that are dense in both are counted apart.
# - *Density*: of the 1×1 shortcuts, and of all masked layers together.
# - *Test FLOPs*: of this run, and of RigL with the same start and seed. The last column is the part of the added FLOPs
#   that comes from the shortcuts.

# %%
measured = pd.concat(
    [redistribution.measures(name, every) for name, every in found.items()]
)
measured = measured.reset_index(drop=True)

# %% tags=["hide-input"]
shown = pd.DataFrame()
shown["run"] = [
    f"{r.profile}, {r.data}: {r.method} at {r.density:g}, seed {r.seed}"
    for r in measured.itertuples()
]
shown["settled after epoch"] = [
    f"{r.settled} of {r.epochs} ({r.settled / r.epochs:.0%})"
    for r in measured.itertuples()
]
shown["further than ERK"] = [
    f"{r.further} of {r.layers} ({r.dense} dense)" for r in measured.itertuples()
]

# %% tags=["hide-input"]
numbers = {
    "shortcuts": "density: shortcuts",
    "all": "density: all layers",
    "test_flops": "test FLOPs",
    "base": "of RigL",
    "share": "part from shortcuts",
}
numbers = measured[list(numbers)].astype(float).rename(columns=numbers)
form = dict.fromkeys(numbers, "{:.3f}") | {"part from shortcuts": "{:.0%}"}
tables.plain(shown.join(numbers), "measures", form)

# %% [markdown]
# The statements in words. Each run satisfies one or not. Only a complete `paper` profile earns a verdict: *reproduced*
# if all its runs agree, *contradicted* if none does. A dash: an epoch of these runs, the finest that a record knows, is
# a larger part of the training than the time that the report names.

# %%
runs = evidence["paper"]["method"].isin(("RigL-SG", "RigL-SM")).sum()
scores = redistribution.scores(measured, runs)
tables.plain(scores, "densities")

# %% [markdown]
# The text says that the cost rises *because* the shortcuts get more weights. The last column of the table of runs
# tests the reason: a 1×1 convolution has few weights, so it costs little even when it is dense. A negative part means
# that the shortcuts became sparser than they were at the start.

# %% tags=["hide-input"]
kinds = measured.groupby(["profile", "data", "method"], sort=False)
for (name, data, method), part in kinds:
    share, n = part["share"].mean(), part["share"].count()
    cause = f"shortcuts cause {share:.0%} of the rise (n = {n})" if n else "no rise"
    print(f"{name}, {data}, {method}: {cause}")
if measured.empty:
    print("No run yet.")

# %% [markdown]
# ## The claims about accuracy
#
# Each claim with its answer at every scale of evidence that has one. [Notebook 07](07_discussion.ipynb) says how
# we judge: one linear model for all runs of a network, and intervals of 95 %. Each data
# set has its own network, so each is judged alone.
#
# - "Significantly improves […] but not RigL (ERK)" is tested as: no improvement that can be told from 0.
# - "Matches" means: within 0.3 points.
# - For "subpar" RigL is compared with re-initialised RigL at the same density. The re-initialised network even has more
#   FLOPs.
# - The last two claims of a data set are our questions. If only the densities are copied, is RigL still subpar? And does
#   the copied mask matter at all? The report has no numbers for them.

# %%
rungs = ladder.rungs_of("06_2")
board.board(rungs, "claims-06-2")

# %% [markdown]
# ## Numbers that do not fit together
#
# Table 5 prints RigL again, which Tables 2, 3 and 4 print too. The runs should be the same. These cells differ:

# %% tags=["hide-input"]
KEYS = ["data", "init", "density"]
again = printed[printed["method"] == "RigL"].set_index(KEYS)
tuning = grids.published("table4_tuning").assign(data="cifar10").set_index(KEYS)
others = {"Table 4": tuning["reference_mean"]}
for number, data in {2: "cifar10", 3: "cifar100"}.items():
    rows = grids.published(f"table{number}_{data}").assign(data=data)
    rows = rows[(rows["method"] == "RigL") & (rows["multiplier"] == 1)]
    others[f"Table {number}"] = rows.set_index(KEYS)["accuracy_mean"]

# %% tags=["hide-input"]
for name, other in sorted(others.items()):
    for (data, init, density), row in again.iterrows():
        mean = other.get((data, init, density))
        if mean is not None and mean != row["accuracy_mean"]:
            print(
                f"{row['dataset']}, RigL ({init}, {density:g}): {mean} in {name}, but"
            )
            print(f"  {row['accuracy_mean']} ± {row['accuracy_std']:.2f} in Table 5")

# %% [markdown]
# And these cells of Table 5 repeat mean and standard deviation of the same method, data set and density, with the other
# start. Runs with different starts rarely agree in both. The printed values alone cannot tell whether one was copied.

# %% tags=["hide-input"]
same = ["data", "method", "density", "accuracy_mean", "accuracy_std"]
repeated = printed[printed.duplicated(same, keep=False)]
for row in repeated.itertuples():
    accuracy = f"{row.accuracy_mean} ± {row.accuracy_std:.2f}"
    print(f"{row.dataset}, {row.method} ({row.init}, {row.density:g}): {accuracy}")

# %% [markdown]
# ## Live on this machine
#
# With a profile in the parameters above, this cell trains what no record holds yet. Stop it at any time: finished runs
# are kept, and the others go on from their checkpoints. The same happens in a terminal with
# `python -m rigl_nb run --section 06_2`.

# %% tags=["nbval-ignore-output"]
here = shared.train("06_2", profile, filters, workers, interactive)

# %% tags=["hide-input", "nbval-ignore-output"]
shared.show(
    here, {name: printed[printed["data"] == name] for name in grids.DATA.values()}
)

# %% [markdown]
# ## Verdict

# %%
print(ladder.counts(rungs).to_string(index=False))
