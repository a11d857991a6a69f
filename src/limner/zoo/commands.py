"""The commands `limner models list | show | pull | verify`: they return text and rows; the command line prints them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DownloadError, ModelError, is_installed
from . import ModelInfo, detector_for, download, ensure, get, models, state, store

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class TextTable:
    """A table of text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""  # a sentence to print below

    def table(self) -> Table:
        """Return the rows as a table of rich."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for number, column in enumerate(self.columns):
            table.add_column(column, overflow="fold", no_wrap=number == 0)
        for row in self.rows:
            table.add_row(*row)
        return table

    def text(self) -> str:
        """Return the rows as lines of tab-separated fields, with a header line."""
        return "\n".join("\t".join(line) for line in (self.columns, *self.rows))


@dataclass(frozen=True)
class VerifyResult:
    """The outcome of verifying one file."""

    model: str
    file: Path
    problem: str  # "" where the file is valid

    def line(self) -> str:
        return f"{self.model}: {self.problem or 'good'} ({self.file})"


def list_models(*, everything: bool = False) -> TextTable:
    """Return the models one to a row: those with a short name, or all."""
    columns = ("name", "keypoints", "size", "speed", "published", "training data", "weights")
    selected = [m for m in models() if everything or m.aliases or m.bundled]
    sources = dict.fromkeys(r.source for m in selected for r in m.results[:1])
    more = "" if everything else f" {len(models()) - len(selected)} more: limner models list --all."
    note = f"Published results as in {'; '.join(sources)}. Details: limner models show NAME.{more}"
    return TextTable(columns, tuple(map(_row, selected)), note)


def _row(model: ModelInfo) -> tuple[str, ...]:
    result = model.results[0] if model.results else None
    short_names = [alias for alias in model.aliases if len(alias) <= len("rtmdet-nano-person")]
    return (
        ", ".join(short_names) or model.name,
        model.keypoints or model.kind,
        "" if model.megabytes is None else f"{model.megabytes:,.0f} MB",
        model.speed or "not known",
        f"{result.main_metric} ({result.dataset})" if result else "see its card",
        model.terms,
        state(model),
    )


def show(name: str) -> str:
    """Return the description of a model: for a bundled one its cards, for another one its metadata and licences.

    Raises:
        ModelError: there is no such model.
    """
    model = get(name)
    cards = [card.read_text(encoding="utf-8").strip() for card in model.cards]
    return "\n\n".join(cards) if cards else "\n".join(_describe(model))


def _describe(model: ModelInfo) -> Iterable[str]:
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
    yield f"  ONNX          {model.onnx or 'not published: it needs torch'}"
    yield f"  status        {state(model)}{_where(model)}"
    yield f"  verified by   {_verification(model)}"
    if model.detector:
        yield f"  detector      {detector_for(model).short_name}"
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
    found = [file for url in (model.weights, model.onnx) if url and (file := download.find_cached(url))]
    return "".join(f", {file}" for file in found)


def _verification(model: ModelInfo) -> str:
    if not model.weights:
        return "nothing: it ships with limner"
    expected = download.locate(model.weights).expected
    if expected:
        return f"SHA-256 that begins with {expected.sha256[:12]}, by {expected.source}"
    if model.sha256:
        return f"SHA-256 that begins with {model.sha256}{'; ONNX: as first downloaded' if model.onnx else ''}"
    return "the SHA-256 that it had when it was first downloaded"


def pull(
    names: Sequence[str],
    *,
    detectors: bool = True,
    onnx: bool = False,
    offline: bool = False,
    progress: download.Progress | None = None,
) -> list[tuple[ModelInfo, Path]]:
    """Download the weights of models, and those of their default detectors, and return their files.

    Args:
        names: of the models.
        detectors: their default detectors, too.
        onnx: download ONNX files, for a machine without torch; that is what happens where torch is missing here.
        offline: do not use the network.
        progress: called while files are downloaded.

    Raises:
        ModelError: there is no such model, or no ONNX file of it is published; nothing was downloaded.
        DownloadError: weights cannot be downloaded.
    """
    wanted: dict[str, ModelInfo] = {}
    for model in [get(name) for name in names]:
        wanted[model.name] = model
        if detectors and model.detector:
            wanted[model.detector] = detector_for(model)
    missing = [model.short_name for model in wanted.values() if onnx and not (model.onnx or model.bundled)]
    if missing:
        raise ModelError(
            f"no ONNX file of {' or '.join(missing)} is published: leave --onnx out; the .pth needs torch to run"
        )
    onnx = onnx or not is_installed("torch")
    return [
        (model, ensure(model.onnx if onnx and model.onnx else model, offline=offline, refresh=True, progress=progress))
        for model in wanted.values()
    ]


def verify(names: Sequence[str] = ()) -> list[VerifyResult]:
    """Read the weights on this machine again, all or those of the named models, and check their hashes.

    Raises:
        ModelError: there is no such model.
        DownloadError: the weights of a named model are not downloaded.
    """
    selected = [get(name) for name in names] or [m for m in models() if state(m) != "not downloaded"]
    return [_verify_model(model) for model in selected]


def _verify_model(model: ModelInfo) -> VerifyResult:
    if model.bundled:
        return VerifyResult(model.name, ensure(model), "")
    urls = [url for url in (model.weights, model.onnx) if url]
    url, file = next(((url, file) for url in urls if (file := download.find_cached(url))), ("", None))
    if not file:
        raise DownloadError(
            f"the weights of {model.name} are not downloaded: run `limner models pull {model.short_name}`"
        )
    location = download.locate(url)
    return VerifyResult(model.name, file, store.check(file, location.key, location.expected, fresh=True))
