"""The benchmark of structures: every form computes what it stands for, and nothing is divided by a slow dense layer."""

import importlib.util

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks import layers, structure, timing
from benchmarks.timing import Machine
from rigl_nb import flops, models
from rigl_nb.data.sources import SOURCES

QUICK = Machine("cpu", True)
CONVOLUTION, LINEAR = (16, 12, 3, 6), (48, 96)
FORMS = ["dense", "masked", "channels", "CSR", "BSR", "gather"]


def made(shape, batch=3):
    return dict(layers.forms(shape, batch))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("shape", [CONVOLUTION, LINEAR], ids=["convolution", "linear"])
def test_every_form_computes_the_layer_that_it_stands_for(shape, batch):
    forms = made(shape, batch)
    assert list(dict.fromkeys(form.name for form in forms.values() if form.name != "SparseLab")) == FORMS
    for key, form in forms.items():
        dense = F.conv2d(form.x, form.weight, padding=1) if len(shape) > 2 else F.linear(form.x, form.weight)
        assert dense.std() > 0.1 and len(form.x) == batch
        torch.testing.assert_close(form.call(), dense, rtol=1e-4, atol=1e-5, msg=key)


@pytest.mark.parametrize("shape", [CONVOLUTION, LINEAR], ids=["convolution", "linear"])
def test_every_form_has_a_tenth_of_the_weights(shape):
    weights = {form.name: form.weight for form in made(shape).values()}
    size = weights["dense"].numel()
    assert weights["dense"].count_nonzero() == size
    assert weights["masked"].count_nonzero() == weights["CSR"].count_nonzero() == round(0.1 * size)
    assert {int(row.count_nonzero()) for row in weights["gather"].flatten(1)} == {
        round(0.1 * size / len(weights["CSR"]))
    }
    blocks = weights["BSR"].flatten(1).unfold(0, 4, 4).unfold(1, 4, 4).flatten(2)
    assert {int(block.count_nonzero()) for block in blocks.flatten(0, 1)} == {0, 16}
    assert weights["BSR"].count_nonzero() == 16 * round(0.1 * size / 16)
    assert weights["channels"].numel() == pytest.approx(0.1 * size, rel=0.35), "widths are whole"


def test_both_memory_formats_are_there():
    for key, form in made(CONVOLUTION).items():
        if key.endswith(("contiguous", "channels-last")):
            for operand in form.call.args:
                last = operand.is_contiguous(memory_format=torch.channels_last)
                assert last == key.endswith("channels-last"), key
    assert {"dense, contiguous", "dense, channels-last", "channels, channels-last"} <= made(CONVOLUTION).keys()


@pytest.fixture
def timed(monkeypatch):
    """Have made-up seconds in place of measured ones, by a word in the arm's name; say with how many threads."""
    seconds, threads = {}, []

    def within(machine, arms):
        threads.append(torch.get_num_threads())
        for arm in arms.values():
            arm()
        return {key: next((values for word, values in seconds.items() if word in key), [9.0, 9.0]) for key in arms}

    monkeypatch.setattr(layers, "within_reason", within)
    monkeypatch.setattr(structure, "within_reason", within)
    monkeypatch.setattr(structure, "period", lambda machine, name: [])
    return seconds, threads


@pytest.mark.parametrize("faster", ["contiguous", "channels-last"])
def test_speed_ups_are_over_the_faster_dense_format(faster, timed):
    seconds, threads = timed
    seconds |= {f"dense, {faster}": [4.0, 8.0], "channels, ": [2.0, 1.0], "hidden channels": [2.0, 1.0]}
    single = layers.measure(QUICK, 3, 2)
    assert threads == [2, 2] and torch.get_num_threads() == 1
    assert all("forward, batch 3, 2 threads" in m.quantity for m in single)
    found = [*single, *structure.measure(QUICK)]
    ups = [m for m in found if m.quantity.startswith("speed-up") and "linear" not in m.subject and m.values]
    assert {m.values for m in ups if "channels, " in m.subject} == {(2.0, 8.0)}
    refused = [m.subject for m in found if m.quantity == "speed-up" and not m.values]
    assert refused == [f"resnet14-8, hidden channels, density {density}" for density in (0.1, 0.2)], "once"
    assert {m.values for m in ups if "all widths" in m.subject} == {(4 / 9, 8 / 9)}
    assert {m.subject for m in found if m.subject.endswith(faster) and "dense" in m.subject and m.values == (4.0, 8.0)}


def test_one_image_has_one_thread(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert [structure.threads(QUICK, batch) for batch in (1, 2, 128)] == [1, 7, 7]
    assert structure.batches(Machine("cpu")) == (1, 128)


def test_the_smaller_networks_are_as_small_as_they_say():
    source = SOURCES["cifar10"]
    dense = models.build("wrn-16-2", 10, rng=np.random.default_rng(0))
    whole = sum(weight.numel() for weight in models.maskable(dense).values())
    found = list(structure.smaller("wrn-16-2", dense, source, structure.DENSITIES))
    assert [other.name.split(", ")[1:] for other in found] == [
        [kind, f"density {density}"] for kind in ("hidden channels", "all widths") for density in structure.DENSITIES
    ]
    for other in found:
        density = float(other.name.split()[-1])
        size = sum(weight.numel() for weight in models.maskable(other.module).values())
        assert size == pytest.approx(density * whole, rel=0.1), other.name
        share = flops.inference_flops(other.module, source.shape) / flops.inference_flops(dense, source.shape)
        assert other.note == f"{100 * share:.1f} % of the FLOPs"
    bottlenecks = models.build("resnet14-8", 10, rng=np.random.default_rng(0))
    refused = [
        other for other in structure.smaller("resnet14-8", bottlenecks, source, (0.1, 0.2, 0.5)) if other.module is None
    ]
    assert [other.name for other in refused] == [f"resnet14-8, hidden channels, density {d}" for d in (0.1, 0.2)]
    assert all("not measured: density" in other.note for other in refused)


def test_sparselab_is_measured_only_where_it_is(monkeypatch, timed):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sparselab" else there(name))
    (row,) = [m for m in layers.measure(QUICK, 1, 1) if "SparseLab" in m.subject]
    assert row.values == () and row.note == "not measured: sparselab is not installed" and "linear" in row.subject


def test_what_a_device_does_not_compute_is_left_out_with_the_reason(monkeypatch, timed):
    def fails(columns):
        raise RuntimeError("no such kernel\nand more")

    every = layers.forms
    broken = layers.Form("BSR", lambda: fails(None), torch.ones(1), torch.ones(1))
    monkeypatch.setattr(layers, "forms", lambda *a: ((k, broken if k == "BSR" else f) for k, f in every(*a)))
    rows = [m for m in layers.measure(QUICK, 1, 1) if m.subject.endswith("BSR")]
    assert [(row.values, row.note) for row in rows] == [((), "not measured: no such kernel")] * 2


@pytest.mark.parametrize(("once", "steps"), [(1.0, 1), (0.02, 1), (0.001, 20), (1e-6, 200)])
def test_blocks_are_long_enough_for_a_clock(once, steps):
    assert timing.block(once) == steps


@pytest.mark.parametrize("name", structure.PERIODS)
def test_a_training_is_timed_from_update_to_update(monkeypatch, name):
    """Both trainings go through the iteration that updates; the compact one is small in all others."""
    asked = []

    def interleaved(arms, rounds, synchronise, steps, **_):
        asked.append(steps)
        widths = {label: [next(arm.args[0]).step for _ in range(2)] for label, arm in arms.items()}
        assert widths == {"masked": [2, 3], "compact": [2, 3]}
        return {"masked": [4.0, 9.0], "compact": [2.0, 3.0]}

    monkeypatch.setattr(structure, "interleaved", interleaved)
    masked, gained = structure.period(QUICK, name)
    assert asked == [structure.PERIODS[name][1]] and masked.values == (4.0, 9.0) and gained.values == (2.0, 3.0)
    assert gained.subject == f"{name}, hidden channels, density {structure.PERIODS[name][0]}"
