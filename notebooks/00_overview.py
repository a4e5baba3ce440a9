# %% [markdown]
# # Rigging the Lottery: an executable reproduction
#
# The rigl_nb developers · MIT licence · [the runs](11_runs.ipynb) · [use it](09_your_own.ipynb) · [cite it](#how-to-cite)
#
# **Abstract.** A network can be trained with most of its weights at zero. RigL {cite}`evci2020` drops the smallest
# weights every 100 steps and grows new ones where the gradient is largest. A report of the ML Reproducibility Challenge
# {cite}`sundar2021` tested it: "the central claim holds—given a fixed training budget, RigL surpasses existing
# dynamic-sparse training methods over a range of target sparsities." These notebooks run that report again: they
# rebuild every table and figure from the records that exist, beside the printed numbers.

# %% tags=["parameters"]
profile = ""  # this page trains nothing, whatever the profile
interactive = True

# %% [markdown]
# ## What is known today

# %% tags=["hide-input"]
from rigl_nb import paths
from rigl_nb.claims import arithmetic
from rigl_nb.report.figures import board, tables
from rigl_nb.report.sections import ladder, overview
from rigl_nb.runs.store import Store

rungs = ladder.rungs()
facts = arithmetic.facts(Store(paths.results()).records())
overview.known(rungs, facts)

# %% [markdown]
# ## The ladder of evidence
#
# Sentences about costs, then the central claims; in brackets the section. [Notebook
# 07](07_discussion.ipynb) shows all claims and says how we judge. A printed number cannot reproduce itself: it only
# supports a sentence, or not. A short training cannot either: it shows a direction,
# and it ends far from convergence, so a longer one helps it more. Only trainings of the report's
# length, by its text, can reproduce or contradict a claim; how they deviate from the report stands in
# [notebook 04](04_settings.ipynb).

# %% tags=["hide-input"]
board.board(overview.primary(rungs), "ladder", ladder.PRIMARY, facts)

# %% [markdown]
# ## Choose a path
#
# - **Learn.** [One mask update](01_mask_update.ipynb), step by step. [Where the weights go](02_initialisation.ipynb):
#   Random and ERK. [What it costs](03_flops.ipynb): FLOPs of every method.
# - **Results.** [Settings](04_settings.ipynb), [CIFAR-10](05_1_cifar10.ipynb), [CIFAR-100](05_2_cifar100.ipynb),
#   [tuning](05_3_tuning.ipynb), [distributions at equal cost](06_1_distribution_and_flops.ipynb),
#   [redistribution](06_2_redistribution.ipynb), [a search beyond the report](06_3_beyond.ipynb), and the
#   [discussion](07_discussion.ipynb).
# - **Audit.** [The published code](08_published_code_audit.ipynb), measured.
# - **Use.** [Your own model and method](09_your_own.ipynb), [batches on any machine](10_batches.ipynb),
#   [all runs](11_runs.ipynb), a [second task](12_character_lm.ipynb): characters, and
#   [speed that a clock shows](13_speed.ipynb).
#
# ## The methods
#
# All keep a share of the weights, the *density*. They differ in what an update drops and grows.

# %% tags=["hide-input"]
tables.plain(overview.methods(), "methods")

# %% [markdown]
# ## The evidence so far
#
# Each training leaves a record: its settings, its numbers, the code's commit and the machine. Published records lie in
# `results/`. Three sizes of the experiment count as evidence; the table counts
# their runs. A fourth, `smoke`, only shows that all works.

# %%
tables.plain(overview.runs(), "evidence")

# %% [markdown]
# ## Run it yourself
#
# - `make reproduce` trains small networks on small images in minutes, and builds this report with them.
# - `make reproduce PROFILE=quick` trains on CIFAR-10 on two CPU cores.
# - `make reproduce PROFILE=paper` trains at the report's length. It needs a GPU, and can be stopped at any time.
# - `python -m rigl_nb run --profile paper --section 05_1 --method RigL --init ERK --density 0.1` trains one row.
# - `python -m rigl_nb status` tells what exists and what is missing, and how long that takes, as far as it was measured.
#
# ## Limitations
#
# - The full trainings need many GPU-hours. Until the ladder has a column for them, no claim is judged at full scale.
# - Masks simulate sparsity, as in the report: costs are counted. [Notebook 13](13_speed.ipynb) times what structure gains.
# - Activations are bfloat16 on machines that have it; the report's were float32.
# - Two data sets of small images, and one text.
#
# **Compute**: every record names its machine and its seconds. **Data**: CIFAR-10 and CIFAR-100 {cite}`krizhevsky2009`,
# the digits that come with scikit-learn, and Python's documentation. **Code**: this repository; its commit stands at
# the foot of each page.
#
# ## How to cite
#
# `CITATION.cff` names this software, the report {cite}`sundar2021` and the paper {cite}`evci2020`.

# %% [markdown]
# ## Verdict

# %%
print(ladder.counts(rungs).to_string(index=False))
