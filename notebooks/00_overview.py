# %% [markdown]
# # Overview: what was claimed, and what holds
#
# A neural network can be trained with most of its weights set to zero from the start. RigL {cite}`evci2020` does this
# by moving the few active weights: every 100 steps it drops the smallest ones and grows new ones where the gradient is
# largest. A reproducibility report {cite}`sundar2021` tested it on CIFAR-10 and CIFAR-100 and found:
#
# > "On both CIFAR-10/100, the central claim holds: given a fixed training budget, RigL surpasses existing dynamic-sparse
# > training methods over a range of target sparsities."
#
# These notebooks run that report again. This page shows what was claimed, and what our own runs say so far.

# %% tags=["parameters"]
profile = ""  # this page trains nothing, whatever the profile
interactive = True

# %% tags=["hide-input"]
import pandas as pd
from IPython.display import Markdown

from rigl_nb import paths
from rigl_nb.report import claims, grids, statements, tables
from rigl_nb.runs import cost, engine
from rigl_nb.runs.store import Store

# %% [markdown]
# ## The notebooks
#
# - [01 One mask update](01_mask_update.ipynb): the algorithm, step by step, on eight weights and on a real network.
# - [02 Initialization](02_initialisation.ipynb): how a density is spread over layers, and what that costs.
# - [03 FLOPs](03_flops.ipynb): what every method costs, and all printed costs beside ours.
# - [05.1 CIFAR-10](05_1_cifar10.ipynb): Table 2, Figure 1 and the claims about them.
# - [06.1 Distribution and FLOPs](06_1_distribution_and_flops.ipynb): Random and ERK at equal cost, Figure 3.
# - [06.2 Redistribution](06_2_redistribution.ipynb): Table 5, Figure 4, and what the text says about them.
# - [09 Your own](09_your_own.ipynb): your own model, your own method, and questions that users asked.

# %% [markdown]
# ## The evidence so far
#
# Each training leaves a record: its settings, its numbers, the code's commit and the machine. Published records lie in
# `results/`, and every table is rebuilt from them. There are three sizes of the experiment. Only `paper`, which
# trains exactly as the report did, can earn a verdict.

# %%
results = Store(paths.results())
evidence = {
    section: {
        name: results.frame(grids.specs(section, name)) for name in grids.EVIDENCE
    }
    for section in grids.SECTIONS
}

# %% tags=["hide-input"]
records, lines = results.records(), []
for section, frames in evidence.items():
    missing = {
        name: engine.missing(grids.specs(section, name), results) for name in frames
    }
    costs = {name: cost.estimate(specs, records) for name, specs in missing.items()}
    lines += [
        f"Section {section.replace('_', '.')}",
        "",
        tables.banner(frames, costs, section),
        "",
    ]
Markdown("\n".join(lines))

# %% [markdown]
# ## The claims
#
# A difference is in points of test accuracy. It counts as *reproduced* when its whole 95 % interval lies on the claimed
# side, and as *contradicted* when it lies on the other side. The published means are judged in the same way.

# %%
ours = [claims.judge(claim, evidence["05_1"]["paper"]) for claim in statements.CIFAR10]
printed = claims.with_reference(
    grids.published("table2_cifar10"), grids.published("table4_tuning")
)
theirs = [claims.judge_published(claim, printed) for claim in statements.CIFAR10]
tables.scoreboard(ours, theirs, uuid="claims-overview")

# %% [markdown]
# ## Run it yourself
#
# - `make reproduce` trains small networks on small images in minutes, and builds this report with them.
# - `make reproduce PROFILE=quick` trains on CIFAR-10 within an hour on two CPU cores.
# - `make reproduce PROFILE=paper` trains exactly as the report did. It needs a GPU, and can be stopped at any time.
# - `python -m rigl_nb run --profile paper --section 05_1 --method RigL --init ERK --density 0.1` trains one row.
# - `python -m rigl_nb status` tells what exists, what is missing, and what that would cost.

# %% [markdown]
# ## Verdict

# %%
verdicts = pd.Series(
    [verdict.verdict for verdict in ours], name="claims"
).value_counts()
for word, count in verdicts.items():
    print(f"{count} of {len(ours)} claims: {word}")
