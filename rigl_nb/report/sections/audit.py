"""What the published code's departures amount to: counts on the real shapes, and records (section 8)."""

import math
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from rigl_nb import schedules
from rigl_nb.claims import judge, power
from rigl_nb.claims.claim import Cell
from rigl_nb.claims.model import Runs
from rigl_nb.distributions import counts, erdos_renyi_kernel, uniform
from rigl_nb.experiments import equal_flops, grids
from rigl_nb.experiments.profiles import Profile
from rigl_nb.published_code import capped_shares
from rigl_nb.report.figures import tables
from rigl_nb.runs.store import Store
from rigl_nb.spec import RunSpec

REPOSITORY = "https://github.com/varun19299/rigl-reproducibility/blob"
COMMITS = {"": "ef1c379b834ed0178b1888b342f918f28017f25a", "989111dc": "989111dc8f6445b858772d3215557a94e455b1bf"}
FOLDERS = {  # of the published code's files
    "sparselearning/": "core.py",
    "sparselearning/funcs/": "grow.py init_scheme.py prune.py",
    "sparselearning/counting/": "helper.py ops.py",
    "sparselearning/utils/": "train_helper.py warmup_scheduler.py",
    "visualization/": "alpha_deltaT.py erk_vs_random_FLOPs.py main_results.py redist_inference_plot.py",
    "": "data.py main.py makefiles/cifar10.mk",
}
NETWORKS = {"wrn-22-2": "cifar10", "resnet50": "cifar100"}
CLASSIFIER = "fc.weight"
Shapes = Mapping[str, tuple[int, ...]]


def permalink(where: str) -> str:
    """The address of lines of the published code: "grow.py 80–97", "core.py 633 (00043ba)" with another commit."""
    found = re.fullmatch(r"(\S+) (\d+)(?:–(\d+))?(?: \((\w+)\))?", where)
    folder = next((folder for folder, names in FOLDERS.items() if found and found[1] in names.split()), None)
    if folder is None:
        raise ValueError(f"{where!r} names no lines of the published code: write “grow.py 80–97”")
    file, first, last, commit = found.groups()
    lines = f"L{first}" + (f"-L{last}" if last else "")
    return f"{REPOSITORY}/{COMMITS.get(commit or '', commit)}/{folder}{file}#{lines}"


def linked(where: str) -> str:
    """`where` as a link in HTML; as it is where it names no lines."""
    try:
        return f'<a href="{permalink(where)}">{where}</a>'
    except ValueError:
        return where


def shapes(model: str, first_layer: bool = True) -> dict[str, tuple[int, ...]]:
    """The masked layers of one of the report's networks; without the first one, as under Random."""
    covered, _ = equal_flops.layers(model, NETWORKS[model])
    return dict(list(covered.items())[not first_layer :])


def drop_fractions(t_end: int = 66_000, delta_t: int = 100, alpha: float = 0.3, late: int = 0) -> np.ndarray:
    """The drop fraction at every update of a training; `late`: that of so many iterations before."""
    return np.array([schedules.drop_fraction(step - late, alpha, t_end) for step in range(delta_t - 1, t_end, delta_t)])


def erk_counts(layers: Shapes, density: float) -> dict[str, int]:
    """Active weights of every layer under ERK."""
    return counts(dict(layers), erdos_renyi_kernel(dict(layers), density))


def dense_layers(layers: Shapes, density: float) -> pd.Series:
    """ERK's dense layers: how many, their share of the active weights, and what wiping regrown weights does to them.

    `wiped`: weights that the first update sets to 0. `times`: how often all updates do that to a weight, on average.
    """
    active = erk_counts(layers, density)
    dense = [name for name, shape in layers.items() if active[name] == math.prod(shape)]
    weights, fractions = sum(active[name] for name in dense), drop_fractions()
    wiped = [sum(math.floor(f * active[name]) for name in dense) for f in fractions]
    names = ["dense layers", "of", "share of active weights", "wiped", "times"]
    return pd.Series(
        (len(dense), len(layers), weights / sum(active.values()), wiped[0], sum(wiped) / max(weights, 1)), names
    )


def spared_layers(layers: Shapes, density: float) -> list[str]:
    """Layers that the drop-rate rule spares under ERK: sparsity below 0.2 and more active weights than the average."""
    active = erk_counts(layers, density)
    mean = sum(active.values()) / len(active)
    return [n for n, shape in layers.items() if 1 - active[n] / math.prod(shape) < 0.2 and active[n] > mean]


def rounded_up(layers: Shapes, density: float) -> float:
    """How many more connections a training under ERK drops when each layer's number is rounded up, as a share."""
    active, fractions = erk_counts(layers, density).values(), drop_fractions()
    down = sum(math.floor(f * n) for f in fractions for n in active)
    return sum(math.ceil(f * n) for f in fractions for n in active) / down - 1


def signs_cancel(kernels: np.ndarray, fraction: float = 0.3) -> float:
    """Of the kernels, (kernels, entries), that go by smallest |mean w|, the share that mean |w| would keep."""
    scores = np.abs(kernels.mean(1)), np.abs(kernels).mean(1)
    signed, size = (set(np.argsort(score, kind="stable")[: int(fraction * len(kernels))]) for score in scores)
    return len(signed - size) / len(signed)


def linear_flops(shape: tuple[int, int], density: float = 1.0) -> float:
    """FLOPs that the published code counts for a linear layer of a weight's shape, (outputs, inputs).

    It takes the first number for the inputs and the second for the outputs. An output costs a product for each active
    weight, one sum less, a sum for the bias, and a ReLU.
    """
    inputs, outputs = shape
    return (inputs * density + (inputs * density - 1) + 1 + 1) * outputs


def three_runs(mean: float, std: float, most: float) -> tuple[tuple[float, float], ...]:
    """Between which accuracies the lowest, the middle and the best of three runs lie, by their mean and sample std.

    No run is better than `most`. ValueError where no three runs are possible.
    """
    low, high = mean + std / math.sqrt(3), min(most, mean + 2 * std / math.sqrt(3))  # of the best run
    if low > high:
        raise ValueError(f"no three runs up to {most} have the mean {mean} and the standard deviation {std}")
    ends = []
    for best in (low, high):
        centre, half = (3 * mean - best) / 2, math.sqrt(max(std**2 - 0.75 * (best - mean) ** 2, 0))
        ends.append((centre - half, centre + half, best))
    return tuple((min(pair), max(pair)) for pair in zip(*ends, strict=True))


def coin_spread(layers: Shapes, density: float) -> float:
    """Standard deviation of the number of first weights under Random, as a share, where a coin draws each weight."""
    sizes = {name: math.prod(shape) for name, shape in layers.items()}
    expected = uniform(dict(layers), density)
    variance = math.fsum(sizes[name] * p * (1 - p) for name, p in expected.items())
    return math.sqrt(variance) / math.fsum(sizes[name] * p for name, p in expected.items())


def coin_growth(
    layers: Shapes, density: float, shared_error: bool = False, multiplier: int = 1, trainings: int = 100, seed: int = 0
) -> np.ndarray:
    """Active weights at the start and after each update of SET (Random) that grows by coins: (update, training, layer).

    Only counts are followed, as the published code moves them. An empty layer stays empty: it has nothing to drop.
    `shared_error`: each layer also grows what the whole network lacks since the last update (an older version).
    """
    draw = np.random.default_rng(seed)
    sizes = np.array([math.prod(shape) for shape in layers.values()])
    history = [draw.binomial(sizes, density, (trainings, len(sizes)))]
    for fraction in drop_fractions(66_000 * multiplier):
        active = history[-1]
        dropped = np.ceil(fraction * active).astype(int)
        room = sizes - active + dropped
        error = shared_error * (history[0] - active).sum(axis=1, keepdims=True)
        chance = np.clip((dropped + error) / np.maximum(room, 1), 0, 1)
        history.append(active - dropped + draw.binomial(room, chance))
    return np.array(history)


def emptied(layers: Shapes, density: float, multiplier: int = 1, trainings: int = 100) -> pd.Series:
    """Shares of simulated trainings of SET by coins that end with an empty layer, and with an empty classifier.

    `drift`: standard deviation of the final number of weights over the trainings, as a share of the first number.
    """
    history = coin_growth(layers, density, multiplier=multiplier, trainings=trainings)
    empty, totals = history[-1] == 0, history.sum(axis=2)
    shares = (empty.any(axis=1).mean(), empty[:, list(layers).index(CLASSIFIER)].mean(), (totals[-1] / totals[0]).std())
    return pd.Series(shares, ["a layer is empty", "the classifier is empty", "drift"])


def lost_to_the_cap(layers: Shapes, density: float) -> pd.Series:
    """What one redistribution at the first update loses under ERK if all layers have the same statistic.

    `lost`: of the total; `in dense layers`: connections by which dense layers shrink; `dropped`: all that moved.
    """
    active = erk_counts(layers, density)
    dropped = {name: math.ceil(0.3 * n) for name, n in active.items()}
    room = [math.prod(shape) - active[name] + dropped[name] for name, shape in layers.items()]
    grown = dict(zip(layers, capped_shares(sum(dropped.values()), [1.0] * len(layers), room), strict=True))
    dense = [name for name, shape in layers.items() if active[name] == math.prod(shape)]
    total = sum(dropped.values())
    values = (total - sum(grown.values()), sum(dropped[name] - grown[name] for name in dense), total)
    return pd.Series(values, ["lost", "in dense layers", "dropped"])


def published_rate(spec: RunSpec, warmup: int) -> list[float]:
    """The learning rate at every step of the published code: warm-up lasts whole epochs, decays are counted after it.

    It begins at 0, passes the base rate until the epoch is over, and all decays come later by these epochs.
    """
    until = math.ceil(warmup / spec.steps_per_epoch) * spec.steps_per_epoch
    top = spec.learning_rate * (until / warmup if warmup else 1)
    warm = [spec.learning_rate * step / warmup for step in range(until)]
    return warm + [top * spec.decay_factor ** (step // spec.decay_every) for step in range(spec.total_steps - until)]


def batch_means(images: int, batch: int, accuracy: float, draws: int = 2000, seed: int = 0) -> float:
    """Standard deviation, in points, of a mean of batch means over random orders of the same answers.

    `accuracy` in percent. The last, smaller batch counts as much as the others, so its images count more.
    """
    right = np.zeros(images)
    right[: round(images * accuracy / 100)] = 1
    rng, cuts = np.random.default_rng(seed), np.arange(0, images, batch)
    sizes = np.diff([*cuts, images])
    means = [(np.add.reduceat(rng.permutation(right), cuts) / sizes).mean() for _ in range(draws)]
    return float(100 * np.std(means))


def shown_effects(table: pd.DataFrame, uuid: str, caption: str) -> Styler:
    """The table of `effects`, each number in its format."""
    form = dict.fromkeys(("imitated", "ordinary", "detectable"), "{:.2f}") | {"cost": "{:.2f}×"}
    form |= dict.fromkeys(("difference", "low", "high"), "{:+.2f}")
    return tables.plain(table, uuid, form, caption)


def effects(profile: Profile, results: Store) -> pd.DataFrame:
    """The imitated behaviours' effect on test accuracy, by comparison: difference with 95 % interval, n, and power.

    Imitated minus ordinary, n runs each. `detectable`: the difference that as many runs find in four of five cases.
    `cost`: training FLOPs of the imitated runs, as a multiple of the ordinary ones'.
    """
    specs = grids.specs("08", profile.name)
    frame = results.frame(specs)
    frame["data"] = [", ".join(spec.published_code) or spec.data for spec in specs]
    runs, rows = Runs(frame), []
    for spec in specs:
        if spec.published_code and spec.seed == min(profile.seeds):
            plain = Cell(spec.method, spec.init, spec.density)
            code = ", ".join(spec.published_code)
            left = Cell(spec.method, spec.init, spec.density, data=code)
            imitated, ordinary = (runs.of(cell) for cell in (left, plain))
            found = runs.estimate(((left, plain),)) if len(imitated) and len(ordinary) else judge.NOTHING
            means = [part["test_accuracy"].mean() for part in (imitated, ordinary)]
            cost = imitated["train_flops"].mean() / ordinary["train_flops"].mean()
            n = min(len(imitated), len(ordinary))
            rows.append((plain.label, code, *means, found.value, *found.interval(), n, power.could_show(found), cost))
    columns = ["runs", "behaviour", "imitated", "ordinary", "difference", "low", "high", "n", "detectable", "cost"]
    return pd.DataFrame(rows, columns=columns)
