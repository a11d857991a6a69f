"""What `limner models list | show | pull | verify` do: they return text and rows; the command line prints them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DownloadError
from . import ModelInfo, detector_for, download, ensure, get, models, state, store

if TYPE_CHECKING:
    from rich.table import Table

_STATES = {"bundled": "bundled", "here": "here", "fetch": "to fetch"}


@dataclass(frozen=True)
class TextTable:
    """A table of text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""  # a sentence to print below

    def table(self) -> Table:
        """Return the rows as a table of rich."""
        from rich.table import Table

        made = Table(box=None, pad_edge=False, header_style="bold")
        for number, column in enumerate(self.columns):
            made.add_column(column, overflow="fold", no_wrap=number == 0)
        for row in self.rows:
            made.add_row(*row)
        return made

    def text(self) -> str:
        """Return the rows as lines of fields between tabs, with a head line."""
        return "\n".join("\t".join(line) for line in (self.columns, *self.rows))


@dataclass(frozen=True)
class VerifyResult:
    """What was found when a file was verified."""

    model: str
    file: Path
    problem: str  # "" where the file is good

    def line(self) -> str:
        return f"{self.model}: {self.problem or 'good'} ({self.file})"


def list_models(*, everything: bool = False) -> TextTable:
    """Return the models one to a row: those with a short name, or all."""
    columns = ("name", "keypoints", "size", "speed", "published", "training data", "weights")
    chosen = [m for m in models() if everything or m.aliases or m.bundled]
    sources = dict.fromkeys(r.source for m in chosen for r in m.results[:1])
    more = "" if everything else f" {len(models()) - len(chosen)} more: limner models list --all."
    note = f"Published results as in {'; '.join(sources)}. Details: limner models show NAME.{more}"
    return TextTable(columns, tuple(map(_row, chosen)), note)


def _row(model: ModelInfo) -> tuple[str, ...]:
    result = model.results[0] if model.results else None
    short = [alias for alias in model.aliases if len(alias) <= len("rtmdet-nano-person")]
    return (
        ", ".join(short) or model.name,
        model.keypoints or model.kind,
        "" if model.megabytes is None else f"{model.megabytes:,.0f} MB",
        model.speed or "not known",
        f"{result.headline} ({result.dataset})" if result else "see its card",
        model.terms,
        _STATES[state(model)],
    )


def show(name: str) -> str:
    """Return what is known of a model: for a bundled one its cards, for another one its facts and terms.

    Raises:
        ModelError: There is no such model.
    """
    model = get(name)
    cards = [card.read_text(encoding="utf-8").strip() for card in model.cards]
    return "\n\n".join(cards) if cards else "\n".join(_facts(model))


def _facts(model: ModelInfo) -> Iterable[str]:
    yield model.name
    if model.aliases:
        yield f"  also called   {', '.join(model.aliases)}"
    yield f"  kind          {model.kind}, {model.family}"
    if model.keypoints:
        yield f"  keypoints     {model.keypoints}"
    yield f"  input         {model.input_size[0]} wide, {model.input_size[1]} high"
    yield f"  size          {_size(model)}"
    if model.gmacs is not None:
        yield f"  speed         {model.speed} ({model.gmacs:g} x 10^9 multiplications an input)"
    yield f"  config        {model.config}{'' if model.has_config else ' (MMPose has it, limner has no copy)'}"
    yield f"  weights       {model.weights or model.file}"
    yield f"  here          {_STATES[state(model)]}{_where(model)}"
    yield f"  verified by   {_proof(model)}"
    if model.detector:
        yield f"  detector      {detector_for(model).shortest}"
    for result in model.results:
        numbers = ", ".join(f"{metric} {value:g}" for metric, value in result.metrics.items())
        yield f"  published     {result.dataset}: {numbers} ({result.source})"
    for what, terms in model.licences().items():
        yield f"  terms         {what}: {terms}"


def _size(model: ModelInfo) -> str:
    if model.parameters is None:
        return "not known"
    return f"{model.parameters / 1e6:.1f} M parameters, {model.megabytes:,.0f} MB"


def _where(model: ModelInfo) -> str:
    found = download.find_cached(model.weights) if model.weights else None
    return f", {found}" if found else ""


def _proof(model: ModelInfo) -> str:
    if not model.weights:
        return "nothing: it ships with limner"
    pin = download.place(model.weights).pin
    if pin:
        return f"SHA-256 that begins with {pin.sha256[:12]}, by {pin.says}"
    if model.sha256:
        return f"SHA-256 that begins with {model.sha256}"
    return "the SHA-256 that it had when it was first fetched"


def pull(
    names: Sequence[str],
    *,
    detectors: bool = True,
    offline: bool = False,
    progress: download.Progress | None = None,
) -> list[tuple[ModelInfo, Path]]:
    """Fetch the weights of models, and those of their default detectors, and return where they are.

    Raises:
        ModelError: There is no such model; nothing was fetched.
        DownloadError: Weights cannot be had.
    """
    wanted: dict[str, ModelInfo] = {}
    for model in [get(name) for name in names]:
        wanted[model.name] = model
        if detectors and model.detector:
            wanted[model.detector] = detector_for(model)
    return [(model, ensure(model, offline=offline, renew=True, progress=progress)) for model in wanted.values()]


def verify(names: Sequence[str] = ()) -> list[VerifyResult]:
    """Read the weights that are here again, all or those of the named models, and check their hashes.

    Raises:
        ModelError: There is no such model, or the weights of a named one are not here.
    """
    chosen = [get(name) for name in names] or [m for m in models() if state(m) != "fetch"]
    return [_verdict(model) for model in chosen]


def _verdict(model: ModelInfo) -> VerifyResult:
    if not model.weights:
        return VerifyResult(model.name, ensure(model), "")
    file = download.find_cached(model.weights)
    if not file:
        raise DownloadError(f"the weights of {model.name} are not here: limner models pull {model.shortest}")
    place = download.place(model.weights)
    return VerifyResult(model.name, file, store.check(file, place.key, place.pin, fresh=True))
