"""What the texts say is so: the packages that they install, the files that they name, the name of the project."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from limner.errors import EXTRAS

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML: run this test with Python 3.11 or newer")

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# builds of a dependency under a name of their own
VARIANTS = {"onnxruntime-gpu": "onnxruntime"}
TAKES_A_VALUE = ("-c", "--constraint", "-r", "--requirement")
ENGLISH = ("in", "or", "and", "to", "with", "beside", "where")
WORD = re.compile(r"""\\?"([^"\\]+)\\?"|'([^']+)'|([-\w.\[\],<>=!~{}$@/+]+)""")
SUFFIXES = {".md", ".py", ".toml", ".txt", ".yml", ".yaml", ".json", ".sh", ""}


def texts() -> list[Path]:
    """Return every text file of the repository but this one, and the findings, which install what they are about."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:  # a source archive
        found = [path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]
    else:
        found = [ROOT / line for line in listed.stdout.splitlines()]
    left_out = {Path(__file__).resolve(), *(ROOT / "findings").glob("*.sh")}
    return [path for path in found if path.suffix in SUFFIXES and path not in left_out and path.is_file()]


def name_of(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;@]", requirement, maxsplit=1)[0].lower()


def dependencies() -> set[str]:
    extras = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
    return {name_of(requirement) for requirement in [*PROJECT["dependencies"], *extras, *PROJECT_BUILD]}


PROJECT_BUILD = ("pip", "setuptools")


def installed_by(sentence: str) -> list[str]:
    """Return what a command that begins behind ``pip install`` installs; the text around it may go on behind it."""
    named, before, place = [], "", 0
    while found := WORD.match(sentence, place):
        word = next(group for group in found.groups() if group is not None)
        if word in ENGLISH:
            break
        if not word.startswith("-") and before not in TAKES_A_VALUE:
            named.append(word.rstrip(".,;:") or word)
        if sentence[found.end() :][:1] != " ":
            break
        before, place = word, found.end() + 1
    return named


def test_every_package_that_a_text_installs_is_a_dependency() -> None:
    """The name limner is no package that can be installed by name; others could be anybody's."""
    known, sentences = dependencies(), 0
    for path in texts():
        for line in path.read_text(encoding="utf-8").splitlines():
            for sentence in re.findall(r"pip3? install (.+)", line):
                sentences += 1
                for word in installed_by(sentence):
                    if re.fullmatch(r"\.(\[[\w,]+\])?", word):
                        extras = re.findall(r"\w+", word)
                        assert set(extras) <= set(PROJECT["optional-dependencies"]), f"{path.name}: {line.strip()}"
                    elif "{" not in word and "$" not in word:
                        name = name_of(word)
                        assert VARIANTS.get(name, name) in known, f"{path.name} installs '{word}': {line.strip()}"
    assert sentences > 10


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ('-c constraints.txt -e ".[show]"`)', [".[show]"]),
        ('"torch>=2.1" "onnx>=1.15"', ["torch>=2.1", "onnx>=1.15"]),
        ("onnxruntime-gpu in place of onnxruntime, or use --device cpu", ["onnxruntime-gpu"]),
        ("limner[show]\")'", ["limner[show]"]),
    ],
)
def test_a_sentence_is_read_as_a_command(sentence: str, words: list[str]) -> None:
    assert installed_by(sentence) == words


def test_a_missing_extra_names_what_the_project_file_has() -> None:
    for extra, packages in EXTRAS.items():
        assert list(packages) == PROJECT["optional-dependencies"][extra]


def test_the_documents_name_files_that_are_there() -> None:
    """Links of the README and the documents lead somewhere, and so do the paths in the page on architecture."""
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "findings").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page.name} links to {target}"
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|\.json|/))`", table):
        places = (ROOT / name, ROOT / "src" / "limner" / name)
        assert any(place.exists() for place in places), f"architecture.md names {name}"


def test_the_old_name_is_gone() -> None:
    """The project was called otherwise once; that name is somebody else's package."""
    old = "lim" + "n"
    for path in texts():
        text = path.read_text(encoding="utf-8")
        assert not re.search(rf"{old}(?!er)", text, re.IGNORECASE), path
