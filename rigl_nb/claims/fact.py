"""A sentence that no training decides: computed cases or a clock tell whether it holds."""

from dataclasses import dataclass

VERIFIED, DIFFERS = "verified", "differs"


@dataclass(frozen=True)
class Fact:
    """A sentence, in how many of the computed or measured cases it holds, and the notebook that shows them."""

    name: str
    quote: str
    section: str
    tested: str
    agree: int
    of: int
    notebook: str
    how: str = "by arithmetic"

    @property
    def word(self) -> str:
        """Whether all cases agree."""
        return VERIFIED if self.agree == self.of else DIFFERS
