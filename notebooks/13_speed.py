# %% [markdown]
# # 13 Speed that a clock shows
#
# A sparse network needs fewer operations. Is it faster? The report's abstract {cite}`sundar2021` ends with a promise:
#
# > our early experiments show that adapting RigL to promote structured sparsity can obtain practical speedups in
# > existing hardware accelerators.
#
# No table, figure or file of the report has a number for it. Its published code has masks of whole kernels, but no
# timing. So we test the sentence here: what a structure gains by the clock, and what it costs in accuracy. The claims
# were written down before any of these runs was trained, with one exception, which stands beside them.

# %% tags=["parameters"]
profile = ""  # smoke or quick: train what is missing of it; empty: train nothing
filters = {}  # train a part of it, for example {"structure": "channel"}
workers = 1  # runs at the same time, or where: "tcp://host:8786" (notebook 10)
interactive = True

# %% tags=["hide-input"]
import pandas as pd
import torch
from torch import nn

from rigl_nb import models, paths
from rigl_nb.compact import compact
from rigl_nb.experiments import grids
from rigl_nb.masking.channels import Channel
from rigl_nb.report.figures import board, plots, tables, widgets
from rigl_nb.report.sections import ladder, shared, structured
from rigl_nb.runs.store import Store
from rigl_nb.sparsifier import Sparsifier

# %% [markdown]
# ## What others measured
#
# A speed-up means something only with what was timed. These are others' words on structured sparsity: SRigL
# {cite}`lasby2024`, Chase {cite}`yin2023`, and PyTorch's own pages.

# %%
tables.plain(grids.published("speedups"), "others")

# %% [markdown]
# ## Why single weights gain nothing
#
# RigL's masks leave out single weights, anywhere. PyTorch multiplies by the zeros all the same. There are two ways out.
# A *sparse format* stores only the weights that are left, with their places; but looking up places costs time. A
# *smaller dense layer* needs whole rows or columns that are empty. In the masks that our runs left there are hardly any:

# %%
results, lines = Store(paths.results()), []
columns = ("layers", "empty rows", "empty columns")
for record in results.records():
    if found := results.find_masks(record.spec):
        masks = {name: torch.from_numpy(mask) for name, mask in found[0].items()}
        counts = dict(zip(columns, structured.dead(masks), strict=True))
        spec = record.spec
        lines.append(
            {"network": spec.model, "masks of": spec.label, "seed": spec.seed} | counts
        )
tables.plain(pd.DataFrame(lines), "dead")

# %% [markdown]
# The clock agrees. Each cell says how many times faster than the dense layer a form is, at density 0.1: the median, and
# the middle half of many rounds. Below 1 it is slower. *Masked* has zeros among its weights. *CSR* and *BSR* are
# PyTorch's sparse formats, *gather* is constant fan-in by looking up inputs, *channels* a smaller dense layer, and
# *SparseLab* a package of sparse layers.

# %%
measured = structured.measured()
print(structured.about(measured))
tables.plain(structured.layers(measured), "layers")

# %% [markdown]
# ## Structures
#
# A structure says what moves as one. The rule stays RigL's: drop the smallest, grow the largest, and the counts are
# exact.
#
# - `weight`: single weights, anywhere in their layer. The report's.
# - `kernel`: a whole kernel, from one input channel to one output channel.
# - `channel`: a hidden channel, which one layer computes and one layer reads.
# - `fan-in`: single weights, but as many in every row.
# - `2:4`: two of each four inputs, as the sparse units of some GPUs want them. Its density is one half.
#
# Only `channel` leaves out what an ordinary dense layer can leave out too. So it is the one that is fast anywhere.
#
# ### One update of channels
#
# A layer with three outputs reads six hidden channels, and three of them are live. A channel is a column. Its score is
# a mean over the column: of the size of its weights for the drop, of the size of its gradients for growth.

# %%
weight = torch.tensor(
    [
        [0.9, -0.1, 0.4, 0.0, 0.0, 0.0],
        [-0.6, 0.2, 0.3, 0.0, 0.0, 0.0],
        [0.3, 0.0, -0.8, 0.0, 0.0, 0.0],
    ]
)
rows = ([0.1, 0.2, 0.1, -0.3, 0.7, 0.0], [0.2, 0.1, 0.0, 0.2, -0.5, 0.1])
gradient = torch.tensor([*rows, [0.0, 0.3, 0.2, 0.1, 0.6, -0.1]])
live = torch.tensor([True, True, True, False, False, False]).expand(3, 6)

# %%
net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
channels = Channel(groups=(("0", "2"),)).on(net, models.maskable(net))
kept = channels.drop("2.weight", weight, live, count=1)
after = channels.grow("2.weight", gradient.abs(), kept, count=1)
afterwards = weight.where(after & live, 0)
scores = {"|w|": weight.abs().mean(0), "|g|": gradient.abs().mean(0)}
print(pd.DataFrame(scores).round(2).T.to_string())

# %% tags=["hide-input", "nbval-ignore-output"]
STAGES = {
    "1. the live channels": (live, live, live, weight),
    "2. score for the drop: mean |w|": (live, kept, kept, weight.abs()),
    "3. score for growth: mean |g|": (live, kept, after, gradient.abs()),
    "4. the weights afterwards": (live, kept, after, afterwards),
}


def draw(stage):
    *three, values = STAGES[stage]
    return plots.mask_update(*three, values=values, title=stage)


widgets.stepper(list(STAGES), draw, interactive, labels=list(STAGES))

# %% [markdown]
# What computes a dead channel keeps its values and waits. So a candidate's gradient is an ordinary one. A grown channel's
# column starts at 0: it does not change what the network computes.
#
# ## The small network inside
#
# `compact` takes the dead channels out. What is left is an ordinary dense network, and it computes the same:

# %%
model = models.build("wrn-10-1", 10)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
options = {"density": 0.2, "structure": "channel", "t_end": 1000}
sparsifier = Sparsifier(model, optimizer, "RigL", "Random", **options)
small = compact(model.eval(), sparsifier)
images = torch.randn(4, 3, 32, 32)
with torch.no_grad():
    print("the same output:", torch.allclose(model(images), small(images), atol=1e-5))
for name, one in {"masked": model, "compact": small}.items():
    print(f"{name:8} {sum(p.numel() for p in one.parameters()):7,} parameters")

# %% [markdown]
# Training can use it too. The small network trains between two updates of the masks; only the iteration that updates
# them is dense. Without dropout it is the same training but for rounding, which a
# long training in float32 makes larger. `compact.resize` does it in a loop of your
# own ([notebook 09](09_your_own.ipynb)), `--compact` for the runs of this report.
#
# ## What channels gain
#
# WRN-22-2, against the dense network in its faster memory format. *Hidden channels* live inside the residual blocks.
# *All widths* is Small-Dense: every layer is narrower, and so is the residual stream.

# %%
tables.plain(structured.networks(measured), "networks")

# %% [markdown]
# Compare the gain with the FLOPs. Hidden channels leave the residual stream as wide as it was, and its additions,
# normalisations and ReLUs take their time. Narrow layers also use a processor badly, most of all where their widths are
# no multiples of eight: it computes so many numbers at a time. That is why the larger one of these two networks, which
# are trained below, is the faster one:

# %%
for label, share in structured.shares(measured).items():
    if label.startswith("Small-Dense"):
        width = float(label.split()[-1]) ** 0.5
        blocks = models.build("wrn-10-1", 10, width).blocks
        widths = [block.conv2.out_channels for block in blocks]
        print(f"{label}: {widths} channels, {share:.2f} of the dense time")

# %% [markdown]
# Whole trainings, from one update of the channels to the next, with its dense iteration:

# %%
tables.plain(structured.trainings(measured), "trainings")

# %% [markdown]
# ## Accuracy against time
#
# A faster network is no news: a narrower one is fast as well. The question is which of them is *more accurate* in the
# same time. So the line to beat is Small-Dense. The runs:

# %%
print(shared.sizes("13"))

# %%
evidence = shared.evidence("13")
shared.banner("13")

# %%
found = structured.accuracy(evidence["quick"], measured)
tables.plain(structured.table(found), "accuracy")

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-speed", "caption": "Test accuracy against the measured time of a training step: means over seeds, with standard deviations. The grey line joins Dense and the narrower dense networks. A structure is worth its trouble where it lies above that line. Masks that only put zeros take the time of the dense network; their markers are moved apart a little."}, "image": {"alt": "Points of accuracy over time. Dense networks of three widths are joined by a line. Channel methods take about half of the dense time, all other structures the dense time."}}
structured.picture(found)

# %% [markdown]
# ## The claims
#
# The first is the report's, and asks the clock alone. The others are our questions, as the report's sentence names no
# network and no rival. *Equal time*: the rival is the largest
# Small-Dense that we tried whose step takes no longer. Only times chose it, but late: a first timing, on one thread of a
# busy machine, had said density 0.3, and five runs had ended when a better one said 0.25. The last two are what others found: a
# constant fan-in costs no accuracy {cite}`lasby2024`, and a pruned shape is as good when it is trained from scratch
# {cite}`liu2019`. [Notebook 07](07_discussion.ipynb) says how we judge.

# %%
rungs, clock = ladder.rungs_of("13"), structured.fact(measured)
board.board(rungs, "claims-13", facts=[clock])

# %% [markdown]
# ## Limits
#
# - The times are those of one kind of processor. On a GPU, small networks wait for the host, and the gain may be none.
# - Three epochs of a small network are far from convergence. A structure that learns slowly looks worse than it is.
# - `2:4` and `fan-in` need kernels of their own to be fast. We promise no gain.
# - Channels of the residual stream do not move. So not every network reaches every density:

# %%
large = models.build("resnet50", 100)
try:
    Sparsifier(
        large,
        torch.optim.SGD(large.parameters()),
        "RigL",
        "Random",
        **options | {"density": 0.1},
    )
except ValueError as error:
    print("ResNet-50:", str(error).replace(": ", ":\n  ").replace(". ", ".\n  "))

# %% [markdown]
# ## Live on this machine
#
# With a profile in the parameters above, this cell trains what no record holds yet. The same happens in a terminal with
# `python -m rigl_nb run --section 13`.

# %% tags=["nbval-ignore-output"]
here = shared.train("13", profile, filters, workers, interactive)

# %% tags=["hide-input", "nbval-ignore-output"]
shared.show(here)

# %% [markdown]
# ## Verdict

# %%
print(f"{clock.how}: {clock.name}: {clock.agree} of {clock.of} timings, {clock.word}")
for rung in rungs:
    for scale, answer in rung.answers.items():
        print(f"{scale}: {rung.claim.name}: {board.ours(answer)}, {answer.word}")
