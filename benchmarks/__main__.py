"""The command line: measure what fits into the budget, keep every number, make the tables anew."""

import argparse
import math
import shlex
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks import accuracy, batches, packing, pieces, report, structure, training
from benchmarks.timing import Machine, Measurement
from rigl_nb import paths
from rigl_nb.runs.cost import seconds
from rigl_nb.runs.terminal import program, say

PARTS: dict[str, Callable[[Machine], list[Measurement]]] = {  # the most telling first: a budget cuts at the end
    "wrn-22-2": partial(training.measure, "wrn-22-2"),
    "masks": pieces.masks,
    "structure": structure.measure,
    "section-13": structure.section_13,
    "packing": packing.measure,
    "resnet50": partial(training.measure, "resnet50"),
    "counting": pieces.counting,
    "records": pieces.records,
    "pages": pieces.pages,
    "batches": batches.measure,
    "accuracy": accuracy.measure,
}


def main(arguments: list[str] | None = None) -> int:
    """Measure; 0 when all parts were, 1 when one failed or the budget left one out."""
    return program(lambda: _obey(arguments))


def _obey(arguments: list[str] | None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        budget = seconds(options.budget) if options.budget else math.inf
    except ValueError as error:
        parser.error(str(error))
    if options.tables:
        report.write_readme()
        return 0
    if options.device == "cuda" and not torch.cuda.is_available():
        print("benchmarks: device cuda is not allowed: torch sees no GPU here", file=sys.stderr)
        return 2
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    machine = Machine(
        device, options.quick, options.pairs or (3 if options.quick else 20), time.perf_counter() + budget
    )
    folder = options.out or (paths.build() / "benchmarks" if options.quick else report.RESULTS)
    try:
        folder.mkdir(parents=True, exist_ok=True)  # before anything is measured
    except OSError as error:
        parser.error(f"--out {folder}: {error.strerror}. Name a folder that can be written")
    command = shlex.join(["python", "-m", "benchmarks", *(sys.argv[1:] if arguments is None else arguments)])
    try:
        unwell = _measure(machine, options.only or list(PARTS), folder, command)
    except KeyboardInterrupt:
        say(f"\nInterrupted. What was measured is kept, in {folder}; --only NAME measures one of the others")
        return 130
    if folder.resolve() == report.RESULTS:
        report.write_readme()
    return 1 if unwell else 0


def _measure(machine: Machine, names: list[str], folder: Path, command: str) -> list[str]:
    """Measure the parts in order, saving after each; the names of those that failed or were left out."""
    failed, left = [], []
    for name in names:
        start = time.perf_counter()
        if start > machine.deadline:
            left.append(name)
            continue
        part = report.begin(machine, command)
        say(f"{name}: measuring")
        try:
            part["measurements"] = [measurement.to_dict() for measurement in PARTS[name](machine)]
        except Exception as error:  # a part that fails on this machine takes nothing from the others
            traceback.print_exc()
            part["failed"] = f"{type(error).__name__}: {error}"
            failed.append(name)
        part["seconds"] = time.perf_counter() - start
        file = report.save(folder, machine, {name: part})
        say(f"{name}: {'failed' if name in failed else 'done'}, {part['seconds']:.0f} s, in {file}")
    if left:
        say(f"The budget is spent: {', '.join(left)} left out (--only {' '.join(left)})")
    return failed + left


def _pairs(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: it must be a whole number of at least 2")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), help="where to train (default: a GPU where there is one)")
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), metavar="NAME", help=f"parts: {', '.join(PARTS)}")
    parser.add_argument("--budget", metavar="9m", help="start nothing after this")
    parser.add_argument("--pairs", type=_pairs, help="seeds for each arm of the comparison of accuracy (default: 20)")
    parser.add_argument("--quick", action="store_true", help="tiny settings, numbers without meaning: does it run?")
    parser.add_argument("--out", type=Path, help="folder of the raw files (default: benchmarks/results)")
    parser.add_argument("--tables", action="store_true", help="measure nothing, make README.md's tables anew")
    return parser


if __name__ == "__main__":
    sys.exit(main())
