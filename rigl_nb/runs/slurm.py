"""A dask cluster whose workers are jobs of SLURM: what may be asked of it, and its start."""

import importlib.util
from collections.abc import Iterable

from rigl_nb import paths

SLURM = {  # what may be asked of it: the meaning, and the default
    "partition": ("where jobs are sent", None),
    "account": ("who pays", None),
    "gpus": ("of a job", "0"),
    "cores": ("of a job", "1"),
    "memory": ("of a job", "4GB"),
    "time": ("of a job, at most", "24:00:00"),
    "jobs": ("at most so many at a time", "8"),
    "interface": ("network by which jobs reach this machine", None),
}
LEAST = {"gpus": 0, "cores": 1, "jobs": 1}


def options(pairs: Iterable[tuple[str, str]]) -> dict:
    """All that is asked of SLURM, defaults included; ValueError names an unknown key or a value that is no number."""
    for key, value in pairs:
        if key not in SLURM:
            raise ValueError(f"slurm {key!r} is unknown: there are {', '.join(SLURM)}")
        if key in LEAST and not (value.isdecimal() and int(value) >= LEAST[key]):
            raise ValueError(
                f"slurm {key} {value!r} is not allowed: it must be a whole number of at least {LEAST[key]}"
            )
    return {key: default for key, (_, default) in SLURM.items()} | dict(pairs)


def start(pairs: Iterable[tuple[str, str]], runs: int, dashboard: str):
    """A scheduler here, and workers as jobs: as many as there is work for, a lost one is replaced."""
    if not importlib.util.find_spec("dask_jobqueue"):
        raise ValueError("slurm needs dask-jobqueue: install it by pip install 'rigl_nb[cluster]'")
    from dask_jobqueue import SLURMCluster

    asked = options(pairs)
    started = SLURMCluster(
        queue=asked["partition"],
        account=asked["account"],
        cores=runs,
        processes=1,
        job_cpu=int(asked["cores"]),
        memory=asked["memory"],
        walltime=asked["time"],
        interface=asked["interface"],
        job_extra_directives=[f"--gres=gpu:{asked['gpus']}"] if int(asked["gpus"]) else [],
        job_script_prologue=[f"cd {paths.ROOT}"],
        log_directory=str(paths.build() / "slurm"),
        scheduler_options={"dashboard_address": dashboard},
        silence_logs="ERROR",
    )
    started.adapt(minimum=0, maximum=int(asked["jobs"]))
    return started
