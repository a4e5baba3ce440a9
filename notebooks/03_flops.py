# %% [markdown]
# # 03 What it costs: FLOPs of every method
#
# A sparse network should be cheap to use, and cheap to train. The report {cite}`sundar2021` says of RigL
# {cite}`evci2020`:
#
# > By utilising dense gradients only during connectivity updates and avoiding any global sparsity redistribution, RigL
# > can maintain a fixed computational cost and parameter count throughout training.
#
# Of its strongest rival, SNFS {cite}`dettmers2020`:
#
# > SNFS can outperform RigL, but requires a much larger training budget, since it (a) requires dense gradients at each
# > training step, (b) redistributes layer-wise sparsity during mask updates.
#
# And of moving weights between layers in RigL:
#
# > […] redistributing layer-wise sparsity while training can bridge the performance gap between the two initialization
# > schemes, but increases computational cost.
#
# This section counts the floating point operations (FLOPs) of every method: by formulas, exactly, and by a counter
# that is not ours. Then it goes through **every printed cost** of Tables 2, 3 and 5. It says which agree with ours,
# which do not and why, and which must wait for a run. Nothing is trained here.

# %% tags=["parameters"]
profile = ""  # this section has no runs: it is the same for every profile
interactive = True  # widgets in JupyterLab; False: the same pictures as a player that needs no kernel

# %% tags=["hide-input"]
import math
from functools import cache

import numpy as np
import pandas as pd
import torch
from matplotlib import rcParams
from matplotlib.ticker import PercentFormatter
from torch.utils.flop_counter import FlopCounterMode

from rigl_nb import flops, models, paths, rng, schedules
from rigl_nb.claims import own_costs
from rigl_nb.distributions import DISTRIBUTIONS, counts
from rigl_nb.experiments import grids
from rigl_nb.methods import BUILT_IN, METHODS
from rigl_nb.report.figures import style, widgets
from rigl_nb.runs.store import Store

# %% tags=["hide-input"]
rcParams.update(style.STYLE)
CELL = {"selector": "th, td", "props": "white-space: nowrap; padding: 0.1em 0.5em;"}
HEAD = {"selector": "thead th", "props": "text-align: left;"}
MINUS = str.maketrans("-", "−")


def styled(frame, uuid, formats=None):
    """A table without its index; the fixed `uuid` makes its HTML the same every time."""
    table = frame.style.set_uuid(uuid).hide(axis="index").format(formats)
    return table.set_table_styles([CELL, HEAD])


# %% [markdown]
# ## How a layer is counted
#
# A weight of a convolution is used once at every position of the layer's output: one multiplication and one addition.
# So a layer with density $d$ costs $2 \cdot d \cdot (\text{weights}) \cdot (\text{positions})$. Biases, normalisation,
# additions and pooling are not counted. On PyTorch's `meta` device a network has shapes but no numbers, and shapes
# are all that counting needs.

# %%
IMAGE = (3, 32, 32)
NETWORKS = {"WRN-22-2": ("wrn-22-2", 10), "ResNet-50": ("resnet50", 100)}
NETWORKS["WRN-10-1"] = ("wrn-10-1", 10)  # of the quick runs
DATA = {"WRN-22-2": "cifar10", "ResNet-50": "cifar100"}
with torch.device("meta"):
    networks = {name: models.build(*arguments) for name, arguments in NETWORKS.items()}
cost = {name: flops.layer_flops(network, IMAGE) for name, network in networks.items()}
dense = {name: sum(layers.values()) for name, layers in cost.items()}

# %%
layer = networks["WRN-22-2"].blocks[3].conv1
weights = layer.weight.numel()
positions = 16 * 16  # this layer halves the image, from 32 to 16
print(layer)
print(f"2 · {weights:,} weights · {positions} positions = {2 * weights * positions:,}")
print(f"counted by the module: {cost['WRN-22-2']['blocks.3.conv1.weight']:,.0f}")
print(f"with one weight in ten: {0.1 * 2 * weights * positions:,.0f}")

# %% [markdown]
# ## An independent count
#
# PyTorch has a counter of its own. It watches the operations that really run, and knows nothing of our code. We let it
# count a prediction, and then the backward pass. A training iteration costs three predictions.

# %%
independent = []
for name in DATA:
    image = torch.zeros(1, *IMAGE, device="meta", requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        output = networks[name](image)
    with FlopCounterMode(display=False) as backward:
        output.sum().backward()
    once = forward.get_total_flops()
    training = once + backward.get_total_flops()
    independent += [once == dense[name], training == 3 * dense[name]]
    print(f"{name}, a prediction: ours {dense[name]:,.0f}, torch's {once:,}")
    print(f"{name}, training: torch's {training:,}, {training / once:g} times as much")

# %% [markdown]
# The report prints rounded values, per image:

# %%
absolute = grids.published("dense").set_index("model")
for name, row in absolute.iterrows():
    for kind, factor in (("test", 1), ("train", 3)):
        value = row[f"{kind}_flops"]
        print(f"{name}, {kind:5}: printed {value:.2e}, ours {factor * dense[name]:.4e}")

# %% [markdown]
# ## Three products in every iteration
#
# Every layer does three products of the same size in a training iteration: its output, the gradient of its inputs, and
# the gradient of its weights. The first two use the weights, so they are as sparse as the weights are. The third makes
# one number for every weight. It is sparse if only the active weights need theirs. A method that wants the gradients
# of *inactive* weights pays for all of them.
#
# Let $f$ be the cost of a prediction, as a fraction of the dense network's. An iteration costs $f$ of a dense one if
# all three products are sparse, and $(2f + 1)/3$ if the third is dense. The table is read from the methods as they
# are trained here.


# %%
def products(name):
    """How each product is computed, from what the method declares about itself."""
    method = METHODS[name]
    sparse = "sparse" if method.masked else "narrow" if method.narrow else "dense"
    always = "dense" if method.dense_momentum else sparse
    update = "dense" if method.dense_gradients else always
    f = "moves" if method.share or method.start == "dense" else "constant"
    return name, sparse, sparse, always, update if method.moves else "–", f


names = ["method", "output", "inputs’ gradient", "weights’ gradient"]
names += ["… at an update", "f over time"]
table = pd.DataFrame(
    map(products, filter(BUILT_IN.__contains__, METHODS)), columns=names
)
styled(table, "products").map(lambda v: "font-weight: bold;" if v == "dense" else "")

# %% [markdown]
# This is the report's point about RigL and SNFS. RigL has dense gradients at an update, one iteration in a hundred.
# SNFS keeps the momentum of all weights, so it needs dense gradients in every iteration. However sparse it is, it
# never costs less than a third of dense training.
#
# ## Formulas and exact counts
#
# The report takes the cost of a training from closed formulas, as the RigL paper does {cite}`evci2020`:
#
# | method | training, as a fraction of dense training |
# |---|---|
# | Dense, Small-Dense, Static, SET | $f$ |
# | RigL, RigL-SG, RigL-SM | $f + \frac{1 - f}{3 (\Delta T + 1)}$ |
# | SNFS | $(2 f + 1) / 3$ |
# | Pruning | the mean of $f$ over the iterations |
# | Lottery | Pruning's cost, and $f$ once more |
# | N× training | N times that |
#
# Where $f$ is constant, it follows from the shapes and the exact number of active weights
# ([where the weights go](02_initialisation.ipynb)):

# %%
FIXED = [m for m in METHODS if products(m)[-1] == "constant" and m != "Lottery"]


@cache
def test_fraction(network, method, init, density):
    """FLOPs of one prediction, as a fraction of the dense network's, from shapes."""
    if METHODS[method].narrow:
        with torch.device("meta"):
            small = models.build(*NETWORKS[network], width=math.sqrt(density))
        return flops.inference_flops(small, IMAGE) / dense[network]
    if method == "Dense":
        return 1.0
    covered = models.maskable(networks[network], first_layer=init != "Random")
    shapes = {k: tuple(weight.shape) for k, weight in covered.items()}
    active = counts(shapes, DISTRIBUTIONS[init](shapes, density))
    share = {k: active[k] / math.prod(shape) for k, shape in shapes.items()}
    return flops.weighted(cost[network], share) / dense[network]


# %% [markdown]
# The exact cost of a training is the mean over its iterations, and we go through all 88,000 of them. Updates come at
# iterations $\Delta T - 1$, $2 \Delta T - 1$, … and end at $T_\text{end}$, after three quarters of the training.


# %%
@cache
def exact(spec, f):
    """Cost of a training with constant f: its mean over the iterations, times N."""
    method, spent = METHODS[spec.method], 0.0
    for t in range(spec.total_steps):
        due = method.moves and (t + 1) % spec.delta_t == 0 and t < spec.t_end
        spent += flops.step_fraction(f, due and method.dense_gradients)
    return spent / spec.total_steps * spec.multiplier


# %%
PAPER = grids.PROFILES["paper"]  # the report's training


def both(row):
    """What the next table shows of a run: f, and its cost by formula and exactly."""
    f = test_fraction("WRN-22-2", row.method, row.init, row.density)
    formula = row.multiplier * flops.train_fraction(row.method, f)
    spec = PAPER.spec(row, seed=0)
    real = exact(spec, f)
    return spec.label, row.density, f, formula, real, round(formula - real, 4) + 0.0


# %% tags=["hide-input"]
chosen = [("Dense", None, 1.0, 1), ("Small-Dense", None, 0.1, 1)]
chosen += [(method, "Random", 0.1, 1) for method in ("Static", "SET", "RigL")]
chosen += [("RigL", "Random", 0.1, 2), ("SET", "ERK", 0.1, 1), ("RigL", "ERK", 0.1, 1)]
names = ["WRN-22-2", "density", "f", "formula", "exact", "difference"]
rows = [both(grids.Row(*values)) for values in chosen]
digits = {"density": "{:g}"} | dict.fromkeys(names[2:], "{:.4f}")
styled(pd.DataFrame(rows, columns=names), "formulas", digits)

# %% [markdown]
# RigL's formula is a little too high. It counts 100 sparse iterations and then an update, from the beginning to the
# end. A real training differs in two ways, which pull in opposite directions. Here they are, one after the other, for
# RigL (Random) at density 0.1:

# %%
spec = PAPER.spec(grids.Row("RigL", "Random", 0.1), seed=0)
f = test_fraction("WRN-22-2", "RigL", "Random", 0.1)
updates = len(range(spec.delta_t - 1, spec.t_end, spec.delta_t))
shares = {
    "formula: an update after every 100 iterations": 1 / 101,
    "an update is one of the 100: it replaces a step": 1 / 100,
    f"updates end at {spec.t_end:,}: there are {updates}": updates / spec.total_steps,
}
for text, share in shares.items():
    print(f"{text:49}{share:.4f} of all iterations, cost {f + share * (1 - f) / 3:.5f}")

# %% [markdown]
# The difference is far below the two printed decimals. Where we have the exact cost, we compare with that.
#
# The next picture shows the cost of training over the density. RigL costs hardly more than SET, which grows at random:
# its line runs through SET's markers. For SNFS we take the layer densities that it starts from. It then moves weights
# into expensive layers, so its real cost is higher.

# %% tags=["hide-input"]
GRID = [percent / 100 for percent in range(4, 101, 8)]
SERIES = {("SET", "Random"): "", ("SET", "ERK"): "", ("RigL", "Random"): "-"}
SERIES |= {("RigL", "ERK"): "--", ("Small-Dense", None): "", ("SNFS", "Random"): "-"}


def plot_cost(axis, network, method, init, line):
    """Cost of training over the density, by the formula."""
    fractions = [test_fraction(network, method, init, density) for density in GRID]
    values = [flops.train_fraction(method, f) for f in fractions]
    look = style.METHOD_STYLE[method] | {"linestyle": line, "markersize": 4.5}
    look |= {"fillstyle": "none" if init == "ERK" else "full"}
    look |= {"marker": ""} if method == "RigL" else {}
    axis.plot(GRID, values, label=f"{method} ({init})" if init else method, **look)


# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-training-cost", "caption": "FLOPs of training, as a fraction of dense training, over the density. Solid lines and filled markers: Random. Dashed lines and open markers: ERK. SNFS pays for a dense gradient in every step, so sparsity saves it less."}, "image": {"alt": "Two panels, one per network. SET and RigL lie on each other, on the diagonal under Random and above it under ERK. Small-Dense lies on the diagonal too. SNFS is a line that starts at one third."}}
figure = style.Picture(3.3)
for axis, name in zip(figure.subplots(1, 2, sharey=True), DATA, strict=True):
    for (method, init), line in SERIES.items():
        plot_cost(axis, name, method, init, line)
    axis.set(title=name, xlabel="density", xlim=(0, 1.03), ylim=(0, 1.03))
    axis.yaxis.set_major_formatter(PercentFormatter(1))
figure.axes[0].set_ylabel("FLOPs of training")
figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3)
figure

# %% [markdown]
# ## What the runs counted themselves
#
# A run of this project adds up its own cost, iteration by iteration, from its masks. A published run whose layers keep
# their densities must have found what its specification gives, from shapes alone: its method, its density, and its
# exponent where it has one ([notebook 06.3](06_3_beyond.ipynb)). And RigL keeps its promise of a fixed cost if the number
# of active weights never changed in any layer. We do not ask the runs of [notebook 08](08_published_code_audit.ipynb)
# that draw their counts by coins: there the numbers move on purpose. Nor do we ask runs whose layers do not follow from
# the specification alone: those with a structure, and those that start from another run's masks or densities. This page
# is not built unless all others agree.

# %%
results = Store(paths.results())
published = results.records()
own = own_costs.compared(published)
same = np.ones(len(own), bool)
for kind in ("test", "train"):
    same &= np.isclose(own[kind], own[f"{kind} by shapes"], rtol=1e-9)
constant = list(own_costs.kept(published).values())
print(f"{same.sum()} of {len(own)} runs counted the costs of their specification")
print(f"{sum(constant)} of {len(constant)} runs of SET and RigL had constant layers")
assert same.all() and all(constant)

# %% [markdown]
# ## Pruning: a cost that falls
#
# Pruning {cite}`zhu2018` starts dense and removes the smallest weights of the whole network, fast at first and then
# more and more slowly. At iteration $t$ the sparsity is to be
#
# $$
# s(t) = s_f \left(1 - \left(1 - \frac{t - t_0}{T_\text{end} - t_0}\right)^3\right)
# $$
#
# with $t_0 = 700$. It prunes on the grid on which other methods update: first at iteration 799, last at the first grid
# point from $T_\text{end}$ on. Here is the exact path of the density:


# %%
def path(spec, weights):
    """The share of active weights in every iteration of a Pruning run."""
    density, densities, final = 1.0, [], 1 - spec.density
    for t in range(spec.total_steps):
        densities.append(density)  # a pruning acts from the next iteration on
        due = (t + 1) % spec.delta_t == 0 and t >= spec.prune_start
        if due and t < spec.t_end + spec.delta_t:
            s = schedules.pruning_sparsity(t, spec.prune_start, spec.t_end, final)
            density = math.floor((1 - s) * weights + 0.5) / weights
    return np.array(densities)


# %%
prunable, pruning, pruned = {}, {}, {}
for name, data in DATA.items():
    covered = models.maskable(networks[name], first_layer=False)
    prunable[name] = sum(weight.numel() for weight in covered.values())
    for density in (0.1, 0.2):
        spec = PAPER.spec(grids.Row("Pruning", None, density, data=data), seed=0)
        pruning[name, density], pruned[name, density] = spec, path(spec, prunable[name])
for t in (799, 800, 10_000, 33_000, 66_099, 66_100):
    print(f"iteration {t:6,}: density {pruned['WRN-22-2', 0.1][t]:.5f}")

# %% [markdown]
# What is the mean of $f$ over this path? We know the density of the network in every iteration, but not the densities
# of its *layers*: they depend on the weights. Without a run we can only estimate, and we do it in three ways.
#
# 1. **Equal layers.** Every layer has the global density (the first layer, which is not pruned, is dense). This is a
#    simplification and a low proxy: all printed test costs lie above it.
# 2. **From the printed test costs.** The report prints $f$ at the end, for densities 0.1 and 0.2, and at density 1 it
#    is 1. We draw straight lines between these three points.
# 3. **At the initial weights.** We keep the largest *initial* weights instead of trained ones. Wide, late layers start
#    with small weights, and those are the cheap ones. So the expensive early layers stay dense, and $f$ is high.
#
# A real run begins near the third curve and ends on the second.


# %%
def equal_layers(network, density):
    """f, if every prunable layer had the density of the network."""
    first = cost[network]["conv1.weight"] / dense[network]
    return first + (1 - first) * density


# %%
def at_the_start(network, densities):
    """f for each density, if Pruning kept the largest of the initial weights."""
    model = models.build(*NETWORKS[network], rng=rng.numpy_generator(0, "weights"))
    weights = models.maskable(model, first_layer=False).items()
    sizes = {
        layer: weight.detach().abs().flatten().numpy() for layer, weight in weights
    }
    ranks = [round((1 - density) * prunable[network]) for density in densities]
    ordered = np.partition(np.concatenate(list(sizes.values())), ranks)
    for limit in ordered[ranks]:
        share = {layer: np.mean(values >= limit) for layer, values in sizes.items()}
        yield flops.weighted(cost[network], share) / dense[network]


# %%
POINTS = [0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0]
start = {name: list(at_the_start(name, POINTS)) for name in DATA}
files = {"WRN-22-2": "table2_cifar10", "ResNet-50": "table3_cifar100"}
end, lines = {}, {}
for name, file in files.items():
    end[name] = grids.published(file).query("method == 'Pruning'").set_index("density")
    lines[name] = [*end[name].index, 1.0], [*end[name]["test_flops"], 1.0]


# %% tags=["hide-input"]
def plot_path(axis, density, **look):
    """The cost of a prediction over the training, and its mean."""
    values = equal_layers("WRN-22-2", pruned["WRN-22-2", density])
    look |= {"color": style.METHOD_STYLE["Pruning"]["color"]}
    thousands = np.arange(len(values)) / 1000
    axis.plot(thousands[::100], values[::100], label=f"to density {density:g}", **look)
    axis.axhline(values.mean(), linestyle=":", **look)
    axis.set(title="WRN-22-2, equal layers", ylim=(0, 1.04))
    axis.set(xlabel="iteration (thousands)", ylabel="cost f of a prediction")
    axis.legend()


# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-pruning", "caption": "Pruning. Left: the cost of a prediction during the training, if every layer had the global density; dotted: its mean. It starts dense, so most of the cost is early. Middle and right: three estimates of this cost at a given density of the network."}, "image": {"alt": "Left: two curves fall from 1 to 0.1 and 0.2, fast at first and slowly later. Middle and right, one panel per network: three curves from the lower left to the upper right corner. Equal layers is the diagonal, from printed test costs lies a little above it, at the initial weights far above it."}}
figure = style.Picture(2.9)
left, *others = figure.subplots(1, 3, width_ratios=(1.15, 1, 1))
for density, tint in ((0.1, 1.0), (0.2, 0.5)):
    plot_path(left, density, alpha=tint)
for axis, name in zip(others, DATA, strict=True):
    axis.plot(
        POINTS, start[name], "^-", color="#0072B2", label="at the initial weights"
    )
    axis.plot(*lines[name], "s-", color="#E69F00", label="from printed test costs")
    axis.plot(POINTS, equal_layers(name, np.array(POINTS)), "k:", label="equal layers")
    axis.set(title=name, xlabel="density", xlim=(0, 1.04), ylim=(0, 1.04))
figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3)
figure

# %% [markdown]
# The mean of $f$ over the training by each estimate, beside the printed cost of training:

# %%
rows = []
for (name, density), values in pruned.items():
    low, high = np.interp(values, *lines[name]), np.interp(values, POINTS, start[name])
    means = values.mean(), equal_layers(name, values).mean(), low.mean(), high.mean()
    rows.append((name, density, *means, end[name]["train_flops"][density]))
names = ["network", "to density", "mean density", "equal layers"]
names += ["printed test costs", "initial weights", "train, printed"]
estimates = pd.DataFrame(rows, columns=names)
digits = {"to density": "{:g}", "train, printed": "{:.2f}"}
styled(estimates, "estimates", dict.fromkeys(names[2:6], "{:.3f}") | digits)

# %%
low, high, target = (estimates[name] for name in names[4:])
between = target.between(low - 0.01, high + 0.01)
print(
    f"{between.sum()} of {len(between)} printed costs lie between the last two estimates"
)

# %% [markdown]
# So the printed costs are possible, and for WRN-22-2 the second estimate comes close. But a range is no number of
# ours. The cost of Pruning needs a run, and until one is published we count these cells as open.
#
# ## Every printed cost
#
# Now all cells of Tables 2, 3 and 5. Where does our number come from?
#
# - **shapes**: the layers keep their densities. The count is exact.
# - **paper** or **short**: the densities move, so only a training tells the cost. We take the mean over the n published
#   runs of the `paper` profile, or else of the `short` one.
# - **print**: there is no such run, but we can ask whether the printed numbers fit *together*. The cost of training
#   follows from the printed test cost for SNFS, RigL-SG and RigL-SM, and from Pruning's cells for Lottery. With the
#   same mask a prediction costs the same: Lottery has Pruning's, the re-initialised RigL has that of RigL-SM. A longer
#   training should not change it much: SNFS 2× is compared with SNFS.
# - **–**: none of these. The cell is open.

# %% tags=["hide-input"]
TABLES = {"Table 2": "table2_cifar10", "Table 3": "table3_cifar100"}
TABLES["Table 5"] = "table5_redistribution"
NETWORK = {"CIFAR-10": "WRN-22-2", "CIFAR-100": "ResNet-50"}
parts = [grids.published(file).assign(table=title) for title, file in TABLES.items()]
parts[:2] = [part.assign(dataset=d) for part, d in zip(parts[:2], NETWORK, strict=True)]
printed = pd.concat(parts, ignore_index=True).fillna({"multiplier": 1})
printed["multiplier"] = printed["multiplier"].astype(int)
printed["init"] = printed["init"].astype(object).where(printed["init"].notna(), None)
printed["network"] = printed["dataset"].map(NETWORK)
printed["tolerance"] = np.where(printed["multiplier"] > 1, 0.02, 0.01)
print(f"{len(printed)} rows, {2 * len(printed)} printed costs")

# %%
KEY = ["network", "method", "init", "multiplier", "density"]
at = {tuple(row[name] for name in KEY): row for row in printed.to_dict("records")}


def source_mask(row):
    """The initialisation of the RigL-SM run whose final mask a row starts from."""
    init = row["init"] or ""
    return (
        init.removeprefix("RigL-SM (").removesuffix(")") if "RigL-SM" in init else None
    )


# %%
def from_shapes(row):
    """Test and train cost by counting; Dense is compared with its printed absolute."""
    if row["method"] == "Dense":
        ours, theirs = dense[row["network"]], absolute.loc[row["network"]]
        return ours / theirs["test_flops"], 3 * ours / theirs["train_flops"]
    f = test_fraction(row["network"], row["method"], row["init"], row["density"])
    return f, exact(spec_of(row, PAPER, seed=0), f)


# %%
def from_print(row):
    """Test and train cost by the formulas, from other printed numbers; else NaN."""
    network, method, init, n, density = (row[name] for name in KEY)
    if method == "Pruning":
        return math.nan, math.nan
    if method == "Lottery":
        parent = at[network, "Pruning", None, 1, density]
        f, mean = parent["test_flops"], parent["train_flops"]
        return f, flops.train_fraction("Lottery", f, mean_fraction=mean)
    if source := source_mask(row):
        f = at[network, "RigL-SM", source, 1, density]["test_flops"]
        return f, flops.train_fraction("RigL", f)
    f = at[network, method, init, 1, density]["test_flops"]  # of the 1× row
    return f if n > 1 else math.nan, n * flops.train_fraction(method, f)


# %%
def spec_of(row, profile, seed):
    """The run of a printed row."""
    data, density, source = DATA[row["network"]], row["density"], source_mask(row)
    parent = grids.Row("RigL-SM", source, density, data=data) if source else None
    init = "Mask" if source else row["init"]
    run = grids.Row(row["method"], init, density, row["multiplier"], parent, data)
    return profile.spec(run, seed)


# %%
def runs_of(row):
    """The published runs of a row, of the strongest profile that has any."""
    for name in ("paper", "short"):
        profile = grids.PROFILES[name]
        runs = results.frame(spec_of(row, profile, seed) for seed in profile.seeds)
        if runs["present"].any():
            return name, runs[runs["present"].astype(bool)]
    return None, None


# %%
def ours(row):
    """Our test and train cost of a printed row, and where they come from."""
    if row["method"] in FIXED and not source_mask(row):
        return *from_shapes(row), "shapes"
    profile, runs = runs_of(row)
    if profile:
        means = runs[["test_flops", "train_flops"]].mean()
        return *means, f"{profile}, n = {len(runs)}"
    test, train = from_print(row)
    return test, train, "–" if math.isnan(train) else "print"


# %% [markdown]
# The printed numbers have two decimals and follow no single rule of rounding. We ask for agreement within 0.01, and
# within 0.02 for the longer trainings, where an error is multiplied. Which cells have a number beside them and still
# differ? A number in parentheses is not ours: other printed cells imply it.


# %%
def name_of(row):
    """The row's name, as the report writes it."""
    longer = f" {row['multiplier']}×" if row["multiplier"] > 1 else ""
    if source_mask(row):
        return f"{row['method']} on {row['init']}"
    return row["method"] + longer + (" (ERK)" if row["init"] == "ERK" else "")


found = [(name_of(row), *ours(row)) for row in printed.to_dict("records")]
printed[["name", "test", "train", "source"]] = pd.DataFrame(found)

# %% tags=["hide-input"]
columns = ["table", *KEY, "kind", "name", "source", "printed", "ours", "tolerance"]
parts = []
for kind in ("train", "test"):
    part = printed.assign(
        kind=kind, ours=printed[kind], printed=printed[f"{kind}_flops"]
    )
    parts.append(part[columns])
cells = pd.concat(parts, ignore_index=True)
cells["difference"] = cells["ours"] - cells["printed"]
cells["agrees"] = cells["difference"].abs() <= cells["tolerance"] + 1e-9
differ = cells[cells["ours"].notna() & ~cells["agrees"]].sort_values(["table", "name"])


# %% tags=["hide-input"]
def marked(part):
    """Numbers of ours; in parentheses those that only other printed cells imply."""
    text = part["ours"].map("{:.3f}".format).replace("nan", "–")
    return text.where(part["source"] != "print", "(" + text + ")").replace("(–)", "–")


shown = ["table", "name", "density", "kind", "printed", "ours", "difference", "source"]
digits = {"density": "{:g}", "printed": "{:.2f}"}
digits["difference"] = lambda value: f"{value:+.3f}".translate(MINUS)
styled(differ.assign(ours=marked(differ))[shown], "differ", digits)

# %% [markdown]
# ## The differences, by arithmetic
#
# **① Small-Dense at 0.1.** A network with a share $D$ of the weights has a share $\sqrt{D}$ of the channels. Every
# channel count becomes int$(c \sqrt{D})$, and on both networks that costs less than a tenth. If the first convolution
# keeps its full width, the costs at 0.1 grow towards the printed 0.11, and those at 0.2 stay at the printed 0.20. The
# report does not say that it did this. It is the one change we found that fits all four costs.


# %%
def full_first_layer(network, density):
    """Cost of the narrow network, if its first convolution kept all channels."""
    with torch.device("meta"):
        small = models.build(*NETWORKS[network], width=math.sqrt(density))
    wider = networks[network].conv1.out_channels / small.conv1.out_channels
    touched = ("conv1.", "blocks.0.conv1.", "blocks.0.shortcut.")  # write or read it
    layers = flops.layer_flops(small, IMAGE).items()
    total = sum(n * (wider if k.startswith(touched) else 1) for k, n in layers)
    return total / dense[network]


# %%
explained = {}  # which cell: number of the explanation, and the value that it gives
for name, density in pruned:
    narrow = test_fraction(name, "Small-Dense", None, density)
    value = full_first_layer(name, density)
    row = at[name, "Small-Dense", None, 1, density]
    print(
        f"{name}, density {density:g}: printed {row['test_flops']:.2f}, "
        f"all channels narrow {narrow:.4f}, first layer full {value:.4f}"
    )
    for kind in ("train", "test"):
        explained[name, "Small-Dense", None, 1, density, kind] = ("①", value)

# %% [markdown]
# **② SNFS 2× at 0.2, test.** Twice the training does not make a prediction twice as expensive. The printed cell is
# twice the one of SNFS. The *training* cost printed in the same row fits the smaller number:

# %%
single, double = (at["WRN-22-2", "SNFS", "Random", n, 0.2] for n in (1, 2))
f = single["test_flops"]
print(
    f"printed test cost: SNFS {f:.2f}, SNFS 2× {double['test_flops']:.2f} = 2 · {f:.2f}"
)
for value in (f, double["test_flops"]):
    train = 2 * flops.train_fraction("SNFS", value)
    print(f"training from {value:.2f}: 2 · (2 · {value:.2f} + 1) / 3 = {train:.2f}")
print(f"training, printed: {double['train_flops']:.2f}")
explained["WRN-22-2", "SNFS", "Random", 2, 0.2, "test"] = ("②", 2 * f)

# %% [markdown]
# **③ Lottery in Table 3, train.** A ticket costs a Pruning run and then a sparse training. In Table 2 the printed cells
# are just this sum. In Table 3 they are higher. They fit another formula, $(2 a + 1)/3 + f$, where $a$ is the mean
# *parameter* density of the schedule: equal layers, and dense weight gradients in every iteration of Pruning.

# %%
for (name, density), spec in pruning.items():
    of, steps = (spec.prune_start, spec.t_end, 1 - density), range(spec.total_steps)
    a = 1 - np.mean([schedules.pruning_sparsity(t, *of) for t in steps])
    row = at[name, "Lottery", None, 1, density]
    parent, f = at[name, "Pruning", None, 1, density]["train_flops"], row["test_flops"]
    value = (2 * a + 1) / 3 + f
    print(
        f"{name}, density {density:g}: printed {row['train_flops']:.2f}, "
        f"sum {parent + f:.2f}, (2a + 1)/3 + f = {value:.4f} with a = {a:.4f}"
    )
    if name == "ResNet-50":
        explained[name, "Lottery", None, 1, density, "train"] = ("③", value)

# %% [markdown]
# ## The tables
#
# Costs are fractions of dense training and of a dense prediction. A number in parentheses is no count and no run of ours:
# other printed cells imply it, so ✓ beside it only says that the printed numbers fit together.
#
# - ✓: within 0.01 of ours (0.02 for 2× and 3×).
# - ①, ②, ③: differs, and the explanation above gives the printed number.
# - …: open, it waits for a run. ✗: open, it differs and we do not know why. (A `short` run has a tenth of the
#   iterations, and its layers may end at other densities than a full one's.)
#
# Dense is printed in absolute numbers. 1 stands for these, and ours is our absolute cost divided by the printed one.


# %%
def mark(cell):
    """What we think of a printed cell."""
    if cell["agrees"]:
        return "✓"
    key = tuple(cell[name] for name in KEY)
    note, value = explained.get((*key, cell["kind"]), ("", math.nan))
    if abs(value - cell["printed"]) <= cell["tolerance"]:
        return note
    return "…" if math.isnan(cell["ours"]) else "✗"


cells["mark"] = [mark(cell) for cell in cells.to_dict("records")]


# %% tags=["hide-input"]
def three_columns(part):
    """Printed, ours, and the difference with its mark."""
    yield "printed", part["printed"].map("{:.2f}".format)
    yield "ours", marked(part)
    gap = part["difference"].round(3) + 0.0  # no −0
    gap = gap.map("{:+.3f}".format).str.translate(MINUS)
    yield "difference", gap.replace("+nan", "") + " " + part["mark"]


# %% tags=["hide-input"]
def comparison(title, network):
    """A printed table beside ours."""
    rows = printed[(printed["table"] == title) & (printed["network"] == network)]
    data = {("", "method"): rows["name"], ("", "density"): rows["density"]}
    here = (cells["table"] == title) & (cells["network"] == network)
    for kind, head in (("train", "training"), ("test", "prediction")):
        part = cells[here & (cells["kind"] == kind)]
        for name, column in three_columns(part.set_index(rows.index)):
            data[head, name] = column
    data["", "ours from"] = rows["source"]
    uuid = f"{title}-{network}".replace(" ", "-")
    return styled(pd.DataFrame(data), uuid, {("", "density"): "{:g}"})


# %% [markdown]
# ### Table 2: Wide ResNet on CIFAR-10

# %% tags=["hide-input"]
comparison("Table 2", "WRN-22-2")

# %% [markdown]
# ### Table 3: ResNet-50 on CIFAR-100

# %% tags=["hide-input"]
comparison("Table 3", "ResNet-50")

# %% [markdown]
# ### Table 5: redistribution
#
# The last rows start RigL from the final mask of a RigL-SM run. Every layer keeps the density that it has in this mask,
# so the training costs what the mask costs. The run that found the mask is not counted, by the report and by us.
# First CIFAR-10:

# %% tags=["hide-input"]
comparison("Table 5", "WRN-22-2")

# %% [markdown]
# And CIFAR-100:

# %% tags=["hide-input"]
comparison("Table 5", "ResNet-50")

# %% [markdown]
# ## Choose yourself
#
# The formulas for a network of your choice. Solid lines are Random, dashed lines ERK; the grey line is dense training.
# Three things to look for: RigL's lines hide SET's; how often RigL may update before its dense gradients become
# expensive; and up to which density a training of three times the length is cheaper than a dense one.

# %% tags=["hide-input"]
COLORS = ("#E69F00", "#0072B2", "#009E73")
CURVES = {  # name: method, ΔT, N
    "methods": {name: (name, 100, 1) for name in ("SET", "RigL", "SNFS")},
    "ΔT of RigL": {f"ΔT = {delta_t}": ("RigL", delta_t, 1) for delta_t in (2, 10, 100)},
    "length of RigL": {f"RigL {n}×": ("RigL", 100, n) for n in (1, 2, 3)},
}


def plot_curve(axis, network, init, method, delta_t, n, **look):
    """Cost of training over the density, by the formula."""
    fractions = [test_fraction(network, method, init, density) for density in GRID]
    values = [n * flops.train_fraction(method, f, delta_t) for f in fractions]
    axis.plot(GRID, values, linestyle=style.INIT_LINE.get(init, "-"), **look)


# %% tags=["hide-input"]
def draw(network, compare):
    """Three curves for a network, each under Random and ERK."""
    figure = style.Picture(3.2)
    axis = figure.subplots()
    for init in ("Random", "ERK"):
        for color, (name, curve) in zip(COLORS, CURVES[compare].items(), strict=True):
            look = {"color": color, "label": f"{name} ({init})"}
            plot_curve(axis, network, init, *curve, **look)
    axis.axhline(1, color="0.6")
    axis.set(
        title=f"{network}: {compare}", xlabel="density", ylabel="FLOPs of training"
    )
    axis.set(xlim=(0, 1.03), ylim=(0, None))
    figure.legend(loc="outside right center")
    return figure


# %% tags=["hide-input", "nbval-ignore-output"]
controls = widgets.controls(draw, interactive, network=list(DATA), compare=list(CURVES))
controls

# %% [markdown]
# ## Verdict
#
# First the claims of the beginning, by our runs and by the report's own numbers. Then the printed costs.


# %%
def dearer(method, kind):
    """Whether a method's printed cost is above that of RigL with equal settings."""
    for (network, name, *settings), row in at.items():
        rigl = at.get((network, "RigL", *settings))
        if name == method and rigl:
            yield row[f"{kind}_flops"] > rigl[f"{kind}_flops"]


moved = [*dearer("RigL-SG", "test"), *dearer("RigL-SM", "test")]
claims = {
    "recorded runs of SET and RigL kept every layer's cost": constant,
    "printed trainings of SNFS cost more than RigL's": list(dearer("SNFS", "train")),
    "printed networks of RigL-SG and RigL-SM cost more than RigL's": moved,
    "counts by PyTorch's own counter equal ours": independent,
}
for text, answers in claims.items():
    print(f"{sum(answers)} of {len(answers)} {text}")

# %%
near, notes = cells["mark"] == "✓", cells["mark"].isin(["①", "②", "③"])
implied = cells["source"] == "print"
print(f"{len(cells)} printed costs; within 0.01 (2×, 3×: 0.02) of ours:", end=" ")
print(f"{(near & ~implied).sum()}, of what other printed costs imply:", end=" ")
print((near & implied).sum())
by_shapes = cells["source"] == "shapes"
print(f"    of ours {(near & by_shapes).sum()} by shapes,", end=" ")
print(f"{(near & ~by_shapes & ~implied).sum()} by runs")
print(f"{notes.sum()} misprints or other formulas, explained")

# %%
waiting, unknown = cells["mark"] == "…", cells["mark"] == "✗"
print(f"open: {(waiting | unknown).sum()}")
for method in printed["method"].unique():
    if count := (waiting & (cells["method"] == method)).sum():
        print(f"    {count:3} of {method} wait for a run")
print(f"    {unknown.sum():3} differ without explanation")
