# %% [markdown]
# # 09 Your own model, your own method
#
# The report {cite}`sundar2021` trains two networks with methods from the literature. Can the same code make *your*
# network sparse? Can you try a rule of your own? This section does both, live:
#
# 1. A network of torchvision becomes sparse with one extra line.
# 2. A new growth rule is a few lines long. It trains beside RigL and SET {cite}`evci2020,mocanu2018`.
# 3. Four questions that users of the published codes asked. Each is answered by a measurement.
#
# Everything here runs in some seconds on a CPU. The data are the 8×8 digits that come with scikit-learn. Nothing in
# this section judges a claim of the report.

# %% tags=["parameters"]
profile = ""  # this section has no published runs: it is the same for every profile
interactive = True  # there is nothing to move here

# %% tags=["hide-input"]
import dataclasses
import inspect
import math
import statistics
import tempfile
import time
from pathlib import Path

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
import torch
import torchvision
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from rigl_nb import data, flops, masks, methods, models, rng, schedules
from rigl_nb.compact import compact, expand, resize
from rigl_nb.distributions import DISTRIBUTIONS, counts
from rigl_nb.masking.channels import Channel
from rigl_nb.report.figures import tables
from rigl_nb.runs import engine
from rigl_nb.runs.store import Store
from rigl_nb.sparsifier import Sparsifier
from rigl_nb.spec import RunSpec

# %% [markdown]
# ## A model of torchvision
#
# We take MobileNetV3. It was made for phones and looks different from the report's networks: most of its 3×3 and 5×5
# convolutions are *depthwise*, that is, each channel has a small kernel of its own. torchvision's networks want
# colour images, so we enlarge the digits to 32×32 and give them three channels.

# %%
torch.set_num_threads(1)  # the same sums in the same order, at every run
digits = data.load("digits").train
pixels, labels = digits.pixels.squeeze(-1) / 255, digits.labels


def batches(count, size=32):
    draw = rng.numpy_generator(0, "batches")
    for _ in range(count):
        rows = torch.from_numpy(draw.integers(0, len(pixels), size))
        yield rows, labels[rows]


def enlarged(rows):
    return F.interpolate(pixels[rows, None], size=32).expand(-1, 3, -1, -1)


# %% [markdown]
# These lines are all that a training needs. One of them is new: it makes a `Sparsifier` and attaches it to the
# optimizer. From then on `optimizer.step()` updates the masks when an update is due, and keeps them at all other times.

# %%
torch.manual_seed(0)
model = torchvision.models.mobilenet_v3_small(num_classes=10)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
sparsifier = Sparsifier(model, optimizer, "RigL", density=0.1, delta_t=5, t_end=21)
sparsifier.attach()
for rows, target in batches(28, size=16):
    optimizer.zero_grad()
    F.cross_entropy(model(enlarged(rows)), target).backward()
    optimizer.step()

# %% [markdown]
# `density=0.1` keeps one weight in ten. `delta_t` is the number of iterations between two updates of the masks, and
# `t_end` the iteration at which they stop: take 0.75 of all iterations, as the paper does. In a loop that you write
# yourself you may leave `attach()` out and call `sparsifier.step()` in the place of `optimizer.step()`: the numbers are
# the same, bit for bit, and one sees where the masks move. Notebook 01 does that. What came of it:


# %%
def not_zero(sparsifier):
    """Inactive weights, by layer, that are not exactly 0."""
    pairs = [(w, sparsifier.masks[name]) for name, w in sparsifier.weights.items()]
    return [int(weight[~mask].count_nonzero()) for weight, mask in pairs]


weights = sum(mask.numel() for mask in sparsifier.masks.values())
active = sum(sparsifier.counts().values())
in_order = [n == 0 for n in not_zero(sparsifier)]
print(f"{sparsifier.iteration} iterations")
print(f"{len(sparsifier.masks)} layers, {weights:,} weights, {active:,} active")
print(f"inactive weights that are not 0: {sum(not_zero(sparsifier))}")

# %% [markdown]
# ### How dense is each layer?
#
# The default is ERK ([where the weights go](02_initialisation.ipynb)). It looks at the shape of a layer. A depthwise
# convolution is small, so it keeps a large share of its weights; the wide linear layers at the end pay for it. The
# column “cost” is the layers' share of the FLOPs of one prediction.

# %% tags=["hide-input"]
IMAGE = (3, 32, 32)
cost = flops.layer_flops(model, IMAGE)
modules = {f"{path}.weight": module for path, module in model.named_modules()}
layers = pd.DataFrame({"active": sparsifier.counts()})
layers["weights"] = [mask.numel() for mask in sparsifier.masks.values()]
layers["cost"] = layers.index.map(cost) * layers["active"] / layers["weights"]


# %% tags=["hide-input"]
def kind(name):
    """What a layer of MobileNetV3 is for."""
    if ".fc" in name:
        return "squeeze-and-excitation"
    module = modules[name]
    if isinstance(module, torch.nn.Linear):
        return "linear"
    return (
        "depthwise"
        if module.groups > 1
        else f"{module.kernel_size[0]}×{module.kernel_size[0]}"
    )


# %%
by_kind = layers.groupby(kind, sort=False).agg(
    layers=("active", "count"),
    weights=("weights", "sum"),
    active=("active", "sum"),
    cost=("cost", "sum"),
)
by_kind["density"] = (by_kind["active"] / by_kind["weights"]).map("{:.3f}".format)
by_kind["cost"] = (by_kind["cost"] / by_kind["cost"].sum()).map("{:.0%}".format)
by_kind.rename_axis("kind of layer")[["layers", "weights", "active", "density", "cost"]]

# %% [markdown]
# ### What is masked
#
# Every matrix of weights that a layer of PyTorch multiplies with: of convolutions (also grouped and transposed), of
# linear and bilinear layers, of attention, and of recurrent layers. Everything else stays as it is: biases,
# normalisation, embeddings. A weight that two layers share has one mask. A frozen parameter is left alone. (A layer that
# computes another weight in its `forward`, such as a convolution with weight standardisation, has a mask on the weight
# that it computes from: zeros there may not be zeros in what it multiplies with. `flops` names such layers.) Matrices
# that are in no layer of PyTorch's, as in Hugging Face's GPT-2, stay dense, and a warning names them.
#
# `exclude` keeps layers dense by name, or all layers of a module. The budget is then that of the layers that are
# left. Some choices, and what they cost:


# %%
def choice(frozen=None, **options):
    """Layers and weights that are masked, active weights, and the cost of a prediction."""
    one = torchvision.models.mobilenet_v3_small(num_classes=10)
    if frozen:
        one.get_submodule(frozen).requires_grad_(False)
    sgd = torch.optim.SGD(one.parameters(), lr=0.1)
    sparse = Sparsifier(one, sgd, delta_t=5, t_end=20, density=0.1, **options)
    covered = sum(mask.numel() for mask in sparse.masks.values())
    spent = flops.inference_flops(one, IMAGE, sparse.densities())
    total = sum(sparse.counts().values())
    return len(sparse.masks), covered, total, f"{spent / sum(cost.values()):.3f}"


# %%
depthwise = [name for name in layers.index if kind(name) == "depthwise"]
choices = {
    "ERK": choice(),
    "ERK, classifier dense": choice(exclude=["classifier"]),
    "ERK, depthwise dense": choice(exclude=depthwise),
    "ERK, features frozen": choice(frozen="features"),
    "Random": choice(init="Random"),
}
columns = ["layers", "weights", "active", "cost, share of dense"]
pd.DataFrame.from_dict(choices, orient="index", columns=columns)

# %% [markdown]
# “Random” leaves the first layer dense. A name that matches nothing is an error, not a silent no. The message lists
# the layers; here is its beginning:

# %%
try:
    choice(exclude=["clasifier"])
except ValueError as error:
    print(f"{str(error)[:80]} …")

# %% [markdown]
# Three networks of other kinds. What is not masked counts as dense: biases do not count, but the products of attention
# do, and `flops` adds all that PyTorch multiplies. A network that reads words gets an example of its input.


# %%
class Words(torch.nn.Module):
    """Reads 200 kinds of words, guesses the next one."""

    def __init__(self):
        super().__init__()
        self.read, self.write = torch.nn.Embedding(200, 64), torch.nn.Linear(96, 200)
        self.body = torch.nn.GRU(64, 96, batch_first=True)

    def forward(self, words):
        return self.write(self.body(self.read(words))[0])


# %%
transformer = torchvision.models.VisionTransformer(32, 8, 3, 4, 64, 128)
networks = {
    "MobileNetV3": (torchvision.models.mobilenet_v3_small(), IMAGE),
    "vision transformer": (transformer, IMAGE),
    "GRU on words": (Words(), torch.zeros(1, 20, dtype=torch.int64)),
}

# %%
rows = {}
for name, (net, example) in networks.items():
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    sparse = Sparsifier(net, sgd, "RigL", density=0.1, t_end=75, delta_t=10)
    covered = sum(mask.numel() for mask in sparse.masks.values())
    share = covered / sum(p.numel() for p in net.parameters())
    spent = flops.inference_flops(net, example, sparse.densities())
    spent /= flops.inference_flops(net, example)
    rows[name] = len(sparse.masks), f"{share:.0%}", f"{spent:.3f}"
columns = ["matrices", "of all parameters", "cost, share of dense"]
pd.DataFrame.from_dict(rows, orient="index", columns=columns)

# %% [markdown]
# ### Larger trainings
#
# - **Loops of others.** Lightning, Accelerate and Hugging Face's `Trainer` need the line with `attach()` and nothing
#   else. Put it where the optimizer is made: its state then carries the masks along, so that a trainer that resumes the
#   optimizer resumes them too. The tests really train with all three, and get the masks of the loop above
#   (`tests/science/test_trainers.py`).
# - **Mixed precision.** With `attach()`, PyTorch's recipe with `GradScaler` works as it is. A step that the scaler skips
#   is no iteration, so no update is lost.
# - **Clipping** a gradient's norm sees all of the gradient, that of inactive weights too. To leave them out, call
#   `sparsifier.mask_gradients()` first, where `sparsifier.update_due` is false.
# - **Gradient accumulation** needs nothing new: take a step once, after the last part of the batch. The tests train
#   with two half batches and get the masks and weights of one whole batch (`tests/science/test_other_models.py`).
# - **Several processes** with `DistributedDataParallel` need nothing new either. The gradients are averaged before
#   `step()` sees them, and the same seed draws the same growth. So each process moves the same connections, and
#   nothing else is sent. The tests train with two processes on different images: after all updates, masks, weights
#   and momenta are equal bit for bit (`tests/science/test_distributed.py`).
# - **Optimizers.** All of PyTorch's that take one step for one gradient. A new connection starts with the buffers that
#   the optimizer itself would start it with. LBFGS and `ZeroRedundancyOptimizer` are refused, with the reason. So are
#   optimizers that call another one and move weights besides, as SAM and Lookahead do, and momentum in 8 bits. To SAM's
#   inner optimizer the masks can go: inactive weights are then 0 after each of its steps.
# - **Checkpoints.** `sparsifier.state_dict()` holds the masks, the iteration and the state of the random growth. Unless
#   attached, save it beside those of model and optimizer. Make the `Sparsifier`, then load the model's, then an attached
#   optimizer's: a `Sparsifier` that is made for a sparse network draws other masks, and warns. Masks alone, a ticket for
#   another training, are given as `init`. `copy.deepcopy` and `pickle` need the `Sparsifier` beside model and optimizer.
# - **Averages of weights** over time (SWA, EMA) are denser than the network: masks moved meanwhile. After they are loaded
#   into it, `sparsifier.apply()` makes them as sparse.
# - **Whatever was before.** A model may be trained densely first, weights may be loaded later, layers may be frozen:
#   from the next step on inactive weights are 0. A test tries these in any order
#   (`tests/science/test_whatever_a_user_does.py`). With hidden channels call `sparsifier.apply()` after you load: it
#   takes over the running statistics of dead channels too.
#
# ## A method of your own
#
# RigL computes all gradients to choose a few connections. Would half of them do? We let RigL see the gradient of a
# random half of the entries only. This stands between SET (all at random) and RigL (nothing at random).
#
# A growth rule is a *score*: a function that gives a number for every entry of a layer. The largest are grown. RigL's
# and SET's rules, for comparison, and then ours:

# %%
print(inspect.getsource(methods.gradient_magnitude))
print(inspect.getsource(methods.uniform_random))


# %%
def half_gradient(layer, generator):
    """|gradient| for a random half of the entries; the other half comes last."""
    draw = torch.rand(layer.grad.shape, device=layer.grad.device, generator=generator)
    return torch.where(draw < 0.5, layer.grad.abs(), -1.0)


methods.METHODS.pop("RigL-half", None)  # so that this cell can run again
mine = dataclasses.replace(methods.RIGL, name="RigL-half", growth=half_gradient)
methods.register(mine)
print([name for name in methods.METHODS if name not in methods.BUILT_IN])

# %% [markdown]
# `register` refuses a name that exists, so that nobody replaces RigL by accident. The line with `pop` takes our own
# earlier version away first: the cell can be changed and run again. Draw random numbers from the `generator` that is
# given, never from a global one; only then is a run repeatable, and equal in several processes.
#
# From here on the name works everywhere: in a `Sparsifier`, and in a `RunSpec`, which describes a whole run. The
# engine that trained the report's tables trains this one:

# %%
same = {"data": "digits", "init": "ERK", "density": 0.1, "epochs": 6, "delta_t": 3}
specs = [RunSpec(method=name, **same) for name in ("SET", "RigL", "RigL-half")]
folder = tempfile.TemporaryDirectory()
store = Store(Path(folder.name))
summary = engine.run(specs, store, workers=1)
print(f"{summary.trained} of {len(specs)} runs trained, {len(summary.failed)} failed")

# %% [markdown]
# The row of the new method, beside the two others. One seed of a short run on tiny images says little about a method;
# train several seeds before you believe a difference.

# %% tags=["nbval-ignore-output"]
tables.live(store.frame(specs), uuid="own-method")

# %% [markdown]
# The masks keep exact counts, whatever the score says:

# %%
records = [store.find(spec) for spec in specs]
for record in records:
    spec, layers_active = record.spec, record.active[-1]["counts"]
    due = len(range(spec.delta_t - 1, spec.t_end, spec.delta_t))
    total = sum(layers_active.values())
    changes = len(record.active) - 1
    print(f"{spec.method:9} {due} updates, {total:,} active, counts moved: {changes}")

# %% [markdown]
# Three things to know about methods of your own:
#
# - **More than a score.** `share` moves weights between layers (as in SNFS), `dense_momentum` keeps momentum of
#   inactive weights, `start="dense"` prunes. `dense_gradients` says what an update costs. We left it at RigL's price;
#   a code that really computes half of the gradients would need less.
# - **One process.** Other processes do not know your method. So train it with `workers=1`.
# - **A folder of its own.** A record knows a method by its name only. Keep records of an experiment in their own
#   folder, as here, and give a changed rule a new name.
#
# ## Questions from users
#
# For these measurements a small network is enough: 64 inputs, 100 hidden units, 10 outputs. It trains with momentum
# 0.9 and weight decay 5e-4.


# %%
def small(method="RigL", **options):
    """A small network with its sparsifier."""
    torch.manual_seed(0)
    hidden, output = torch.nn.Linear(64, 100), torch.nn.Linear(100, 10)
    net = torch.nn.Sequential(torch.nn.Flatten(), hidden, torch.nn.ReLU(), output)
    sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    rule = {"density": 0.1, "delta_t": 10, "t_end": 300} | options
    return net, Sparsifier(net, sgd, method, **rule)


def backward(net, sparsifier, steps=400):
    """Backward passes; the caller takes the step."""
    for rows, target in batches(steps, size=128):
        sparsifier.optimizer.zero_grad()
        F.cross_entropy(net(pixels[rows]), target).backward()
        yield


# %% [markdown]
# ### Can dropped weights come back, and with which value?
#
# [Asked](https://github.com/google-research/rigl/issues/5) of the original authors' code. The answer there and here:
# yes, in two ways. A weight that is dropped and grown *in the same update* keeps its value, as if nothing had happened.
# A weight that was dropped in an *earlier* update has lost its value and starts at 0, like one that never was active.
#
# We watch the hidden layer. Before each update we note what it would keep; afterwards we look at what it activated.

# %%
LAYER, rows_seen, sizes = "1.weight", [], set()
net, sparsifier = small()
weight, mask = sparsifier.weights[LAYER], sparsifier.masks[LAYER]
ever = mask.clone()
for _ in backward(net, sparsifier):
    before, value = mask.clone(), weight.detach().clone()
    dropped = math.floor(sparsifier.drop_fraction * sparsifier.counts()[LAYER])
    if sparsifier.step():
        new = mask & ~masks.drop(value, before, dropped)
        now, again, first = new & before, new & ~before & ever, new & ~ever
        right = [weight[now].equal(value[now])]
        right += [not weight[part].any() for part in (again, first)]
        rows_seen.append([*(int(part.sum()) for part in (now, again, first)), *right])
        ever |= mask
    sizes.add(int(mask.sum()))

# %% tags=["nbval-ignore-output"]
GROUPS = ["dropped in this update", "dropped earlier", "never active before"]
history = pd.DataFrame(rows_seen)
activated = pd.DataFrame({"activated": history[[0, 1, 2]].sum().tolist()}, GROUPS)
activated["value"] = ["as before", "0", "0"]
activated

# %% [markdown]
# The counts depend on the last bits of floating point numbers, so they can differ on another machine. The rule does
# not:

# %%
for column, group in enumerate(GROUPS):
    happened, ok = history[column].sum() > 0, history[column + 3].sum()
    rule = "keeps its value" if column == 0 else "starts at 0"
    print(f"{group}: happens: {happened}, {rule} in {ok} of {len(history)} updates")

# %% [markdown]
# ### Why does the sparsity drift in other codes, and why not here?
#
# [Asked](https://github.com/TimDettmers/sparse_learning/issues/22) of the code that the report's is built on: somebody
# grew the *smallest* momentum instead of the largest, and lost a quarter of the weights. The rule had picked entries
# that were active already. Here only entries that are not kept are ranked. The same experiment:

# %%
methods.METHODS.pop("SNFS-smallest", None)
smallest = dataclasses.replace(
    methods.SNFS,
    name="SNFS-smallest",
    growth=lambda layer, generator: -layer.momentum.abs(),
)
methods.register(smallest)
net, sparsifier = small("SNFS-smallest")
print(f"before: {sum(sparsifier.counts().values())} active weights")
for _ in backward(net, sparsifier):
    sparsifier.step()
print(f"after:  {sum(int(mask.sum()) for mask in sparsifier.masks.values())}")

# %% [markdown]
# There are other ways to lose count. We try them on the layers of the report's Wide ResNet, with ERK at density 0.1.
#
# *Rounding per layer*: each layer rounds its own number of weights. *Bernoulli masks*: each weight is active with the
# right probability, so the number is right only on average; the report's code draws its first masks like this
# (`erdos_renyi_init` in `sparselearning/funcs/init_scheme.py`). Here the layers' numbers are chosen together so that
# their sum is exact (largest remainder), and a mask is drawn with exactly that number.

# %%
with torch.device("meta"):  # shapes without numbers
    wide = models.build("wrn-22-2", 10)
shapes = {name: tuple(w.shape) for name, w in models.maskable(wide).items()}
density = DISTRIBUTIONS["ERK"](shapes, 0.1)
quotas = np.array([math.prod(shapes[name]) * density[name] for name in shapes])
draw = rng.numpy_generator(0, "bernoulli")
bernoulli = [
    sum(int((draw.random(shapes[name]) < d).sum()) for name, d in density.items())
    for _ in range(20)
]

# %%
target = math.floor(0.1 * sum(map(math.prod, shapes.values())) + 0.5)
totals = {
    "here": sum(counts(shapes, density).values()),
    "each layer rounded down": int(np.floor(quotas).sum()),
    "each layer rounded up": int(np.ceil(quotas).sum()),
    "Bernoulli masks, fewest of 20 draws": min(bernoulli),
    "Bernoulli masks, most of 20 draws": max(bernoulli),
}
drift = pd.DataFrame({"active": totals})
drift["too many"] = drift["active"] - target
drift

# %% [markdown]
# These are small errors, but they add up where every update makes a new one. *Growth by chance*: each candidate is
# grown with probability k over candidates, as SET does in the report's code (`random_growth` in
# `sparselearning/funcs/grow.py`; a correction follows at the next update). Here is what happens to a layer of 3×3
# weights between 128 and 128 channels without a correction, over the updates of the report's training, for four seeds:


# %%
def drifted(seed, size=128 * 128 * 9):
    """Active weights at the end, when each candidate is grown by chance."""
    draw, spec = rng.numpy_generator(seed, "drift"), RunSpec(init="ERK", density=0.1)
    active = round(0.1 * size)
    for t in range(spec.delta_t - 1, spec.t_end, spec.delta_t):
        k = math.floor(schedules.drop_fraction(t, spec.alpha, spec.t_end) * active)
        candidates = size - active + k
        active += int((draw.random(candidates, np.float32) < k / candidates).sum()) - k
    return active


print(f"start: {round(0.1 * 128 * 128 * 9):,}")
print("end:  ", [f"{drifted(seed):,}" for seed in range(4)])
print("the hidden layer above, after every iteration:", sorted(sizes))

# %% [markdown]
# The last line is the answer to “why not here”: growth is a ranking, and a ranking gives exactly k. SET ranks random
# numbers. SNFS shares a total among the layers, and turns it into whole numbers with the same sum.
#
# ### Is it faster?
#
# [Asked](https://github.com/google-research/rigl/issues/3) of the original authors' code. No: there and here, a
# masked weight is a 0 in a dense matrix. PyTorch multiplies by it like by any other number. A counter of the executed
# operations shows it: the forward and backward pass of the Wide ResNet costs the same, dense or sparse.


# %%
def training_step(method, density=0.1):
    """A step on four images, as a function; the network is narrow for Small-Dense."""
    if methods.get(method).narrow:
        width, density = math.sqrt(density), 1
    else:
        width = 1
    net = models.build("wrn-22-2", 10, width, rng=rng.numpy_generator(0, "weights"))
    sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    sparse = Sparsifier(net, sgd, method, density=density, t_end=7500)
    images, target = enlarged(torch.arange(4)), labels[:4]

    def step():
        sgd.zero_grad()
        F.cross_entropy(net(images), target).backward()
        sparse.step()

    return step


# %%
executed, seconds = {}, {}
for name in ("Dense", "RigL", "Small-Dense"):
    step, times = training_step(name), []
    with FlopCounterMode(display=False) as counter:
        step()
    executed[name] = counter.get_total_flops()
    for _ in range(5):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    seconds[name] = statistics.median(times)
    print(f"{name:12} {executed[name]:>13,} operations executed")

# %% tags=["nbval-ignore-output"]
for name, value in seconds.items():
    print(
        f"{name:12} {1000 * value:.0f} ms a step, {value / seconds['Dense']:.2f} × dense"
    )

# %% [markdown]
# So the masks *simulate* sparsity: they show what a sparse network learns, and FLOPs say what it would cost. What
# makes it fast is structure that the hardware can use. The simplest one is in the table: Small-Dense has fewer
# channels, and its matrices are really smaller. Others are whole kernels or whole neurons that are dropped, the same
# number of inputs for each neuron, or two weights in every four, which some GPUs multiply faster. Where whole channels
# are dropped, `rigl_nb.compact` makes the smaller network, and its `resize` trains that one between updates. Kernels for
# unstructured sparse matrices exist as well, but PyTorch's convolutions use none. The masks themselves cost some passes
# over the weights at every step: nothing beside a convolution, but felt where wide linear layers see few examples.
#
# ### How do I train at the speed of live channels?
#
# Say which channels are hidden: what computes them, the norms between, and the one layer that reads them, by their names
# in the model. (`deploy.groups.hidden_groups` finds them in a model that somebody else wrote, and checks them; a list of
# your own is not checked.) Then call `resize` before each forward pass. It keeps the model small while no update is due.


# %%
from torch import nn

layers = [nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 3)]
conv = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 4 * 4, 10))
optimizer = torch.optim.SGD(conv.parameters(), lr=0.1, momentum=0.9)
channels = Channel(groups=[("0", "1", "3")])  # computed, normalised, read
options = {"structure": channels, "delta_t": 20, "t_end": 300}
sparse = Sparsifier(conv, optimizer, "RigL", "Random", density=0.6, **options)

# %%
widths = []
for _ in range(60):
    rows = torch.randint(len(labels), (64,))
    optimizer.zero_grad()
    resize(conv, sparse)
    widths.append(conv[0].out_channels)
    F.cross_entropy(conv(pixels[rows, None]), labels[rows]).backward()
    sparse.step()
expand(sparse)  # whole again: to be saved, averaged or looked at
print("channels trained:", sorted(set(widths)), "whole:", widths.count(16), "times")
print("to be deployed:", compact(conv, sparse)[0])

# %% [markdown]
# What is deployed is an ordinary network: `deploy.export.export` writes it as ONNX, `deploy.speed.speed_up` says how much
# faster it is here. [Notebook 13](13_speed.ipynb) measures what channels gain, and what they cost.
#
# ### Do weight decay or momentum revive inactive weights?
#
# [Asked](https://github.com/google-research/rigl/issues/15) in similar words: how do weights that are 0 stay 0 when
# the rest is trained? Weight decay alone moves nothing that is 0. But the gradient of an inactive weight is not 0, and
# momentum remembers it. `step()` masks the gradient *before* the optimizer sees it, and weight and momentum *after* it;
# so all three stay exactly 0, whatever the optimizer does. SNFS needs the momentum of inactive weights for its ranking.
# There it is kept, and only the weights are set to 0 after each step.


# %%
def revived(method, own_step=True):
    """By layer: inactive entries; weights and momenta of them that are not 0."""
    net, sparse = small(method)
    for _ in backward(net, sparse):
        sparse.step() if own_step else sparse.optimizer.step()
    states = [sparse.optimizer.state[weight] for weight in sparse.weights.values()]
    momenta = [state["momentum_buffer"] for state in states]
    off = [~mask for mask in sparse.masks.values()]
    rest = [int(v[o].count_nonzero()) for v, o in zip(momenta, off, strict=True)]
    return [int(o.sum()) for o in off], not_zero(sparse), rest


trials = {name: revived(name) for name in ("Static", "SET", "RigL", "SNFS")}
trials["masked once, then optimizer.step()"] = revived("Static", own_step=False)

# %%
for name, (inactive, values, momenta) in trials.items():
    none = "all 0" if not any(momenta) else "not 0"
    state = "all 0" if not any(values) else "revived"
    print(f"{name}: {sum(inactive):,} inactive weights {state}, their momentum {none}")

# %% [markdown]
# The last line is the trap: whoever masks the weights once and then calls `optimizer.step()` has a dense network soon.
#
# ## Verdict
#
# Every line is computed from the cells above.

# %%
masked = [values for name, (_, values, _) in trials.items() if name in methods.METHODS]
at_zero = [n == 0 for values in masked for n in values]
exact = [math.floor(0.1 * row[1] + 0.5) == row[2] for row in choices.values()]
checks = {
    "layers of MobileNetV3 have all inactive weights at 0": in_order,
    "choices of what is masked have the exact number of weights": exact,
    "runs by the engine kept their counts": [len(r.active) == 1 for r in records],
    "updates gave activated weights the right value": [all(r[3:]) for r in rows_seen],
    "times a layer's inactive weights stayed at 0 under decay and momentum": at_zero,
    "sparse networks execute what the dense one does": [
        executed["RigL"] == executed["Dense"]
    ],
}
for text, results in checks.items():
    print(f"{sum(results)} of {len(results)} {text}")
