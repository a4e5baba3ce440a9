"""Raw numbers, one JSON file a machine, and the tables that README.md shows of them."""

import json
import math
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks.timing import Machine, Measurement
from rigl_nb.runs.origin import hardware, provenance

FOLDER = Path(__file__).parent
RESULTS, README = FOLDER / "results", FOLDER / "README.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
DATE = re.compile(r"^\d{4}-\d{2}-\d{2}-")
SCALES = {
    "s": ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "B": ((1e9, "GB"), (1e6, "MB"), (1, "B")),
    "B/s": ((1e12, "TB/s"), (1e9, "GB/s"), (1, "B/s")),
    "FLOP": ((1e12, "TFLOP"), (1e9, "GFLOP"), (1, "FLOP")),
    "FLOP/s": ((1e12, "TFLOP/s"), (1e9, "GFLOP/s"), (1, "FLOP/s")),
    "images/s": ((1, "images/s"),),
    "share": ((0.01, "%"),),
    "%": ((1, "%"),),
    "x": ((1, "×"),),
    "points": ((1, "points"),),
}


@dataclass(frozen=True)
class Goal:
    """A number that has to hold on a kind of device; without a subject the best of all subjects counts."""

    text: str
    device: str  # or a processor's precision: what bfloat16 gains, others cannot have
    part: str
    quantity: str
    subject: str | None
    least: float = -math.inf
    most: float = math.inf


SPEED_UP = "speed-up over the plain loop"
GOALS = (
    Goal("WRN-22-2: at least 1.8 times the plain loop's speed", "bf16", "wrn-22-2", SPEED_UP, "ours", least=1.8),
    Goal("WRN-22-2: not slower than the plain loop", "fp32", "wrn-22-2", SPEED_UP, "ours", least=1),
    Goal("Masking: under 0.5 % of a step", "cpu", "masks", "share of a step", "masking", most=0.005),
    Goal("Mask updates: under 0.3 % of training", "cpu", "masks", "share of training", "an update", most=0.003),
    Goal("WRN-22-2: at least 4 times the plain loop's speed", "cuda", "wrn-22-2", SPEED_UP, "ours", least=4),
    Goal("WRN-22-2, 250 epochs alone: under 4 minutes", "cuda", "wrn-22-2", "whole run", "ours", most=240),
    Goal("WRN-22-2, 250 epochs packed: under 90 s of the GPU", "cuda", "packing", "GPU time of a run", None, most=90),
    Goal("ResNet-50, 250 epochs: under 25 minutes", "cuda", "resnet50", "whole run", "ours", most=1500),
)


def begin(machine: Machine, command: str) -> dict:
    """What a part's numbers were made with."""
    origin = provenance(machine.device)
    return {
        "command": command,
        "date": origin["date"],
        "commit": origin["commit"],
        "dirty": origin["dirty"],
        "python": origin["python"],
        "versions": origin["versions"],
        "threads": torch.get_num_threads(),
        "quick": machine.quick,
    }


def save(folder: Path, machine: Machine, parts: dict[str, dict]) -> Path:
    """Write the machine's file anew, named by date; parts that were not measured this time stay as they were."""
    names = {"device": machine.device, "hardware": _hardware(machine), "host": hardware("cpu")}
    slug = re.sub(r"[^a-z0-9]+", "-", names["hardware"].lower()).strip("-")
    older = [file for file in sorted(folder.glob("*.json")) if DATE.sub("", file.stem) == slug]
    kept = {name: part for file in older for name, part in read(file)["parts"].items()}
    file = folder / f"{datetime.now(UTC):%Y-%m-%d}-{slug}.json"
    folder.mkdir(parents=True, exist_ok=True)
    content = names | {"system": platform.system(), "parts": kept | parts}
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    for other in older:
        if other != file:
            other.unlink()
    return file


def _hardware(machine: Machine) -> str:
    """The machine's name; a processor's with the precision that it trains in, for one name has several kinds."""
    name = hardware(machine.device)
    return name if machine.gpu else f"{name}, {machine.execution.precision}"


def read(file: Path) -> dict:
    """A machine's file."""
    return json.loads(file.read_text(encoding="utf-8"))


def raw_files(folder: Path = RESULTS) -> list[Path]:
    """The files of all machines, CPUs first."""
    return sorted(folder.glob("*.json"), key=lambda file: (read(file)["device"], file.name))


def write_readme(folder: Path = RESULTS, readme: Path = README) -> None:
    """Put the tables of all raw files between the README's markers."""
    readme.write_text(with_tables(readme.read_text(encoding="utf-8"), tables(folder)), encoding="utf-8")


def with_tables(text: str, made: str) -> str:
    """The text with `made` between its markers."""
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n{made}{END}{tail}"


def tables(folder: Path = RESULTS) -> str:
    """All tables: what has to hold, then every number of every machine."""
    contents = [read(file) for file in raw_files(folder)]
    if not contents:
        return "\nNothing is measured yet.\n"
    lines = ["", "### What has to hold", "", *_goals(contents)]
    for content in contents:
        lines += ["", f"### {content['hardware']}", ""]
        if content["device"] != "cpu":
            lines += [f"Its host: {content['host']}.", ""]
        for name, part in content["parts"].items():
            lines += [f"#### {name}", "", *_part(part), ""]
        lines.pop()
    return "\n".join(lines) + "\n"


def _goals(contents: Sequence[dict]) -> list[str]:
    lines = ["| what has to hold | machine | median | n | holds |", "| --- | --- | --- | --- | --- |"]
    for goal in GOALS:
        for content in [c for c in contents if meant(goal, c)]:
            found = judged(goal, content)
            lines.append(f"| {goal.text} | {content['hardware']} | {' | '.join(found)} |")
    return lines


def meant(goal: Goal, content: dict) -> bool:
    """Whether a goal is one of this machine."""
    return goal.device in (content["device"], content["hardware"].split(", ")[-1])


def judged(goal: Goal, content: dict) -> tuple[str, str, str]:
    """(median, n, "yes" or "no") of a goal on a machine."""
    measured = map(Measurement.from_dict, content["parts"].get(goal.part, {}).get("measurements", ()))
    fitting = [m for m in measured if m.quantity == goal.quantity and goal.subject in (None, m.subject) and m.values]
    if not fitting:
        return "–", "0", "not measured"
    best = min(fitting, key=lambda m: m.median)
    holds = "yes" if goal.least <= best.median <= goal.most else "no"
    which = "" if goal.subject else f" ({best.subject})"
    return shown(best.median, best.unit) + which, str(len(best.values)), holds


def _part(part: dict) -> list[str]:
    commit = (part["commit"] or "unknown")[:9] + (", changed" if part["dirty"] else "")
    versions = ", ".join(f"{name} {version}" for name, version in part["versions"].items())
    size = " · quick: these numbers mean nothing" if part["quick"] else ""
    made = f"`{part['command']}` · {part['date']} · commit {commit} · {versions} · {part['threads']} threads{size}"
    lines = [made, ""]
    if reason := part.get("failed"):
        return [*lines, f"Not measured: {reason}"]
    lines += ["| quantity | of | median | middle half | n | note |", "| --- | --- | --- | --- | --- | --- |"]
    for measurement in map(Measurement.from_dict, part["measurements"]):
        cells = [measurement.quantity, measurement.subject, *_numbers(measurement), measurement.note]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _numbers(measurement: Measurement) -> tuple[str, str, str]:
    if not measurement.values:
        return "–", "–", "0"
    low, high = (shown(value, measurement.unit) for value in measurement.quartiles)
    many = len(measurement.values) > 1
    return shown(measurement.median, measurement.unit), f"{low} – {high}" if many else "–", str(len(measurement.values))


def shown(value: float, unit: str) -> str:
    """A number for people: "412 ms", "1.87 ×", "0.21 %"; three significant digits, whole ones above 100."""
    scale, name = next(((s, n) for s, n in SCALES[unit] if abs(value) >= s), SCALES[unit][-1])
    amount = value / scale
    digits = 0 if abs(amount) >= 100 else 1 if abs(amount) >= 10 else 2
    return f"{amount:,.{digits}f} {name}"
