# %% [markdown]
# # 7 Discussion
#
# > "Evaluated on image classification, the central claims of Evci et al. [2020] hold true—RigL outperforms existing
# > sparse-to-sparse training methods and can also surpass other dense-to-sparse training methods with extended training.
# > RigL is fairly robust to its choice of hyperparameters, as they can be set independent of sparsity or initialization.
# > We find that the choice of initialization has a greater impact on the final performance and compute requirement than
# > the method itself."
#
# This notebook puts all claims of the report {cite}`sundar2021` on one board, with an answer at each scale of evidence.
# It says how we judge, and what three seeds can show at all. It lists the places where the report contradicts itself,
# and ends with what was easy and what was hard for us.

# %% tags=["parameters"]
profile = ""  # this page trains nothing, whatever the profile
interactive = True

# %% tags=["hide-input"]
import pandas as pd

from rigl_nb import paths
from rigl_nb.claims import inconsistencies, power, printed
from rigl_nb.claims.model import Printed, Runs
from rigl_nb.claims.spread import Blocks
from rigl_nb.report.figures import board, tables
from rigl_nb.report.sections import discussion, ladder, shared
from rigl_nb.runs.store import Store

# %% [markdown]
# ## How we judge
#
# A claim compares means of cells: the accuracy of one method minus that of another, over the pairs of cells that the
# sentence names. All runs of one network and data set in one profile go into one linear model: a mean for each cell,
# and one variance over seeds. So cells with few runs borrow what others say about the noise. A mean is that of the runs
# its section asked for; runs of other sections tell only the noise. So the same method can have different means in two
# sections. A run is never counted twice, even if a claim names its cell twice. Where variances
# differ, each mean has its own (Welch): by Levene's test for runs, by Bartlett's for printed values, and for runs also
# where a pair is noisier than the rest.
#
# - **supported**: the 95 % interval of the mean difference lies on the claimed side. Where the text says "each", "all",
#   "consistently" or "matches", this must be so in every pair; the board then shows the weakest one, too. A mean can
#   come from one pair alone: the board counts the pairs that agree.
#   "Matches" needs the 90 % interval within ±0.3 points, or within what the text says. "Matches or outperforms" needs
#   only its lower end there. "Does not significantly improve" needs an upper end below 0.3, and a 95 % interval that is
#   not wholly above 0.
# - **opposite**: it lies on the other side; in a claim about each pair, in one of them, corrected for their number.
# - **no difference** of practical size: the 90 % interval lies within ±0.3 points. This counts against a claim that
#   there is one.
# - **undecided**: anything else, and what does not survive when all claims are tested together.
#
# Each scale has its own words: a printed number cannot reproduce itself, and a short training only shows a direction.
# At the report's length a claim needs all seeds that its cells are to have. The claims of the front page are tested together
# (Holm), the others too (Benjamini and Hochberg): of those that come out clear, at most one in twenty is false on average.
# A broken run, more than 5 standard deviations below its cell's median, or near guessing, is counted apart; the means are
# given with and without. The printed standard deviations, each of three runs, give printed means their intervals, but
# they answer no claim about spread.
#
# Short trainings end far from convergence. A longer one helps them more than it would help the report's: so "same
# direction" says little of "2×".

# %%
rungs = ladder.rungs()
tables.plain(ladder.counts(rungs), "counts")

# %% [markdown]
# ### Are runs of one seed alike?
#
# Runs of one seed share their initial weights and the order of the images. If that made them alike, pairing by seed
# would narrow the intervals. The *intraclass correlation* says how alike they are: 1 is equal, 0 is not at all. It is
# asked of the rows with most seeds: of two rows it says little. Pairing is used only where it helps, and all cells have
# the same seeds.

# %%
for name, runs in shared.evidence("05_1").items():
    there = Runs(runs).all if runs["present"].any() else runs[:0]
    sizes = there.groupby("config_id")["seed"].transform("size")
    fullest = there[sizes == sizes.max()]
    if blocks := Blocks.of(fullest) if len(there) else None:
        words = f"intraclass correlation {blocks.correlation:+z.2f}"
        print(
            f"{name}: {words}, p = {blocks.p:.2f}, from {fullest['config_id'].nunique()} rows"
        )

# %% [markdown]
# ### Does the machine matter?
#
# Runs come from several machines. Where a processor has bfloat16, activations are in it, elsewhere in float32. Some
# configurations were trained in both. If float32 added the same to all, how much would that be?

# %%
known = Store(paths.results()).records()
for (name, model), (gain, both) in discussion.by_precision(known).items():
    low, high = gain.interval()
    print(f"{name}, {model}: float32 minus bfloat16 {gain.value:+z.2f} points,")
    print(f"  [{low:+z.2f}, {high:+z.2f}]; configurations with both: {both}")

# %% [markdown]
# An interval that holds 0 says that no difference is seen, not that there is none. Where one side of a claim has more
# float32 runs than the other, as in the `quick` runs of redistribution, keep this interval in mind.
#
# ## All claims, one by one

# %% tags=["hide-input"]
board.board(rungs, "claims")

# %%
for rung in rungs:
    answer = rung.answers.get("printed")
    if answer and answer.word == "not supported":
        print(f"Not supported by the printed numbers: {rung.claim.name}")
        print(f"  {rung.claim.statement}, but {board.ours(answer)}")

# %% [markdown]
# Not on the board are sentences about single runs. [Notebook 06.2](06_2_redistribution.ipynb) counts them for Figure 4,
# and [notebook 06.3](06_3_beyond.ipynb) judges a search of our own.
#
# ### Answers that hang on a choice
#
# The report prints some cells twice, with different values. And a test decides whether all means share one variance, or
# each has its own. These printed answers come out otherwise with the other value, or with one variance for all. So they
# are weak, whatever the board says. Outcomes here are of each claim alone.

# %%
tables.plain(discussion.readings(rungs), "readings")

# %% [markdown]
# ## What three seeds can show
#
# Two runs that differ only in the seed do not reach the same accuracy. This spread limits what a table of three seeds
# can prove. We take the spread of the printed tables, pooled over their cells. SET 2× at 0.1 is left out: its standard
# deviation shows that a run broke there.

# %%
spread = {}
for data, table in {
    "cifar10": printed.table2(),
    "cifar100": printed.table3(),
}.items():
    rows = Printed(table).rows
    spread[data] = power.pooled_std(rows.loc[~rows["broken"], "accuracy_std"])
    print(f"{data}: standard deviation over seeds {spread[data]:.2f} points")

# %% [markdown]
# *Half width* is half of the 95 % interval of the mean difference over some pairs of cells, with three seeds each, and
# nothing else known: the board's intervals are narrower, as all cells of a table tell how much runs differ there.
# *Detectable* is the true difference that such an experiment finds in four of five cases.

# %%
widths = pd.concat({data: power.table(std) for data, std in spread.items()})
widths = widths.reset_index(level=0, names="data")
form = dict.fromkeys(("half width", "detectable difference"), "{:.2f}")
tables.plain(widths, "power", form)

# %% [markdown]
# So one pair of cells with three seeds cannot show differences as small as those that the tables are read for. How many
# seeds would RigL over SET need, if the printed difference is the true one?

# %%
central = next(rung for rung in rungs if rung.claim.name == "RigL over SET").answers[
    "printed"
]
gap, pairs = central.estimate.value, len(central.pairs)
print(f"Printed: {board.ours(central)} over {pairs} pairs")
for some in (1, pairs):
    seeds = power.seeds_needed(gap, spread["cifar10"], some)
    print(f"Seeds per cell to find it with {some} of these pairs: {seeds}")

# %% [markdown]
# ## What the full trainings can show
#
# The front page's claims, with the seeds that the grid gives their cells. How likely do they come out as supported, each
# alone, if the printed difference is true in each pair, or for "matches" if there is none? A claim about each pair needs
# luck in all of them. This is why the central claim is asked twice. "Surpasses … over a range of target sparsities" can
# mean the average over the densities. The planned runs can answer that. At each density, the strict reading, they cannot:
# eight differences would all have to be clear.

# %%
asked = [*ladder.PRIMARY, "RigL over SET, each density"]
of = {rung.claim.name: rung for rung in rungs}
found = discussion.prospects([of[name] for name in asked], spread)
form = {"true difference": "{:+.2f}", "chance": "{:.0%}"}
tables.plain(found, "prospects", form)

# %% [markdown]
# Where the chance is small, more seeds or another question are needed before anybody trains.

# %% [markdown]
# ## Where the report contradicts itself
#
# Most of these are small. They matter to a reader who compares digits. Each is read from the published values and shown
# again in the notebook named last.

# %%
found = pd.DataFrame([vars(one) for one in inconsistencies.found()])
found["notebook"] = found["notebook"].str.replace("_", ".")
found.columns = ["where", "says", "but", "section"]
tables.plain(found, "inconsistencies")

# %% [markdown]
# ## What was easy
#
# - **The algorithm.** Drop and grow are a few lines each. Everything around them is what any training needs
#   ([notebook 01](01_mask_update.ipynb)).
# - **The printed FLOPs.** Nearly all printed costs follow from the shapes of two networks and a handful of formulas
#   ([notebook 03](03_flops.ipynb)). They even decided a question that the text leaves open: how many convolutions
#   ResNet-50 has at its input ([notebook 04](04_settings.ipynb)).
# - **The text.** It names most of its grids and formulas, and prints standard deviations. Without these no claim could
#   be judged again.
#
# ## What was hard
#
# - **The details that no text names.** Does the mask update replace the optimizer's step? Does a connection that is
#   dropped and grown again keep its momentum? Is the first layer part of the budget? Each changes numbers, and one has
#   to read code to know ([notebook 04](04_settings.ipynb)).
# - **Exactness.** A mask drawn weight by weight has a random number of weights. Rounding layer by layer loses some.
#   Ties, dense layers and empty layers each need a rule, or the budget drifts.
# - **Small differences.** Most claims are about a few tenths of a point. That is the size of the noise, as
#   shown above. Honest verdicts need many runs, and many runs need a GPU.
# - **Resuming.** A training that is stopped and continued must give the same numbers. Masks, momentum, random numbers
#   and the position in the epoch all have to be kept.
#
# ## Beyond the report
#
# The report ends with a wish: distributions that reach the best accuracy for a given FLOP budget. [Section
# 6.3](06_3_beyond.ipynb) makes a first step.
#
# Not covered here either: larger data sets such as ImageNet. Masks of single weights only simulate sparsity: they gain
# no time. Masks of whole channels do, once a smaller network is made of them: `benchmarks/README.md` says how much.

# %% [markdown]
# ## Verdict
#
# How many claims got which answer; our own questions are not counted.

# %%
print(ladder.counts(rungs).to_string(index=False))
