"""Runs on the embedded text: every method, what it costs, Adam and clipping, and going on from a checkpoint."""

import io
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from driving import NATIVE, PLAIN, drive, equal, numbers, tiny

from rigl_nb import data, models
from rigl_nb.data.sources import SOURCES
from rigl_nb.rng import numpy_generator
from rigl_nb.train import train

METHODS = ["Dense", "Small-Dense", "Static", "SET", "RigL", "Pruning"]
MASKED = {"gru.weight_ih_l0": (48, 4), "gru.weight_hh_l0": (48, 16), "readout.weight": (92, 16)}
SIZE = sum(math.prod(shape) for shape in MASKED.values())


@pytest.fixture(autouse=True)
def excerpt(monkeypatch):
    """Let the text be 128 windows to train and to validate on, and 20 to test on."""
    whole = data.load("pydoc")
    source = replace(whole.source, train=128, test=20)
    part = data.Dataset(source, whole.train[torch.arange(128)], whole.test[torch.arange(20)])
    monkeypatch.setitem(SOURCES, "pydoc", source)
    monkeypatch.setattr(data, "load", lambda *arguments: part)


def small(method="RigL", **fields):
    """Return a run of 2 epochs of 11 iterations on the first 88 windows."""
    usual = {"data": "pydoc", "model": "gru-16", "batch_size": 8, "validation": 40, "dropout": 0.0}
    return tiny(method, **(usual | {"density": 1.0 if method == "Dense" else 0.25} | fields))


@pytest.mark.parametrize("method", METHODS)
def test_a_run_goes_on_bit_for_bit(method):
    """Also in the middle of an epoch, from what was written to a file."""
    saved = {}

    def look(progress):
        if progress.step == 14:
            saved.update(torch.load(_file(progress.snapshot()), weights_only=True))

    whole, end = drive(small(method), look=look)
    again, other = drive(small(method), state=saved)
    assert numbers(whole) == numbers(again) and whole.test_bits == again.test_bits
    assert equal(end, other)
    assert whole.test_bits < math.log2(92) and whole.history[1]["validation_bits"] < whole.history[0]["validation_bits"]


def _file(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize("method", ["Static", "SET", "RigL", "Pruning"])
def test_masks_hold_after_every_iteration(method):
    """Of the GRU's weights and the readout's, not of the embedding; Adam's buffers of inactive weights are 0 too."""
    totals = []

    def look(progress):
        state = progress.snapshot()
        masks = state["sparsifier"]["masks"]
        assert {name: tuple(mask.shape) for name, mask in masks.items()} == MASKED
        matrices = [name for name, value in state["model"].items() if value.ndim > 1]
        for name, mask in masks.items():
            assert not state["model"][name][~mask].any(), (progress.step, name)
            held = state["optimizer"]["state"].get(matrices.index(name), {})
            for buffer in ("exp_avg", "exp_avg_sq") if held else ():
                assert not held[buffer][~mask].any(), (progress.step, name, buffer)
        assert state["model"]["embedding.weight"].all()
        totals.append(sum(int(mask.sum()) for mask in masks.values()))

    drive(small(method), look=look)
    target = math.floor(0.25 * SIZE + 0.5)
    assert totals[-1] == target
    assert set(totals) == {target} if method != "Pruning" else totals == sorted(totals, reverse=True)


def test_masks_move():
    seen = []
    drive(small(), look=lambda p: seen.append([m.clone() for m in p.snapshot()["sparsifier"]["masks"].values()]))
    moved = [t for t in range(1, 22) if any(not torch.equal(a, b) for a, b in zip(seen[t - 1], seen[t], strict=True))]
    assert moved[:3] == [3, 7, 11] and set(moved) <= {3, 7, 11, 15}  # the last one moves hardly any


def test_costs_by_hand():
    """Two operations for each weight of the masked layers and each of 64 characters; the embedding is a look-up."""
    dense, _ = drive(small("Dense", epochs=1))
    sparse, _ = drive(small("Static", epochs=1))
    narrow, _ = drive(small("Small-Dense", epochs=1))
    assert dense.dense_flops == 2 * 64 * SIZE
    assert sparse.test_flops == pytest.approx(math.floor(0.25 * SIZE + 0.5) / SIZE)
    assert narrow.test_flops == (24 * 2 + 24 * 8 + 92 * 8) / SIZE
    assert (dense.test_flops, dense.train_flops) == (1, 1)


def test_bits_are_the_cross_entropy_of_every_character_without_memory_between_windows():
    """By the final weights, in a fresh network, one window at a time."""
    result, end = drive(small("RigL"))
    model = models.build("gru-16", 92)
    model.load_state_dict(end["model"])
    model.eval()
    test, nats, right = data.load("pydoc").test, 0.0, []
    with torch.no_grad():
        for symbols, following in zip(test.pixels, test.labels, strict=True):
            logits = model(symbols[None].long())[0].T
            nats += F.cross_entropy(logits.double(), following, reduction="sum").item()
            right.append(logits.argmax(1) == following)
    assert result.test_bits == pytest.approx(nats / test.labels.numel() / math.log(2), rel=1e-5)
    assert (result.test_correct != torch.stack(right)).float().mean() < 0.001
    assert result.test_accuracy == 100 * int(result.test_correct.sum()) / test.labels.numel()
    rows = result.history
    assert all({"validation_accuracy", "validation_bits"} <= row.keys() for row in rows)
    assert rows[0]["loss"] < math.log(92) * 1.2


def test_nothing_held_out_has_no_validation():
    row = drive(small("Dense", validation=0, epochs=1, batch_size=2000))[0].history[0]
    assert row["validation_bits"] is None and row["validation_accuracy"] is None


def test_gradients_are_clipped_to_a_norm_of_all_together():
    """Plain SGD on clipped gradients moves all weights together by the learning rate times the norm."""
    plain = {"optimizer": "SGD", "nesterov": False, "momentum": 0.0, "learning_rate": 1.0, "warmup": 0}
    start = models.build("gru-16", 92, rng=numpy_generator(0, "weights")).state_dict()
    moved = {}
    for clip in (0.0, 0.125):
        after = next(train(small("Dense", clip=clip, **plain), PLAIN)).snapshot()["model"]
        moved[clip] = sum(float((after[name] - start[name]).square().sum()) for name in start) ** 0.5
    assert moved[0.125] == pytest.approx(0.125, rel=1e-4)
    assert moved[0.0] > 0.25


def test_a_clipped_gradient_of_inactive_weights_counts():
    """The norm is of the gradients as autograd leaves them: those that are left after masking are below the limit."""
    plain = {"optimizer": "SGD", "nesterov": False, "momentum": 0.0, "learning_rate": 1.0, "warmup": 0, "clip": 0.125}
    spec = small("Static", **plain)
    state = next(train(spec, PLAIN)).snapshot()
    after, masks = state["model"], state["sparsifier"]["masks"]
    start = models.build("gru-16", 92, rng=numpy_generator(0, "weights")).state_dict()
    begun = {name: value.masked_fill(~masks[name], 0) if name in masks else value for name, value in start.items()}
    moved = sum(float((after[name] - begun[name]).square().sum()) for name in begun) ** 0.5
    assert 0.03 < moved < 0.12


def test_adam_is_torchs():
    """One step of Adam moves each weight of a gradient by about the learning rate, whatever the gradient's size."""
    start = models.build("gru-16", 92, rng=numpy_generator(0, "weights")).state_dict()
    spec = small("Dense", warmup=0, learning_rate=0.01)
    assert (spec.optimizer, spec.nesterov, spec.momentum) == ("Adam", False, 0.9)
    after = next(train(spec, PLAIN)).snapshot()["model"]
    step = (after["gru.weight_hh_l0"] - start["gru.weight_hh_l0"]).abs()
    assert step.max() <= 0.0101 and step.median() > 0.009


def test_half_precision_activations_change_little():
    fp32, bf16 = (drive(small("RigL", epochs=1), how)[0] for how in (PLAIN, NATIVE))
    assert bf16.test_bits == pytest.approx(fp32.test_bits, rel=0.05)
