"""The benchmarks: turns and pairs, statistics, the roofline's formula, the plain loop, raw files and tables."""

import itertools
import json
import math
from contextlib import closing
from dataclasses import replace

import pytest
import torch
from records import ORIGIN
from torch import nn

from benchmarks import accuracy, packing, plain, report, roofline, timing, training
from benchmarks.__main__ import PARTS, main
from benchmarks.timing import Machine, Measurement, interleaved, ratios
from rigl_nb import data, models
from rigl_nb.execution import Execution
from rigl_nb.iteration import prepare
from rigl_nb.spec import RunSpec

QUICK = Machine("cpu", True, 2)
MADE = ORIGIN | {"command": "python -m benchmarks", "threads": 2, "quick": False}


class Clock:
    """A clock that only the arms move on."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def __call__(self):
        return self.now

    def arm(self, name, *costs):
        costs = itertools.cycle(costs)

        def step():
            self.calls.append(name)
            self.now += next(costs)

        return step


def test_arms_take_turns_and_the_order_rotates_and_long_rounds_say_how_far_they_are(monkeypatch, capsys):
    monkeypatch.setattr(timing, "PATIENCE", 0.0)
    clock = Clock()
    arms = {name: clock.arm(name, 1.0) for name in "abc"}
    interleaved(arms, rounds=4, clock=clock)
    assert ["".join(clock.calls[i : i + 3]) for i in range(0, 15, 3)] == ["abc", "abc", "bca", "cab", "abc"]
    assert capsys.readouterr().err.splitlines() == [f"  round {n} of 4: a, b, c" for n in range(5)]
    interleaved({8: clock.arm("a", 1.0), None: clock.arm("b", 1.0)}, rounds=1, clock=clock)  # as precisions name arms
    assert capsys.readouterr().err.splitlines() == [f"  round {n} of 1: 8, None" for n in range(2)]


def test_the_warm_up_and_the_lead_in_are_off_the_clock():
    clock, waited = Clock(), []
    arms = {"a": clock.arm("a", 50.0, 1.0, 2.0), "b": clock.arm("b", 3.0)}
    seconds = interleaved(arms, 3, lambda: waited.append(len(clock.calls)), steps=2, lead_in=1, clock=clock)
    assert waited[:4] == [1, 3, 4, 6]  # after the lead-in and after the block
    assert seconds == {"a": [1.5, 1.5, 1.5], "b": [3.0, 3.0, 3.0]}
    assert clock.calls[:6] == ["a"] * 3 + ["b"] * 3 and len(clock.calls) == 4 * 2 * 3


@pytest.mark.parametrize(("deadline", "rounds"), [(math.inf, 9), (0.0, 3), (10.5, 5)])
def test_a_deadline_ends_the_rounds_but_leaves_three(deadline, rounds):
    clock = Clock()
    seconds = interleaved({name: clock.arm(name, 1.0) for name in "ab"}, 9, deadline=deadline, clock=clock)
    assert [len(values) for values in seconds.values()] == [rounds, rounds]


def test_ratios_are_paired_by_round():
    clock = Clock()
    arms = {"slow": clock.arm("slow", 4.0, 40.0), "fast": clock.arm("fast", 2.0, 20.0)}
    seconds = interleaved(arms, rounds=4, clock=clock)  # every second round is disturbed tenfold
    assert ratios(seconds["slow"], seconds["fast"]) == (2.0, 2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0, 2.0], [1.0])


def test_median_and_quartiles_by_hand():
    measurement = Measurement("step", "ours", "s", (4.0, 1.0, 2.0, 3.0))
    assert measurement.median == 2.5 and measurement.quartiles == (1.75, 3.25)
    assert Measurement("step", "ours", "s", (4.0,)).quartiles == (4.0, 4.0)
    assert Measurement.from_dict(json.loads(json.dumps(measurement.to_dict()))) == measurement


def test_the_interval_is_students():
    assert accuracy.interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-4)  # t = 4.3027
    assert accuracy.interval([1.0]) == (-math.inf, math.inf)
    note = accuracy.difference("fast", "slow", [1.0, 2.0, 3.0]).note
    assert note == "mean +2.00, 95 % interval -0.48 to +4.48: a difference above 4.48 is excluded"


def test_the_roofline_of_two_layers_by_hand():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.ReLU(), nn.Conv2d(4, 2, 1, bias=False))
    first, second = roofline.layers(model, (3, 8, 8), batch=5, activation=2)
    assert (first.name, second.name) == ("0.weight", "2.weight")
    assert first.operations == 3 * 5 * 2 * (4 * 3 * 9) * 64
    assert second.operations == 3 * 5 * 2 * (2 * 4) * 64
    # 192 numbers in, 256 between, 128 out; the first layer has no gradient of its input; 108 and 8 weights
    assert first.bytes == 5 * 2 * (192 + 256 + 256 + 192) + 108 * (4 + 24)
    assert second.bytes == 5 * 2 * (256 + 128 + 128 + 256 + 256) + 8 * (4 + 24)
    assert roofline.bound([first, second], matmul=1e4, bandwidth=1e3) == pytest.approx(20.736 + 10.464)


@pytest.fixture
def tiny():
    """Return a run and 128 of its images: an update of the masks every fifth step."""
    spec = RunSpec("digits", init="ERK", density=0.3, delta_t=5, batch_size=32, dropout=0.0, learning_rate=0.05)
    return spec, data.load("digits").train[torch.arange(128)]


def test_the_plain_loop_masks_and_learns(tiny):
    spec, images = tiny
    model, masks = plain.network(spec, "cpu")
    before = {name: mask.clone() for name, mask in masks.items()}
    steps = plain.train(spec, model, masks, plain.loader(images, spec, "cpu", workers=0, augment=False))
    with closing(steps):
        losses = [next(steps).item() for _ in range(41)]
    assert sum(losses[-4:]) < 0.5 * sum(losses[:4])
    for name, weight in models.maskable(model).items():
        assert torch.all(weight[masks[name] == 0] == 0) and weight.any()
        assert masks[name].sum() == before[name].sum()
    assert any(not torch.equal(masks[name], before[name]) for name in masks)


def test_both_loops_start_from_the_same_network(tiny):
    spec, _ = tiny
    model, masks = plain.network(spec, "cpu")
    parts = prepare(spec, Execution(precision="fp32", channels_last=False))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), parts.model.parameters(), strict=True))
    assert all(torch.equal(masks[name].bool(), mask) for name, mask in parts.sparsifier.masks.items())


def test_the_plain_loop_sees_the_same_images(tiny):
    spec, images = tiny
    batches = plain.loader(images, spec, "cpu", workers=0, augment=False)
    x, y = next(iter(batches))
    rows = torch.arange(spec.batch_size)
    torch.testing.assert_close(x, data.batch(images, rows, data.SOURCES["digits"]).contiguous(), atol=1e-5, rtol=1e-5)
    assert torch.equal(y, images.labels[rows])


def test_made_up_images_have_the_sizes_of_the_real_ones():
    made, real = training.made_up("digits", "cpu"), data.load("digits")
    for mine, theirs in ((made.train, real.train), (made.test, real.test)):
        assert mine.pixels.shape == theirs.pixels.shape and mine.labels.max() < made.source.classes


def test_stacked_models_keep_their_masks():
    spec = RunSpec("digits", init="ERK", density=0.1, batch_size=8)
    step = packing.stack(spec, "cpu")
    step()
    weights = dict(zip(step.__code__.co_freevars, (cell.cell_contents for cell in step.__closure__), strict=True))
    for name, masks in weights["stacked"].items():
        assert len(masks) == packing.TOGETHER and torch.all(weights["weights"][name][masks == 0] == 0)


def test_taking_turns_changes_no_accuracy():
    specs = [accuracy._spec(QUICK, seed) for seed in range(3)]
    alone = Execution(precision="fp32", threads=1)
    assert accuracy._trained(specs, replace(alone, sharing=2)) == accuracy._trained(specs, alone)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.4123, "s", "412 ms"),
        (5400, "s", "1.50 h"),
        (0.0021, "share", "0.21 %"),
        (7.9e14, "FLOP/s", "790 TFLOP/s"),
    ],
)
def test_numbers_for_people(value, unit, text):
    assert report.shown(value, unit) == text


def part(quantity, subject, *values, unit="x"):
    return MADE | {"measurements": [Measurement(quantity, subject, unit, values).to_dict()]}


def test_one_file_a_machine_keeps_what_is_not_measured_again(tmp_path):
    old = report.save(tmp_path, QUICK, {"masks": part("time", "masking", 1.0), "records": part("time", "save", 1.0)})
    old.rename(tmp_path / f"2020-01-01-{report.DATE.sub('', old.name)}")
    new = report.save(tmp_path, QUICK, {"masks": part("time", "masking", 2.0)})
    assert list(tmp_path.iterdir()) == [new]
    parts = report.read(new)["parts"]
    assert parts["masks"]["measurements"][0]["values"] == [2.0] and "records" in parts


def test_tables_show_n_and_what_could_not_be_measured(tmp_path):
    empty = MADE | {"measurements": [Measurement("time", "report", "s", (), "not measured: no sphinx").to_dict()]}
    broken = MADE | {"failed": "RuntimeError: no memory"}
    parts = {"wrn-22-2": part(report.SPEED_UP, "ours", 1.0, 2.0, 3.0), "pages": empty, "packing": broken}
    report.save(tmp_path, QUICK, parts)
    made = report.tables(tmp_path)
    assert f"| {report.SPEED_UP} | ours | 2.00 × | 1.50 × – 2.50 × | 3 |  |" in made
    assert "| time | report | – | – | 0 | not measured: no sphinx |" in made
    assert "Not measured: RuntimeError: no memory" in made
    page = f"before\n{report.BEGIN}\n{{}}{report.END}\nafter\n"
    assert report.with_tables(page.format("old\n"), made) == page.format(made)


def test_the_readme_shows_the_raw_files():
    if not report.raw_files():
        pytest.skip("no raw files in benchmarks/results yet: `make bench` measures")
    text = report.README.read_text()
    assert report.with_tables(text, report.tables()) == text, "stale: run `python -m benchmarks --tables`"


def test_everything_runs_quickly_on_the_cpu(tmp_path, capsys):
    assert main(["--device", "cpu", "--quick", "--pairs", "2", "--out", str(tmp_path)]) == 0, capsys.readouterr().err
    content = report.read(report.raw_files(tmp_path)[0])
    assert list(content["parts"]) == list(PARTS) and content["device"] == "cpu"
    for name, made in content["parts"].items():
        assert made["quick"] and "--quick" in made["command"] and made["versions"]["torch"]
        for measurement in made["measurements"]:
            assert measurement["n"] or "not measured" in measurement["note"], name
            assert all(math.isfinite(value) for value in measurement["values"])
    assert "quick: these numbers mean nothing" in report.tables(tmp_path)
