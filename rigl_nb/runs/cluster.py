"""Where a batch is trained: in this process, in workers on this machine, on any dask cluster, or under SLURM.

What dask brings is imported only where a cluster is asked for.
"""

import importlib.util
import logging
import math
import multiprocessing
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from numbers import Integral
from urllib.request import urlopen

import torch

from rigl_nb.runs import slurm, workers
from rigl_nb.runs.terminal import say

LOOPBACK = "127.0.0.1:0"  # of the dashboard: seen from this machine alone, at any free port
PORTS = 65_535
PATIENCE = 60.0  # seconds that a scheduler which was lost may take to come back
ADDRESS = re.compile(r"(tcp|tls)://[^\s:/]+:\d+")
OURS = {"distributed.worker.multiprocessing-method": "forkserver", "distributed.scheduler.worker-saturation": 1.0}


def installed() -> bool:
    """Whether dask is there; without it all training is in this process."""
    return importlib.util.find_spec("distributed") is not None


@dataclass(frozen=True)
class Cluster:
    """Where a batch is trained; one worker alone is this process.

    `jobs` runs train at a time in a worker, which is for GPUs: on streams of one process where it is the only one, else
    in processes. The `dashboard` (host:port) is that of a cluster that is started here.
    """

    workers: int = 1
    scheduler: str = ""  # "tcp://host:8786", of a cluster that runs
    slurm: tuple[tuple[str, str], ...] = ()
    jobs: int = 1
    dashboard: str = LOOPBACK

    def __post_init__(self):
        for name, word in (("workers", "workers"), ("jobs", "jobs-per-gpu")):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
                raise ValueError(f"{word} {number!r} is not allowed: it must be a whole number of at least 1")
            object.__setattr__(self, name, int(number))  # numpy's numbers too, which JSON does not know
        if self.scheduler and not ADDRESS.fullmatch(self.scheduler):
            raise ValueError(
                f"scheduler {self.scheduler!r} is no address: write tcp://host:8786, as it says at its start"
            )
        if not (port := re.fullmatch(r"[^\s:]*:(\d+)", self.dashboard)) or int(port[1]) > PORTS:
            raise ValueError(f"dashboard {self.dashboard!r} is not allowed: write host:port, such as 127.0.0.1:8787")
        if self.slurm:
            slurm.options(self.slurm)
        if not self.alone and not installed():
            raise ValueError(f"{self} needs dask: install it by pip install 'rigl_nb[cluster]', or use one worker")

    def __str__(self) -> str:
        pairs = ",".join(f"{key}={value}" for key, value in self.slurm)
        return self.scheduler or (f"slurm:{pairs}" if self.slurm else f"{self.workers} workers")

    @classmethod
    def parse(cls, text: "int | str | Cluster", **options) -> "Cluster":
        """The cluster that a number of workers, a scheduler's address or "slurm:partition=gpu,gpus=1" means."""
        if isinstance(text, cls):
            return text
        text = str(text).strip()
        if re.fullmatch(r"-?\d+", text):
            return cls(workers=int(text), **options)
        if "://" in text or (text and ":" in text and not text.startswith("slurm")):
            return cls(scheduler=text, **options)
        if text.startswith("slurm:") and len(text) > len("slurm:"):
            return cls(slurm=tuple(_pair(part) for part in text.removeprefix("slurm:").split(",") if part), **options)
        if text:
            ways = "a number, the address of a scheduler (tcp://host:8786), or slurm:partition=…,gpus=1"
            raise ValueError(f"workers {text!r} is not allowed: write {ways}")
        return cls(**options)

    @property
    def alone(self) -> bool:
        """Whether there is this process only."""
        return self.workers == 1 and not self.remote

    @property
    def sharing(self) -> int:
        """How many runs take turns on a device of this machine: those of all workers that share a GPU."""
        gpus = torch.cuda.device_count()
        return self.jobs * (math.ceil(self.workers / gpus) if gpus else 1)

    @property
    def remote(self) -> bool:
        """Whether its workers may be on other machines."""
        return bool(self.scheduler or self.slurm)


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not value:
        raise ValueError(f"slurm {text!r} is not allowed: write key=value, with {', '.join(slurm.SLURM)}")
    return key, value


class Pool:
    """A cluster that starts, or is connected to, when the first run asks for its `client`."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self._stack, self._client = ExitStack(), None

    @property
    def client(self):
        """The client of dask; the first call starts what has to be started, and says where the dashboard is."""
        if not self._client:
            import dask

            dask.config.set(OURS)  # for good: `distributed` adds to it when it is imported
            logging.getLogger("distributed.scheduler").addFilter(workers.wrong)
            self._client = self._stack.enter_context(_connected(self._stack, self.cluster))
            link = self._client.dashboard_link
            if not self.cluster.scheduler or _shown(link):  # a scheduler of others may have been told to show none
                say(f"dashboard: {link}")
        return self._client

    def reconnect(self, tired: Callable[[], bool]) -> bool:
        """Wait for a scheduler that was lost, unless `tired`; OSError when it does not come back."""
        self._stack.close()
        self._client, lost = None, time.monotonic()
        while self.cluster.scheduler and not tired():
            try:
                return bool(self.client)
            except OSError:
                self._stack.close()
                if time.monotonic() - lost > PATIENCE:
                    break
        if tired():
            return False
        raise OSError(f"the scheduler of {self.cluster} is lost: start it again, the same command goes on from here")

    def close(self) -> None:
        """End what was started here."""
        self._stack.close()


@contextmanager
def opened(workers: "int | str | Cluster | Pool") -> Iterator[Pool]:
    """The pool of `Cluster.parse`'s text, closed at the end; a pool is given back as it is."""
    if isinstance(workers, Pool):
        yield workers
        return
    with closing(Pool(Cluster.parse(workers))) as pool:
        yield pool


def _shown(link: str) -> bool:
    """Whether a page is there."""
    try:
        with urlopen(link, timeout=5) as page:
            return page.status == 200
    except OSError:
        return False


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """What is started here never hears SIGINT, of which a terminal tells all processes; here it arrives afterwards."""
    resource_tracker.ensure_running()  # its own start would end the silence
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _connected(stack: ExitStack, cluster: Cluster):
    """A client of dask; what it starts ends with the stack."""
    if not cluster.remote and "forkserver" in multiprocessing.get_all_start_methods():
        workers.processes()
        with _deaf_to_ctrl_c():
            forkserver.ensure_running()  # before dask starts it, and while this process imports dask
    from distributed import Client, LocalCluster

    if cluster.scheduler:
        try:
            return Client(cluster.scheduler, timeout=5, set_as_default=False)
        except OSError as error:
            raise OSError(f"no scheduler answers at {cluster.scheduler}: start it, or look at the address") from error
    if cluster.slurm:
        started = stack.enter_context(slurm.start(cluster.slurm, cluster.jobs, cluster.dashboard))
    else:
        started = stack.enter_context(
            LocalCluster(
                n_workers=cluster.workers,
                threads_per_worker=cluster.jobs,
                memory_limit=0,  # the trainings are processes of their own
                dashboard_address=cluster.dashboard,
                silence_logs="ERROR",
                preload=[workers.__name__],
            )
        )
    return Client(started, set_as_default=False)
