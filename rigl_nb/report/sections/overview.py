"""The front page: what is known today, at each scale of evidence, and what is open."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd
from IPython.display import Markdown

from rigl_nb import paths
from rigl_nb.claims import judge
from rigl_nb.claims.fact import VERIFIED, Fact
from rigl_nb.claims.judge import Answer
from rigl_nb.experiments import grids, inventory
from rigl_nb.experiments.profiles import PROFILES
from rigl_nb.methods import METHODS, Method, gradient_magnitude, momentum_magnitude, uniform_random
from rigl_nb.report.figures.board import ours
from rigl_nb.report.sections import discussion, shared
from rigl_nb.report.sections.ladder import PRIMARY, Rung
from rigl_nb.runs.store import Store
from rigl_nb.runs.terminal import count

SCORES = {
    uniform_random: "at random",
    gradient_magnitude: "largest |gradient|",
    momentum_magnitude: "largest |momentum|",
}
EXTRA = {"SET": "α, ΔT", "RigL": "α, ΔT", "SNFS": "α, ΔT", "RigL-SG": "α, ΔT", "RigL-SM": "α, ΔT"}


def primary(rungs: Iterable[Rung]) -> list[Rung]:
    """The claims of the report's summary, in the order of `PRIMARY`."""
    found = {rung.claim.name: rung for rung in rungs}
    return [found[name] for name in PRIMARY]


def known(rungs: Sequence[Rung], facts: Sequence[Fact]) -> Markdown:
    """What is known today, a line for each scale of evidence that has something to say."""
    return Markdown("\n".join(f"- {line}" for line in _known(rungs, facts)))


def _known(rungs: Sequence[Rung], facts: Sequence[Fact]) -> Iterator[str]:
    if not any(judge.FULL in rung.answers and rung.answers[judge.FULL].pairs for rung in rungs):
        yield "**No claim has been reproduced or contradicted yet**: no full training has a record."
    true, cases = sum(fact.word == VERIFIED for fact in facts), sum(fact.of for fact in facts)
    yield f"**Costs and counts** ({cases} cases): {true} of {count(len(facts), 'sentence')} are verified."
    printed = [rung.answers[judge.PRINTED] for rung in rungs if judge.PRINTED in rung.answers and not rung.claim.own]
    words = Counter(answer.word for answer in printed)
    shown = ", ".join(f"{n} {word}" for word, n in words.most_common())
    yield f"**By the report's own numbers**, three seeds a cell: of {len(printed)} claims that can be asked, {shown}."
    central = next(rung for rung in rungs if rung.claim.name == next(iter(PRIMARY)))
    if judge.PRINTED in central.answers:
        line = f"Of these, the central one, {_words(central)}: {_numbers(central.answers[judge.PRINTED])}."
        for _, _, words, then in discussion.readings([central]).itertuples(index=False):
            line += f" One cell is printed twice; with {words}: {then} if tested alone."
        yield line
    against = [rung for rung in rungs if _word(rung, judge.PRINTED) == "not supported"]
    if against:
        listed = "; ".join(f"{r.claim.name}, {ours(r.answers[judge.PRINTED])}" for r in against)
        yield f"Not supported: {listed}."
    yield "**The published code** differs from the rules ([notebook 08](08_published_code_audit.ipynb) has the list)."
    for scale in judge.SMALL:
        asked = [rung for rung in rungs if scale in rung.answers and not rung.claim.own]
        found = [rung.answers[scale] for rung in asked]
        if found:
            words = Counter(answer.word for answer in found)
            shown = ", ".join(f"{n} {word}" for word, n in words.most_common())
            data = {cell.data for answer in found for cell in answer.claim.cells if cell not in answer.missing}
            about = shared.words(PROFILES[scale], data)
            line = f"**Our `{scale}` runs** ({about}): of {count(len(found), 'claim')}, {shown}."
            same = [answer for answer in found if answer.outcome == judge.SUPPORTED]
            if longer := sum(_longer(answer) for answer in same):
                which = "All of these" if longer == len(same) else f"{longer} of these {len(same)}"
                line += f" {which} compare a longer training with a shorter one: that says little."
            if where := sorted({shared.number(r.section) for r in asked if r.answers[scale].outcome == judge.OPPOSITE}):
                line += f" The opposite: section {', '.join(where)}."
            yield line
    yield from _full(rungs)


def _longer(answer: Answer) -> bool:
    """Whether each pair compares a longer training with a shorter one."""
    return all(left.multiplier > right.multiplier for left, right in answer.claim.pairs)


def _full(rungs: Sequence[Rung]) -> Iterator[str]:
    found = [rung.answers[judge.FULL] for rung in rungs if judge.FULL in rung.answers and not rung.claim.own]
    decided = [answer for answer in found if answer.pairs]
    if decided:
        words = Counter(answer.word for answer in decided)
        yield "**At the report's length**: " + ", ".join(f"{n} {word}" for word, n in words.most_common()) + "."
    runs = inventory.together(judge.FULL, Store(paths.results()))
    hours = inventory.gpu_hours([*runs.todo.values(), *runs.future])
    yield (
        f"**Open**: {runs.missing:,} of {runs.total:,} full trainings, {hours:,.0f} GPU-hours by the report's own "
        "times ([notebook 10](10_batches.ipynb))."
    )


def _words(rung: Rung) -> str:
    return f"“{PRIMARY.get(rung.claim.name, rung.claim.name)}”"


def _numbers(answer: Answer) -> str:
    agree = f", {answer.agree} of {len(answer.pairs)} pairs agree" if len(answer.pairs) > 1 else ""
    return f"{ours(answer)} points{agree}, {answer.word}"


def _word(rung: Rung, scale: str) -> str | None:
    return rung.answers[scale].word if scale in rung.answers else None


def methods() -> pd.DataFrame:
    """The methods of the report: what an update drops and grows, and what that needs."""
    return pd.DataFrame([_method(method) for method in METHODS.values() if method.name in printed_methods()])


def printed_methods() -> set[str]:
    """The methods that the report's tables name."""
    tables = ("table2_cifar10", "table3_cifar100", "table5_redistribution")
    return {name for table in tables for name in grids.published(table)["method"]}


def _method(method: Method) -> dict[str, str]:
    needs = "every iteration" if method.dense_momentum else "at updates" if method.dense_gradients else "never"
    needs = "while it is dense" if method.start == "dense" else needs
    starts = {"none": "–", "dense": "dense", "parent": "the mask of Pruning", "sparse": "sparse"}
    share = {None: "no"} | {score: f"by mean {words.removeprefix('largest ')}" for score, words in SCORES.items()}
    return {
        "method": method.name,
        "start": "fewer channels" if method.narrow else starts[method.start],
        "drops": "smallest |weight|" if method.moves else "–",
        "grows": SCORES.get(method.growth, "–"),
        "moves weights between layers": share[method.share] if method.growth else "–",
        "dense gradients": needs if method.masked else "–",
        "extra hyperparameters": EXTRA.get(method.name, "when to prune" if method.start == "dense" else "–"),
    }


def runs() -> pd.DataFrame:
    """How many runs of every section are published, by profile: "49 of 49"; "–" where a profile has none."""
    results, rows = Store(paths.results()), []
    for name in grids.SECTIONS:
        row = {"section": shared.number(name)}
        for profile in grids.EVIDENCE:
            found = inventory.take(name, profile, results)
            row[profile] = f"{found.present} of {found.total}" if found.total else "–"
        rows.append(row)
    return pd.DataFrame(rows)
