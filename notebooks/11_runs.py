# %% [markdown]
# # 11 All runs
#
# What this report says of trainings comes from records of real ones, but for a few small trainings that a page does while
# it is built. (Other numbers are computed from shapes or simulated, or are those that the report prints.) Here are all
# published records in one place: a table of what was trained, and plots of how each training went. In JupyterLab you choose the runs by menus, and compare any of them
# in one figure.

# %% tags=["parameters"]
profile = ""  # this page trains nothing, whatever the profile
interactive = True  # menus in JupyterLab; False: a player that needs no kernel

# %% tags=["hide-input"]
from rigl_nb.report.figures import tables, training
from rigl_nb.report.sections import all_runs

# %% [markdown]
# ## The table
#
# A row is a *configuration*: everything that a run is, except its seed. There are n runs of it, one for each seed. The
# accuracy is their mean and standard deviation on the test images, in percent; of a text it is bits per character, the
# fewer the better. FLOPs are fractions of the dense
# model's, of a training and of one prediction. The time is the mean of one run. The commit is the version of the code
# that trained it. "0 held out" means: no image was held out to validate. Compare accuracies only within a profile: the
# profiles train for different times.

# %%
published = all_runs.records()
found = all_runs.configurations(published)
tables.plain(found, "all-runs")

# %% [markdown]
# ## What a figure shows
#
# Six panels for any set of runs. A colour is a method, and a dashed line means ERK. What still looks alike gets
# paler colours. A thin line is one seed, and a thick line is the mean of the seeds. The first four panels follow the
# training, epoch by epoch. The fifth shows how dense each layer is: where a method moves connections between layers,
# the pale line is the start. In the last panel a marker is a run: to the right its predictions cost more, further up
# its training does.
#
# As an example, the configuration with most runs:

# %% tags=["hide-input"] mystnb={"figure": {"name": "most-runs", "caption": "All seeds of the configuration that has most runs."}, "image": {"alt": "Six panels: loss, accuracy, learning rate, drop fraction, density of the layers, and FLOPs. Thin lines are single runs, a thick line is their mean."}}
groups = training.groups(published)
most = max((group.records for group in groups), key=len, default=[])
training.training_plots(most)

# %% [markdown]
# ## Choose and compare
#
# In JupyterLab: mark values in the menus, several with Ctrl or Shift (⌘ on a Mac). Nothing marked means every value.
# The figure shows the runs that have all of it. Runs of this machine, from `build/runs/`, can be chosen too. On a page
# without a kernel, step through the methods instead: each picture has every configuration and every seed of the profile
# with most runs.

# %% tags=["hide-input", "nbval-ignore-output"]
if interactive:
    view = all_runs.chooser(all_runs.records(local=True))
else:
    view = all_runs.by_method(published)
view

# %% [markdown]
# ## Summary

# %%
for name, rows in found.groupby("profile", sort=False):
    print(f"{name:6} configurations: {len(rows):3}, runs: {rows['n'].sum():3}")
