"""How many cores a process may use: affinity and SLURM's share count, not what the machine has."""

import argparse
import os
import shutil
import subprocess
import sys

import joblib
import pytest

from rigl_nb import paths
from rigl_nb.cli import training
from rigl_nb.execution import cores
from rigl_nb.runs.origin import hardware


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Let the machine have 64 cores for this process, and no SLURM."""
    for name in cores.SHARES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 64)


@pytest.mark.parametrize(
    ("task", "node", "found"),
    [(None, None, 64), ("4", None, 4), (None, "8", 8), ("4", "8", 4), ("99", "128", 64), ("0", None, 1), ("?", "", 64)],
)
def test_slurm_gives_a_share(monkeypatch, task, node, found):
    for name, value in zip(cores.SHARES, (task, node), strict=True):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert cores.usable() == found
    assert hardware("cpu").endswith(f", {found} cores" if found > 1 else ", 1 core")


def test_there_is_a_worker_for_each_of_them(monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    monkeypatch.setenv("RIGL_DEVICE", "cpu")
    options = argparse.Namespace(workers=None, scheduler=None, slurm=None, jobs_per_gpu=1, dashboard="127.0.0.1:0")
    assert training._cluster(options, runs=10).workers == (3 if training.installed() else 1)


@pytest.mark.skipif(not shutil.which("taskset"), reason="there is no taskset")
def test_a_process_bound_to_one_core_has_one():
    code = "from rigl_nb.execution import cores; from rigl_nb.runs.origin import hardware; "
    code += "print(cores.usable(), hardware('cpu'))"
    core = min(os.sched_getaffinity(0))
    command = ["taskset", "-c", str(core), sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=paths.ROOT)
    assert done.stdout.split()[0] == "1" and done.stdout.strip().endswith(", 1 core")


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="there is no affinity")
@pytest.mark.parametrize(
    ("name", "value"), [("OMP_PROC_BIND", "close"), ("OMP_PLACES", "cores"), ("GOMP_CPU_AFFINITY", "0")]
)
def test_openmp_does_not_bind_the_command_to_one_core(name, value):
    code = "import os, runpy, sys; before = os.sched_getaffinity(0); sys.argv = ['rigl_nb', 'status', '--help']\n"
    code += "try: runpy.run_module('rigl_nb', run_name='__main__')\n"
    code += "except SystemExit: import torch; print(os.sched_getaffinity(0) == before)"
    command = [sys.executable, "-c", code]
    environment = os.environ | {name: value}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=paths.ROOT, env=environment)
    assert done.stdout.splitlines()[-1] == "True"
