"""The page on batches: what is counted, from which times, and in which order it is simulated."""

import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from records import made, timed, tiny

from rigl_nb import paths
from rigl_nb.execution import Execution
from rigl_nb.experiments import grids
from rigl_nb.report.sections import batches
from rigl_nb.runs import cost
from rigl_nb.runs.record import Machine
from rigl_nb.runs.store import Store

HERE = [made(tiny(seed=7), seconds=11.0)]


def test_a_gpus_times_count_alone_where_there_are_any():
    gpu = replace(made(tiny("SET")), execution=asdict(Execution("cuda")))
    assert batches.timed(HERE) == (HERE, False)
    assert batches.timed([*HERE, gpu]) == ([gpu], True)


def test_the_times_of_float32_count_where_there_are_any():
    fast = timed(tiny("SET"), 5.0, Machine("Clock", "bf16"))
    two = replace(HERE[0], execution=HERE[0].execution | {"threads": 2})
    assert batches.timed([fast, two, *HERE]) == (HERE, False)
    assert batches.timed([fast]) == ([fast], False)


def test_time_goes_with_the_operations():
    once, twice = batches.durations([tiny(), tiny(epochs=2)], HERE)
    assert (once, twice) == pytest.approx((11.0, 22.0))


@pytest.mark.parametrize("profile", ["smoke", "quick", "short"])
def test_every_run_is_in_the_campaign_once_and_parents_too(profile):
    found, wanted, later = batches.campaign(profile, HERE), set(), 0
    for section in grids.SECTIONS:
        plan = grids.plan(section, profile)
        wanted |= {spec.run_id for spec in plan.specs} | {spec.parent.run_id for spec in plan.specs if spec.parent}
        later += len(plan.future)
    assert {spec.run_id for spec in found.specs.values()} == wanted
    assert len(found.specs) == len(wanted) + later == sum(map(len, found.batches)) == len(found.seconds)
    assert all(size > 0 for size in found.seconds.values())


def test_a_finished_search_counts_as_the_runs_it_asked_for():
    """Then the campaign has the runs that `status` counts, and no stand-in for a trial to come."""
    find = Store(paths.results()).find
    found = batches.campaign("quick", HERE, find=find)
    wanted = {spec.run_id for section in grids.SECTIONS for spec in grids.plan(section, "quick", find).specs}
    assert set(found.specs) == wanted and len(found.batches) > 1
    assert sum(map(len, found.batches)) == len(wanted)


def test_the_readme_says_what_the_pages_compute():
    """Table 2 and everything, of the quick profile on two cores, as notebook 10 has them."""
    results = Store(paths.results())
    records = results.records()
    assert {r.execution["threads"] for r in batches.timed(records)[0]} == {1}, "one core each"
    said = re.search(r"Table 2 in about ([\d.]+ \w+), everything in about ([\d.]+ \w+)", Path("README.md").read_text())
    for words, sections in zip(said.groups(), (["05_1"], list(grids.SECTIONS)), strict=True):
        found = batches.campaign("quick", records, sections, results.find)
        assert words == cost.duration(found.on(2).makespan)


def test_later_trials_wait_for_the_batch_before():
    found = batches.campaign("smoke", HERE)
    assert len(found.batches) > 1
    for devices in (1, 4):
        turns = {turn.run: turn for turn in found.on(devices).turns}
        assert turns.keys() == found.specs.keys()
        for before, after in zip(found.batches, found.batches[1:], strict=False):
            assert max(turns[run].end for run in before) <= min(turns[run].begin for run in after) + 1e-6
        for child, parent in found.parents.items():
            assert turns[parent].end <= turns[child].begin + 1e-6
    assert found.on(1).makespan == pytest.approx(sum(found.seconds.values()))


def test_tables_have_a_row_for_each_section_and_each_number_of_devices():
    costs = batches.costs(["smoke", "short"], HERE)
    assert len(costs) == len(grids.SECTIONS) and costs.loc[costs["section"] == "12", "short: runs"].item() == "–"
    plans = batches.makespans({"smoke": batches.campaign("smoke", HERE)}, (1, 4))
    assert plans["idle"].iloc[0] == "0.0%" and list(plans["devices"]) == ["1", "4"]


def test_the_picture_has_a_bar_for_each_run():
    found = batches.campaign("smoke", HERE, ["05_1"])
    (axis,) = batches.gantt(found, 4).axes
    assert len(axis.patches) == len(found.specs)
    assert {round(bar.get_y() + bar.get_height() / 2) for bar in axis.patches} == {0, 1, 2, 3}


def test_the_reports_networks_take_its_hours_until_a_gpu_has_records():
    found = batches.campaign("paper", HERE, ["05_1"])
    once = next(name for name, spec in found.specs.items() if spec.multiplier == 1)
    twice = next(name for name, spec in found.specs.items() if spec.multiplier == 2)
    assert (found.seconds[once], found.seconds[twice]) == (2 * 3600, 4 * 3600)
    gpu = replace(made(tiny("SET")), execution=asdict(Execution("cuda")))
    timed = batches.campaign("paper", [*HERE, gpu], ["05_1"])
    assert timed.seconds[once] == pytest.approx(batches.durations([timed.specs[once]], [gpu])[0])
