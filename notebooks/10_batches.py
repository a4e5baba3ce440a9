# %% [markdown]
# # 10 Batches: from a laptop to a cluster
#
# The whole report is more than a thousand trainings. This page shows how the same batch of runs moves from one laptop
# to a cluster without a change of code or notebook: on one GPU, on a box with several GPUs, under SLURM, on machines
# that you reach by ssh, and in a cloud. Then it asks what each table costs at the speeds that were measured, and how
# long the whole campaign takes on few and on many devices. Nothing is trained here.

# %% tags=["parameters"]
profile = ""  # this page trains nothing, whatever the profile
interactive = True

# %% tags=["hide-input"]
from rigl_nb import paths
from rigl_nb.experiments import grids
from rigl_nb.report.figures import tables
from rigl_nb.report.sections import batches, ladder, priorities
from rigl_nb.runs import cost
from rigl_nb.runs.cluster import Cluster
from rigl_nb.runs.slurm import SLURM
from rigl_nb.runs.store import Store

# %% [markdown]
# ## One switch
#
# Each training is one *run* with an id, and each run is one task of [dask](https://docs.dask.org). The id is the task's
# name. So a run that two sections or two notebooks need is trained once. `python -m rigl_nb run` takes the place where
# the tasks go as an option, and the notebooks take it as their parameter `workers`:
#
# | where | command line | parameter of a notebook |
# |---|---|---|
# | this process | `--workers 1` | `workers = 1` |
# | processes of this machine | `--workers 4` | `workers = 4` |
# | a dask cluster that runs | `--scheduler tcp://host:8786` | `workers = "tcp://host:8786"` |
# | jobs of SLURM | `--slurm partition=gpu,gpus=1` | `workers = "slurm:partition=gpu,gpus=1"` |

# %%
for text in (1, 4, "tcp://host:8786", "slurm:partition=gpu,gpus=1"):
    place = Cluster.parse(text)
    where = "maybe other machines" if place.remote else "this machine"
    print(f"{text!r:32} {'this process' if place.alone else where}")

# %% [markdown]
# All places but the first need `pip install -e '.[cluster]'`. The command prints the address of dask's dashboard.
# Only this machine can open it, unless you say otherwise: `--dashboard 0.0.0.0:8787` shows it to everybody.
# `python -m rigl_nb status --scheduler tcp://host:8786` shows the queue, who trains what, how fast, and the time left.
#
# ### One GPU
#
# `python -m rigl_nb run --profile short`. The runs train in this process. `--jobs-per-gpu 4` lets four of them take
# turns on the GPU.
#
# ### A box with several GPUs
#
# `python -m rigl_nb run --profile short --workers 8` on a machine with eight GPUs. The workers spread over the GPUs.
# With `--jobs-per-gpu 2` every worker trains two runs at a time.
#
# ### SLURM
#
# `python -m rigl_nb run --profile paper --slurm partition=gpu,gpus=1,jobs=16` on the login node.
# Jobs come and go with the work. A job that ends, for whatever reason, is replaced, and its run goes on from the last
# checkpoint. These words are known:

# %%
for key, (about, default) in SLURM.items():
    print(f"{key:10} {about}" + (f" (default {default})" if default else ""))

# %% [markdown]
# ### Machines that you reach by ssh
#
# The project lies on all of them, at the same commit, with dask installed. On one machine: `dask scheduler`. On each
# machine, for each GPU: `CUDA_VISIBLE_DEVICES=0 dask worker tcp://host:8786 --nthreads 1`. `dask ssh` does this for a
# list of machines. Then use `--scheduler tcp://host:8786`, from any of them. The scheduler has no password: keep its
# port inside your network, or give it certificates and use `tls://`.
#
# ### A cloud
#
# The same, on rented machines. Spot machines are fine: one that is taken away costs the work since its last
# checkpoint, which is half a minute, if its file system is shared. Start with a short profile, look at the speed, and
# compute the price from the table below: hours times the price of an hour.

# %% [markdown]
# ## What a shared file system must give
#
# If the machines share the folder `build/runs`, records and checkpoints lie there, and every machine can go on with
# every run. Such a file system must replace a file in one step (`rename`), must show at once what was written, and
# should have file locks. Each worker checks the first two before its first run: it looks for a mark that the client
# has left, and renames a file of its own. When a batch begins, the client writes a new file as well. The workers
# must see it at once, and the client must see their answers. A folder that fails is named, with what to do.
#
# Without a shared file system it works too. A worker then keeps its files in its own `build/runs`. Records and masks
# come back through dask, and go to the children of a run in the same way. Checkpoints stay on their machine: if that
# one is lost, its run begins again.
#
# If a worker dies, its run goes on with another worker. A run that has taken several workers with it counts as failed,
# with this reason. If the scheduler dies, start it again: the client waits a minute for it, and finished runs are
# not trained again. A worker with another commit of the code than its client's is refused: do not commit while a batch
# is on other machines.

# %% [markdown]
# ## What each table costs
#
# As long as no GPU has published runs, `paper` and `short` take what the report says: 2 hours a run on CIFAR-10 and 6
# on CIFAR-100, on a GPU of 2016, and a tenth of it. Newer ones are faster. The time of a `quick` run is its number of
# operations, divided by the median speed of like runs that were published. Such a run has one core of a CPU, and counts
# in float32, as every CPU can; one that computes in bfloat16 is faster. So "one device" is a GPU for `paper` and `short`,
# and a core for `quick`. All sections, each alone, on one device:

# %%
results = Store(paths.results())
records, gpu = batches.timed(results.records())
machines = sorted({record.provenance["hardware"] for record in records})
ways = sorted({record.execution["precision"] for record in records})
print(f"{len(records)} timed runs, {' and '.join(ways)}, on {' and '.join(machines)}")
if not gpu:
    print("No run on a GPU is published yet: paper and short by the report's hours.")
models = sorted({record.spec.model for record in records})
print(f"Networks that were timed: {', '.join(models)}; others by their operations")

# %%
tables.plain(batches.costs(grids.EVIDENCE, records, results.find), "costs")

# %% [markdown]
# A section counts the runs that its own page needs, the parents of lottery tickets included. Some runs are in two
# sections, and are trained once.
#
# ## What to train first
#
# The whole campaign is large. But a small part of it is what the central claim needs. Each step counts the runs that have no
# record yet and that no step above has counted. Most hours of the last steps are searches for hyperparameters.

# %%
plan = priorities.steps(ladder.rungs())
form = {"GPU-hours": "{:,.0f}", "GPU-hours so far": "{:,.0f}"}
tables.plain(plan, "steps", form)

# %% [markdown]
# The first two steps are two commands: `python -m rigl_nb run --profile paper --section 05_1 --method RigL --multiplier
# 1`, and the same with `--method SET`.

# %% [markdown]
# ## The whole campaign on many devices
#
# We let a simulation hand out the runs in the engine's order: a free device takes the first run whose parent is done.
# A search for hyperparameters is different: a trial follows from the results of the trials before. So the engine trains
# all runs that it knows of, then asks for the next trials, and so on. Each of these later batches is small, and leaves
# most of many devices idle. This is why a profile cannot become faster without end.

# %%
campaigns = {
    name: batches.campaign(name, records, find=results.find) for name in grids.EVIDENCE
}
DEVICES = (1, 2, 4, 64)
tables.plain(batches.makespans(campaigns, DEVICES), "makespans")

# %% [markdown]
# "Idle" is the share of all devices' time in which they have nothing to do. It is what one pays for waiting. The
# picture shows the smallest of these profiles on four devices. Each bar is a run.

# %% mystnb={"figure": {"name": "fig-four-devices", "caption": "The quick profile on four devices, simulated from measured times. Colours are methods; an empty end is idle time."}}
batches.gantt(campaigns["quick"], 4)

# %% [markdown]
# Machines differ, and so do two runs on the same machine. Read these times as sizes, not as promises. What the engine
# itself adds to a run is not in them: `benchmarks/README.md` has it.

# %% [markdown]
# ## Verdict

# %%
for name, found in campaigns.items():
    kind = "core" if not gpu and name == "quick" else "GPU"
    one, many = (found.on(count) for count in (DEVICES[0], DEVICES[-1]))
    times = one.makespan / many.makespan
    print(f"{name}: {len(found.specs)} runs,", end=" ")
    print(f"{cost.duration(one.makespan)} of one {kind};")
    print(f"  {DEVICES[-1]} of them are {times:.0f} times as fast,", end=" ")
    print(f"and idle {many.idle:.0%} of the time")
