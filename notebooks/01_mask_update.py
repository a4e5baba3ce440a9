# %% [markdown]
# # 01 One update of the mask
#
# RigL trains a network in which most weights are switched off {cite}`evci2020`. A mask says which weights are on, and
# every few steps the mask changes. The report {cite}`sundar2021` describes the change in two sentences:
#
# > Every ΔT training steps, certain connections are discarded, and an equal number are grown.
#
# > […] during every mask update, k connections having the largest absolute gradients among current inactive weights
# > (previously zero + pruned) are activated.
#
# This section takes one such update apart. First on eight weights that we write down by hand. Then on a layer of a
# small network that trains here, in this notebook, in less than a second. The functions below, `drop`, `grow` and
# `carry`, are the ones that update every mask of this report.

# %% tags=["parameters"]
profile = ""  # this section has no runs: it is the same for every profile
interactive = True  # widgets in JupyterLab; False: the same pictures as a player that needs no kernel

# %% tags=["hide-input"]
import inspect
import math
from functools import cache

import ipywidgets
import pandas as pd
import torch
from matplotlib import rcParams
from torch.nn import functional as F

from rigl_nb import data, masks, methods, models, rng, schedules
from rigl_nb.report.figures import hover, plots, style, widgets
from rigl_nb.sparsifier import Sparsifier
from rigl_nb.spec import RunSpec

# %% [markdown]
# ## Eight weights
#
# Our layer has two output units and four inputs: eight weights. Four of them are active, the other four are 0. After
# a forward and a backward pass there is a gradient for *all* eight, the inactive ones too. This is the dense
# gradient.

# %%
weight = torch.tensor([[0.9, 0.0, -0.1, 0.4], [0.0, -0.7, 0.0, 0.0]])
gradient = torch.tensor([[0.2, -0.8, 0.1, 0.5], [0.3, -0.9, 0.05, -0.4]])
mask = weight != 0

columns = {"weight": weight, "gradient": gradient, "active": mask}
table = pd.DataFrame({name: values.flatten() for name, values in columns.items()})
table.index.name = "flat index"
table

# %% [markdown]
# The weights are counted row by row, from 0 to 7. This number is the *flat index*; we need it again for ties. The
# same layer as a picture, with the weights as numbers:

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-eight-before", "caption": "The layer before the update. Four weights are active."}, "image": {"alt": "A grid of two rows and four columns. Three weights of the first row and one of the second are active."}}
plots.mask_update(mask, mask, mask, values=weight, title="before the update")

# %% [markdown]
# ### How many
#
# An update replaces a share $f$ of the active weights, rounded down: $k = \lfloor f \cdot \text{active} \rfloor$. We
# take $f = 0.5$, so that something moves in so small a layer.

# %%
drop_fraction = 0.5
k = math.floor(drop_fraction * int(mask.sum()))
print(f"{int(mask.sum())} active weights, drop fraction {drop_fraction}: k = {k}")

# %% [markdown]
# ### Which weights go
#
# The $k$ *active* weights of smallest magnitude go. Inactive weights are not ranked at all; a dash marks them.


# %% tags=["hide-input"]
def dashed(frame):
    """The table with a dash where a weight has no score."""
    return frame.astype(object).where(frame.notna(), "–")


# %%
print(inspect.getsource(masks.drop))
kept = masks.drop(weight, mask, k)
table["score for the drop"] = weight.abs().where(mask, torch.nan).flatten()
table["kept"] = kept.flatten()
dashed(table)

# %% [markdown]
# Magnitude is a cheap guess of how much a weight matters. Indices 2 and 3 have the smallest magnitudes of the four,
# so these two go.
#
# ### Which weights come
#
# Now $k$ weights are switched on: those of largest absolute gradient among everything that is *not kept*. These are
# the inactive weights and the two that were dropped a moment ago: “previously zero + pruned” in the report's words.

# %%
print(inspect.getsource(masks.grow))
new_mask = masks.grow(gradient.abs(), kept, k)
table["score for growth"] = gradient.abs().where(~kept, torch.nan).flatten()
table["new mask"] = new_mask.flatten()
dashed(table)

# %% [markdown]
# A large gradient means: a small change of this weight would change the loss a lot. Index 5 has the largest gradient
# of all, but it is active and was kept, so it is not a candidate. Index 1 is *grown*. Index 3 was dropped and comes
# back: it is *regrown*.
#
# ### What the weights are afterwards
#
# A connection that was inactive starts at 0. So the network computes the same function at first, except for what was
# dropped. A regrown connection keeps its value: nothing has happened to it. Optimizer momentum follows the same rule.

# %%
print(inspect.getsource(masks.carry))
new_weight = masks.carry(weight, mask, new_mask)
table["new weight"] = new_weight.flatten()
table[["active", "kept", "new mask", "weight", "new weight"]]

# %% [markdown]
# The whole update in one picture. Every state has its own colour, its own lightness and its own sign.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-eight-after", "caption": "The update of the eight weights. Numbers: the weights afterwards."}, "image": {"alt": "The same grid: index 1 is grown at 0, index 2 is dropped, index 3 is regrown and keeps 0.4, indices 0 and 5 are kept."}}
plots.mask_update(
    mask,
    kept,
    new_mask,
    values=new_weight,
    title="one update: k = 2 dropped, 2 activated",
)

# %% [markdown]
# And step by step. The numbers in the cells are what each step looks at. Hold the mouse over a cell: it tells the
# weight, its gradient, and why it stays, goes or comes.

# %% tags=["hide-input", "nbval-ignore-output"]
STAGES = {
    "1. the active weights": (mask, mask, mask, weight),
    "2. score for the drop: |weight|": (mask, kept, kept, weight.abs()),
    "3. score for growth: |gradient|": (mask, kept, new_mask, gradient.abs()),
    "4. the weights afterwards": (mask, kept, new_mask, new_weight),
}


def draw_stage(stage):
    *three, values = STAGES[stage]
    return hover.mask_update(*three, weight, gradient, values=values, title=stage)


widgets.stepper(list(STAGES), draw_stage, interactive, labels=list(STAGES))

# %% [markdown]
# This is all of RigL's update. Here it is as one pure function, `rigl_update`: it takes tensors, gives new ones and
# changes nothing. A `Sparsifier` calls the same three parts for all layers of a network; the checks at the end of this
# page compare the two, bit for bit.

# %%
print(inspect.getsource(masks.rigl_update))
by_steps = (new_mask, new_weight)
at_once = masks.rigl_update(weight, gradient, mask, drop_fraction)[:2]
print("the steps above give the same:", all(map(torch.equal, by_steps, at_once)))

# %% [markdown]
# ## Three details that matter
#
# ### Ties
#
# Two scores can be equal. Then the entry of *lower flat index* ranks higher: it is kept when weights are dropped, and
# it is chosen first when weights are grown. A rule is needed, because a run must give the same mask each time.


# %%
def indices(mask):
    """The flat indices of the entries that are switched on."""
    return mask.flatten().nonzero().flatten().tolist()


equal, everything = torch.ones(2, 4), torch.ones(2, 4, dtype=torch.bool)
print("kept: ", indices(masks.drop(equal, everything, count=3)))
print("grown:", indices(masks.grow(equal, ~everything, count=3)))

# %% [markdown]
# ### An active weight that is exactly 0
#
# A grown weight is active and has the value 0, until the optimizer moves it. It must not be mixed up with an inactive
# weight, which is 0 as well. That is why only active weights are ranked. Here we drop one weight after the update
# above: it is index 1, the new one, and the mask loses exactly one entry.

# %%
after_one_more = masks.drop(new_weight, new_mask, count=1)
print("active before:", indices(new_mask))
print("active after: ", indices(after_one_more))

# %% [markdown]
# ### A dense layer comes out unchanged
#
# Some layers stay dense: [the next section](02_initialisation.ipynb) shows which. There, everything that is dropped
# is also the only thing that can be grown. All of it comes back, with its values. So an update leaves a dense layer
# as it was, bit for bit.

# %%
big = torch.from_numpy(rng.numpy_generator(0, "dense layer").normal(size=(32, 64)))
full = torch.ones(32, 64, dtype=torch.bool)
same_mask, same_weight, _ = masks.rigl_update(big, big.flip(0), full, drop_fraction=0.3)
unchanged = torch.equal(same_mask, full) and torch.equal(same_weight, big)
dropped = full & ~masks.drop(big, full, math.floor(0.3 * big.numel()))
print("unchanged:", unchanged)
print(f"dropped and regrown on the way: {int(dropped.sum())} of {big.numel():,}")

# %% [markdown]
# The last line shows what the rule for regrown weights is worth. The report says “we initialize newly activated
# weights to zero”, and its published code sets *every* activated weight to 0, the regrown ones too (`abs_grad_growth`
# in `sparselearning/funcs/grow.py`). A dense layer then loses that many values in one update. In the original
# authors' code only connections that were inactive before start at 0, and so it is here.
#
# ## How often, and how much: the schedule
#
# An update comes every $\Delta T$ iterations, in place of the optimizer's step, until iteration $T_\text{end}$. The
# drop fraction starts at $\alpha$ and falls along a cosine. This is equation 1 of the report:
#
# $$
# f(t) = \frac{\alpha}{2} \left(1 + \cos\left(\frac{t \pi}{T_\text{end}}\right)\right)
# $$

# %%
print(inspect.getsource(schedules.drop_fraction))
spec = RunSpec(data="cifar10", method="RigL", init="ERK", density=0.1)
due = range(spec.delta_t - 1, spec.t_end, spec.delta_t)
print(f"CIFAR-10: {spec.total_steps:,} iterations, T_end = {spec.t_end:,}")
print(f"α = {spec.alpha}, ΔT = {spec.delta_t}")
print(f"{len(due)} updates, at t = {due[0]}, {due[1]}, …, {due[-1]:,}")

# %% [markdown]
# Early updates change a lot, late ones a little. After $T_\text{end}$ the mask is fixed and the weights can settle.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-drop-fraction", "caption": "The drop fraction over the report's training on CIFAR-10. Every dot is an update: early ones replace almost a third of the connections, the last ones next to none."}, "image": {"alt": "A curve that starts at 0.3, falls along half a cosine and is 0 from the end of the updates on."}}
plots.drop_fraction_curve(spec.alpha, spec.t_end, due)

# %% [markdown]
# ## RigL and SET differ by one score
#
# SET {cite}`mocanu2018` is older than RigL. It drops by magnitude too, but it grows at random. In this module both
# are the same object with a different growth score.

# %%
rigl, set_ = methods.get("RigL"), methods.get("SET")
print(inspect.getsource(rigl.growth))
print(inspect.getsource(set_.growth))

# %% [markdown]
# What else differs is the price. RigL's score needs the dense gradient, and an iteration that computes it costs more.
# SET throws the gradient away. Here is every field in which the two methods differ:

# %%
print(f"{'field':16} {'SET':15} RigL")
for field, value in vars(rigl).items():
    if value != getattr(set_, field):
        names = [getattr(v, "__name__", v) for v in (getattr(set_, field), value)]
        print(f"{field:16} {names[0]!s:15} {names[1]}")

# %% [markdown]
# On the eight weights, both drop indices 2 and 3. RigL always activates indices 1 and 3. SET activates two of the six
# candidates by chance:

# %%
noise = rng.torch_generator(0, "SET")
for method in (rigl, set_, set_, set_):
    layer = methods.Layer(weight, gradient, mask, state={})
    activated = masks.grow(method.growth(layer, noise), kept, k) & ~kept
    print(f"{method.name:5} activates", indices(activated))

# %% [markdown]
# ## A layer that learns
#
# Now a real layer. The data are the handwritten digits that come with scikit-learn: images of 8×8 pixels, so 64
# inputs. The network has one hidden layer of 32 units. We look at the weights of this hidden layer, a matrix of
# 32×64.

# %%
torch.set_num_threads(1)  # the same sums in the same order, at every run
digits = data.load("digits")
pixels, labels = digits.train.pixels.flatten(1) / 255, digits.train.labels


def network():
    hidden, output = torch.nn.Linear(64, 32), torch.nn.Linear(32, 10)
    layers = torch.nn.Sequential(hidden, torch.nn.ReLU(), output)
    return models.initialise(layers, rng.numpy_generator(0, "weights"))


print(f"{len(labels):,} images of {pixels.shape[1]} pixels")
print({name: tuple(w.shape) for name, w in models.maskable(network()).items()})

# %% [markdown]
# Training needs one object and one line. A `Sparsifier` joins model, optimizer and masks; `sparsifier.step()` stands
# where `optimizer.step()` would stand. When an update is due, it updates the masks; otherwise it lets the optimizer
# take its step. The trainings of the report call `advance()`, the part of `step()` that makes this choice.
#
# We add one thing: before each step, we copy what an update would read.


# %%
LAYER = "0.weight"  # the hidden layer: PyTorch counts the layers from 0


def look(sparsifier):
    """What an update of the hidden layer reads now, and what it would keep."""
    weight, before = sparsifier.weights[LAYER], sparsifier.masks[LAYER].clone()
    t, fraction = sparsifier.iteration, sparsifier.drop_fraction
    seen = {"t": t, "fraction": fraction, "before": before}
    seen |= {"weight": weight.detach().clone(), "gradient": weight.grad.clone()}
    count = math.floor(fraction * int(before.sum()))
    return seen | {"kept": masks.drop(seen["weight"], before, count)}


# %%
@cache  # the same choice is trained once
def train(method, alpha):
    net, updates = network(), []
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    rule = {"density": 0.1, "alpha": alpha, "delta_t": 20, "t_end": 360}
    sparsifier = Sparsifier(net, optimizer, method, "ERK", **rule)
    draw = rng.numpy_generator(0, "batches")
    for _ in range(480):
        rows = torch.from_numpy(draw.integers(0, len(pixels), 128))
        optimizer.zero_grad()
        F.cross_entropy(net(pixels[rows]), labels[rows]).backward()
        seen = look(sparsifier)
        if sparsifier.step():
            updates.append(seen | {"after": sparsifier.masks[LAYER].clone()})
    return net, updates


# %% [markdown]
# Ten percent of the weights are active. How many stay active, and how many each update drops, is exact:

# %%
net, updates = train("RigL", 0.3)
dropped = [int((u["before"] & ~u["kept"]).sum()) for u in updates]
print(
    f"{len(updates)} updates of a layer with {updates[0]['before'].numel():,} weights"
)
print("active afterwards, each time:", {int(u["after"].sum()) for u in updates})
print("dropped:", dropped)

# %% [markdown]
# The last updates drop nothing: a small share of a small layer is less than one weight, and it is rounded down.
#
# The network does learn. One seed of a tiny network judges nothing; it only shows that training works:

# %% tags=["nbval-ignore-output"]
answers = net(digits.test.pixels.flatten(1) / 255).argmax(1)
correct = answers == digits.test.labels
print(f"{int(correct.sum())} of {len(correct)} test images are right")

# %% [markdown]
# Here is the first update of this layer. A row is a hidden unit, a column is a pixel. The numbers in the legend count
# the weights of each state.


# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-first-update", "caption": "The first update of the hidden layer, with RigL. The grown weights gather in a few rows: the units with large gradients."}, "image": {"alt": "A matrix of 32 rows and 64 columns, most of it inactive; kept, dropped, grown and regrown weights in four colours."}}
def draw_update(update):
    moved = int((update["before"] & ~update["kept"]).sum())
    title = f"update at t = {update['t']}: f = {update['fraction']:.3f}, k = {moved}"
    return plots.mask_update(
        update["before"], update["kept"], update["after"], title=title
    )


draw_update(updates[0])

# %% [markdown]
# ### What RigL finds
#
# How many hidden units look at a pixel? We count the active weights of every column and draw them as an image, at the
# start and at the end. The digits fill the middle of the image; the pixels near the left and right border are almost
# always blank. A blank input gives no gradient. So RigL grows little there, and the connections move to where the
# digits are. SET knows no gradient and grows everywhere. It clears the border all the same, but only in part: what it grows
# there starts at 0, gets no gradient, and is among the smallest weights at the next update.


# %%
def connections(mask):
    """The active weights of every pixel, as an image."""
    return mask.sum(0).reshape(8, 8)


METHODS, ALPHAS = ["RigL", "SET"], [0.1, 0.3, 0.5]
ends = {f"after {name}": train(name, 0.3)[1][-1]["after"] for name in METHODS}
layers = {"before training": updates[0]["before"]} | ends

# %% tags=["hide-input", "nbval-ignore-output"] mystnb={"figure": {"name": "fig-pixels", "caption": "Active connections of every pixel, as the scale on the right says. Before training (left) they are spread evenly. RigL moves all of them to the middle columns, where the digits are; SET only some."}, "image": {"alt": "Three images of 8 by 8 pixels. Before training the connections are spread evenly; after RigL they are in the middle columns; after SET some are left at the border."}}
rcParams.update(style.STYLE)
figure = style.Picture(2.8)
axes = figure.subplots(1, 3)
most = max(int(connections(layer).max()) for layer in layers.values())
for axis, (title, layer) in zip(axes, layers.items(), strict=True):
    image = axis.imshow(connections(layer), cmap="cividis", vmin=0, vmax=most)
    axis.set(title=title, xticks=[], yticks=[])
figure.colorbar(image, ax=axes, label="active connections", shrink=0.8)
figure

# %% [markdown]
# The same as counts, over the pixels of the left and right border:


# %%
def border(rows):
    """The first and the last column of each row's 8×8 image."""
    return rows.reshape(-1, 8, 8)[:, :, [0, 7]]


for where, part in {"at the border": border(pixels), "everywhere": pixels}.items():
    print(f"blank pixels {where}: {(part == 0).double().mean():.0%}")

# %% tags=["nbval-ignore-output"]
print({title: int(border(layer).sum()) for title, layer in layers.items()})

# %% [markdown]
# ## Step through the updates
#
# Move the slider to step through all updates of the training. With a kernel (in JupyterLab) you can also choose the
# method and α: the network is then trained again, by the code above, in less than a second. There, every cell tells
# its numbers and its reason when the mouse is over it.


# %% tags=["hide-input"]
def with_reasons(method):
    """Draw an update of a method with the reasons of all 2,048 weights."""
    by_chance = method == "SET"

    def draw(update):
        shown = [update[k] for k in ("before", "kept", "after", "weight", "gradient")]
        return hover.mask_update(
            *shown, by_chance, title=f"update at t = {update['t']}"
        )

    return draw


# %% tags=["hide-input", "nbval-ignore-output"]
def step_through(method, alpha):
    updates = train(method, alpha)[1]
    names = [f"update {n} of {len(updates)}" for n in range(1, len(updates) + 1)]
    draw = with_reasons(method) if interactive else draw_update
    return widgets.stepper(updates, draw, interactive, names)


if interactive:
    choices = {
        "method": METHODS,
        "alpha": ipywidgets.Dropdown(options=ALPHAS, value=0.3),
    }
    view = ipywidgets.interactive(step_through, {"auto_display": True}, **choices)
else:
    view = step_through("RigL", 0.3)
view

# %% [markdown]
# ### What method and α change
#
# The bars show how many weights each update moves. The lower, green part is *grown*: connections that were inactive.
# The upper, orange part is *regrown*: dropped and activated again, so nothing changed. The line is $f(t)$ times the
# number of active weights. α sets the height of the line, and the method decides how much is regrown: SET rarely hits
# a weight that it has just dropped.


# %%
def moved(update):
    """How many weights an update grows, and how many it only drops and regrows."""
    grown = update["after"] & ~update["before"]
    regrown = update["before"] & ~update["kept"] & update["after"]
    return int(grown.sum()), int(regrown.sum())


# %% tags=["hide-input"]
def draw_training(method, alpha):
    updates = train(method, alpha)[1]
    t, active = [update["t"] for update in updates], int(updates[0]["before"].sum())
    grown, regrown = zip(*map(moved, updates), strict=True)
    figure = style.Picture(2.9)
    axis = figure.subplots()
    axis.bar(t, grown, width=14, color="#009E73", label="grown")
    axis.bar(t, regrown, width=14, bottom=grown, color="#E08A3C", label="regrown")
    line = [active * schedules.drop_fraction(step, alpha, 360) for step in range(480)]
    axis.plot(line, color="black", label="f(t) · active weights")
    axis.set(xlabel="iteration t", ylabel="weights", ylim=(0, 0.52 * active))
    axis.set_title(f"{method}, α = {alpha:g}")
    axis.legend()
    return figure


# %% tags=["nbval-ignore-output"]
controls = widgets.controls(draw_training, interactive, method=METHODS, alpha=ALPHAS)
controls

# %% [markdown]
# ## Verdict
#
# Every line is computed from the data of this notebook.


# %%
def textbook(update):
    """Whether the sparsifier did to the layer what `rigl_update` does, bit for bit."""
    seen = [update[name] for name in ("weight", "gradient", "before", "fraction")]
    return torch.equal(masks.rigl_update(*seen)[0], update["after"])


# %%
every = {name: [u for a in ALPHAS for u in train(name, a)[1]] for name in METHODS}
both = every["RigL"] + every["SET"]
same_count = [int(u["before"].sum()) == int(u["after"].sum()) for u in both]
like_textbook = list(map(textbook, every["RigL"]))
by_hand = list(map(torch.equal, by_steps, at_once))
checks = {
    "RigL updates of the layer are what rigl_update gives": like_textbook,
    "updates keep the layer's number of active weights": same_count,
    "results by hand (mask, weights) are what rigl_update gives": by_hand,
    "dense layers come out of an update bitwise unchanged": [unchanged],
}
for text, results in checks.items():
    print(f"{sum(results)} of {len(results)} {text}")
