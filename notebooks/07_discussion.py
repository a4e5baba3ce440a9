# %% [markdown]
# # 7 Discussion
#
# > "Evaluated on image classification, the central claims of Evci et al. [2020] hold true—RigL outperforms existing
# > sparse-to-sparse training methods and can also surpass other dense-to-sparse training methods with extended training.
# > RigL is fairly robust to its choice of hyperparameters, as they can be set independent of sparsity or initialization.
# > We find that the choice of initialization has a greater impact on the final performance and compute requirement than
# > the method itself."
#
# This notebook puts all claims of the report {cite}`sundar2021` on one board: what was printed, what our runs say, and
# the verdict. Then it asks what three seeds can show at all. It lists the places where the report contradicts itself,
# and ends with what was easy and what was hard for us. The verdicts are computed here, by the same functions as in the
# notebooks of the sections.

# %% tags=["parameters"]
profile = ""  # this page trains nothing, whatever the profile
interactive = True

# %% tags=["hide-input"]
import math

import pandas as pd

from rigl_nb.claims import inconsistencies, judge, power
from rigl_nb.experiments import grids
from rigl_nb.report.figures import tables
from rigl_nb.report.sections import verdicts

# %% [markdown]
# ## The scoreboard
#
# A claim compares cells of a table: the difference of two accuracies, in points. It is *reproduced* if the 95 %
# interval of the difference lies on the claimed side, *contradicted* if it lies on the other side, else *inconclusive*.
# The printed means and standard deviations get the same treatment as our runs. Only runs of the `paper` profile count.
# It trains exactly as the report did.

# %%
boards = {name: verdicts.judged(name) for name in verdicts.JUDGES}
tables.plain(verdicts.counts(boards).reset_index(), "counts")

# %% [markdown]
# ✓ reproduced, ✗ contradicted, ? inconclusive. The left half judges the report by its own numbers. A claim can be right and still *inconclusive*,
# if the seeds spread too much to show it.

# %%
every = [
    verdict
    for board in boards.values()
    for verdict in (board.published or board.ours)
    if verdict.verdict == judge.CONTRADICTED
]
for verdict in every:
    interval = f"[{verdict.low:+.2f}, {verdict.high:+.2f}]"
    print(f"Contradicted by the printed values: {verdict.claim.name}")
    print(f"  {verdict.claim.statement}, but {verdict.difference:+.2f} {interval}")
if not every:
    print("The printed values contradict no claim.")

# %% [markdown]
# ### All claims, one by one

# %%
ours = [verdict for board in boards.values() for verdict in board.ours]
theirs = [verdict for board in boards.values() for verdict in board.published]
tables.scoreboard(ours, theirs, uuid="claims-07")

# %% [markdown]
# ## What three seeds can show
#
# Two runs that differ only in the seed do not reach the same accuracy. This spread limits what a table of three seeds
# can prove. We take the spread of the printed tables, pooled over their cells. SET 2× at 0.1 is left out: a run
# collapsed there.

# %%
spread = {}
for name, title in {
    "table2_cifar10": "CIFAR-10",
    "table3_cifar100": "CIFAR-100",
}.items():
    stds = grids.published(name)["accuracy_std"]
    spread[title] = power.pooled_std(stds[stds < 5])
for title, std in spread.items():
    print(f"{title}: standard deviation over seeds {std:.2f} points")

# %% [markdown]
# A difference of two runs spreads by √2 times as much. A claim pools several pairs of cells, which helps: three pairs
# with three seeds are nine differences. *Half width* is
# half of the 95 % interval. *Detectable* is the true difference that such an experiment finds in four of five cases.

# %%
apart = {title: math.sqrt(2) * std for title, std in spread.items()}
widths = pd.concat({title: power.table(std) for title, std in apart.items()})
widths = widths.reset_index(level=0, names="data")
form = dict.fromkeys(("half width", "detectable difference"), "{:.2f}")
tables.plain(widths, "power", form)

# %% [markdown]
# So one pair of cells with three seeds cannot show differences as small as those that the tables are read for. The
# central claim, RigL over SET, pools many cells. How many seeds would it need, if the printed difference is the true
# one?

# %%
central = boards["05_1"].published[0]
pairs = central.n // judge.PUBLISHED_SEEDS
gap, std = central.difference, apart["CIFAR-10"]
print(
    f"Printed: {gap:+.2f} [{central.low:+.2f}, {central.high:+.2f}] over {pairs} pairs"
)
for cells in (1, pairs):
    seeds = power.seeds_needed(gap, std, cells)
    print(f"Seeds per cell to find it with {cells} of these pairs: {seeds}")

# %% [markdown]
# ## Where the report contradicts itself
#
# All of these are small. They matter to a reader who compares digits. Each is read from the published values and shown
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
# - **The text.** It names its seeds, grids and formulas, and prints standard deviations. Without these no claim could
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
# Not covered here either: larger data sets such as ImageNet, tasks other than image classification, and real speed-ups.
# Masks only simulate sparsity.

# %% [markdown]
# ## Verdict

# %%
for title, source in {"By the printed values": theirs, "By our runs": ours}.items():
    words = [verdict.verdict for verdict in source]
    decided = (
        len(words) - words.count(judge.NOT_ENOUGH) - words.count(judge.NOT_PRINTED)
    )
    print(
        f"{title}: {words.count(judge.REPRODUCED)} of {decided} judged claims reproduced,"
    )
    print(f"  {words.count(judge.CONTRADICTED)} contradicted,", end=" ")
    print(f"{words.count(judge.INCONCLUSIVE)} inconclusive; {len(ours)} claims in all")
