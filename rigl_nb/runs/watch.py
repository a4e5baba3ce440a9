"""What a running cluster does now: the queue, who trains what, how fast, and the time left."""

import re
from collections.abc import Iterable, Mapping
from contextlib import closing

from rigl_nb.runs import workers
from rigl_nb.runs.cluster import Cluster, Pool
from rigl_nb.runs.cost import duration, work
from rigl_nb.runs.progress import name
from rigl_nb.runs.terminal import fold
from rigl_nb.spec import RunSpec

RUN = re.compile(r"[^/]+/seed-\d+")  # a task of ours: its key is a run's id


def watch(address: str, specs: Iterable[RunSpec]) -> list[str]:
    """The state of the cluster at the address, as lines; `specs` are the runs that are known here by more than id."""
    with closing(Pool(Cluster(scheduler=address))) as pool:
        states = pool.client.run_on_scheduler(_states)
        machines = len(pool.client.scheduler_info(n_workers=-1)["workers"])
        latest = {event["run"]: event for _, event in pool.client.get_events(workers.TOPIC) or ()}
    return told(states, latest, {spec.run_id: spec for spec in specs}, machines)


def told(states: Mapping[str, str], latest: Mapping[str, dict], specs: Mapping[str, RunSpec], machines: int) -> list:
    """The lines for tasks' states by run id, each run's last message, and the specifications that are known."""
    under_way = [run for run in states if states[run] == "running" and latest.get(run, {}).get("kind") == "progress"]
    seconds = _left(states, {run: latest[run] for run in under_way}, specs)
    waiting = sum(state == "waiting" for state in states.values())
    counts = f"{waiting} runs wait, {len(states) - waiting} are trained on {machines} workers"
    lines = [counts + (f"; about {duration(seconds)} left" if seconds else "")]
    for run in sorted(run for run in states if states[run] == "running"):
        message = latest.get(run, {"text": "begins", "host": "?", "kind": ""})
        title = name(specs[run]) if run in specs else run
        text = message["text"] if run in under_way else "begins"
        lines.append(f"  {title}: {text}{_time(run, message, specs)} ({message['host']})")
    return fold("\n".join(lines)).split("\n")


def _left(states: Mapping[str, str], under_way: Mapping[str, dict], specs: Mapping[str, RunSpec]) -> float | None:
    """Seconds until all runs are done at the speed of those under way; None where that cannot be known."""
    if not under_way or not set(states) <= set(specs):
        return None
    speed = 0.0  # work a second, of all together
    rest = sum(work(specs[run]) for run in states)
    for run, message in under_way.items():
        spec, whole = specs[run], work(specs[run])
        rest -= whole * message["step"] / spec.total_steps
        speed += whole * message["speed"] / spec.batch_size / spec.total_steps
    return rest / speed if speed else None


def _time(run: str, message: Mapping, specs: Mapping[str, RunSpec]) -> str:
    """What a run still needs, where it is known."""
    if run not in specs or not message.get("speed"):
        return ""
    spec = specs[run]
    return f", {duration((spec.total_steps - message['step']) * spec.batch_size / message['speed'])} left"


def _states(dask_scheduler) -> dict[str, str]:
    """Runs that wait, and those that a worker has, by id: asked of the scheduler, which imports this."""
    names = {"waiting": "waiting", "queued": "waiting", "no-worker": "waiting", "processing": "running"}
    tasks = {key: task for key, task in dask_scheduler.tasks.items() if isinstance(key, str) and RUN.fullmatch(key)}
    return {key: names[task.state] for key, task in tasks.items() if task.state in names}
