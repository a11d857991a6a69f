"""What reading one checkpoint may cost: bytes of memory and steps of work, both spent before they are used."""

from __future__ import annotations

MOST_STEPS = 4_000_000  # a second or so; tables of contents of real files need some tens of thousands
FREE_BYTES = 256 << 20  # that even a small file may need
TIMES_THE_FILE = 8  # what a file may need more: itself, as float32 in place of bfloat16, and its tied weights


class OverBudgetError(Exception):
    """A file that asks for more than its weights can need; the message says of what."""


class Budget:
    """What is left of the bytes and steps for a file of ``size`` bytes."""

    __slots__ = ("bytes", "steps")

    def __init__(self, size: int) -> None:
        self.bytes = TIMES_THE_FILE * size + FREE_BYTES
        self.steps = MOST_STEPS

    def take(self, count: int) -> None:
        """Spend bytes of memory, before they are taken.

        Raises:
            OverBudgetError: the file asks for more than it can need.
        """
        self.bytes -= count
        if self.bytes < 0:
            raise OverBudgetError("it would take far more memory than weights in a file of its size can need")

    def step(self, count: int = 1) -> None:
        """Spend steps of work, before they are done.

        Raises:
            OverBudgetError: the file asks for more than it can need.
        """
        self.steps -= count
        if self.steps < 0:
            raise OverBudgetError("its table of contents asks for far more work than that of any weights")
