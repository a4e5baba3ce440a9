"""Runs in processes of their own, several at a time."""

import multiprocessing
import signal
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from rigl_nb.runs import turns
from rigl_nb.runs.attempt import Event, Notify, Setting, failed
from rigl_nb.runs.turns import Stop
from rigl_nb.spec import RunSpec


def in_processes(todo: list[RunSpec], setting: Setting, workers: int, stop: Stop, hear: Notify) -> None:
    """A process for every run, at most `workers` at a time. One that dies fails its own run and no other."""
    available = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in available else "spawn")
    context.set_forkserver_preload([__name__, "sklearn.datasets"])  # imported once, not once a run
    queue, running = deque(todo), {}
    deadline = stop.deadline - turns.RESERVE / 2  # a process leaves before its parent has to
    try:
        while (running or (queue and not stop.due(0))) and not stop.wanted:
            while len(running) < workers and not stop.due(0):
                spec = turns.next_ready(queue, (other for _, other in running.values()))
                if not spec:
                    break
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(theirs, spec, setting, deadline))
                process.start()
                theirs.close()
                running[ours] = process, spec
            for connection in wait(list(running), timeout=turns.LOOK_AGAIN):
                process, spec = running[connection]
                try:
                    event = connection.recv()
                except (EOFError, OSError):  # nothing more, or half a message
                    process.join()
                    event = Event(spec, "left", text="its process was ended")
                    if not stop.signals:  # which reach the processes too, some before they can heed them
                        event = failed(spec, setting.store, f"its process ended with exit code {process.exitcode}")
                if event.kind != "progress":
                    process.join()
                    del running[connection]
                hear(event)
    finally:
        for process, _ in running.values():
            process.terminate()  # it leaves a checkpoint at the end of its iteration
        ends = []
        for connection, (process, spec) in running.items():
            ends.append(_last_word(connection) or Event(spec, "left", text="its process was ended"))
            process.join()
        for event in (*ends, *map(turns.not_begun, queue)):
            hear(event)


def _last_word(connection: Connection) -> Event | None:
    last = None
    with suppress(EOFError, OSError):
        while True:
            last = connection.recv()
    return last if last and last.kind != "progress" else None


def _work(connection: Connection, spec: RunSpec, setting: Setting, deadline: float) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent passes on what it means

    def tell(event: Event) -> None:
        try:
            connection.send(event)
        except BrokenPipeError:  # the parent is gone: leave a checkpoint and follow it
            signal.raise_signal(signal.SIGTERM)

    with turns.deferred() as signals:
        turns.take_turns([spec], setting, Stop(deadline, signals), tell)
