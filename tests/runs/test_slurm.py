"""A real SLURM of this machine alone: runs are trained in jobs, a cancelled job's run goes on in another one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from driving import run, stored
from records import tiny

from rigl_nb import paths
from rigl_nb.runs import engine
from rigl_nb.runs.origin import hardware
from rigl_nb.runs.store import Store

NEEDED = ("sbatch", "slurmctld", "slurmd", "munged")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
missing = [name for name in NEEDED if not shutil.which(name, path=PATH)]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed: apt-get install slurm-wlm munge"),
    pytest.mark.skipif(os.geteuid() != 0, reason="SLURM's daemons start as root only"),
]
SCRIPT = Path(__file__).parents[1] / "one_machine_slurm.sh"
WHERE = "slurm:partition=tests,gpus=1,memory=2GB,interface=lo,time=00:30:00,jobs=2"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Start a SLURM, and return a function that runs one of its commands."""
    folder = tmp_path_factory.mktemp("slurm")
    os.chmod(folder.parent, 0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", PATH)
        subprocess.run([SCRIPT, "start", folder], check=True, timeout=60)
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        patch.setenv("PYTHONPATH", str(paths.ROOT))
        patch.setenv("RIGL_BUILD", str(folder / "build"))
        try:
            yield lambda *words: subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
        finally:
            subprocess.run(["scancel", "--user=root"], timeout=60)
            subprocess.run([SCRIPT, "stop", folder], check=True, timeout=60)


def test_runs_are_trained_in_jobs_and_cancelled_jobs_are_replaced(slurm, store, tmp_path):
    """Equal numbers to those of this process; what the cancelled jobs trained goes on from its checkpoints."""
    specs, jobs, steps = [tiny(epochs=20), tiny("Pruning"), tiny("Lottery")], set(), []

    def hear(event):
        jobs.update(slurm("squeue", "--noheader", "--format=%i %b").splitlines())
        if event.spec == specs[0] and event.kind == "progress":
            steps.append(event.step)
            if len(steps) == 2:
                slurm("scancel", "--user=root")

    assert run(specs, store, workers=WHERE, notify=hear) == engine.Summary(3, {})
    assert len(jobs) >= 2 and all("gpu:1" in job for job in jobs), jobs
    assert steps[0] == 1 < steps[1] < steps[2], "it goes on, and does not begin again"
    alone = Store(tmp_path / "alone")
    run(specs, alone)
    assert stored(store) == stored(alone)
    name = hardware("cpu").partition(",")[0]  # a job has the one core that it asks for
    assert {one.provenance["hardware"] for one in store.records()} == {f"{name}, 1 core"}
    assert not slurm("squeue", "--noheader", "--states=R,PD"), "no job is left"
