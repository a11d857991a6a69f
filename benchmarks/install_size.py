"""Size on disk of limner's core installation, and what each dependency costs: `python benchmarks/install_size.py`.

Installs the checkout without extras into an environment of its own, in a temporary folder, and adds up its files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOAL = 350  # megabytes

# runs in the new environment: (name, bytes of its files, what it requires) of each distribution
LIST = """
import importlib.metadata, json, re
rows = []
for d in importlib.metadata.distributions():
    size = sum(p.stat().st_size for f in d.files or () if (p := f.locate()).is_file() and p.suffix != ".pyc")
    needs = [re.match(r"[A-Za-z0-9._-]+", r)[0] for r in d.requires or () if "extra ==" not in r]
    rows.append((d.metadata["Name"], size, needs))
print(json.dumps(rows))
"""


def installed(folder: Path) -> list[tuple[str, int, list[str]]]:
    """Install limner's core into ``folder``; return each distribution with its bytes and what it requires."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = next(p for p in (folder / "bin" / "python", folder / "Scripts" / "python.exe") if p.exists())
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*command, "-c", ROOT / "constraints.txt", ROOT], check=True)
    listed = subprocess.run([python, "-c", LIST], check=True, capture_output=True, text=True).stdout
    return [(name, size, needs) for name, size, needs in json.loads(listed)]


def costs(rows: list[tuple[str, int, list[str]]], root: str = "limner") -> dict[str, int]:
    """Return the bytes of each direct requirement of ``root`` with what only it brings; "shared" is the rest."""
    key = {_plain(name): (size, [_plain(n) for n in needs]) for name, size, needs in rows}
    direct = key[root][1]

    def closure(name: str, seen: set[str]) -> set[str]:
        if name in key and name not in seen:
            seen.add(name)
            for needed in key[name][1]:
                closure(needed, seen)
        return seen

    brought = {name: closure(name, set()) for name in direct}
    total = {root: key[root][0]}
    for name in direct:
        others = set().union(*(closure_ for other, closure_ in brought.items() if other != name), direct) - {name}
        total[name] = sum(key[n][0] for n in brought[name] - others)
    everything = closure(root, set())
    total["shared by several"] = sum(key[n][0] for n in everything) - sum(total.values())
    return total


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sizes = costs(installed(Path(folder) / "venv"))
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{name:28} {size / 1e6:7.1f} MB")
    print(f"{'all':28} {sum(sizes.values()) / 1e6:7.1f} MB; the goal is {GOAL} MB")


if __name__ == "__main__":
    main()
