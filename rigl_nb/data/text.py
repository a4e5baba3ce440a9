"""English text as windows of symbols: the topics of Python's own documentation.

Every Python has them, in `pydoc_data.topics`, but each version has other words. Runs of different texts must not pass
for each other, and a published record should be found from any Python: so this is a fixed copy of version 3.11.7's, as
they are, with their licence beside it (`topics-LICENSE.txt`).
"""

import functools
import lzma
from collections import Counter
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("topics-3.11.7.txt.xz")
LENGTH = 64  # characters of a window: what a network remembers at most
TEST = 400  # windows at the end
KNOWN = 320_000  # characters from the start, all of them trained on, that decide which ones have symbols
RARE, UNKNOWN = 20, "\N{REPLACEMENT CHARACTER}"  # a character that is there less often shares symbol 0 with its like


@functools.cache
def text() -> str:
    """All topics, every paragraph once: long topics repeat whole short ones, which would put test text into training.

    Raises OSError or LZMAError where the file is missing or damaged.
    """
    with lzma.open(FILE, "rt", encoding="utf-8") as file:
        return "\n\n".join(dict.fromkeys(file.read().split("\n\n")))


@functools.cache
def alphabet() -> str:
    """The characters by symbol; the first stands for all that are rare or missing in the training text."""
    counts = Counter(text()[:KNOWN])
    return UNKNOWN + "".join(sorted(character for character, n in counts.items() if n >= RARE))


def encode(characters: str) -> np.ndarray:
    """Symbols, uint8."""
    symbols = {character: symbol for symbol, character in enumerate(alphabet())}
    return np.array([symbols.get(character, 0) for character in characters], np.uint8)


def decode(symbols: np.ndarray) -> str:
    """The characters of symbols."""
    return "".join(alphabet()[symbol] for symbol in symbols)


def windows() -> list[tuple[np.ndarray, np.ndarray]]:
    """(symbols, those that follow each) of train and test, uint8 and int64 (n, LENGTH), in the text's order.

    Every character but the first is to be predicted once, and what is left at the end is dropped.
    """
    symbols = encode(text())
    n = (len(symbols) - 1) // LENGTH
    given = symbols[: n * LENGTH].reshape(n, LENGTH)
    following = symbols[1 : n * LENGTH + 1].reshape(n, LENGTH).astype(np.int64)
    return [(given[rows], following[rows]) for rows in (slice(None, -TEST), slice(-TEST, None))]


def frequency_bits(trained: np.ndarray, predicted: np.ndarray) -> float:
    """Bits per character that `predicted` symbols cost who knows only how often each is in `trained`, plus one."""
    counts = np.bincount(trained.ravel(), minlength=len(alphabet())) + 1
    return float(-np.log2(counts / counts.sum())[predicted.ravel()].mean())
