"""How many of MMPose's and MMDetection's own configs parse, and how many 2D top-down ones limner builds, by family.

    pip download --no-deps mmpose==1.3.2 mmdet==3.3.0   # and unzip both wheels into one folder
    python benchmarks/coverage.py --mim FOLDER

A config counts as built if it parses, and its network, its input and output settings and its decoder
can be built from it. No weights are allocated.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from limner import build, config
from limner.errors import LimnerError

# well-known groups of configs: name, part of the path
NAMED = [
    ("all of face_2d_keypoint", "face_2d_keypoint/"),
    ("all of hand_2d_keypoint", "hand_2d_keypoint/"),
    ("all of wholebody_2d_keypoint", "wholebody_2d_keypoint/"),
    ("RTMPose hand5", "hand_2d_keypoint/rtmpose/hand5/"),
    ("RTMPose body8", "body_2d_keypoint/rtmpose/body8/"),
    ("RTMPose coco-wholebody", "wholebody_2d_keypoint/rtmpose/coco-wholebody/"),
    ("every RTMPose and RTMW", "/rtmpose/"),
    ("every ViTPose", "ViTPose"),
    ("every HRNet and HRNetV2", "_hrnet"),
]


def configs(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and content of the 2D top-down configs below ``folder``."""
    for file in sorted(folder.rglob("*.py")):
        path = file.relative_to(folder).as_posix()
        if "_base_" in path or "_3d_" in path:
            continue
        cfg = config.load(file)
        if (cfg.get("model") or {}).get("type") == "TopdownPoseEstimator":
            yield path, cfg


def parsed(folder: Path) -> tuple[int, dict[str, str]]:
    """Return the number of config files below ``folder``, and the errors of those that do not parse."""
    files = sorted(folder.rglob("*.py"))
    failures = {}
    for file in files:
        try:
            config.load(file)
        except LimnerError as error:
            failures[file.relative_to(folder).as_posix()] = str(error).splitlines()[0]
    return len(files), failures


def type_name(layer: dict[str, Any]) -> str:
    """Return the type of a layer without its package."""
    return str(layer["type"]).rpartition(".")[2]


def family(cfg: dict[str, Any]) -> tuple[str, str]:
    """Return the types of backbone and head."""
    return type_name(cfg["model"]["backbone"]), type_name(cfg["model"]["head"])


def build_error(cfg: dict[str, Any]) -> str | None:
    """Return the error with which a config cannot be built, None if it can."""
    try:
        spec = build.pose_spec(cfg)
        build.decoder(spec.codec, spec.flip)
        with torch.device("meta"):
            build.network(cfg["model"])
    except LimnerError as error:
        return str(error)
    return None


def table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    rich_table = Table(title=title, title_justify="left")
    for i, name in enumerate(columns):
        rich_table.add_column(name, justify="right" if i and name != "why not" else "left", overflow="fold")
    for row in rows:
        rich_table.add_row(*row)
    return rich_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mim", type=Path, required=True, help="folder with the unzipped wheels")
    folder: Path = parser.parse_args().mim
    console = Console(width=140)
    for package in ("mmpose", "mmdet"):
        configs_of = folder / package / ".mim" / "configs"
        if configs_of.is_dir():
            total, failures = parsed(configs_of)
            console.print(f"{package}: {total - len(failures)} of {total} config files parse")
            for path, why in failures.items():
                console.print(f"  {path}: {why}")
    for part in ("mmpose/.mim/configs", ".mim/configs", "configs"):
        if (folder / part).is_dir():
            folder = folder / part
            break
    else:
        parser.error(f"{folder} has no mmpose/.mim/configs: give the folder with the unzipped wheels")
    reasons: dict[str, str | None] = {}
    families: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path, cfg in configs(folder):
        reasons[path] = build_error(cfg)
        families[family(cfg)].append(path)

    def counts(paths: list[str]) -> tuple[str, str]:
        return str(len(paths)), str(sum(reasons[p] is None for p in paths))

    rows = []
    for (backbone, head), paths in sorted(families.items()):
        why = Counter(reason for p in paths if (reason := reasons[p]) is not None)
        rows.append((backbone, head, *counts(paths), "; ".join(why)))
    console.print(table("By family", ("backbone", "head", "configs", "built", "why not"), rows))
    groups = [(name, *counts([p for p in reasons if part in p])) for name, part in NAMED]
    console.print(table("By group", ("group", "configs", "built"), groups))
    console.print(f"built: {sum(r is None for r in reasons.values())} of {len(reasons)}")


if __name__ == "__main__":
    main()
