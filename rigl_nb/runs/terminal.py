"""Words for a terminal: lines that fit on it, and counts."""

import sys
import textwrap

WIDTH = 100


def fold(text: str) -> str:
    """The text with lines of at most 100 characters, broken at spaces; what goes on is indented. Paths stay whole."""
    return "\n".join(map(_folded, text.split("\n")))


def say(text: str) -> None:
    """Print what is no result, at once, to standard error: a pipe gets results only."""
    print(fold(text), file=sys.stderr, flush=True)


def count(number: int, noun: str) -> str:
    """A number of things: "1 run", "2 runs"."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _folded(line: str) -> str:
    if len(line) <= WIDTH:
        return line
    indent = line[: len(line) - len(line.lstrip())] + "  "
    whole = {"break_long_words": False, "break_on_hyphens": False}
    return "\n".join(textwrap.wrap(line, WIDTH, subsequent_indent=indent, **whole))
