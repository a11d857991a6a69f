"""The plot and the table of the results of `peers`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

WIDTH, LABELS, RIGHT = 980, 490, 70  # widths in pixels: the plot, the labels on the left, the numbers on the right
BAR, GAP, TITLE = 18, 7, 46
OURS, THEIRS, LIMIT = "#0f8b8d", "#9aa5b1", "#e9b44c"
BEGIN, END = "<!-- numbers: made by benchmarks/peers.py report -->", "<!-- end of numbers -->"


@dataclass(frozen=True)
class Bar:
    """One bar of the plot."""

    label: str
    value: float
    colour: str = OURS


@dataclass(frozen=True)
class Chart:
    """Bars on one scale; longer is better."""

    title: str
    unit: str
    bars: Sequence[Bar]


def report(folder: Path, svg: Path, page: Path) -> None:
    """Draw ``svg`` and replace the table in ``page`` from the JSON files of a folder; print the table.

    Raises:
        SystemExit: there are no such files, or the page has no markers for the table.
    """
    files = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    entries = {entry["benchmark"]: entry for entry in files if isinstance(entry, dict) and "benchmark" in entry}
    if not entries:
        raise SystemExit(f"'{folder}' has no file of `peers.py ... --json`: run the benchmarks first")
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"'{page}' has no markers for the table: it needs the lines '{BEGIN}' and '{END}'")
    markdown = table(entries)
    svg.write_text(svg_of(charts(entries)), encoding="utf-8")
    page.write_text(f"{before}{BEGIN}\n\n{markdown}\n{END}{after}", encoding="utf-8")
    print(markdown)


def table(entries: dict[str, Any]) -> str:
    """Return the results as Markdown, a table for each benchmark."""
    parts = []
    for name in ("limits", "mmpose", "rtmlib", "clip"):
        if name not in entries:
            continue
        entry = entries[name]
        parts.append(f"`{name}` on {entry['machine']}\n\n{_markdown(entry['columns'], entry['rows'])}\n")
    return "\n".join(parts)


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [columns, *([*row, *[""] * (len(columns) - len(row))] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    head, *body = ("| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells)
    return "\n".join([head, "|" + "|".join("-" * (w + 2) for w in widths) + "|", *body])


def charts(entries: dict[str, Any]) -> list[Chart]:
    """Return the charts of the results."""
    all_charts = []
    if entry := entries.get("limits"):
        median_times = entry["medians"]
        bars = []
        for backend in ("torch", "onnxruntime", "openvino"):
            one, many = f"{backend}, latency, 1", f"{backend}, throughput, {entry['sizes'][-1]}"
            bars += [Bar(f"{backend}, one crop a call", 1 / median_times[one])] if one in median_times else []
            bars += [Bar(f"{backend}, a file in batches", 1 / median_times[many])] if many in median_times else []
        bars.append(Bar("limit: one large matrix product", 1 / entry["limit"], LIMIT))
        all_charts.append(Chart("RTMPose-m 256x192, float32: the network in limner's engines", "crops/s", bars))
    if entry := entries.get("mmpose"):
        bars = _frames(entry, [name for name in entry["medians"] if "networks alone" not in name])
        all_charts.append(Chart("YOLOX-s + RTMPose-m face6 on a 720p video", "frames/s", bars))
    if entry := entries.get("rtmlib"):
        bars = _frames(entry, sorted(entry["medians"], key=lambda name: (not name.startswith("rtmlib"), name)))
        all_charts.append(
            Chart(f"YOLOX-s + RTMPose-m body, detection at every {entry['interval']}th frame", "frames/s", bars)
        )
    if entry := entries.get("clip"):
        bars = _frames(entry, [name for name in entry["medians"] if not name.startswith("PyAV")])
        bars += [Bar("limit: PyAV alone decodes and encodes", entry["frames"] / entry["medians"]["PyAV alone"], LIMIT)]
        all_charts.append(Chart("limner's own small model on a 720p video, drawn and encoded", "frames/s", bars))
    return all_charts


def _frames(entry: dict[str, Any], names: Sequence[str]) -> list[Bar]:
    def colour(name: str) -> str:
        return THEIRS if name.startswith(("MMPose", "rtmlib")) else OURS

    return [Bar(name, entry["frames"] / entry["medians"][name], colour(name)) for name in names]


def svg_of(charts_to_draw: Sequence[Chart]) -> str:
    """Return charts one below the other as an SVG image."""
    lines, y = list[str](), 0
    for chart in charts_to_draw:
        longest = max(bar.value for bar in chart.bars)
        max_length = WIDTH - LABELS - RIGHT - 20
        y += TITLE
        lines.append(f'<text x="16" y="{y - 14}" class="title">{escape(chart.title)} ({chart.unit})</text>')
        for bar in chart.bars:
            length = max_length * bar.value / longest
            lines.append(f'<text x="{LABELS - 10}" y="{y + BAR - 5}" text-anchor="end">{escape(bar.label)}</text>')
            lines.append(f'<rect x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{bar.colour}"/>')
            lines.append(f'<text x="{LABELS + length + 6:.1f}" y="{y + BAR - 5}">{bar.value:.3g}</text>')
            y += BAR + GAP
    height = y + 16
    style = (
        "text{font:13px system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#26323d}"
        ".title{font-weight:600;font-size:14px}"
    )
    body = "\n".join(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-label="The speed of limner and of its peers">\n<style>{style}</style>\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )
