"""What missing runs would cost, recomputed by hand from made-up records."""

from dataclasses import replace

import pytest
from records import HERE, THERE, timed, tiny

from rigl_nb.runs.cost import Price, duration, estimate, work
from rigl_nb.runs.record import Machine
from rigl_nb.spec import RunSpec

CIFAR = RunSpec(method="RigL", init="ERK", density=0.1)


def test_work_is_that_of_the_dense_network():
    """Three passes over 45,000 images for 250 epochs of a network of 3.1546e8 FLOPs (spec section 6)."""
    assert work(CIFAR) == pytest.approx(3 * 45_000 * 250 * 3.1546e8, rel=1e-4)
    assert work(RunSpec(method="Dense")) == work(CIFAR)
    assert work(RunSpec(method="RigL", init="ERK", density=0.1, multiplier=2)) == 2 * work(CIFAR)
    full = RunSpec(method="RigL", init="ERK", density=0.1, validation=0)
    assert work(full) == pytest.approx(work(CIFAR) * 50 / 45)


def test_a_narrow_network_costs_its_share():
    assert work(tiny("Small-Dense")) == pytest.approx(0.2 * work(tiny("Dense")))


def test_equal_runs_cost_the_same():
    found = estimate([tiny(seed=1), tiny(seed=2)], [timed(tiny(), 12.0)], HERE)
    assert found.seconds == pytest.approx(24)
    assert found.hardware == HERE.hardware


def test_longer_runs_cost_more():
    specs = [tiny(epochs=5), tiny(epochs=2, multiplier=3)]
    assert estimate(specs, [timed(tiny(), 12.0)], HERE).seconds == pytest.approx(12 * 5 + 12 * 6)


def test_the_median_is_taken():
    records = [timed(tiny(seed=i), s) for i, s in enumerate((10.0, 20.0, 900.0))]
    assert estimate([tiny(seed=9)], records, HERE).seconds == pytest.approx(20)


def test_another_model_scales_with_flops():
    """Digits, WRN-10-1: 1,297 images and 1,527,040 FLOPs an image."""
    ratio = (45_000 * 250 * 3.1546e8) / (1_297 * 1_527_040)
    found = estimate([CIFAR], [timed(tiny(), 2.0)], HERE)
    assert found.seconds == pytest.approx(2 * ratio, rel=1e-4)


def test_the_same_model_is_preferred():
    records = [timed(tiny(), 50.0), timed(CIFAR, 7_000.0)]
    assert estimate([CIFAR], records, HERE).seconds == pytest.approx(7_000)
    assert estimate([tiny()], records, HERE).seconds == pytest.approx(50)


def test_a_narrow_network_is_a_kind_of_its_own():
    """Small layers do fewer operations in a second: Small-Dense at 0.1 takes four tenths of the network's time."""
    small = RunSpec(method="Small-Dense", density=0.1)
    records = [timed(CIFAR, 5_800.0), timed(small, 2_470.0)]
    assert estimate([CIFAR, replace(small, seed=1)], records, HERE).seconds == pytest.approx(8_270)
    assert estimate([small], records, HERE).untimed == ()
    for spec, name in (
        (replace(small, density=0.2), "wrn-22-2, narrow to 0.2 of its FLOPs, on cifar10"),
        (CIFAR, "wrn-22-2 on cifar10"),
    ):
        found = estimate([spec], records[1:], HERE)
        assert found.untimed == (name,) and found.guessed == 1 and not found.told
        assert found.seconds == pytest.approx(2_470 * work(spec) / work(small))


def test_a_small_part_by_operations_leaves_a_price_told():
    small = RunSpec(method="Small-Dense", density=0.1)
    found = estimate([CIFAR, small], [timed(CIFAR, 1_000.0)], HERE)
    assert (found.seconds, found.guessed, found.told) == (pytest.approx(1_100), pytest.approx(1 / 11), True)
    most = estimate([CIFAR, *[replace(small, seed=i) for i in range(5)]], [timed(CIFAR, 1_000.0)], HERE)
    assert most.guessed == pytest.approx(1 / 3) and not most.told


def test_a_kind_without_a_record_goes_as_fast_as_the_nearest():
    """Halves of the network's FLOPs go as the whole does, a hundredth as WRN-10-1 with its 2.5e7 FLOPs does."""
    other = RunSpec(model="wrn-10-1", method="Dense")
    records = [timed(CIFAR, 5_800.0), timed(other, 900.0)]
    for share, like in ((0.5, records[0]), (0.01, records[1])):
        spec = RunSpec(method="Small-Dense", density=share)
        assert estimate([spec], records, HERE).seconds == pytest.approx(like.seconds * work(spec) / work(like.spec))


def test_images_are_not_timed_by_text():
    """An operation of a small GRU takes many times longer; it is only better than nothing."""
    text = RunSpec(data="pydoc", method="Dense")
    records = [timed(tiny(), 2.0), *(timed(RunSpec(data="pydoc", method="Dense", seed=i), 9e5) for i in range(3))]
    assert estimate([CIFAR], records, HERE).seconds == estimate([CIFAR], records[:1], HERE).seconds
    assert estimate([CIFAR], records[1:], HERE).seconds == pytest.approx(9e5 * work(CIFAR) / work(text))
    assert estimate([text], records, HERE).seconds == pytest.approx(9e5)


def test_the_same_hardware_is_preferred_even_to_the_same_model():
    records = [timed(tiny(), 2.0), timed(CIFAR, 1.0, THERE)]
    found = estimate([CIFAR], records, HERE)
    assert found.hardware == HERE.hardware
    assert found.seconds == pytest.approx(estimate([CIFAR], records[:1], HERE).seconds)


def test_other_hardware_is_better_than_none_and_is_named():
    found = estimate([tiny()], [timed(tiny(), 30.0, THERE)], HERE)
    assert (found.seconds, found.hardware) == (pytest.approx(30), THERE.hardware)
    several = estimate(
        [tiny()], [timed(tiny(), 30.0, THERE), timed(tiny(seed=1), 50.0, Machine("Clock", "fp32"))], HERE
    )
    assert several.seconds == pytest.approx(40)
    assert "Clock" in several.hardware and THERE.hardware in several.hardware


def test_records_of_another_precision_are_of_another_machine():
    """Processors of one name compute in bfloat16, or do not: up to three times as fast."""
    fast = Machine(HERE.hardware, "bf16")
    records = [timed(tiny(), 10.0, fast), timed(tiny(seed=1), 30.0)]
    assert estimate([tiny(seed=2)], records, HERE).seconds == pytest.approx(30)
    assert estimate([tiny(seed=2)], records, fast).seconds == pytest.approx(10)
    assert estimate([tiny(seed=2)], records).seconds == pytest.approx(20), "where nobody says which, the median of both"
    assert estimate([tiny(seed=2)], records).hardware == HERE.hardware


def test_without_records_there_is_no_estimate():
    assert estimate([CIFAR], [], HERE) is None


def test_nothing_to_train_needs_no_estimate():
    assert estimate([], [timed(tiny(), 2.0)], HERE) is None


def test_generators_are_taken():
    assert estimate(iter([tiny()]), iter([timed(tiny(), 2.0)]), HERE).seconds == pytest.approx(2)


def test_the_estimate_in_words():
    text = str(Price(5_400, "Abacus"))
    assert "1.5 h" in text and "Abacus" in text and "device" not in text


def test_a_long_time_is_years_and_what_devices_can_share():
    text = str(Price(2681 * 86_400, "Abacus"))
    assert text == "about 7.3 years of one device, 64,000 device-hours, at the speed measured on Abacus"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (40, "40 s"),
        (59, "59 s"),
        (60, "1.0 min"),
        (90, "1.5 min"),
        (720, "12 min"),
        (3_600, "1.0 h"),
        (12_600, "3.5 h"),
        (48 * 3_600, "48 h"),
        (4.5 * 86_400, "4.5 days"),
        (12 * 86_400, "12 days"),
        (266 * 86_400, "266 days"),
        (364.9 * 86_400, "1.0 years"),
        (2681 * 86_400, "7.3 years"),
        (30_000 * 86_400, "82 years"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("seconds", [59.4, 59.6, 3_569, 3_571, 3_599.9])
def test_no_duration_is_sixty_of_a_unit(seconds):
    assert not duration(seconds).startswith("60 ")
