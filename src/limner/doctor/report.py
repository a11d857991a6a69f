"""All checks as lines of text, fit to be pasted into an issue: no personal path, no name of a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from . import checks
from .checks import Check

CHECKS: tuple[Callable[[], Iterator[Check]], ...] = (
    *(checks.machine, checks.packages, checks.engines, checks.codecs, checks.cameras, checks.display, checks.cache),
)
_MARKS = {"ok": "ok", "missing": "-", "broken": "!!"}


class Report:
    """What the checks find, in the order in which they are made.

    Args:
        found: the checks; None makes all of them.
    """

    def __init__(self, found: Iterable[Check] | None = None) -> None:
        self._found = all_checks() if found is None else found
        self._known: list[Check] = []

    def lines(self) -> Iterator[str]:
        """Yield a line for each check as it is made, then what mends what is missing or broken."""
        for check in self._found:
            self._known.append(check)
            yield f"{_MARKS[check.state]:>2}  {check.about}: {check.text}"
        for state, title in (("broken", "To mend"), ("missing", "What could be added")):
            remedies = [check for check in self._known if check.state == state and check.remedy]
            if remedies:
                yield ""
                yield f"{title}:"
                yield from (f"  {check.about}: {check.remedy}" for check in remedies)

    @property
    def broken(self) -> bool:
        """Whether something that is there does not work."""
        return any(check.state == "broken" for check in self._known)


def all_checks() -> Iterator[Check]:
    """Make all checks, one after the other; one that fails itself is a finding, too."""
    for make in CHECKS:
        try:
            yield from make()
        except Exception as error:  # a doctor that falls over its patient says nothing of the rest
            yield Check(make.__name__, "broken", checks.shown(f"{type(error).__name__}: {error}"), "please report this")
