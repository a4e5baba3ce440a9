"""What is said before anything is trained: which runs are missing, in which order, and what they would cost."""

from dataclasses import replace

import pytest
from records import HERE, THERE, made, timed, tiny

from rigl_nb.experiments import grids, inventory
from rigl_nb.experiments.profiles import PROFILES, Row
from rigl_nb.runs import engine, probe
from rigl_nb.runs.cost import plan, seconds
from rigl_nb.spec import RunSpec

pytest_plugins = ["commands"]


def test_a_line_for_each_row_in_the_order_of_training():
    todo = [tiny("SET", seed=0), tiny("SET", seed=1), tiny("Dense"), tiny("RigL", epochs=3, multiplier=2)]
    rows = plan(todo, [timed(tiny(seed=7), 60.0)], HERE, workers=1)
    assert [" ".join(row.split()) for row in rows] == [
        "SET (ERK), density 0.2, digits, wrn-10-1, 1 epochs 2 × 1.0 min",
        "Dense, density 1, digits, wrn-10-1, 1 epochs 1 × 1.0 min",
        "RigL 2× (ERK), density 0.2, digits, wrn-10-1, 6 epochs 1 × 6.0 min",
        f"cost: about 9.0 min at the speed measured on {HERE.hardware}",
    ]


def test_runs_at_a_time_share_the_time():
    rows = plan([tiny(), tiny("SET")], [timed(tiny(seed=7), 60.0)], HERE, workers=2)
    assert rows[-1].endswith("; 2 at a time take 1.0 min")
    rows = plan([tiny(), tiny("SET")], [timed(tiny(seed=7), 60.0)], HERE, workers=2, start=30.0)
    assert rows[-1].endswith("; 2 at a time take 1.5 min"), "workers start first"


def test_the_longest_run_and_a_parent_keep_others_waiting():
    """Three minutes of one training cannot be shared; a child starts when its parent has ended."""
    long, one = tiny(epochs=3), [timed(tiny(seed=7), 60.0)]
    assert plan([tiny("SET"), long, tiny()], one, HERE, workers=2)[-1].endswith("2 at a time take 3.0 min")
    assert plan([tiny("SET"), tiny(), long], one, HERE, workers=2)[-1].endswith("2 at a time take 4.0 min")
    chain = [tiny("Pruning", seed=1), tiny("Lottery", parent=tiny("Pruning", seed=1), seed=1)]
    assert plan(chain, one, HERE, workers=2)[-1].endswith("2 at a time take 2.0 min")
    rows = plan([tiny()], one, HERE, workers=2, future=[tiny("SET"), tiny("SET", seed=1)])
    assert rows[-1].endswith("2 at a time take 2.0 min"), "what follows from results comes after"


def test_networks_that_were_never_timed_here_are_named():
    records = [timed(tiny(seed=7), 60.0), timed(RunSpec(method="Dense", seed=7), 60.0, THERE)]
    last = plan([tiny(), RunSpec(method="Dense"), tiny("SET")], records, HERE, workers=1)[-1]
    assert last.endswith("; wrn-22-2 on cifar10: by FLOPs, never timed here")
    assert "digits" not in last


def test_without_records_the_cost_is_unknown():
    first, last = plan([tiny()], [], HERE, workers=1)
    assert first.endswith("1 × ?") and "unknown" in last


def test_nothing_to_train_needs_no_plan():
    assert plan([], [timed(tiny(), 60.0)], HERE, workers=1) == []


@pytest.mark.parametrize(("text", "found"), [("90s", 90), ("9m", 540), ("1.5h", 5400), ("45", 45), ("0.5m", 30)])
def test_times_for_people(text, found):
    assert seconds(text) == found


@pytest.mark.parametrize("text", ["9x", "", "m", "-9m", "0m", "0", "inf", "nan", "1e3s", "9 m", "9m30s"])
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match=r"is no time: write 90s, 9m or 1\.5h") as caught:
        seconds(text)
    assert repr(text) in str(caught.value)


# ---- on the command line


def test_a_dry_run_shows_the_plan_and_trains_nothing(call, local, monkeypatch):
    monkeypatch.setattr(engine, "run", lambda *a, **k: pytest.fail("a dry run trained"))
    local.save(timed(grids.specs("05_1", "smoke", method="Dense")[0], 12.0))
    for command in ("run", "reproduce"):
        code, out, err = call(command, "--dry-run")
        assert (code, err) == (0, "")
        lines = out.splitlines()
        runs = grids.specs("05_1", "smoke")
        assert lines[0] == f"{len(runs)} runs, 1 there already, {len(runs) - 1} to train"
        (cost,) = (place for place, line in enumerate(lines) if line.startswith("cost: about"))
        assert [line.split(",")[0].strip() for line in lines[1:cost]] == [spec.label for spec in runs[1:]]
        assert cost >= len(lines) - 2 and all(len(line) <= 100 for line in lines), "a long processor's name is folded"


def test_the_plan_stands_before_the_training(call, local, tiny, monkeypatch):
    seen = []
    monkeypatch.setattr(engine, "run", lambda todo, *a, **k: seen.append(todo) or engine.Summary(len(todo), {}))
    monkeypatch.setattr(probe, "of", lambda specs, records, execution, until: [])
    code, out, err = call("run", "--method", "SET")
    assert (code, out) == (0, "")
    assert err.splitlines() == [
        f"{len(seen[0])} runs, 0 there already, {len(seen[0])} to train",
        "cost: unknown until a first run is timed",
    ]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--time-budget", "9x", "'9x' is no time"),
        ("--jobs-per-gpu", "0", "jobs-per-gpu 0 is not allowed"),
        ("--workers", "-1", "workers -1 is not allowed"),
    ],
)
def test_wrong_values_are_named(call, local, option, value, said):
    code, out, err = call("run", option, value)
    assert (code, out) == (2, "")
    assert said in err and len(err.splitlines()) == 1
    assert not local.root.exists()


def test_jobs_share_the_device_in_one_process(call, local, tiny, monkeypatch):
    given = {}
    monkeypatch.setattr(engine, "run", lambda todo, *a, **k: given.update(k) or engine.Summary(1, {}))
    call("run", "--jobs-per-gpu", "4")
    assert given["workers"].cluster.sharing == 4 and given["workers"].cluster.alone
    call("run", "--workers", "1")
    assert given["workers"].cluster.sharing == 1
    call("run", "--workers", "2", "--jobs-per-gpu", "3")
    cluster = given["workers"].cluster
    assert (cluster.workers, cluster.jobs, given.get("execution")) == (2, 3, None), (
        "which suits the machine that trains"
    )


def test_the_reports_networks_cost_its_own_hours_until_a_gpu_has_records():
    ten, hundred = (
        PROFILES["paper"].spec(Row("RigL", "ERK", 0.1, 2, data=data), 0) for data in ("cifar10", "cifar100")
    )
    here = [made(tiny(), seconds=11.0)]
    assert inventory.price([ten, hundred], here) == "16 GPU-hours, by the report's own"
    assert inventory.price([], here) == "" and inventory.price([tiny()], []) == ""
    assert inventory.price([tiny(seed=1)], here).startswith("about 11 s at the speed measured on")
    gpu = replace(here[0], execution=here[0].execution | {"device": "cuda"})
    assert "at the speed measured on" in inventory.price([ten], [gpu])
