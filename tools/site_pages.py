"""Pages of the site that are made from the code: the commands, the bundled models' cards, the keypoint sets, the API.

MkDocs calls `on_files` before it builds (see mkdocs.yml). `python tools/site_pages.py` prints what it makes.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

# links to files of the repository, which the site does not have
REPOSITORY_FILES = re.compile(
    r"\[([^\]]*)\]\((?:\.\./)?(?:src|training|benchmarks|tests|findings|demo|tools|LICENSE)[^)]*\)"
)


def commands() -> str:
    """Return the help of every command, as --help-all shows it."""
    import typer

    from limner.cli import app

    parts = ["# Commands\n\nMade from the code: what `limner COMMAND --help-all` prints.\n"]
    root = typer.main.get_command(app)

    def add(command: Any, names: list[str]) -> None:
        if hasattr(command, "commands"):
            for name in sorted(command.commands):
                add(command.commands[name], [*names, name])
            return
        title = " ".join(names)
        context = command.make_context(title, [], resilient_parsing=True)
        parts.append(f"## {title}\n\n{inspect.cleandoc(command.help or '').replace(chr(8), '').strip()}\n")
        for kind, heading in (("argument", "Arguments"), ("option", "Options")):
            rows = [p for p in command.get_params(context) if p.param_type_name == kind]
            if rows:
                parts.append(f"| {heading} | |\n|---|---|")
                parts.extend(f"| {_named(p)} | {_cell(p.help or '')} |" for p in rows)
                parts.append("")

    add(root, ["limner"])
    return _indented_examples("\n".join(parts))


def _named(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"`{param.metavar or param.name.upper()}`"
    names = ", ".join(f"`{name}`" for name in [*param.opts, *param.secondary_opts])
    return f"{names} `{param.metavar}`" if param.metavar and not param.is_flag else names


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _indented_examples(text: str) -> str:
    """Return help texts in which lines of commands are blocks of code."""
    lines, block = [], False
    for line in text.splitlines():
        is_command = line.startswith("limner ")
        if is_command != block:
            lines.append("```bash" if is_command else "```")
            block = is_command
        lines.append(line)
    return "\n".join([*lines, *(["```"] if block else [])]) + "\n"


def models() -> str:
    """Return the cards of the models that ship."""
    from limner import bundled

    parts = ["# Model cards\n\nOf the models that ship with limner; `limner models show NAME` prints them.\n"]
    for model in bundled.MODELS:
        parts += [re.sub(r"^#", "##", card.read_text("utf-8"), flags=re.MULTILINE) for card in model.cards]
    return "\n".join(parts)


def keypoint_sets() -> str:
    """Return the names of the keypoints of every set."""
    from limner import keypoints

    parts = ["# Keypoint sets\n\nWhat `--keypoints` takes, and the keypoints in the order of results.\n"]
    for name in keypoints.names():
        one = keypoints.load(name)
        mirrored = "" if (one.flip_indices == range(len(one))).all() else ", with mirror partners"
        sigmas = ", with sigmas for OKS" if len(one.sigmas) else ""
        parts.append(f"## {name}\n\n{len(one)} keypoints of {one.kind}{mirrored}{sigmas}.\n\n{', '.join(one.names)}\n")
    return "\n".join(parts)


def api() -> str:
    """Return the page that lists every public name; their docstrings are filled in by mkdocstrings."""
    import limner

    parts = ["# Python, every name\n\nWhat `import limner` offers; [the guide](../python.md) shows how it is used.\n"]
    for name in limner.__all__:
        if not name.startswith("_"):
            parts.append(f"::: {getattr(limner, name).__module__}.{name}\n")
    return "\n".join(parts)


def index() -> str:
    """Return the README as the first page: its links are of the repository's root."""
    text = (ROOT / "README.md").read_text("utf-8")
    return text.replace("](docs/", "](").replace('src="docs/', 'src="')


PAGES = {
    "index.md": index,
    "reference/commands.md": commands,
    "reference/models.md": models,
    "reference/keypoints.md": keypoint_sets,
    "reference/api.md": api,
}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to those that MkDocs has found."""
    from mkdocs.structure.files import File

    for path, make in PAGES.items():
        files.append(File.generated(config, path, content=make()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the text of a page in which the names of the repository's files are no links."""
    return REPOSITORY_FILES.sub(r"\1", markdown)


if __name__ == "__main__":
    for path, make in PAGES.items():
        print(f"----- {path}\n{make()[:2000]}")
