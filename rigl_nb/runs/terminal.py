"""Words for a terminal: lines that fit on it, counts, and what a program does where its words cannot be written."""

import codecs
import os
import signal
import sys
import textwrap
import unicodedata
from collections.abc import Callable

PROGRAM = "python -m rigl_nb"
WIDTH = 100
ALIKE = {"×": "x", "·": ".", "−": "-", "–": "-", "±": "+-", "“": '"', "”": '"', "α": "alpha", "η": "eta", "Δ": "Delta "}


def fold(text: str) -> str:
    """The text with lines of at most 100 characters, broken at spaces; what goes on is indented. Paths stay whole."""
    return "\n".join(map(_folded, text.split("\n")))


def say(text: str) -> None:
    """Print what is no result, at once, to standard error: a pipe gets results only."""
    print(fold(text), file=sys.stderr, flush=True)


def count(number: int, noun: str) -> str:
    """A number of things: "1 run", "2 runs"."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def crash(run_id: str, reason: str, folder: object) -> str:
    """Which run failed, why, and the file of its traceback below the folder of records."""
    return f"failed: {run_id}: {reason}\n  its traceback: {folder}/{run_id}.failed.json"


def program(obey: Callable[[], int]) -> int:
    """Obey a command, whatever its output goes to; its exit code, or 141 where the reader has gone, as `| head` has.

    A character that a stream cannot write becomes one like it, a stream that was closed takes everything.
    """
    codecs.register_error("alike", _alike)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # to the end
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="alike")
    try:
        try:
            return obey()
        finally:
            sys.stdout.flush()  # here, where a reader that has gone can still be noticed
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return 128 + signal.SIGPIPE


def _alike(error: UnicodeError) -> tuple[bytes, int]:
    """What is written for characters that an encoding lacks; a path's bytes that are no text stay what they are."""
    characters = error.object[error.start : error.end]
    return b"".join(_plain(character) or b"?" for character in characters), error.end


def _plain(character: str) -> bytes:
    if "\udc80" <= character <= "\udcff":
        return character.encode("ascii", "surrogateescape")
    alike = ALIKE.get(character) or unicodedata.normalize("NFKD", character)
    return alike.encode("ascii", "ignore")


def _folded(line: str) -> str:
    if len(line) <= WIDTH:
        return line
    indent = line[: len(line) - len(line.lstrip())] + "  "
    whole = {"break_long_words": False, "break_on_hyphens": False}
    return "\n".join(textwrap.wrap(line, WIDTH, subsequent_indent=indent, **whole))
