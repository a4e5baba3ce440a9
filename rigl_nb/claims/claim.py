"""What the report says, as statements about cells of its tables: which means a sentence compares, and how."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

MATCH_MARGIN = 0.3  # points of test accuracy: a difference of no practical size, where the text gives none
PUBLISHED_SEEDS = 3


@dataclass(frozen=True)
class Cell:
    """One cell of a results table: all seeds of one configuration. `init` is None where a method has none."""

    method: str
    init: str | None = None
    density: float = 1.0
    multiplier: int = 1  # how many times longer the training is
    data: str = "cifar10"
    structure: str = "weight"  # what moves as one

    @property
    def name(self) -> str:
        """The row's name in the report's tables: "Static", "SET (ERK)", "RigL 2× (ERK)"; "channel RigL"."""
        longer = f" {self.multiplier}×" if self.multiplier != 1 else ""
        what = f"{self.structure} " if self.structure != "weight" else ""
        return what + self.method + longer + (f" ({self.init})" if self.init not in (None, "Random") else "")

    @property
    def label(self) -> str:
        """Name and density: "SET (ERK) at 0.1"."""
        return f"{self.name} at {self.density:g}"

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows of `frame` (records or printed values) that belong to this cell; a column that lacks is no condition."""
        chosen = np.isclose(frame["density"].to_numpy(float), self.density)
        if "structure" not in frame and self.structure != "weight":
            chosen &= False  # the report's tables are of single weights
        for name in ("method", "init", "multiplier", "data", "structure"):
            if name in frame and chosen.any():  # where nothing is left there is nothing to compare
                value = getattr(self, name)
                chosen &= (frame[name].isna() if value is None else frame[name] == value).to_numpy(bool)
        return frame[chosen]


def places(frame: pd.DataFrame) -> dict[Cell, list[int]]:
    """The rows of every cell of a frame, by position; a column that lacks has the cell's default."""
    found: dict[Cell, list[int]] = {}
    names = [name for name in Cell.__dataclass_fields__ if name in frame]
    for place, values in enumerate(zip(*(frame[name] for name in names), strict=True)):
        given = dict(zip(names, values, strict=True))
        given |= {"init": None if pd.isna(given.get("init")) else given["init"], "density": round(given["density"], 9)}
        found.setdefault(Cell(**given), []).append(place)
    return found


Pair = tuple[Cell, Cell]
RELATIONS = ("outperforms", "at least matches", "matches", "not better")


@dataclass(frozen=True)
class Claim:
    """A sentence of the report and the accuracies it compares: `left` minus `right` of every pair, in points.

    The relation follows the words of the quote:

    - "outperforms": better by more than `margin` (0 unless the text gives one);
    - "at least matches" (the text: "matches or outperforms"): not worse by `margin` or more;
    - "matches": neither worse nor better by `margin` or more;
    - "not better" (the text: "does not significantly improve"): no improvement that can be told from 0.

    What is tested is the mean over the pairs, or each of them (`every`), where the words say "each", "consistently", "a
    range of" or "matches".
    """

    name: str
    quote: str  # the report's words
    section: str  # where it says so
    pairs: tuple[Pair, ...]
    relation: str = "outperforms"
    margin: float = 0.0
    every: bool = False
    own: bool = False  # our question about the quote, not the report's sentence
    times: int = 1  # what the mean over the pairs is multiplied with: 2 for a difference of two differences

    def __post_init__(self):
        if self.relation not in RELATIONS:
            raise ValueError(f"unknown relation {self.relation!r}: choose one of {', '.join(RELATIONS)}")
        if self.margin < 0 or (self.margin == 0 and "matches" in self.relation):
            raise ValueError(f"margin {self.margin} of {self.relation!r}: must be above 0 (0 for 'outperforms')")
        if not self.pairs:
            raise ValueError(f"claim {self.name!r} compares no cells: give at least one pair")

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells that it compares, each once."""
        return tuple(dict.fromkeys(cell for pair in self.pairs for cell in pair))

    @property
    def statement(self) -> str:
        """The tested condition in words: "difference > 0 in each of 8 pairs"."""
        if self.relation == "matches":
            text = f"difference within ±{self.margin:g}"
        elif self.relation == "not better":
            text = "difference not above 0"
        else:
            text = f"difference > {self.margin if self.relation == 'outperforms' else -self.margin:g}"
        if len(self.pairs) == 1:
            return text
        mean = "mean" if self.times == 1 else f"{self.times} times the mean"
        return text + (" in each" if self.every else f", {mean}") + f" of {len(self.pairs)} pairs"

    def holds(self, difference: float) -> bool:
        """Whether a true difference of this size would make the sentence true."""
        if self.relation == "matches":
            return abs(difference) < self.margin
        return {
            "outperforms": difference > self.margin,
            "at least matches": difference > -self.margin,
            "not better": difference <= 0,
        }[self.relation]
