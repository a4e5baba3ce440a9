"""The loop on the embedded digits: what an epoch sees, what is recorded, what holds after each iteration."""

import math

import numpy as np
import pytest
import torch
from driving import PLAIN, drive, equal, numbers, tiny
from torch.utils._python_dispatch import TorchDispatchMode

from rigl_nb import data, distributions, flops, models
from rigl_nb import train as training
from rigl_nb.rng import numpy_generator
from rigl_nb.train import train

SHAPE = (1, 8, 8)
METHODS = ["Dense", "Small-Dense", "Static", "SET", "RigL"]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_equal_numbers(method):
    (first, end), (again, other_end) = drive(tiny(method)), drive(tiny(method))
    assert numbers(first) == numbers(again)
    assert equal(end, other_end)


def test_another_seed_gives_other_weights_masks_and_order():
    (_, a), (_, b) = drive(tiny(seed=0, epochs=1)), drive(tiny(seed=1, epochs=1))
    assert not torch.equal(a["model"]["fc.weight"], b["model"]["fc.weight"])
    masks = [torch.cat([m.flatten() for m in end["sparsifier"]["masks"].values()]) for end in (a, b)]
    assert not torch.equal(*masks)


def test_global_generators_are_left_alone():
    states = []
    for _ in range(2):
        states.append((torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()))
        drive(tiny("SET", epochs=1))
    assert states[0] == states[1]


@pytest.mark.parametrize("method", ["Static", "SET", "RigL"])
def test_masks_hold_after_every_iteration(method):
    """Inactive weights and momentum are 0; the counts never move."""
    spec, counts = tiny(method), []

    def look(progress):
        state = progress.snapshot()
        masks = state["sparsifier"]["masks"]
        decayed = [name for name, value in state["model"].items() if value.ndim > 1]
        for name, mask in masks.items():
            momentum = state["optimizer"]["state"].get(decayed.index(name), {}).get("momentum_buffer")
            assert not state["model"][name][~mask].any(), (progress.step, name)
            assert momentum is None or not momentum[~mask].any(), (progress.step, name)
        counts.append({name: int(mask.sum()) for name, mask in masks.items()})

    result, _ = drive(spec, look=look)
    assert all(count == counts[0] for count in counts)
    assert [row["counts"] for row in result.active] == [counts[0]]
    total = sum(p.numel() for p in models.maskable(models.build(spec.model, 10, channels=1)).values())
    assert sum(counts[0].values()) == math.floor(0.2 * total + 0.5)


def test_masks_move_when_they_should():
    seen = {}
    drive(tiny(), look=lambda p: seen.update({p.step: [m.clone() for m in masks_of(p)]}))
    moved = [t for t in range(2, 23) if any(not torch.equal(a, b) for a, b in zip(seen[t - 1], seen[t], strict=True))]
    assert moved == [4, 8, 12, 16]  # iterations done, after the updates at 3, 7, 11 and 15 < T_end = 16


def masks_of(progress):
    return progress.snapshot()["sparsifier"]["masks"].values()


def test_learning_rates_follow_the_schedule():
    """Warm-up 3, decays at 9 and 18; twice the length: decays at 18 and 36, the same warm-up."""
    for multiplier in (1, 2):
        rates = []
        spec = tiny("Static", multiplier=multiplier)
        drive(
            spec,
            look=lambda p, r=rates: r.append([float(g["lr"]) for g in p.snapshot()["optimizer"]["param_groups"]]),
        )
        assert len(rates) == spec.total_steps == 22 * multiplier
        for t, groups in enumerate(rates):
            want = 0.1 * 0.2 ** (t // (9 * multiplier)) * min(1, (t + 1) / 3)
            assert groups == pytest.approx([want] * len(groups), rel=1e-7)  # float32


def test_weight_decay_is_on_weights_with_more_than_one_dimension():
    _, end = drive(tiny("Dense", epochs=1))
    decay = {i: group["weight_decay"] for group in end["optimizer"]["param_groups"] for i in group["params"]}
    model = models.build("wrn-10-1", 10, channels=1)
    dimensions = [p.ndim for p in model.parameters()]
    assert sum(value == 5e-4 for value in decay.values()) == sum(n > 1 for n in dimensions)
    assert sum(value == 0 for value in decay.values()) == sum(n == 1 for n in dimensions)
    for index, state in end["optimizer"]["state"].items():
        assert decay[index] == (5e-4 if state["momentum_buffer"].ndim > 1 else 0)


def test_every_image_once_an_epoch_and_no_augmentation_in_evaluation(monkeypatch):
    spec, calls, plain = tiny(epochs=2), [], data.batch

    def recorded(images, rows, source, generator=None):
        calls.append((images, rows.clone(), generator is not None))
        return plain(images, rows, source, generator)

    monkeypatch.setattr(data, "batch", recorded)
    drive(spec)
    dataset = data.load("digits")
    train_part, validation = data.split(dataset.train, spec.validation)
    training = [(images, rows) for images, rows, augmented in calls if augmented]
    assert all(torch.equal(images.pixels, train_part.pixels) for images, _ in training)
    assert [len(rows) for _, rows in training] == ([128] * 10 + [17]) * 2  # the last batch is kept
    epochs = [torch.cat([rows for _, rows in training[start : start + 11]]) for start in (0, 11)]
    assert all(torch.equal(order.sort().values, torch.arange(1297)) for order in epochs)
    assert not torch.equal(*epochs)
    seen = {"validation": 0, "test": 0}
    for images, rows, augmented in calls:
        if not augmented:
            part = "test" if torch.equal(images.pixels, dataset.test.pixels) else "validation"
            assert part == "test" or torch.equal(images.pixels, validation.pixels)
            seen[part] += len(rows)
    assert seen == {"validation": 2 * 200, "test": 300}


def test_history_has_one_row_an_epoch():
    spec = tiny(multiplier=2)
    result, _ = drive(spec)
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]
    names = {"epoch", "loss", "train_accuracy", "validation_accuracy", "learning_rate", "drop_fraction"}
    assert all(set(row) == names for row in result.history)
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    for row in result.history:
        for part, n in (("train_accuracy", 1297), ("validation_accuracy", 200)):
            correct = row[part] * n / 100
            assert correct == pytest.approx(round(correct), abs=1e-6) and 0 <= correct <= n
    assert result.history[-1]["drop_fraction"] == 0


def test_no_validation_images_no_validation_accuracy():
    result, _ = drive(tiny("Static", validation=0, epochs=1))
    assert result.history[0]["validation_accuracy"] is None


@pytest.mark.parametrize("method", ["Dense", "RigL"])
def test_test_accuracy_is_correct_over_all_images(method):
    """The final weights, loaded into a fresh network, one image at a time."""
    result, end = drive(tiny(method, dropout=0.3, epochs=4))
    model = models.build("wrn-10-1", 10, channels=1, dropout=0.3)
    model.load_state_dict(end["model"])
    model.eval()
    dataset, correct = data.load("digits"), []
    for row in range(300):
        x = data.batch(dataset.test, torch.tensor([row]), dataset.source)
        correct.append(model(x).argmax() == dataset.test.labels[row])
    assert (result.test_correct != torch.stack(correct)).sum() <= 1  # one near tie at most
    assert result.test_accuracy == 100 * int(result.test_correct.sum()) / 300
    assert result.test_accuracy > 15  # it has learnt something: chance is 10


def test_no_batch_of_an_evaluation_waits_for_the_device(monkeypatch):
    """Values are read as often for thirty batches as for one."""

    class Reads(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            read.append(function.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero))
            return function(*arguments, **(options or {}))

    found = []
    for size in (300, 10):
        monkeypatch.setattr(training, "EVALUATION_BATCH", size)
        dataset, read = data.load("digits"), []
        with Reads():
            scores = training.evaluate(models.build("wrn-10-1", 10, channels=1), dataset.test, dataset, PLAIN)
        found.append(sum(read))
        assert len(scores["correct"]) == 300
    assert found == [1, 1]


@pytest.mark.parametrize(("method", "multiplier"), [*((method, 1) for method in METHODS), ("Dense", 2), ("RigL", 2)])
def test_costs_are_exact(method, multiplier):
    """From the masks; an update of RigL costs (2f + 1)/3, any other iteration f; N times that for Nx."""
    spec = tiny(method, multiplier=multiplier)
    result, end = drive(spec)
    dense = flops.inference_flops(models.build(spec.model, 10, channels=1), SHAPE)
    network = models.build(spec.model, 10, math.sqrt(0.2) if method == "Small-Dense" else 1.0, channels=1)
    densities = {name: m.sum().item() / m.numel() for name, m in end["sparsifier"]["masks"].items()}
    f = flops.inference_flops(network, SHAPE, densities) / dense
    total, updates = 22 * multiplier, 4 * multiplier if method == "RigL" else 0
    mean = (updates * (2 * f + 1) / 3 + (total - updates) * f) / total
    assert result.dense_flops == dense
    assert result.test_flops == pytest.approx(f, rel=1e-12)
    assert result.train_flops == pytest.approx(mean * multiplier, rel=1e-12)
    assert (f == 1) is (method == "Dense")


def test_a_run_that_diverges_is_a_result():
    spec = tiny(learning_rate=1e8, warmup=0)
    result, end = drive(spec)
    assert len(result.history) == 2
    assert 0 <= result.test_accuracy <= 30
    assert not math.isfinite(result.history[-1]["loss"]) or result.history[-1]["loss"] > 2
    counts = {name: int(mask.sum()) for name, mask in end["sparsifier"]["masks"].items()}
    assert counts == result.active[0]["counts"]


def first_step(spec, monkeypatch):
    """Weights after one iteration that moves nothing, and the batch that it saw."""
    seen, plain = [], data.batch
    with monkeypatch.context() as patch:
        patch.setattr(data, "batch", lambda *arguments: seen.append(plain(*arguments)) or seen[-1])
        model = next(train(spec, PLAIN)).snapshot()["model"]
    return {name: value for name, value in model.items() if value.ndim > 1}, seen[0]


def test_initial_weights_come_from_the_seed(monkeypatch):
    got, _ = first_step(tiny("Dense", learning_rate=1e-30, seed=3), monkeypatch)
    want = models.build("wrn-10-1", 10, channels=1, rng=numpy_generator(3, "weights")).state_dict()
    assert got and all(torch.equal(value, want[name]) for name, value in got.items())


@pytest.mark.parametrize("method", ["Static", "SET", "RigL"])
def test_methods_share_initial_weights_masks_and_batches(method, monkeypatch):
    """Seeds pair the runs: differences between methods are the methods' own."""
    dense, batch = first_step(tiny("Dense", learning_rate=1e-30), monkeypatch)
    static, _ = first_step(tiny("Static", learning_rate=1e-30), monkeypatch)
    sparse, other = first_step(tiny(method, learning_rate=1e-30), monkeypatch)
    assert torch.equal(batch, other)
    for name, value in sparse.items():
        assert torch.equal(value, static[name])
        assert torch.equal(value[value != 0], dense[name][value != 0])


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.5])
def test_the_exponent_decides_how_many_weights_each_layer_has(exponent):
    spec = tiny("Static", epochs=1, exponent=exponent)
    result, end = drive(spec)
    shapes = {name: tuple(mask.shape) for name, mask in end["sparsifier"]["masks"].items()}
    wanted = distributions.counts(shapes, distributions.erdos_renyi_kernel(shapes, 0.2, exponent))
    assert result.active[-1]["counts"] == wanted
    usual, _ = drive(tiny("Static", epochs=1))
    assert usual.active[-1]["counts"] != wanted and sum(wanted.values()) == sum(usual.active[-1]["counts"].values())
