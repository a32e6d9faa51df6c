"""Claims: what a chapter asserts about its own run, measured, checked, and shown to the reader."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """One assertion with what was measured and what was promised."""

    text: str
    measured: float
    promise: str
    holds: bool
    always: bool
    """Whether it is judged in a shortened run too."""


class Claims:
    """Collects claims; `show` prints them as a table and fails the run where one does not hold.

    A claim that is made again in the same words replaces the earlier one: a reader who tries another setting, and puts
    it back, finds the claims as they were.

    A shortened run (the `smoke` profile) has not trained enough for its claims: it shows them without judging, except
    for those that hold of any run (`always`), such as a gradient that equals autograd's.

    Args:
        judge: whether claims that need the full run are judged.
    """

    def __init__(self, judge: bool = True) -> None:
        self.judge = judge
        self._claims: dict[str, Claim] = {}

    def add(
        self,
        text: str,
        measured: float,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        always: bool = False,
    ) -> None:
        """Claims that `measured` lies within the bounds given.

        Raises:
            ValueError: if no bound is given: such a claim could not fail.
        """
        if at_least is None and at_most is None:
            raise ValueError(f"claim {text!r} has no bound; give at_least, at_most, or both")
        promise = " and ".join(
            f"{word} {bound:.4g}" for word, bound in (("at least", at_least), ("at most", at_most)) if bound is not None
        )
        holds = (at_least is None or measured >= at_least) and (at_most is None or measured <= at_most)
        self._claims[text] = Claim(text, float(measured), promise, bool(holds), always)

    def show(self) -> None:
        """Shows the claims with their measured values.

        Raises:
            AssertionError: if a judged claim does not hold.
        """
        from IPython.display import Markdown, display

        rows = ["| | this chapter claims | promised | measured |", "|---|---|---|---|"]
        failed = []
        for claim in self._claims.values():
            judged = self.judge or claim.always
            mark = ("✓" if claim.holds else "✗") if judged else "–"
            rows.append(f"| {mark} | {claim.text} | {claim.promise} | {claim.measured:.4g} |")
            if judged and not claim.holds:
                failed.append(f"{claim.text}: promised {claim.promise}, measured {claim.measured:.4g}")
        if not self.judge:
            rows.append("\n*A shortened run: claims marked – need the full run and are not judged here.*")
        display(Markdown("\n".join(rows)))
        if failed:
            raise AssertionError("; ".join(failed))
