"""What the command line says of itself: its commands, their options, examples."""

import argparse
import re
import shutil
import textwrap
from dataclasses import dataclass

from rigl_nb.distributions import DISTRIBUTIONS
from rigl_nb.experiments import grids
from rigl_nb.masking.patterns import STRUCTURES
from rigl_nb.methods import METHODS
from rigl_nb.runs.cluster import LOOPBACK
from rigl_nb.runs.slurm import SLURM
from rigl_nb.runs.terminal import PROGRAM, WIDTH, fold
from rigl_nb.spec import OF_PARENT

TURNS = ("05_1", "06_1", "06_2", "05_2", "04", "12", "08", "13", "06_3", "05_3")  # of a campaign: most telling first
LEFT = 75  # exit code: the time budget is spent and runs are left (EX_TEMPFAIL, try again)
FILTERS = {  # fields of a run, by which `run` selects: type, allowed values, words
    "method": (str, tuple(METHODS), "how masks change"),
    "init": (str, (*DISTRIBUTIONS, *OF_PARENT), "how density is spread over the layers"),
    "density": (float, None, "share of the weights that is kept, such as 0.1"),
    "structure": (str, tuple(STRUCTURES), "what moves as one"),
    "multiplier": (int, None, "length of the training: 2 is twice the profile's"),
    "seed": (int, None, "one of the profile's seeds, such as 0"),
}
ABOUT = """\
RigL trains sparse neural networks; a published report checked its claims. This
is that report as notebooks that run, with the trainings behind its tables and
figures."""
START = f"""\
examples:
  {PROGRAM} reproduce            a first report, in a few minutes
  {PROGRAM} status               which runs exist, which are missing
  {PROGRAM} run --section 05_1   the trainings of one section

A command may be stopped at any time; the same command goes on from there.
Read on: `{PROGRAM} COMMAND --help` for what a command leaves where,
README.md for the whole story, CONTRIBUTING.md for the way through the code."""


@dataclass(frozen=True)
class Command:
    """What a command does, in a line; what it leaves; how it is called."""

    does: str
    leaves: str
    examples: tuple[str, ...]


COMMANDS = {
    "reproduce": Command(
        "Train the missing runs of a profile, then make the report.",
        """\
Leaves records in build/runs/ and the report in build/report/: report.html is
one file, html/ has linked pages, report.ipynb is one notebook. Prints the path
of report.html.""",
        ("", "--profile quick --sections 05_1", "--profile short --dry-run"),
    ),
    "run": Command(
        "Train the missing runs of a profile, without the report.",
        f"""\
Leaves one record for each run in build/runs/. What results/ or build/runs/ hold
is not trained again. Exit code: 0 all is there, 1 a run failed, 2 a wrong call,
{LEFT} runs are left.""",
        (
            "--profile short --section 05_1 --dry-run",
            "--profile quick --section 05_1 --method RigL --init ERK",
            "--profile short --time-budget 9m",
        ),
    ),
    "status": Command(
        "Count present, missing and failed runs; estimate the time.",
        "Leaves nothing. Prints a table, and what to do next.",
        ("", "--profile quick --sections 05_1 06_1"),
    ),
    "report": Command(
        "Make the report from the published records; train nothing.",
        """\
Leaves it in build/report/, as `reproduce` does. Prints the path of report.html.""",
        ("", "--sections 05_1"),
    ),
    "site": Command(
        "Make the report's pages for a web host; execute nothing.",
        """\
Leaves them in build/site/, from the committed notebooks: any host of static
pages serves that folder, under any address. Prints its path.""",
        ("", "--sections 05_1"),
    ),
    "notebooks": Command(
        "Make the committed notebooks anew from the published records.",
        """\
Leaves notebooks/*.ipynb, outputs included. If a cell fails, none of them
changes.""",
        ("", "--sections 05_1"),
    ),
    "publish": Command(
        "Check records, copy them into results/, remake the notebooks.",
        f"""\
Takes the runs of {", ".join(grids.EVIDENCE)}. Leaves their records in results/
and the notebooks in notebooks/: commit both.""",
        ("", "records-of-a-friend/", "--keep-notebooks"),
    ),
    "doctor": Command(
        "Look at this machine in a few lines: will the project work on it?",
        """\
Leaves nothing. ok: all is well; note: less than it could be; BAD: the job fails
here. Trains for seconds, and says what each profile would take. Exit code: 0
only where `reproduce` with the profile will work.""",
        ("", "--profile short"),
    ),
}


class Help(argparse.RawDescriptionHelpFormatter):
    """Help that fits the page and breaks no name at its hyphen."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=26, width=min(WIDTH, shutil.get_terminal_size().columns))

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """Errors say where help is, and leave out the usage."""

    def __init__(self, *words, **rest):
        super().__init__(*words, formatter_class=Help, **rest)

    def error(self, message: str) -> None:
        """Name the wrong value and leave with exit code 2."""
        self.exit(2, fold(f"{self.prog}: {message}\nHelp: {self.prog} --help") + "\n")


def parser() -> Parser:
    """The parser of the command line; `name` is the command, None where none is given."""
    listed = "\n".join(f"  {name:11}{command.does}" for name, command in COMMANDS.items())
    whole = Parser(
        PROGRAM, usage=f"{PROGRAM} COMMAND [options]", description=f"{ABOUT}\n\ncommands:\n{listed}", epilog=START
    )
    whole.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = whole.add_subparsers(dest="name", prog=PROGRAM, metavar="COMMAND", help=argparse.SUPPRESS)
    for name, command in COMMANDS.items():
        calls = "\n".join(f"  {PROGRAM} {name} {options}".rstrip() for options in command.examples)
        about = f"{command.does}\n\n{command.leaves}"
        sub = commands.add_parser(name, description=about, epilog=f"examples:\n{calls}")
        if name == "doctor":
            sub.add_argument("--profile", choices=grids.PROFILES, default="smoke", help="whose job (default: smoke)")
            continue
        what = {"notebooks": "notebooks to make", "publish": "notebooks to remake"}.get(name, "sections")
        sub.add_argument(
            "--sections",
            "--section",
            nargs="+",
            action="extend",
            type=_file,
            metavar="05_1",
            help=f"{what}, by number (default: all)",
        )
    for name in ("reproduce", "run"):
        _training(commands.choices[name])
    some = commands.choices["run"].add_argument_group("only some of the runs")
    for name, (kind, allowed, words) in FILTERS.items():
        several = f": {', '.join(allowed)}" if allowed else ""
        some.add_argument(f"--{name}", type=kind, choices=allowed, metavar=name[0].upper(), help=words + several)
    commands.choices["status"].add_argument("--profile", choices=grids.PROFILES, help="one profile (default: all)")
    commands.choices["status"].add_argument(
        "--scheduler", metavar="tcp://HOST:8786", help="what this dask cluster does now, in place of the table"
    )
    publish = commands.choices["publish"]
    publish.add_argument("folder", nargs="?", help="where the records are (default: build/runs/, this machine's own)")
    publish.add_argument("--allow-dirty", action="store_true", help="also records of uncommitted code")
    publish.add_argument("--keep-notebooks", action="store_true", help="leave the notebooks as they are")
    return whole


def _training(sub: Parser) -> None:
    """The options of the commands that train."""
    sizes = "\n".join(f"  {profile.name:6} {profile.about}" for profile in grids.PROFILES.values())
    sub.description += f"\n\nprofiles:\n{sizes}"
    sub.add_argument("--profile", choices=grids.PROFILES, default="smoke", help="size of the runs (default: smoke)")
    sub.add_argument("--workers", type=int, metavar="N", help="training processes (default: one for each CPU core)")
    places = "; ".join(f"{key}: {about}" for key, (about, _) in SLURM.items())
    sub.add_argument("--scheduler", metavar="tcp://HOST:8786", help="train on this dask cluster")
    sub.add_argument("--slurm", metavar="KEY=VALUE,…", help=f"train in SLURM's jobs; {places}")
    sub.add_argument(
        "--dashboard",
        metavar="HOST:PORT",
        default=LOOPBACK,
        help="where to show the cluster at work (default: this machine alone sees it)",
    )
    sub.add_argument(
        "--jobs-per-gpu",
        type=int,
        default=1,
        metavar="N",
        help="runs at a time on a GPU: on streams of one process, or, with --workers, as many processes of each worker,"
        " which take turns unless NVIDIA's MPS runs (default: 1)",
    )
    sub.add_argument(
        "--compact",
        action="store_true",
        help="runs of structure channel: train the small network of live channels between updates, in less time; the"
        " same run but for rounding, where dropout is 0; else dropout draws other numbers. Refused where runs of other"
        " structures are missing too: `run` leaves those out with --structure channel",
    )
    sub.add_argument("--fresh", action="store_true", help="train even what results/ holds already")
    sub.add_argument("--dry-run", action="store_true", help="show what is missing and its cost, and stop")
    sub.add_argument(
        "--time-budget",
        metavar="9m",
        help=f"end training before this time is over (90s, 9m, 1.5h); exit code {LEFT} where runs are left",
    )


def _file(number: str) -> str:
    """A section as its notebook's file names it, "05_1", also where it is written as on the pages: "5.1"."""
    found = re.fullmatch(r"0?(\d)(?:\.(\d))?", number)
    return "_".join(part for part in (f"0{found[1]}", found[2]) if part) if found else number
