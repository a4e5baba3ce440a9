"""Every rule of the tables, read back from the frame and the styles behind them."""

import math
import re

import pandas as pd
import pytest
from frames import runs

from rigl_nb.claims.claim import Cell
from rigl_nb.experiments import grids
from rigl_nb.report.figures import tables

TABLE2 = grids.published("table2_cifar10")
RANDOM, SET, DENSE = Cell("RigL", "Random", 0.1), Cell("SET", "Random", 0.1), Cell("Dense")


def column(table, profile: str, group: str = "test accuracy") -> dict:
    return table.data[group, profile].to_dict()


def bold(table, profile: str) -> set:
    """Index of the cells that the table prints in bold, read from its HTML."""
    place = table.data.columns.get_loc(("test accuracy", profile))
    page = table.to_html()
    css = page[: page.index("</style>")]
    rows = [
        int(row)
        for rule in re.findall(r"((?:#T_\w+[, \n]*)+)\{([^}]*)\}", css)
        if "bold" in rule[1]
        for row in re.findall(rf"row(\d+)_col{place}\b", rule[0])
    ]
    return {table.data.index[row] for row in rows}


def test_summary_by_hand():
    table = tables.summary(runs({RANDOM: [90.0, 92.0, None], SET: [91.0], DENSE: [None]}))
    rows = table.set_index("method")
    assert rows.loc["RigL", ["mean", "n", "collapsed"]].tolist() == [91.0, 2, 0]
    assert rows.loc["RigL", "std"] == pytest.approx(math.sqrt(2))
    assert rows.loc["SET", "n"] == 1 and math.isnan(rows.loc["SET", "std"])
    assert rows.loc["Dense", "n"] == 0 and math.isnan(rows.loc["Dense", "mean"])
    assert list(rows.index) == ["RigL", "SET", "Dense"]  # order of appearance; Dense has no init and stays


def test_summary_counts_collapsed_runs_and_keeps_them():
    row = tables.summary(runs({SET: [90.0, 60.0]}, collapsed={(SET, 1)})).iloc[0]
    assert (row["mean"], row["n"], row["collapsed"]) == (75.0, 2, 1)


def test_a_profile_has_a_column_only_where_it_has_runs():
    evidence = {"paper": runs({RANDOM: [None]}), "short": runs({RANDOM: [90.0]})}
    table = tables.comparison(TABLE2, evidence)
    assert list(table.data.columns) == [
        ("test accuracy", "published"),
        ("test accuracy", "short"),
        ("FLOPs (train, test)", "published"),
        ("FLOPs (train, test)", "short"),
    ]
    nothing = tables.comparison(TABLE2, {"paper": runs({RANDOM: [None]})})
    assert [name for _, name in nothing.data.columns] == ["published", "published"]


def test_cells_show_mean_spread_and_n():
    table = tables.comparison(TABLE2, {"paper": runs({RANDOM: [91.0, 92.0, 93.0], SET: [90.0]})})
    cells = column(table, "paper")
    assert cells["0.1", "1", "RigL"] == "92.0 ± 1.00 (n = 3)"
    assert cells["0.1", "1", "SET"] == "90.0 (n = 1)"
    assert cells["0.1", "1", "Static"] == "–"
    assert cells["1", "4", "Dense"] == "–"
    assert column(table, "published")["0.1", "1", "RigL"] == "91.7 ± 0.18 (n = 3)"


def test_paper_runs_get_their_difference_to_the_printed_mean():
    """Printed: 91.7 ± 0.18 and 91.3 ± 0.47. Only what seeds do not explain gets a triangle."""
    ours = runs({RANDOM: [93.0, 93.1, 93.2], SET: [91.0, 91.2, 91.1], DENSE: [90.0]})
    cells = column(tables.comparison(TABLE2, {"paper": ours}), "paper − published", "difference")
    assert cells["0.1", "1", "RigL"] == "▲ +1.40"
    assert cells["0.1", "1", "SET"] == "−0.20"
    assert cells["1", "4", "Dense"] == "−3.40"  # one run has no spread
    assert cells["0.1", "1", "Static"] == "–"
    below = tables.comparison(TABLE2, {"paper": runs({RANDOM: [89.0, 89.1, 89.2]})})
    assert column(below, "paper − published", "difference")["0.1", "1", "RigL"] == "▼ −2.60"


def test_pointing_at_a_mean_of_ours_shows_its_runs():
    """Each number leads to its runs: accuracy and the name of the record."""
    page = tables.comparison(TABLE2, {"paper": runs({RANDOM: [91.0, None, 93.25]})}).to_html()
    titles = re.findall(r'title="([^"]*)"[^>]*>([^<]*)', page.replace("\xa0", " "))
    assert titles == [
        (
            "91.00: cifar10_RigL_0.1/seed-0\n93.25: cifar10_RigL_0.1/seed-2",
            "92.1 ± 1.59 (n = 2)",
        )
    ]


def test_collapsed_runs_are_marked():
    frame = runs({SET: [90.0, 60.0]}, collapsed={(SET, 1)})
    cells = column(tables.comparison(TABLE2, {"paper": frame}), "paper")
    assert cells["0.1", "1", "SET"] == "75.0 ± 21.21 (n = 2, 1 collapsed)"


def test_a_printed_second_decimal_is_kept():
    cells = column(tables.comparison(TABLE2, {}), "published")
    assert cells["0.1", "3", "Static 2×"] == "89.15 ± 0.17 (n = 3)"


def test_rows_follow_density_and_group():
    index = tables.comparison(TABLE2, {}).data.index
    assert len(index) == len(TABLE2)
    assert list(index.droplevel("method").unique()) == [
        *((density, group) for density in ("0.1", "0.2") for group in "123"),
        ("1", "4"),
    ]
    names = [name for density, group, name in index if (density, group) == ("0.1", "1")]
    assert names == ["Small-Dense", "Static", "SET", "RigL"]


def test_what_leads_its_group_is_bold():
    """By the printed means and deviations; the report marks one of each group. Dense has nobody to be better than."""
    assert bold(tables.comparison(TABLE2, {}), "published") == {("0.1", "2", "RigL (ERK)")}


def test_each_column_has_its_own_best():
    static = Cell("Static", "Random", 0.1)
    frame = runs({RANDOM: [91.0, 91.2, 91.1], SET: [90.1, 90.3, 90.2], static: [90.0, 90.1, 90.2]})
    table = tables.comparison(TABLE2, {"paper": frame, "quick": runs({RANDOM: [50.0, 50.1], SET: [60.0, 60.1]})})
    assert bold(table, "paper") == {("0.1", "1", "RigL")}
    assert bold(table, "quick") == {("0.1", "1", "SET")}


def test_single_runs_are_not_bold():
    assert bold(tables.comparison(TABLE2, {"paper": runs({RANDOM: [91.0], SET: [60.0]})}), "paper") == set()


def test_the_caption_says_what_bold_means():
    assert "Table 2. Bold: the best mean of a group" in tables.comparison(TABLE2, {}, "Table 2.").to_html()


def test_flops_are_those_of_the_profile_that_fills_most_cells():
    evidence = {"short": runs({RANDOM: [91.0], SET: [None]}), "quick": runs({RANDOM: [60.0], SET: [70.0]}, flops=0.9)}
    table = tables.comparison(TABLE2, evidence)
    assert column(table, "quick", "FLOPs (train, test)")
    assert ("FLOPs (train, test)", "short") not in table.data


def test_flops_are_printed_and_ours():
    evidence = {"paper": runs({RANDOM: [91.0]}), "quick": runs({SET: [70.0]}, flops=0.9)}
    table = tables.comparison(TABLE2, evidence)
    printed, ours = (column(table, name, "FLOPs (train, test)") for name in ("published", "paper"))
    assert printed["0.2", "3", "RigL 2× (ERK)"] == "0.70×, 0.35×"
    assert ours["0.1", "1", "RigL"] == "0.105×, 0.100×"
    assert ours["0.1", "1", "SET"] == "–"  # a column is of one profile: another network costs something else
    assert ("FLOPs (train, test)", "quick") not in table.data


def test_html_is_the_same_every_time_and_sets_no_colour():
    frame = runs({RANDOM: [91.0, 92.0], SET: [90.0, 91.0]})
    pages = [tables.comparison(TABLE2, {"paper": frame}, "Table 2").to_html() for _ in range(2)]
    assert pages[0] == pages[1]
    assert "T_comparison" in pages[0] and "Table 2 Bold" in pages[0]
    assert "color" not in pages[0] and "background" not in pages[0]


def test_numbers_do_not_break_over_lines():
    page = tables.comparison(TABLE2, {}).to_html()
    assert "91.7\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.18 (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}3)" in page


def test_two_tables_of_one_page_have_names_of_their_own():
    assert "T_table3_" in tables.comparison(TABLE2, {}, uuid="table3").to_html()


def test_live_names_data_model_and_size():
    table = tables.live(runs({RANDOM: [97.0], DENSE: [None]}), TABLE2)
    assert "cifar10, wrn-10-1, 40 epochs" in table.caption
    rows = table.data.set_index("method")
    assert rows.loc["RigL", "test accuracy"] == "97.0 (n = 1)"
    assert rows.loc["RigL", "published, 250 epochs"] == "91.7 ± 0.18 (n = 3)"
    assert rows.loc["Dense", ["density", "test accuracy"]].tolist() == ["1", "–"]


def test_live_without_published_values():
    table = tables.live(runs({Cell("RigL", "Random", 0.05): [97.0]}))
    assert list(table.data) == ["method", "density", "test accuracy", "FLOPs (train, test)"]


def test_a_plain_table_sets_numbers_with_minus_signs_and_keeps_names():
    cells = {"name": ["wrn-10-1", "−0.5 ± -2 (n = 3)"], "gain": [-1.5, math.nan], "why": ["[-1, -.5]", "1e-3, 3-4"]}
    page = tables.plain(pd.DataFrame(cells), "t", {"gain": "{:+.1f}"}).to_html().replace("\xa0", "_")
    shown = re.findall(r"<td[^>]*>([^<]*)</td>", page)
    assert shown == ["wrn-10-1", "−1.5", "[−1, −.5]", "−0.5_±_−2 (n_=_3)", "–", "1e-3, 3-4"]
