"""Print the tree of the packages for docs/architecture.md: each module with the first sentence of its docstring."""

import ast
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = ("protocol", "runtime", "server", "client")
COLUMN: Final = 30
WIDTH: Final = 120


def tree() -> str:
    """Return the tree, indented as a code block of Markdown."""
    return "\n".join(line for package in PACKAGES for line in _lines(ROOT / package, depth=1))


def _lines(folder: Path, depth: int) -> Iterator[str]:
    yield from _entry(f"{folder.name}/", folder / "__init__.py", depth)
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    for path in sorted(modules, key=lambda path: path.name):
        yield from _entry(path.name, path, depth + 1)
    for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
        yield from _lines(inner, depth + 1)


def _entry(name: str, module: Path, depth: int) -> Iterator[str]:
    docstring = ast.get_docstring(ast.parse(module.read_text())) or ""
    sentence = " ".join(docstring.partition("\n\n")[0].split())
    indent = " " * 2 * depth + "  "
    first, *rest = textwrap.wrap(sentence.removesuffix("."), WIDTH - COLUMN) or [""]
    yield f"{indent + name:<{COLUMN}}{first}".rstrip()
    yield from (" " * COLUMN + line for line in rest)


if __name__ == "__main__":
    sys.stdout.write(f"{tree()}\n")
