# %% [markdown]
# # Rigging the Lottery: an executable reproduction
#
# A neural network can be trained with most of its weights at zero. RigL {cite}`evci2020` moves the few active ones:
# every 100 steps it drops the smallest and grows new ones where the gradient is largest. A report {cite}`sundar2021`
# tested this: "the central claim holds—given a fixed training budget, RigL surpasses existing dynamic-sparse training
# methods over a range of target sparsities." These notebooks run that report again.

# %% tags=["parameters"]
profile = ""  # this page trains nothing, whatever the profile
interactive = True

# %% tags=["hide-input"]
from rigl_nb.report.figures import tables
from rigl_nb.report.sections import overview, shared, verdicts

boards = {name: verdicts.judged(name) for name in verdicts.JUDGES}
overview.answer(boards)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-glance", "caption": "The central claims. A line with a marker is a difference of two methods and its 95 % interval, in points of test accuracy; in brackets the section. A claim is reproduced when the whole interval lies in the coloured band."}, "image": {"alt": "Central claims as horizontal intervals around zero, a line each, with bands where they hold. At the right the verdicts, by the printed values and by our paper runs."}}
overview.forest(overview.headlines(boards))

# %% [markdown]
# ## The notebooks
#
# - [01 One mask update](01_mask_update.ipynb): the algorithm, step by step, on eight weights and on a real network.
# - [02 Initialization](02_initialisation.ipynb): how a density is spread over layers, and what that costs.
# - [03 FLOPs](03_flops.ipynb): what every method costs, and all printed costs beside ours.
# - [04 Settings](04_settings.ipynb): networks, data, hyperparameters, Table 1, and where text and code differ.
# - [05.1 CIFAR-10](05_1_cifar10.ipynb): Table 2, Figure 1 and the claims about them.
# - [05.2 CIFAR-100](05_2_cifar100.ipynb): Table 3 and its figure, with lottery tickets.
# - [05.3 Tuning](05_3_tuning.ipynb): Table 4, Figure 2, and the search that chose α and ΔT.
# - [06.1 Distribution and FLOPs](06_1_distribution_and_flops.ipynb): Random and ERK at equal cost, Figure 3.
# - [06.2 Redistribution](06_2_redistribution.ipynb): Table 5, Figure 4, and what the text says about them.
# - [06.3 Beyond](06_3_beyond.ipynb): the best distribution for a given cost, searched.
# - [07 Discussion](07_discussion.ipynb): all claims on one board, and what three seeds can show.
# - [08 The published code](08_published_code_audit.ipynb): where it differs from the rules, and what that changes.
# - [09 Your own](09_your_own.ipynb): your own model, your own method, and questions that users asked.
# - [10 Batches](10_batches.ipynb): from a laptop to a cluster, what each table costs, and how long it takes.
# - [11 All runs](11_runs.ipynb): a table of every run, and plots of any that you choose.
# - [12 Characters](12_character_lm.ipynb): the RigL paper's second task, a recurrent network on a text.

# %% [markdown]
# ## The evidence so far
#
# Each training leaves a record: its settings, its numbers, the code's commit and the machine. Published records lie in
# `results/`, and every table is rebuilt from them. There are three sizes of the experiment. Only `paper`, which
# trains exactly as the report did, can earn a verdict.

# %%
tables.plain(overview.runs(), "evidence")

# %% [markdown]
# Each notebook says what the missing runs would cost, and the command that trains them. `python -m rigl_nb status` says
# it for all.

# %% [markdown]
# ## The claims
#
# A difference is in points of test accuracy. It counts as *reproduced* when its whole 95 % interval lies on the claimed
# side, and as *contradicted* when it lies on the other side. Else it is *inconclusive*. The published means are judged
# in the same way. The table counts ✓ reproduced, ✗ contradicted and ? inconclusive. A claim without enough runs, or
# without printed values, is in no column. [Notebook 07](07_discussion.ipynb) shows all claims, one by one.

# %%
tables.plain(verdicts.counts(boards).reset_index(), "counts")

# %% [markdown]
# ## Run it yourself
#
# - `make reproduce` trains small networks on small images in minutes, and builds this report with them.
# - `make reproduce PROFILE=quick` trains on CIFAR-10. On two CPU cores Table 2 takes an hour, everything about two.
# - `make reproduce PROFILE=paper` trains exactly as the report did. It needs a GPU, and can be stopped at any time.
# - `python -m rigl_nb run --profile paper --section 05_1 --method RigL --init ERK --density 0.1` trains one row.
# - `python -m rigl_nb status` tells what exists, what is missing, and what that would cost.

# %% [markdown]
# ## Verdict

# %%
print(shared.outcomes(v.verdict for board in boards.values() for v in board.ours))
