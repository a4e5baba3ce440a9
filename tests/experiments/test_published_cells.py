"""Every published value, cell by cell: the files against the committed notebooks' tables and against the report."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import nbformat
import pytest
from bs4 import BeautifulSoup

from rigl_nb import paths
from rigl_nb.experiments import grids

Row = dict[str, str]
NONE = "–"
ACCURACY, FLOPS = "test accuracy / published", "FLOPs (train, test) / published"


def printed(name: str, **chosen: str) -> list[Row]:
    """Rows of a published file, every value as the text that stands there."""
    with open(grids.PUBLISHED / f"{name}.csv", newline="") as file:
        return [row for row in csv.DictReader(file) if all(row[key] == value for key, value in chosen.items())]


def table(notebook: str, uuid: str) -> list[Row]:
    """Rows of a table in a committed notebook's outputs, by the words of its head."""
    cells = nbformat.read(paths.ROOT / "notebooks" / f"{notebook}.ipynb", 4).cells
    outputs = [out for cell in cells for out in cell.get("outputs", []) if "data" in out]
    pages = [BeautifulSoup(out.data.get("text/html", ""), "html.parser") for out in outputs]
    (found,) = [part for page in pages for part in page.find_all("table", id=f"T_{uuid}")]
    head, body = (spread(found.find(part).find_all("tr")) for part in ("thead", "tbody"))
    names = [" / ".join(word for word in dict.fromkeys(column) if word) for column in zip(*head, strict=True)]
    return [dict(zip(names, row, strict=True)) for row in body]


def spread(rows) -> list[list[str]]:
    """Texts of the cells; one that spans rows or columns stands at every place that it covers."""
    places: dict[tuple[int, int], str] = {}
    for y, row in enumerate(rows):
        for cell in row.find_all(["th", "td"]):
            x = next(x for x in range(len(places) + 1) if (y, x) not in places)
            covered = [(y + down, x + right) for down in range(span(cell, "row")) for right in range(span(cell, "col"))]
            places |= dict.fromkeys(covered, cell.get_text().replace("\N{NO-BREAK SPACE}", " ").strip())
    width = 1 + max(x for _, x in places)
    return [[places[y, x] for x in range(width)] for y in range(len(rows))]


def span(cell, way: str) -> int:
    return int(cell.get(f"{way}span", 1))


def method(row: Row) -> str:
    """The row's name in the report: "RigL 2× (ERK)"; Random goes without saying."""
    longer = f" {row['multiplier']}×" if row.get("multiplier", "1") != "1" else ""
    return row["method"] + longer + (f" ({row['init']})" if row["init"] not in ("", "Random") else "")


def density(row: Row) -> str:
    return f"{float(row['density']):g}"


def accuracy(mean: str, std: str, digits: int = 2) -> str:
    return f"{mean} ± {Decimal(std):.{digits}f} (n = 3)"


def comparison(row: Row) -> tuple[Row, Row]:
    """Tables 2, 3 and 5."""
    costs = f"{Decimal(row['train_flops']):.2f}×, {Decimal(row['test_flops']):.2f}×"
    values = {ACCURACY: accuracy(row["accuracy_mean"], row["accuracy_std"]), FLOPS: costs}
    values |= {"group": row["group"]} if "group" in row else {}
    return {"density": density(row), "method": method(row)}, values


def table1(row: Row) -> tuple[Row, Row]:
    off = f"{Decimal(row['accuracy_report']) - Decimal(row['accuracy_original']):+}".replace("-", "−")
    values = {"report": row["accuracy_report"], "original": row["accuracy_original"], "report − original": off}
    return {"density": density(row), "method": method(row)}, values


def authors(row: Row) -> tuple[Row, Row]:
    return {"method": method(row)}, {density(row): row["accuracy"]}


def figure3(row: Row) -> tuple[Row, Row]:
    key = {"data": grids.DATA[row["dataset"]], "budget: Random at": row["budget_density"], "source": "published"}
    return key, {row["init"]: accuracy(f"{Decimal(row['accuracy_mean']):.2f}", row["accuracy_std"], 3)}


def table4(row: Row) -> tuple[Row, Row]:
    key = {"init": row["init"], "density": density(row), "source": "published"}
    values = {}
    for side in ("reference", "optimal"):
        values[f"{side} (α, ΔT)"] = f"{row[f'{side}_alpha']}, {row[f'{side}_delta_t']}"
        values[f"{side}, test accuracy"] = accuracy(f"{Decimal(row[f'{side}_mean']):.2f}", row[f"{side}_std"])
    off = Decimal(row["optimal_mean"]) - Decimal(row["reference_mean"])
    return key, values | {"difference": f"{off:+.2f}".replace("-", "−")}


@dataclass(frozen=True)
class Shown:
    """Where a published file is shown: the table of a notebook, and what it says for a row of the file.

    `says` gives the words by which the table's row is found, and those of its other columns. `marks`: the columns
    that hold a published value where they are not "–".
    """

    notebook: str
    uuid: str
    file: str
    says: Callable[[Row], tuple[Row, Row]]
    chosen: tuple[tuple[str, str], ...] = ()
    marks: tuple[str, ...] = (ACCURACY, FLOPS)

    def rows(self) -> list[Row]:
        return printed(self.file, **dict(self.chosen))


OF_TUNING = ("reference (α, ΔT)", "reference, test accuracy", "optimal (α, ΔT)", "optimal, test accuracy")
SHOWN = [
    Shown("04_settings", "table1", "table1", table1, marks=("report", "original")),
    Shown("04_settings", "authors", "original_cifar10_wrn22_2", authors, marks=("0.05", "0.1", "0.2", "0.5")),
    Shown("05_1_cifar10", "table2", "table2_cifar10", comparison),
    Shown("05_2_cifar100", "table3", "table3_cifar100", comparison),
    Shown("05_3_tuning", "table4", "table4_tuning", table4, marks=OF_TUNING),
    Shown("06_2_redistribution", "table5-cifar10", "table5_redistribution", comparison, (("dataset", "CIFAR-10"),)),
    Shown("06_2_redistribution", "table5-cifar100", "table5_redistribution", comparison, (("dataset", "CIFAR-100"),)),
    Shown("06_1_distribution_and_flops", "figure-3", "figure3_flops", figure3, marks=("Random", "ERK")),
]


def differences(expected: list[tuple[Row, Row]], page: list[Row]) -> list[str]:
    """What the page does not say, or says otherwise."""
    found = []
    for key, values in expected:
        rows = [row for row in page if key.items() <= row.items()]
        if len(rows) != 1:
            found.append(f"{key}: {len(rows)} rows")
            continue
        found += [
            f"{key}, {name}: {value}, not {rows[0].get(name)}"
            for name, value in values.items()
            if rows[0].get(name) != value
        ]
    return found


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: shown.uuid)
def test_the_notebook_shows_the_file(shown):
    assert differences([shown.says(row) for row in shown.rows()], table(shown.notebook, shown.uuid)) == []


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: shown.uuid)
def test_the_notebook_shows_no_other_published_value(shown):
    page = [row for row in table(shown.notebook, shown.uuid) if row.get("source", "published") == "published"]
    cells = sum(row[name] != NONE for row in page for name in shown.marks)
    assert cells == sum(len(shown.says(row)[1].keys() & set(shown.marks)) for row in shown.rows())


def test_a_changed_value_is_found():
    page, rows = table("05_1_cifar10", "table2"), printed("table2_cifar10")
    rows[5]["accuracy_std"], rows[7]["test_flops"], rows[9]["group"] = "0.29", "0.21", "3"
    rows[11]["init"] = "ER"
    found = differences([comparison(row) for row in rows], page)
    assert len(found) == 4 and "0 rows" in found[3]


# The report's rows, from top to bottom, as its text prints them.
TABLE2 = [
    "Small-Dense, Static, SET, RigL",
    "SET (ERK), RigL (ERK)",
    "Static 2×, Lottery, SET 2×, SNFS, SNFS (ERK), SNFS 2×, RigL 2×, Pruning, RigL 2× (ERK)",
]
TABLE3 = [
    "Static, Small-Dense, SET, RigL",
    "Static (ERK), SET (ERK), RigL (ERK)",
    "SNFS, SNFS (ERK), Pruning, RigL 2×, Lottery, RigL 3×, RigL 2× (ERK)",
]


@pytest.mark.parametrize(("file", "groups"), [("table2_cifar10", TABLE2), ("table3_cifar100", TABLE3)])
def test_rows_and_groups_are_the_reports(file, groups):
    expected = [
        (f"{number}", name, density)
        for number, names in enumerate(groups, start=1)
        for name in names.split(", ")
        for density in ("0.1", "0.2")
    ]
    expected.append(("4", "Dense", "1"))
    assert [(row["group"], method(row), density(row)) for row in printed(file)] == expected


def test_rows_of_the_other_tables_are_the_reports():
    sparse = [(name, at) for name in ("Static (ERK)", "Pruning", "RigL (ERK)") for at in ("0.1", "0.2", "0.5")]
    assert [(method(row), density(row)) for row in printed("table1")] == [("Dense", "1"), *sparse]
    tuned = [(init, at) for init in ("Random", "ERK") for at in ("0.1", "0.2", "0.5")]
    assert [(row["init"], row["density"]) for row in printed("table4_tuning")] == tuned
    lines = [(init, name) for init in ("Random", "ERK") for name in ("RigL", "RigL-SG", "RigL-SM")]
    lines += [("RigL-SM (Random)", "RigL"), ("RigL-SM (ERK)", "RigL")]
    cells = [(init, name, data, at) for init, name in lines for data in grids.DATA for at in ("0.1", "0.2")]
    keys = ("init", "method", "dataset", "density")
    assert [tuple(row[key] for key in keys) for row in printed("table5_redistribution")] == cells
    points = [(data, init, at) for data in grids.DATA for init in ("Random", "ERK") for at in ("0.1", "0.2", "0.5")]
    keys = ("dataset", "init", "budget_density")
    assert [tuple(row[key] for key in keys) for row in printed("figure3_flops")] == points


def test_the_authors_numbers_cover_each_method_and_density_once():
    rows = [(method(row), row["density"]) for row in printed("original_cifar10_wrn22_2")]
    names = ("RigL (ERK)", "RigL 2× (ERK)", "Static (ERK)", "Static 2× (ERK)", "Pruning (ERK)")
    assert rows == [(name, at) for name in names for at in ("0.5", "0.2", "0.1", "0.05")]


def means(file: str, column: str = "accuracy_mean", **chosen: str) -> dict[tuple[str, str], Decimal]:
    return {(method(row), density(row)): Decimal(row[column]) for row in printed(file, **chosen)}


def apart(one: dict, other: dict) -> dict:
    """Cells of both with other values."""
    return {key: (one[key], other[key]) for key in one.keys() & other.keys() if one[key] != other[key]}


def test_values_that_the_report_prints_twice_agree():
    """All but one: Table 5 prints another RigL (Random) at 0.2 on CIFAR-10."""
    table2, table3 = means("table2_cifar10"), means("table3_cifar100")
    reference = {(method(row | {"method": "RigL"}), row["density"]): row for row in printed("table4_tuning")}
    for column, mine in (("mean", table2), ("std", means("table2_cifar10", "accuracy_std"))):
        again = {key: Decimal(row[f"reference_{column}"]) for key, row in reference.items()}
        assert len(again.keys() & mine.keys()) == 4 and apart(again, mine) == {}
    ten, hundred = (means("table5_redistribution", dataset=name) for name in grids.DATA)
    assert apart(ten, table2) == {("RigL", "0.2"): (Decimal("92.9"), Decimal("92.6"))}
    assert apart(hundred, table3) == {} and len(hundred.keys() & table3.keys()) == 4
    for name, table in (("CIFAR-10", "table2_cifar10"), ("CIFAR-100", "table3_cifar100")):
        (dense,) = printed("dense", dataset=name)
        assert Decimal(dense["accuracy_mean"]) == means(table)["Dense", "1"]


def test_figure_3_has_randoms_values_of_the_tables():
    for name, table in (("CIFAR-10", "table2_cifar10"), ("CIFAR-100", "table3_cifar100")):
        points = printed("figure3_flops", dataset=name, init="Random")
        rounded = {("RigL", row["budget_density"]): round(Decimal(row["accuracy_mean"]), 1) for row in points}
        assert apart(rounded, means(table)) == {}
        assert len(rounded.keys() & means(table).keys()) == 2
    (half,) = printed("figure3_flops", dataset="CIFAR-10", init="Random", budget_density="0.5")
    (tuned,) = printed("table4_tuning", init="Random", density="0.5")
    assert round(Decimal(half["accuracy_mean"]), 1) == Decimal(tuned["reference_mean"])
    assert round(Decimal(half["accuracy_std"]), 2) == Decimal(tuned["reference_std"])
