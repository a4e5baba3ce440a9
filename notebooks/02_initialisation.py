# %% [markdown]
# # 02 Where the weights go: Uniform, ER and ERK
#
# Ten percent of the weights may be active. In which layers? The report {cite}`sundar2021` names three answers:
#
# > **Uniform**: Each layer has the same sparsity […]. Similar to the original authors, we keep the first layer dense
# > in this initialization.
#
# > **Erdos-Renyi-Kernel (ERK)**: Modifies the sparsity rule of convolutional layers in ER initialization to include
# > kernel height and width.
#
# And it says that the answer has a price:
#
# > Theoretical FLOP requirement for Random initialization scales linearly with density (1−s), and is significantly
# > lesser than ERK's FLOP requirements.
#
# The report's tables call Uniform “Random”, and so do we. This section computes the density of every layer of both
# networks, turns it into exact numbers of weights, and counts the cost. In the end it compares the costs with the
# printed ones. Nothing is trained: shapes are enough.

# %% tags=["parameters"]
profile = ""  # this section has no runs: it is the same for every profile
interactive = True  # widgets in JupyterLab; False: the same pictures as a player that needs no kernel

# %% tags=["hide-input"]
import inspect
import math
from itertools import product

import pandas as pd
import torch
from matplotlib import rcParams
from matplotlib.ticker import PercentFormatter

from rigl_nb import flops, masks, models, rng
from rigl_nb.distributions import DISTRIBUTIONS, counts, erdos_renyi_kernel, whole
from rigl_nb.experiments import grids
from rigl_nb.report.figures import plots, style, widgets

# %% [markdown]
# ## The two networks
#
# A Wide ResNet for CIFAR-10 {cite}`zagoruyko2016` and a ResNet-50 for CIFAR-100 {cite}`he2016`. On PyTorch's `meta`
# device a network has shapes but no numbers, so this takes no memory.

# %%
NETWORKS = {"WRN-22-2": ("wrn-22-2", 10), "ResNet-50": ("resnet50", 100)}
with torch.device("meta"):
    networks = {name: models.build(*arguments) for name, arguments in NETWORKS.items()}


def shapes(network, init):
    """The layers that a rule covers: under Random, all but the dense first one."""
    covered = models.maskable(networks[network], first_layer=init != "Random")
    return {layer: tuple(weight.shape) for layer, weight in covered.items()}


# %%
for name, network in networks.items():
    sizes = [math.prod(shape) for shape in shapes(name, "ERK").values()]
    total = sum(parameter.numel() for parameter in network.parameters())
    print(
        f"{name}: {total:,} parameters, {sum(sizes):,} weights in {len(sizes)} layers"
    )

# %% [markdown]
# Only the weights of convolutions and of the classifier are masked, and only they are counted as weights here. Biases
# and normalisation are few and stay dense.
#
# ## The three rules
#
# Let $D$ be the density that we want, $N$ the number of weights, and $n_l$ the number in layer $l$. A rule gives each
# layer a density $d_l$, so that $\sum_l d_l n_l = D N$. For a convolution with $c_\text{in}$ and $c_\text{out}$
# channels and a kernel of $h \times w$:
#
# $$
# \text{Uniform: } d_l = D
# \qquad
# \text{ER: } d_l = \varepsilon \, \frac{c_\text{in} + c_\text{out}}{c_\text{in} \, c_\text{out}}
# \qquad
# \text{ERK: } d_l = \varepsilon \, \frac{c_\text{in} + c_\text{out} + h + w}{c_\text{in} \, c_\text{out} \, h \, w}
# $$
#
# The number $\varepsilon$ is the same for all layers and is chosen so that the sum comes out right. ER comes from SET
# {cite}`mocanu2018`. The report prints these rules for the *sparsity*, as $s_l \propto 1 - \ldots$; its code, and the
# code of the original authors, use the form above, and so do we.
#
# ERK is easier to read after multiplying by $n_l$. The number of active weights is then
#
# $$
# d_l \, n_l = \varepsilon \, (c_\text{in} + c_\text{out} + h + w)
# $$
#
# A layer's size is a *product*, but what it gets is a *sum*. So a big layer becomes very sparse, and a small one
# stays almost dense. A linear layer has no kernel: for it, ER and ERK are the same.

# %%
small_and_big = {"small": (16, 16, 3, 3), "big": (128, 128, 3, 3)}
for layer, density in erdos_renyi_kernel(small_and_big, 0.1).items():
    n = math.prod(small_and_big[layer])
    print(f"{layer:6}{n:8,} weights, density {density:.3f}: {density * n:7,.0f} active")

# %% [markdown]
# Here are the three rules on the Wide ResNet, at a density of 0.1. Read from top to bottom: the first layer, the
# blocks, the classifier.


# %%
def densities(network, init, density):
    """The density of every layer; what the rule does not cover is dense."""
    everything = dict.fromkeys(shapes(network, "ERK"), 1.0)
    return everything | DISTRIBUTIONS[init](shapes(network, init), density)


# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-wrn-densities", "caption": "Density of every layer of WRN-22-2, when one weight in ten is active. Random treats all layers but the first alike. ER and ERK give more to small layers, and ERK fills the 1×1 shortcuts, or nearly so. Markers of one layer are moved up or down a little, so that they do not hide each other."}, "image": {"alt": "Three markers for each layer. Random is at 0.1 except for the dense first layer; ER and ERK give the early, small layers a high density and the late, big ones a low density."}}
plots.layer_densities(
    {init: densities("WRN-22-2", init, 0.1) for init in DISTRIBUTIONS}
)

# %% [markdown]
# The first layer is dense under all three. ER and ERK differ most for the shortcuts.
# These are 1×1 convolutions, and ER does not see how small their kernels are.
#
# ## Exact counts
#
# A density times a number of weights is rarely a whole number, but a mask has a whole number of active weights. We
# round by *largest remainder*: every layer gets the whole part, and the weights that are left go to the layers with
# the largest fractions. Of equal fractions the earlier layer wins. The total is then exactly $\lfloor D N + \frac12
# \rfloor$.

# %%
print(inspect.getsource(counts))
print(inspect.getsource(whole))
three = {"a": (3, 3), "b": (3, 3), "c": (3, 3)}
print("quotas:", {layer: 0.5 * math.prod(shape) for layer, shape in three.items()})
print("counts:", counts(three, dict.fromkeys(three, 0.5)))

# %% [markdown]
# Now the Wide ResNet. The last line is the total; Random's is larger, because it keeps the first layer dense on top.

# %% tags=["hide-input"]
table = pd.DataFrame(
    {"shape": {k: "×".join(map(str, s)) for k, s in shapes("WRN-22-2", "ERK").items()}}
)
table["weights"] = {
    layer: math.prod(shape) for layer, shape in shapes("WRN-22-2", "ERK").items()
}
for init in DISTRIBUTIONS:
    covered = shapes("WRN-22-2", init)
    table[init] = pd.Series(counts(covered, DISTRIBUTIONS[init](covered, 0.1)))
    table[init] = table[init].fillna(table["weights"]).astype(int)
table.loc["total"] = table.sum().where(table.columns != "shape", "")
table = table.rename(lambda layer: layer.removesuffix(".weight"))
table.map(lambda value: value if isinstance(value, str) else f"{value:,}")

# %% [markdown]
# Does this hold at every density? We try 0.01, 0.02, …, 0.99, with every rule and both networks. With whole percents
# the target can be computed in integers, without any rounding of its own.

# %%
exact = []
for network, init, percent in product(networks, DISTRIBUTIONS, range(1, 100)):
    covered = shapes(network, init)
    size = sum(math.prod(shape) for shape in covered.values())
    active = counts(covered, DISTRIBUTIONS[init](covered, percent / 100))
    exact.append(sum(active.values()) == (percent * size + 50) // 100)
print(f"{sum(exact)} of {len(exact)} totals are floor(D·N + ½)")

# %% [markdown]
# A mask is then drawn with exactly this count, every choice equally likely. One could also decide for each weight
# alone, with probability $d_l$, as the report's code does. The count is then right on average only:

# %%
draw = rng.numpy_generator(0, "counts by hand")
shape, density = (128, 128, 3, 3), 0.1
count = counts({"layer": shape}, {"layer": density})["layer"]
print("wanted:     ", count)
drawn = [masks.random_mask(shape, count, draw) for _ in range(4)]
print("exact draw: ", [int(mask.sum()) for mask in drawn])
print("one by one: ", [int((draw.random(shape) < density).sum()) for _ in range(4)])

# %% [markdown]
# ## When a layer overflows
#
# > Finding the right ε for ERK initialization required handling of edge cases—when a layer's capacity is exceeded.
#
# The sum that a small layer gets can be larger than the layer itself. No layer can be more than dense. Here are three
# small layers, and the $\varepsilon$ that makes the total right:

# %%
toy = {"small": (8, 4), "middle": (16, 16), "large": (64, 32)}
sizes = {layer: math.prod(shape) for layer, shape in toy.items()}
budget = 0.2 * sum(sizes.values())
epsilon = budget / sum(sum(shape) for shape in toy.values())
for layer, shape in toy.items():
    gets = epsilon * sum(shape)
    print(f"{layer:7}{sizes[layer]:6,} weights, gets ε · sum = {gets:6.1f}")

# %% [markdown]
# The small layer would get more weights than it has. The rule: make it dense, and solve again for the others with
# what is left of the budget. If another layer overflows then, do it again. The module does all of this:


# %%
def rounded(densities):
    return {layer: round(density, 3) for layer, density in densities.items()}


print(rounded(erdos_renyi_kernel(toy, 0.2)))

# %% [markdown]
# We can check it with the rule itself: solve for the two other layers alone, with the density that is left for them.

# %%
others = {layer: toy[layer] for layer in ("middle", "large")}
left = (budget - sizes["small"]) / sum(sizes[layer] for layer in others)
print(f"density left for the others: {left:.4f}")
print(rounded(erdos_renyi_kernel(others, left)))

# %% [markdown]
# In ResNet-50 this is no edge case. At a density of 0.5 most layers become dense. The table counts them by their
# place in a block: a block of ResNet-50 has a 1×1, a 3×3 and another 1×1 convolution, and some blocks a 1×1 shortcut.


# %%
def dense_layers(network, density):
    """Whether each layer is dense under ERK."""
    return pd.Series(erdos_renyi_kernel(shapes(network, "ERK"), density)) == 1


# %%
dense = dense_layers("ResNet-50", 0.5)
PLACES = {"conv1": "1×1, first", "conv2": "3×3", "conv3": "1×1, last", "0": "shortcut"}
ENDS = {"conv1.weight": "3×3, first layer", "fc.weight": "classifier"}
kinds = [ENDS.get(layer) or PLACES[layer.split(".")[-2]] for layer in dense.index]
by_kind = dense.groupby(kinds, sort=False).agg(dense="sum", layers="count")
by_kind.loc["all"] = by_kind.sum()
by_kind.rename_axis("kind of layer")

# %% [markdown]
# The picture shows the same. The 1×1 convolutions are small and stay dense longest. Layers of one kind get wider with
# the depth, so their density falls. What stays sparse are nearly all 3×3 convolutions, and the widest 1×1
# convolutions at the end. They pay for all the others.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-resnet-densities", "caption": "Density of every layer of ResNet-50, when half of the weights are active. Under ERK most layers are full, and the large ones pay for them. Markers of one layer are moved up or down a little, so that they do not hide each other."}, "image": {"alt": "For each of the layers of ResNet-50 a marker for Random at 0.5 and one for ERK. ERK is at 1 for most layers and far below 0.5 for the last 3 by 3 convolutions."}}
plots.layer_densities(
    {init: densities("ResNet-50", init, 0.5) for init in ("Random", "ERK")}
)

# %% [markdown]
# How many layers are dense at the densities of the report? An update of RigL or SET leaves such a layer as it is
# ([one update of the mask](01_mask_update.ipynb)), so there a mask never moves.

# %%
how_many = pd.DataFrame(index=pd.Index([0.05, 0.1, 0.2, 0.5], name="density"))
for name in networks:
    dense = [int(dense_layers(name, density).sum()) for density in how_many.index]
    how_many[f"{name} ({len(shapes(name, 'ERK'))} layers)"] = dense
how_many

# %% [markdown]
# ## What it costs
#
# A weight of a convolution is used at every position of its output. An early layer has a large output, so its weights
# are expensive; a late one has a small output. We count two operations (a multiplication and an addition) for each
# weight and position; normalisation, additions and pooling are not counted.

# %%
IMAGE = (3, 32, 32)
cost = {name: flops.layer_flops(network, IMAGE) for name, network in networks.items()}
dense = cost["WRN-22-2"]
each = {k: int(dense[k]) // math.prod(s) for k, s in shapes("WRN-22-2", "ERK").items()}
table = pd.Series(each).value_counts(sort=False)
table.rename_axis("operations per weight").to_frame("layers of WRN-22-2")

# %% [markdown]
# First the dense networks, beside the report's numbers. Training costs three times as much as one prediction: the
# forward pass and two products of the same size backwards.

# %%
printed = grids.published("dense").set_index("model")
totals = {name: sum(layers.values()) for name, layers in cost.items()}
dense_cost = pd.DataFrame({"test": totals})
dense_cost["test, printed"] = printed["test_flops"]
dense_cost["train"] = 3 * dense_cost["test"]
dense_cost["train, printed"] = printed["train_flops"]
ratio = dense_cost["test"] / dense_cost["test, printed"]
dense_cost.map("{:.3e}".format).assign(ratio=ratio.map("{:.4f}".format))

# %% [markdown]
# Then the sparse ones, as fractions of the dense network. Each layer's cost is multiplied by its exact density.


# %%
def test_fraction(network, init, density):
    """FLOPs of one prediction, as a fraction of the dense network's."""
    covered = shapes(network, init)
    active = counts(covered, DISTRIBUTIONS[init](covered, density))
    share = {k: active[k] / math.prod(shape) for k, shape in covered.items()}
    return flops.weighted(cost[network], share) / sum(cost[network].values())


for init in DISTRIBUTIONS:
    fraction = test_fraction("WRN-22-2", init, 0.1)
    print(f"WRN-22-2 at density 0.1, {init:6} {fraction:.4f}")

# %% [markdown]
# With the same number of weights, ERK costs more. It puts more weights into early layers, where a weight is
# expensive. Random is a straight line, as the report says. Read across, at one height: for the same FLOPs, ERK must
# be sparser.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-cost", "caption": "FLOPs of one prediction as a fraction of the dense network's, over the density. Random costs about what its density says; ER and ERK cost more."}, "image": {"alt": "Two panels, one per network. Random is the diagonal; ER and ERK are curves above it."}}
rcParams.update(style.STYLE)
figure = style.Picture(3.2)
grid = [percent / 100 for percent in range(2, 101, 7)]
for axis, name in zip(figure.subplots(1, 2, sharey=True), networks, strict=True):
    for init, line, size in (("Random", "-", 4), ("ER", ":", 8), ("ERK", "--", 4)):
        values = [test_fraction(name, init, density) for density in grid]
        look = style.INIT_STYLE[init] | {"linestyle": line, "markersize": size}
        axis.plot(
            grid, values, label=init, fillstyle="none" if size > 4 else "full", **look
        )
    axis.set(title=name, xlabel="density")
    axis.yaxis.set_major_formatter(PercentFormatter(1))
figure.axes[0].set_ylabel("FLOPs, share of the dense network")
figure.axes[0].legend()
figure

# %% [markdown]
# We check both parts of the claim at the densities 0.01, 0.02, …, 0.99. The straight line starts at the cost of the
# dense first layer and ends at 1.


# %%
def line(network, density):
    """A straight line from the cost of the first layer to that of the dense network."""
    first = cost[network]["conv1.weight"] / sum(cost[network].values())
    return first + density * (1 - first)


linear, dearer = [], []
for name, percent in product(networks, range(1, 100)):
    random = test_fraction(name, "Random", percent / 100)
    linear.append(abs(random - line(name, percent / 100)) < 1e-4)
    dearer.append(test_fraction(name, "ERK", percent / 100) > random)
print(f"Random is on the line in {sum(linear)} of {len(linear)} cases")
print(f"ERK costs more in {sum(dearer)} of {len(dearer)} cases")

# %% [markdown]
# To see where the weights are, step through the densities of the report. With a kernel (in JupyterLab) you can choose
# the network too.


# %% tags=["hide-input", "nbval-ignore-output"]
def draw_densities(network, density):
    return plots.layer_densities(
        {init: densities(network, init, density) for init in DISTRIBUTIONS}
    )


# Without a kernel every picture is stored, and those of ResNet-50 are large.
SHOWN = list(networks) if interactive else ["WRN-22-2"]
controls = widgets.controls(
    draw_densities, interactive, network=SHOWN, density=[0.05, 0.1, 0.2, 0.5]
)
controls

# %% [markdown]
# ## Beside the printed cost
#
# Tables 2 and 3 of the report print the cost of training and of a prediction for every method. We compare all rows
# with a fixed number of weights per layer, one length of training, and the densities 0.1 and 0.2. The training cost
# of RigL is a little higher than SET's: by the formula of the RigL paper, one iteration in $\Delta T + 1$ computes dense
# gradients ([notebook 03](03_flops.ipynb) counts them).

# %% tags=["hide-input"]
TABLES = {"WRN-22-2": "table2_cifar10", "ResNet-50": "table3_cifar100"}
parts = [grids.published(table).assign(network=name) for name, table in TABLES.items()]
wanted = "method in ['Static', 'SET', 'RigL'] and multiplier == 1"
rows = pd.concat(parts).query(wanted).reset_index(drop=True)
cells = zip(rows["network"], rows["init"], rows["density"], strict=True)
rows["test"] = [test_fraction(*cell) for cell in cells]
pairs = zip(rows["method"], rows["test"], strict=True)
rows["train"] = [flops.train_fraction(*pair) for pair in pairs]

# %% tags=["hide-input"]
names = {"train_flops": "train, printed", "test_flops": "test, printed"}
shown = ["network", "method", "init", "density"]
shown += ["train", "train_flops", "test", "test_flops"]
digits = {"density": "{:g}", "train": "{:.4f}", "test": "{:.4f}"}
digits |= dict.fromkeys(names.values(), "{:.2f}")
table = rows[shown].rename(columns=names)
styled = table.style.set_uuid("printed").hide(axis="index").format(digits)
styled.set_table_styles([{"selector": "td", "props": "white-space: nowrap;"}])

# %% [markdown]
# The printed numbers have two decimals, and they follow no single rule of rounding. So we ask for agreement within
# 0.01.
#
# ## Verdict
#
# The counts and costs of this section. What these initialisations do for the accuracy is the subject of
# [the section on CIFAR-10](05_1_cifar10.ipynb).

# %%
near = [abs(rows[kind] - rows[f"{kind}_flops"]) <= 0.01 for kind in ("train", "test")]
checks = {
    "totals of active weights are exact": exact,
    "printed cost fractions are within 0.01 of ours": pd.concat(near),
    "dense costs are within 0.5 % of the printed ones": abs(ratio - 1) < 0.005,
    "times Random's cost is linear in the density": linear,
    "times ERK costs more than Random": dearer,
}
for text, results in checks.items():
    print(f"{sum(results)} of {len(results)} {text}")
