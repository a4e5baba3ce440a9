# %% [markdown]
# # 5.1 WideResNet-22-2 on CIFAR-10
#
# > "Given a fixed training FLOP budget, RigL surpasses existing dynamic sparse training methods over a range of
# > target sparsities."
#
# This notebook rebuilds Table 2 and Figure 1 of the report {cite}`sundar2021` from records of real runs, and puts the
# published values beside them. Then it tests each claim of the section. No number is typed in: the published values
# come from `rigl_nb/report/published/`, ours from `results/`.

# %% tags=["parameters"]
profile = ""  # smoke, quick, short or paper: train what is missing of it; empty: train nothing
filters = {}  # train a part of it, for example {"method": "RigL", "density": 0.1}
workers = 1  # runs that train at the same time
interactive = True

# %% tags=["hide-input"]
from IPython.display import Markdown, display

from rigl_nb import paths
from rigl_nb.report import claims, grids, plots, statements, tables
from rigl_nb.runs import cost, engine, progress
from rigl_nb.runs.store import Store

# %% [markdown]
# ## What was run
#
# All methods train the same Wide ResNet on 45,000 images, with 5,000 more to validate and 10,000 to test. A method
# decides which weights may be different from zero. The density, here written $1-s$, is their share. Each row of
# Table 2 is a method, an initialization and a training length. "Random" means the same density in every layer, and
# "ERK" gives small layers a higher density ([notebook 02](02_initialisation.ipynb)). "2×" trains twice as long.
#
# A *profile* is a size of this experiment. Only records of the `paper` profile, which trains exactly as the report
# did, can earn a verdict. The smaller ones show that everything works, and what a sparse run looks like.

# %%
for name, one in grids.PROFILES.items():
    runs = len(grids.specs("05_1", name))
    print(f"{name:6} {one.about}, {runs} runs")

# %% [markdown]
# ## The evidence so far

# %%
results = Store(paths.results())
evidence = {name: results.frame(grids.specs("05_1", name)) for name in grids.EVIDENCE}
printed = grids.published("table2_cifar10")

# %% tags=["hide-input"]
records = results.records()
missing = {
    name: engine.missing(grids.specs("05_1", name), results) for name in grids.EVIDENCE
}
costs = {name: cost.estimate(specs, records) for name, specs in missing.items()}
Markdown(tables.banner(evidence, costs, "05_1"))

# %% [markdown]
# ## Table 2
#
# Each cell is the mean test accuracy over the seeds, its standard deviation, and the number of runs n. Methods are
# grouped by what they cost, and the best of a group is bold. FLOPs are fractions of the dense model's: the published
# ones were computed by formulas, ours were counted from the masks of the runs.
#
# The `quick` runs are very short and use a smaller network. Compare them among themselves, not with the published
# column: sparse networks trail the dense one, and so few epochs cannot give a fine order.

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

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-1", "caption": "Figure 1 of the report: test accuracy across densities. Open markers: published. Filled markers: ours."}}
figure_1 = claims.with_reference(printed, grids.published("table4_tuning"))
plots.accuracy_by_density(evidence["paper"], figure_1)

# %% [markdown]
# ## What a run looks like
#
# The strongest profile that has runs, density 0.1, seed 0. The network is evaluated on the validation images after
# every epoch. The drop fraction is the share of connections that a mask update would replace: it decays to zero at
# three quarters of the training, and from then on the mask stays.

# %% tags=["hide-input"] mystnb={"figure": {"name": "curves", "caption": "Training curves, one run for each method."}}
shown = [name for name in grids.EVIDENCE if evidence[name]["present"].any()]
strongest = shown[0] if shown else "paper"
labels = ("Dense", "Static", "SET", "RigL", "RigL (ERK)")
first = grids.specs("05_1", strongest, seed=0, multiplier=1)
chosen = [s for s in first if s.label in labels and s.density in (0.1, 1.0)]
found = {spec.label: results.find(spec) for spec in chosen}
plots.training_curves({name: r.history for name, r in found.items() if r})

# %% [markdown]
# ## The claims
#
# A claim compares cells of the table. Runs of equal seed are paired, all differences are pooled, and a 95 % interval
# tells what they can show: *reproduced* if the whole interval lies on the claimed side, *contradicted* if it lies on
# the other side, else *inconclusive*. The published means get the same treatment, as far as they allow it.

# %%
ours = [claims.judge(claim, evidence["paper"]) for claim in statements.CIFAR10]
theirs = [claims.judge_published(claim, figure_1) for claim in statements.CIFAR10]
tables.scoreboard(ours, theirs, uuid="claims-05-1")

# %% [markdown]
# ## Live on this machine
#
# With a profile in the parameters above, this cell trains what no record holds yet. Stop it at any time: finished runs
# are kept, and the others go on from their checkpoints. The same happens in a terminal with
# `python -m rigl_nb run --section 05_1`.

# %% tags=["nbval-ignore-output"]
local = Store(paths.runs())
asked = grids.specs("05_1", profile, **filters) if profile else []
todo = engine.missing(asked, local, results)
with progress.display(todo, live=interactive) as notify:
    summary = engine.run(todo, local, [results], workers=workers, notify=notify)
if summary.failed:
    raise RuntimeError(f"{len(summary.failed)} runs failed: {summary.failed}")

# %% tags=["hide-input", "nbval-ignore-output"]
here = local.frame(asked)
if here["present"].any():
    display(tables.live(here, printed, uuid="live"))
else:
    print("No run was trained here: none is asked for, or all are published.")

# %% [markdown]
# ## Verdict

# %%
for word in (
    claims.REPRODUCED,
    claims.CONTRADICTED,
    claims.INCONCLUSIVE,
    claims.NOT_ENOUGH,
):
    print(
        f"{sum(verdict.verdict == word for verdict in ours)} of {len(ours)} claims {word}"
    )
