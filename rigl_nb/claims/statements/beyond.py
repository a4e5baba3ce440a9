"""Section 6.3, ours: what the report leaves for future work. Its questions are no claims of the report."""

from collections.abc import Mapping

from rigl_nb.claims.claim import Cell, Claim

_FUTURE = (
    "proposing distributions that attain maximum performance given a FLOP budget could be an interesting future "
    "direction"
)


def best_over(best: Cell, others: Mapping[str, Cell]) -> tuple[Claim, ...]:
    """Is the best of a search better than the others, by their names, at the same cost? Not asked of itself."""
    rivals = {name: cell for name, cell in others.items() if cell != best}
    return tuple(Claim(f"best over {name}", _FUTURE, "7", ((best, cell),), own=True) for name, cell in rivals.items())
