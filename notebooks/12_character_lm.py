# %% [markdown]
# # 12 A second task: characters
#
# RigL is no method for images only. The RigL paper {cite}`evci2020` has a second task, which the report does not repeat:
# a network reads a text and predicts each next character (section 4.2 there). The network is recurrent, and three
# quarters of its weights are zero. This notebook does the same with a smaller network on a smaller text, in minutes on
# two CPU cores. Its runs have records like all others. It judges no claim: text, network and length are not the
# paper's.

# %% tags=["parameters"]
profile = ""  # smoke or quick: train what is missing of it; empty: train nothing
filters = {}  # train a part of it, for example {"method": "RigL"}
workers = 1  # runs at the same time, or where: "tcp://host:8786" (notebook 10)
interactive = True

# %% tags=["hide-input"]
from rigl_nb import data
from rigl_nb.data import text
from rigl_nb.experiments import grids
from rigl_nb.report.figures import tables
from rigl_nb.report.sections import characters, shared

# %% [markdown]
# ## The text
#
# Python's own documentation, as `help()` shows it. The package holds a fixed copy, so every machine reads the same
# text. Its licence, the PSF's, lies beside it. Long topics repeat whole short ones, so each paragraph is kept once: else
# a network could learn parts of the test text by heart. A piece of it:

# %%
whole = text.text()
start = whole.index('The "pass" statement')
print(whole[start : whole.index("\n\n\n", start)])

# %% [markdown]
# The text is cut into windows of equal length. The first ones train, then come those that validate, and the last ones
# test. Each character has to be predicted once. A window starts without memory of the one before. Characters that are
# rare in the training text share one symbol.

# %%
spec = grids.specs("12", "quick", method="RigL")[0]
pydoc = data.load(spec.data)
train, validation = data.split(pydoc.train, spec.validation)
for name, part in (
    ("train", train),
    ("validate", validation),
    ("test", pydoc.test),
):
    print(f"{name:9} {len(part):5,} windows, {part.labels.numel():7,} characters")
print(f"{pydoc.source.classes} symbols, {pydoc.source.shape[0]} characters a window")

# %% [markdown]
# ## The measure
#
# Bits per character: minus the binary logarithm of the probability that the network gave to the right character, on
# average. Lower is better. A network that is always sure and right needs 0 bits. One that takes every symbol for equally
# likely needs the first number below. One that knows how often each character is, but not what came before, needs the
# second.

# %%
from math import log2

print(f"all symbols alike:  {log2(pydoc.source.classes):.2f} bits per character")
known = text.frequency_bits(train.labels.numpy(), pydoc.test.labels.numpy())
print(f"frequencies alone:  {known:.2f} bits per character")

# %% [markdown]
# ## The network
#
# Each character becomes a vector, a *gated recurrent unit* (GRU) reads the vectors one by one and changes its state, and
# a linear layer turns the state into a probability for each symbol. Three matrices hold nearly all weights. They are
# masked. The embedding is a look-up, which multiplies nothing, and stays dense; so do the biases.
#
# Below, with the cost of each matrix. ERK ([notebook 02](02_initialisation.ipynb)) would give more weights to small
# matrices, above all to the flat first one. Here all have the same density, so that each matrix costs a quarter of what
# it costs dense. Pruning looks at all weights together and ends where the last column says.

# %%
found = shared.records("12")["quick"]
pruned = [record for record in found if record.spec.method == "Pruning"]
places = characters.shapes(spec, pruned)
formats = {name: "{:.3f}" for name in places if name.startswith(("density", "share"))}
tables.plain(places, "places", {"weights": "{:,}"} | formats)

# %% [markdown]
# ## The training
#
# The paper reads more text, with a larger network and for much longer. Ours and theirs:

# %%
tables.plain(characters.settings(spec), "settings")

# %%
print(shared.sizes("12"))

# %% [markdown]
# The text is too short for the lengths of `short` and `paper`: such a network would know it by heart. So these profiles
# have no runs here.
#
# ## What came of it

# %%
evidence = shared.evidence("12")
shared.banner("12")

# %% [markdown]
# Each cell is the mean over the seeds, its standard deviation, and the number of runs n. FLOPs are fractions of the
# dense network's, counted from the masks of the runs.

# %%
characters.table(evidence, "characters", caption="Bits per character of the test text.")

# %% [markdown]
# The paper prints no numbers of this task: its results are a plot (Figure 4, left), of validation bits, for trainings of
# several lengths. But it says in words how the methods are ordered (section 4.2). Here are its sentences beside our
# differences, with 95 % intervals. A sentence about several methods has a row for each of them that we trained, and
# holds if all its rows do. Other data and another size: this shows a direction, and judges nothing.

# %%
tables.plain(characters.said(evidence["quick"]), "said")

# %% [markdown]
# During training, on the text that validates. This part of the documentation is harder than the part that tests. The
# learning rate falls twice, and mask updates end after three quarters of the training.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-characters", "caption": "Bits per character of the validation text after each epoch. A thin line is a seed, a thick one their mean."}, "image": {"alt": "Bits per character over epochs, one colour for each method: all fall, the dense network's lowest."}}
characters.curves(found)

# %% [markdown]
# ## What it costs
#
# A sparse GRU multiplies by a quarter of the weights for each character. RigL pays a little more while it trains, for
# the dense gradients of its updates. Pruning starts dense and pays for that.

# %%
first = {}
for record in found:
    first.setdefault(record.spec.label, record)
for label, record in first.items():
    operations = record.test_flops * record.dense_flops / pydoc.source.shape[0]
    training = f"training {record.train_flops:.3f} of dense"
    print(f"{label:8} {operations:8,.0f} FLOPs a character, {training}")

# %% [markdown]
# ## Live on this machine
#
# With a profile in the parameters above, this cell trains what no record holds yet. `smoke` reads the text once with a
# small network. The same happens in a terminal with `python -m rigl_nb run --section 12`.

# %% tags=["nbval-ignore-output"]
here = shared.train("12", profile, filters, workers, interactive)

# %% tags=["hide-input", "nbval-ignore-output"]
shared.show(here)

# %% [markdown]
# ## Summary
#
# Computed from the records. The text and the network are not the paper's, and the training is short: so this is a
# description, and no verdict.

# %%
for name, runs in evidence.items():
    if runs["present"].any():
        print(f"{name}: from few bits to many: {characters.order(runs)}")
        better = (runs["test_bits"] < known).sum()
        print(f"{better} of {len(runs)} runs need less than {known:.2f}")
