"""The known contradictions are found in the printed values, and vanish where the values would agree."""

import pytest

from rigl_nb.claims import inconsistencies
from rigl_nb.experiments import grids
from rigl_nb.report.pages import build

KNOWN = {  # (where, values of one place, values of the other), read off the report by a person
    ("section 4.2", "points to Table 4", "that is Table 1"),
    ("Table 2", "RigL over SET", "SET at 0.2: 92.7 ± 0.28, RigL at 0.2: 92.6 ± 0.10"),
    ("Table 3", "RigL over SET", "SET (ERK) at 0.2: 73.5 ± 0.25, RigL (ERK) at 0.2: 73.4 ± 0.15"),
    ("section 4.2", "50,000 images", "Dense 0.5"),
    ("section 6.1", "consistently", "RigL (ERK) at 0.2: 73.4 ± 0.15, RigL at 0.2: 73.5 ± 0.04"),
    ("section 6.1", "equal FLOPs", "CIFAR-10 at 0.5: 93.27 and 93.28"),
    ("Table 5", "RigL at 0.2: 92.9 ± 0.10", "92.6 ± 0.10 in Table 2"),
    ("Table 5", "RigL-SM at 0.1, CIFAR-100: 72.6 ± 0.27", "Random and ERK"),
    ("Figure 3", "RigL at 0.2: std 0.31", "std 0.10 in Table 2"),
    ("Table 2", "Static 2× at 0.1: 89.15 ± 0.17", "89.1 ± 0.17"),
    ("Table 2", "Static 2× at 0.2: 91.2 ± 0.16", "91.2 ± 0.16"),
    ("Table 2", "SNFS 2× at 0.2: a prediction costs 0.98×", "0.49×"),
    ("Table 1", "the original paper's accuracies", "0.2"),
}


def matches(one, known) -> bool:
    where, says, but = known
    return one.where == where and says in one.says and but in one.but


def test_all_known_ones_are_found_and_no_others():
    found = inconsistencies.found()
    assert len(found) == len(KNOWN)
    for known in KNOWN:
        assert sum(matches(one, known) for one in found) == 1, known


def test_each_names_a_notebook_of_the_report():
    for one in inconsistencies.found():
        assert one.notebook in build.sections() or one.notebook.startswith("05_"), one


@pytest.mark.parametrize(
    ("table", "method", "density", "changes", "where", "part"),
    [
        ("table5_redistribution", "RigL", 0.2, {"accuracy_mean": 92.6}, "Table 5", "RigL at 0.2"),
        ("table2_cifar10", "SET", 0.2, {"accuracy_mean": 92.5}, "Table 2", "RigL over SET"),
        ("table2_cifar10", "Static", 0.1, {"accuracy_std": 0.4}, "Table 2", "Static 2× at 0.1"),
        ("table2_cifar10", "SNFS", 0.2, {"test_flops": 0.49}, "Table 2", "SNFS 2×"),
        ("figure3_flops", None, 0.5, {"accuracy_mean": 94.0}, "section 6.1", "equal FLOPs"),
    ],
)
def test_none_where_the_values_agree(monkeypatch, table, method, density, changes, where, part):
    def published(name):
        frame = grids.published(name)
        if name == table:
            rows = frame["init"].eq("Random") & frame[frame.columns[frame.columns.str.contains("density")][0]].eq(
                density
            )
            rows &= frame["method"].eq(method) if method else frame["dataset"].eq("CIFAR-10")
            if "dataset" in frame:
                rows &= frame["dataset"].eq("CIFAR-10")
            if "accuracy_std" in changes:
                rows &= frame["multiplier"].eq(1)
            frame.loc[rows, list(changes)] = list(changes.values())
        return frame

    before = [one for one in inconsistencies.found() if one.where == where and part in one.says]
    monkeypatch.setattr(inconsistencies, "published", published)
    after = [one for one in inconsistencies.found() if one.where == where and part in one.says]
    assert len(before) == 1 and after == []
