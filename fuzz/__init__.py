"""Random cases for what limner reads from strangers: each may be refused in a sentence, and nothing else may go wrong.

A kind of case is a module of this folder with the names of `Kind`. `fuzz/run.py` runs kinds, `make fuzz` all of them.

    def make(random, folder): ...   # one case, from the random numbers alone; it may write files into the empty folder
    def attempt(case): ...          # opens it as users of limner do; a LimnerError is a right answer

Hostile bytes are made when a case runs, never kept, and `make` stays far below the limits that `attempt` has.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Protocol

KINDS = ("images", "videos", "checkpoints", "configs", "index_files", "addresses", "commands")


class Kind(Protocol):
    """What a module of this folder has."""

    NAME: str
    COUNT: int  # cases of the long form
    SHORT: int  # cases of the short form, which CI runs

    def make(self, random: random.Random, folder: Path) -> object:
        """Return one case; the same random numbers give the same case."""

    def attempt(self, case: object) -> None:
        """Open a case."""
