"""The board of claims: each claim with its answer at every scale that has one, an HTML table with small intervals."""

import html
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from math import isnan

from IPython.display import HTML

from rigl_nb.claims import judge
from rigl_nb.claims.claim import MATCH_MARGIN, Claim
from rigl_nb.claims.estimate import Estimate
from rigl_nb.claims.fact import Fact
from rigl_nb.claims.instability import Limits
from rigl_nb.claims.judge import Answer
from rigl_nb.claims.power import could_show

TITLES = {"printed": "by the printed numbers", "quick": "quick runs", "short": "short runs", "paper": "paper runs"}
SYMBOLS = {judge.SUPPORTED: "✓", judge.OPPOSITE: "✗", judge.NO_DIFFERENCE: "≈", judge.UNDECIDED: "?"}
NONE = "–"
UNANSWERED = f"<td>{NONE} <small>no numbers to judge it by yet</small></td>"  # no scale has an answer
REACH, WIDTH, HEIGHT = 1.6, 132, 16  # points to each side of a drawn interval; its size in pixels
CAPTION = (
    f"Differences in points of test accuracy with 95 % intervals, drawn from −{REACH:g} to +{REACH:g}; one that goes "
    "on beyond ends in an arrow. In the green band the claim holds. “agree”: pairs of cells whose difference makes the "
    "sentence true; “clearly”: those that show it alone. “n”: runs. “without”: cells that have no number; a pair needs "
    "both of its cells. “could show”: the difference that such runs find in four of five cases."
)


def board(rungs: Iterable, uuid: str, names: Mapping[str, str] | None = None, facts: Sequence[Fact] = ()) -> HTML:
    """A table of claims (`ladder.Rung`), those of one quote together; a column for each scale with an answer.

    `names`: other words for a claim, by its name; then quotes are left out. `facts` come first, across all scales.
    """
    rungs = list(rungs)
    shown = [scale for scale in judge.SCALES if any(scale in rung.answers for rung in rungs)]
    titles = [TITLES[scale] for scale in shown] or [fact.how for fact in facts[:1]] or ["answer"]
    lines = [f'<table id="T_{uuid}" class="board"><caption>{CAPTION}</caption>']
    lines.append(f"<thead><tr><th>claim</th>{''.join(f'<th>{title}</th>' for title in titles)}</tr></thead><tbody>")
    for fact in facts:
        word = f"<b>{'✓' if fact.agree == fact.of else '✗'}\N{NO-BREAK SPACE}{fact.word}</b> {fact.how}"
        answer = f'<td colspan="{len(titles)}">{word}<br><small>{fact.agree} of {fact.of}</small></td>'
        words = f"{fact.name} <small>[{fact.section}]</small><br><small>{fact.tested}</small>"
        lines.append(f"<tr><td>{words}</td>{answer}</tr>")
    for quote, group in groupby(rungs, key=lambda rung: (rung.claim.quote, rung.claim.section)):
        if names is None:
            lines.append(f'<tr class="quote"><th colspan="{1 + len(titles)}">{_quote(*quote)}</th></tr>')
        for rung in group:
            cells = "".join(_td(TITLES[scale], cell(rung.answers.get(scale))) for scale in shown)
            lines.append(f"<tr><td>{_claim(rung.claim, names)}</td>{cells or UNANSWERED}</tr>")
    return HTML("\n".join([*lines, "</tbody></table>"]))


def _td(label: str, content: str) -> str:
    """A cell that a phone shows below its claim, behind the label; where it is empty, not at all."""
    return f'<td class="none">{NONE}</td>' if content == NONE else f'<td data-label="{label}">{content}</td>'


def cell(answer: Answer | None) -> str:
    """An answer in HTML: its word, the drawn interval, the numbers; "–" where there is none."""
    if answer is None or not answer.pairs:
        return NONE
    low, high = answer.interval
    word = f"<b>{SYMBOLS[answer.outcome]}\N{NO-BREAK SPACE}{answer.word}</b>"
    drawn = "" if isnan(low) else interval(answer.claim, low, answer.estimate.value, high)
    return f"{word}<br>{drawn}{ours(answer)}<br><small>{'; '.join(_details(answer))}</small>"


def ours(answer: Answer) -> str:
    """The mean difference and its 95 % interval, where there is one: "+0.17 [−0.01, +0.36]"."""
    return _bounds(answer.estimate)


def _bounds(estimate: Estimate | Limits) -> str:
    low, high = estimate.interval()
    ends = "" if isnan(low) else f" [{low:+.2f},\N{NO-BREAK SPACE}{high:+.2f}]".replace("-", "−")
    return _value(estimate) + ends


def _details(answer: Answer) -> Iterable[str]:
    yield f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{answer.n}"
    if len(answer.pairs) > 1:
        clearly = f", {answer.clear} clearly" if answer.claim.every else ""
        average = ": on average only" if answer.on_average else ""
        yield f"{answer.agree} of {len(answer.pairs)} agree{clearly}{average}"
        if answer.claim.every:
            yield f"the weakest: {_bounds(answer.weakest)}"
    if answer.p <= judge.LEVEL < answer.adjusted:
        yield f"p = {answer.p:.3f} alone, {answer.adjusted:.2f} corrected for several claims"
    if answer.missing:
        yield f"without {len(answer.missing)} of {len(answer.claim.cells)} cells"
    if any(answer.broken):
        yield f"{sum(answer.broken)} broken apart" + (f", with them {_value(answer.whole)}" if answer.whole else "")
    if answer.scale in judge.SMALL and answer.word == "cannot tell" and not isnan(size := could_show(answer.estimate)):
        yield f"could show ±{size:.1f}"


def _value(estimate) -> str:
    return f"{estimate.value:+.2f}".replace("-", "−")


def interval(claim: Claim, low: float, value: float, high: float) -> str:
    """A small drawing of an interval, with the band where the claim holds; it takes the page's colour."""

    def x(points: float) -> float:
        return round(WIDTH / 2 * (1 + max(-REACH, min(REACH, points)) / REACH), 1)

    left, right = (x(end) for end in band(claim))
    middle = HEIGHT / 2
    parts = [f'<rect x="{left}" y="0" width="{round(right - left, 1)}" height="{HEIGHT}" class="holds"/>']
    parts.append(f'<path d="M{WIDTH / 2:g} 0V{HEIGHT}" class="zero"/><path d="M{x(low)} {middle:g}H{x(high)}"/>')
    if low < -REACH:
        parts.append(f'<path d="M5 {middle - 3:g}L1 {middle:g}L5 {middle + 3:g}"/>')
    if high > REACH:
        parts.append(f'<path d="M{WIDTH - 5} {middle - 3:g}L{WIDTH - 1} {middle:g}L{WIDTH - 5} {middle + 3:g}"/>')
    if abs(value) <= REACH:
        parts.append(f'<circle cx="{x(value)}" cy="{middle:g}" r="3"/>')
    label = f"from {low:+.2f} to {high:+.2f}"
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return f'<svg class="interval" role="img" aria-label="{label}" {size}>{"".join(parts)}</svg> '


def band(claim: Claim) -> tuple[float, float]:
    """Where a difference makes the claim true, cut to what is drawn."""
    if claim.relation == "matches":
        return -claim.margin, claim.margin
    if claim.relation == "not better":
        return -REACH, MATCH_MARGIN
    return (claim.margin if claim.relation == "outperforms" else -claim.margin), REACH


def _quote(quote: str, section: str) -> str:
    where = f"section {section}" if section[0].isdigit() else section
    return f"“{html.escape(quote, quote=False)}” <small>({html.escape(where)})</small>"


def _claim(claim: Claim, names: Mapping[str, str] | None) -> str:
    words = f"{names[claim.name]} <small>[{claim.section}]</small>" if names else html.escape(claim.name, quote=False)
    own = " <small>(our question)</small>" if claim.own else ""
    return f"{words}{own}<br><small>{html.escape(claim.statement, quote=False).replace('-', '−')}</small>"
