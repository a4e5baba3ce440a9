# %% [markdown]
# # 6.3 Beyond the report: the best distribution at a fixed cost
#
# > "Considering the performance boost obtained by redistribution, proposing distributions that attain maximum
# > performance given a FLOP budget could be an interesting future direction."
#
# The report {cite}`sundar2021` names this as future work (its section 7). It has no section 6.3 and makes no claim
# about it. What follows is ours: a first, small step. We search between the report's two distributions, at equal cost,
# and then check with new seeds whether the search found more than luck.

# %% tags=["parameters"]
profile = ""  # smoke, quick, short or paper: train what is missing of it; empty: train nothing
filters = {}  # train a part of it, for example {"init": "ERK", "seed": 0}
workers = 1  # runs at the same time, or where: "tcp://host:8786" (notebook 10)
interactive = True

# %% tags=["hide-input"]
import math

from IPython.display import Markdown

from rigl_nb import paths
from rigl_nb.claims import power
from rigl_nb.experiments import grids
from rigl_nb.report.figures import tables
from rigl_nb.report.sections import beyond, beyond_family, shared
from rigl_nb.report.sections.beyond_family import signed
from rigl_nb.runs.store import Store

# %% [markdown]
# ## The question
#
# At equal *weights*, ERK is better than Random. At equal *FLOPs*, the report finds Random better
# ([notebook 06.1](06_1_distribution_and_flops.ipynb)). These are two points. Is there a better one between them, or
# beyond them, that costs the same?
#
# All runs are RigL on CIFAR-10. All cost what Random costs at density 0.1.

# %%
print(shared.sizes("06_3"))

# %% [markdown]
# ## The evidence so far
#
# The next trial of a search depends on the results before it. So the last runs are decided only when the others have
# ended.

# %% tags=["hide-input"]
shared.banner("06_3")

# %% [markdown]
# ## One number between Uniform and ERK
#
# ERK gives layer $l$ a density in proportion to a ratio $r_l$ of its shape
# ([notebook 02](02_initialisation.ipynb)). We raise this ratio to a power:
#
# $$d_l \propto r_l^{\,p}, \qquad r_l = \frac{c_{in} + c_{out} + h + w}{c_{in} \cdot c_{out} \cdot h \cdot w}$$
#
# - $p = 0$: every layer has the same density. This is Uniform, but the first layer is sparse, too. In the report's
#   Random the first layer stays dense.
# - $p = 1$: ERK.
# - $p < 0$ makes large layers denser than small ones. $p > 1$ is more extreme than ERK.
#
# A layer that would need a density above 1 becomes dense, and the others share the rest. The factor in front follows
# from the cost: we solve for the density at which a prediction costs what Random costs at density 0.1. The figure
# shows what remains free: where the weights are.

# %% tags=["hide-input"] mystnb={"figure": {"name": "distribution-family", "caption": "Density of every layer of WRN-22-2 for five exponents and for Random. All cost the same. The larger the exponent, the more small layers get and the less is left for large ones."}, "image": {"alt": "Density over the layers on a log scale, one line per exponent. Exponent 0 is flat. With a growing exponent the shortcuts, the first layer and the classifier become dense, and the last blocks sparse."}}
members = beyond_family.family(grids.PROFILES["paper"])
beyond_family.layer_densities(members)

# %% [markdown]
# ## All of them cost the same
#
# A mask has a whole number of weights in each layer. So the table counts the cost again, from whole weights. FLOPs are
# fractions of the dense network's ([notebook 03](03_flops.ipynb)).

# %%
costs = beyond_family.costs(members)

# %% tags=["hide-input"]
table = costs.rename_axis("distribution").reset_index()
table.columns = ["distribution", "weights", "density", "test FLOPs", "training FLOPs"]
form = {"weights": "{:,}", "density": "{:.4f}"}
form |= dict.fromkeys(["test FLOPs", "training FLOPs"], "{:.5f}×")
tables.plain(table, "costs", form)

# %%
apart = costs["test_flops"].max() - costs["test_flops"].min()
weights = costs["active"].sort_values()
times = weights.iloc[-1] / weights.iloc[0]
print(f"Largest difference in test FLOPs: {apart:.6f} of the dense network's")
print(f"{weights.index[-1]}: {times:.1f} times the weights of {weights.index[0]}")

# %% [markdown]
# The difference that is left comes from rounding to whole weights. The densities differ a lot: a low exponent buys many
# weights. But they lie in the last blocks, where images are small and a weight is cheap. Which layers need weights most
# is what the search has to find out.
#
# ## The search
#
# As the report does for its hyperparameters, we use Optuna's TPE sampler, and validation accuracy decides. Uniform and
# ERK are tried first. From then on the sampler chooses the exponent, with what it has seen so far. Nobody looks at the
# test images yet.
#
# From here on the page shows the strongest profile whose search has ended. Only the `paper` profile trains what the
# report trains. A smaller one shows how the method works, and decides nothing for the report's networks.

# %%
results = Store(paths.results())
searches = {
    name: beyond.search(grids.PROFILES[name], results) for name in grids.EVIDENCE
}
found = beyond.strongest(searches.values())
size, ended = found.profile, len(found.trials)
print(f"Shown here: {size.name} ({size.about})")
print(f"{ended} of {size.trials} trials; seeds a trial: {len(size.search_seeds)}")

# %% [markdown]
# Each dot is a trial. The grey band is the noise, from runs that differ in the seed alone, those of Table 2 among them:
# if all distributions were equally good, 95 % of the dots would still be spread over this band. So the order of dots
# inside the band says little. Diamonds are new runs of the best trial and of both ends. The next section needs them.

# %% tags=["hide-input"] mystnb={"figure": {"name": "exponents-searched", "caption": "The search: validation accuracy over the exponent. Numbers: order of the trials. Diamonds: means of fresh seeds."}, "image": {"alt": "Validation accuracy over the exponent. Numbered dots are trials, a ring marks the best one, a grey band shows the noise of repeated seeds, diamonds show the best and both ends with fresh seeds."}}
beyond.score_by_exponent(found)

# %%
std, freedom = beyond.noise(found)
scores = found.trials["score"]
if freedom and ended:
    one = std / math.sqrt(len(size.search_seeds))
    print(f"Noise of one score: std {one:.2f} points ({freedom} degrees of freedom)")
    print(f"All scores: std {scores.std():.2f} points")
    half = beyond.half_width(found, len(size.search_seeds))
    outside = (scores - scores.median()).abs() > half
    print(f"Outside the band: {outside.sum()} of {ended} trials")
else:
    print("No trial has ended, or no setting has two runs yet.")

# %% tags=["hide-input"]
trials = found.trials.sort_values("score", ascending=False, kind="stable")
trials = trials.reset_index(names="trial")
trials.columns = ["trial", "exponent", "density", "validation accuracy (%)"]
form = {"exponent": signed, "density": "{:.6f}", "validation accuracy (%)": "{:.2f}"}
tables.plain(trials, "trials", form)

# %% [markdown]
# ## How much of it was luck?
#
# The best of many noisy scores is flattered: it was chosen because it is high. This is the *winner's curse*. Even if
# all trials were equally good, the best score would lie above their mean. How far, on average, follows from the noise:

# %%
if freedom and ended:
    gain = power.expected_maximum(size.trials) * one
    print(
        f"By chance alone, the best of {size.trials} scores is {gain:.2f} points high"
    )

# %% [markdown]
# So the best trial and both ends are trained again, with fresh seeds that the search has not seen. *Lost* is the score
# in the search minus the mean of the fresh seeds, with its standard error. The rows that were not chosen show what
# noise alone does to it. Only what the best lost beyond them is luck of the search. Where one of them lost as much, the
# table cannot tell this luck from noise. All trials share their seeds: if all rows lose alike, these were good ones.
# Test accuracy is that of the fresh seeds. A *broken* run, far below the others of its kind
# ([notebook 07](07_discussion.ipynb)), is counted, but is in no mean and not in the noise.

# %% tags=["hide-input"]
finals = beyond.finals(found)
shown = finals[["exponent", "searched", "fresh"]].rename_axis("distribution")
shown = shown.rename(columns={"searched": "in the search", "fresh": "fresh seeds"})
lost = zip(finals["lost"], finals["error"], strict=True)
shown["lost"] = [
    "–" if math.isnan(e) else f"{signed(x, '+.2f')} ± {e:.2f}" for x, e in lost
]
test = zip(finals["mean"], finals["std"], finals["n"], strict=True)
shown["test accuracy"] = [
    f"{m:.2f}" + (f" ± {s:.2f}" if n > 1 else "") + f" (n = {n})" if n else "–"
    for m, s, n in test
]
shown["broken"] = finals["broken"].replace(0, "–")
form = {"exponent": signed, "in the search": "{:.2f}", "fresh seeds": "{:.2f}"}
tables.plain(shown.reset_index(), "finals", form)

# %% [markdown]
# ## Is the best better?
#
# The best of the search against Uniform, ERK and Random, in test accuracy, with 95 % intervals. Only fresh seeds count.
# *Could show* is the true difference that four of five such experiments would tell from zero: "not shown" is not
# "equal". The runs of Table 2, of the same length, help to tell how much runs differ. *Broken apart* counts the broken
# runs and gives the difference with them.

# %%
judged = beyond.answers(found)
tables.plain(beyond.differences(judged), "differences")

# %%
Markdown("- " + beyond.outcome(found).replace("\n", "\n- "))

# %% [markdown]
# ## What this search cannot say
#
# - One number cannot describe every distribution. A better one may lie outside this family.
# - One budget, one data set, one network. The best exponent may move with each of them.
# - Equal FLOPs are counted, not measured in seconds.
#
# ## Live on this machine
#
# With a profile in the parameters above, this cell trains what no record holds yet, trial after trial. Stop it at any
# time: finished runs are kept, and the others go on from their checkpoints. The same happens in a terminal with
# `python -m rigl_nb run --section 06_3`. The table below mixes the seeds of the search with fresh ones.

# %% tags=["nbval-ignore-output"]
here = shared.train("06_3", profile, filters, workers, interactive)

# %% tags=["hide-input", "nbval-ignore-output"]
shared.show(here)

# %% [markdown]
# ## Verdict
#
# These are our questions, not claims of the report. Only `paper` records answer them.

# %%
print(beyond.outcome(searches["paper"]).splitlines()[-1])
