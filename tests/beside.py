"""What lies beside the repository and never enters it, and what stands for a family of tests where it is absent."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
NEEDED = "needs the data folder ../shared beside the repository"


def family(values: Iterable[Any], *, there: bool = True, needs: str = NEEDED) -> list[Any]:
    """Return the parameters of a family of tests; without what it needs, one that is skipped and says what to do."""
    values = list(values)
    return values if there and values else [pytest.param(None, marks=pytest.mark.skip(reason=needs), id="all")]
