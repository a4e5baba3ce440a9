# %% [markdown]
# # 5.1 WideResNet-22-2 on CIFAR-10
#
# > "Given a fixed training FLOP budget, RigL surpasses existing dynamic sparse training methods over a range of
# > target sparsities."
#
# This notebook rebuilds Table 2 and Figure 1 of the report {cite}`sundar2021` from records of real runs, and puts the
# published values beside them. Then it tests each claim of the section. No number is typed in: the published values
# come from `rigl_nb/experiments/published/`, ours from `results/`.

# %% tags=["parameters"]
profile = ""  # smoke, quick, short or paper: train what is missing of it; empty: train nothing
filters = {}  # train a part of it, for example {"method": "RigL", "density": 0.1}
workers = 1  # runs at the same time, or where: "tcp://host:8786" (notebook 10)
interactive = True

# %% tags=["hide-input"]
from rigl_nb.claims import instability, statements
from rigl_nb.claims.claim import Cell
from rigl_nb.claims.model import Runs
from rigl_nb.claims.printed import table2
from rigl_nb.experiments import grids
from rigl_nb.report.figures import board, plots, tables, training
from rigl_nb.report.sections import audit, ladder, shared
from rigl_nb.runs.record import collapse_limit

# %% [markdown]
# ## What was run
#
# All methods train the same Wide ResNet on 45,000 images, with 5,000 more to validate and 10,000 to test. A method
# decides which weights may be different from zero. The density, here written $1-s$, is their share. Each row of
# Table 2 is a method, an initialisation and a training length. "Random" means the same density in every layer, and
# "ERK" gives small layers a higher density ([notebook 02](02_initialisation.ipynb)). "2×" trains twice as long.
#
# A *profile* is a size of this experiment. Only records of the `paper` profile can earn a verdict. It trains at the
# report's length, by the report's text; [notebook 04](04_settings.ipynb) lists all deviations from text and code. The
# smaller profiles show that everything works, and what a sparse run looks like.

# %%
print(shared.sizes("05_1"))

# %% [markdown]
# ## The evidence so far

# %%
evidence = shared.evidence("05_1")
printed = grids.published("table2_cifar10")
shared.banner("05_1")

# %% [markdown]
# ## Table 2
#
# Each cell is the mean test accuracy over the seeds, its standard deviation, and the number of runs n. Methods are
# grouped by what they cost. FLOPs are fractions of the dense model's: the published ones were computed by formulas,
# ours were counted from the masks of the runs.
#
# The `quick` runs are very short and use a smaller network. Compare them among themselves, not with the published
# column: at equal length sparse networks trail the dense one, and so few epochs cannot give a fine order. The `short`
# runs train the report's network, for a tenth of its epochs.

# %%
tables.comparison(
    printed, evidence, caption="Table 2: Wide ResNet on CIFAR-10.", uuid="table2"
)

# %% [markdown]
# ## Figure 1
#
# The same comparison across densities. Open markers are published means, filled markers are our runs of the `paper`
# profile, one marker for each seed. Look for two things: ERK (middle) lies above Random (left), and the gap between the
# methods closes as the density grows.

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-1", "caption": "Figure 1 of the report: test accuracy across densities. Open markers: published. Filled markers: ours. Markers of one density are moved sideways a little, so that they do not hide each other. An arrow down is a value below the axis. ERK (middle) lies above Random (left), and the gap between methods closes as the density grows."}}
figure_1 = table2()
plots.accuracy_by_density(evidence["paper"], figure_1)

# %% [markdown]
# ## What a run looks like
#
# Five rows at density 0.1, of the strongest profile that has most of these rows. A thick line is the mean of the seeds.
# The network is evaluated on the validation images after every epoch. The drop fraction is the share of connections that
# a mask update would replace: it decays to zero at three quarters of the training, and from then on the mask stays.
# [Notebook 11](11_runs.ipynb) shows any other run like this.

# %% tags=["hide-input"] mystnb={"figure": {"name": "curves", "caption": "Training curves and costs of five rows of the table."}, "image": {"alt": "Six panels: loss, accuracy, learning rate and drop fraction over the epochs, density of every layer, and FLOPs; one colour for each method."}}
training.training_plots(shared.typical("05_1"))

# %% [markdown]
# ## The claims
#
# Each claim with its answer at every scale of evidence that has one. [Notebook 07](07_discussion.ipynb) says how
# we judge: one linear model for all runs of a network, and intervals of 95 %.

# %%
rungs = ladder.rungs_of("05_1")
unstable = [rung for rung in rungs if rung.claim in statements.INSTABILITY]
means = [rung for rung in rungs if rung not in unstable]
board.board(means, "claims-05-1")

# %% [markdown]
# ### Is SET unstable?
#
# > "Owing to random growth, SET can be unstable when training for longer durations with higher sparsities."
#
# Table 2 prints a standard deviation of many points for SET 2× at density 0.1. If no run was better than the best mean of
# the table, then mean and standard deviation tell nearly what the three runs were:

# %%
cell = Cell("SET", "Random", 0.1, 2).rows(printed).iloc[0]
best = printed["accuracy_mean"].max()
mean, std = cell["accuracy_mean"], cell["accuracy_std"]
print(f"{mean} ± {std} of three runs, none above {best}:")
for low, high in audit.three_runs(mean, std, best):
    print(f"  one run between {low:.1f} and {high:.1f}")
print(f"Collapsed, as we count it: at most {collapse_limit('cifar10'):.0f} %")

# %% [markdown]
# So one run was far below the other two: *broken*, as we call it, but not collapsed, since it was much better than
# guessing. A mean cannot test the sentence. So we compare standard deviations, and shares of broken runs: of SET 2× at low densities with what
# lacks one reason of the sentence. That is RigL 2×, SET at the usual length, and SET 2× at higher densities.

# %%
runs = Runs(evidence["paper"])
spread = instability.summary(statements.INSTABILITY, runs, figure_1)
spread.style.set_uuid("instability").format(precision=2, na_rep="–")

# %% [markdown]
# Three seeds show little here: the columns "at least" and "at most" are the limits of what a cell may really be. Our
# intervals leave out any one run in turn, so no single run decides. The report prints no single runs, and three of them
# make a standard deviation: so its values answer nothing here.

# %%
board.board(unstable, "claims-05-1-instability")

# %% [markdown]
# ## Live on this machine
#
# With a profile in the parameters above, this cell trains what no record holds yet. Stop it at any time: finished runs
# are kept, and the others go on from their checkpoints. The same happens in a terminal with
# `python -m rigl_nb run --section 05_1`.

# %% tags=["nbval-ignore-output"]
here = shared.train("05_1", profile, filters, workers, interactive)

# %% tags=["hide-input", "nbval-ignore-output"]
shared.show(here, {"cifar10": printed})

# %% [markdown]
# ## Verdict

# %%
print(ladder.counts(rungs).to_string(index=False))
