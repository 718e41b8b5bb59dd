"""Draw the packages in ARCHITECTURE.md from import-linter's data, or check that they are up to date.

``python tools/architecture.py`` fails where the picture differs from the code; ``--write`` draws it
again. Packages are in the order of the layers in ``pyproject.toml``. Arrows are imports between
packages, without those that follow from others: where A imports B and B imports C, an arrow from A
to C adds nothing.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "ARCHITECTURE.md"
PICTURE = re.compile(r"(?<=```mermaid\n).*?(?=```)", re.DOTALL)
HIDDEN = ("__main__",)


def main() -> int:
    """Write or check the picture; return 1 where it is out of date."""
    text = PAGE.read_text(encoding="utf-8")
    current = PICTURE.sub(lambda _: draw(layers(), reduce(imports())), text, count=1)
    if "--write" in sys.argv:
        PAGE.write_text(current, encoding="utf-8")
    elif current != text:
        print(
            "ARCHITECTURE.md: the picture is out of date; run: python tools/architecture.py --write"
        )
        return 1
    return 0


def layers() -> list[list[str]]:
    """Return the rows of packages, highest first, from the import contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    rows = next(item for item in contracts["contracts"] if item["type"] == "layers")["layers"]
    return [[name for name in row.split(" | ") if name not in HIDDEN] for row in rows]


def imports() -> dict[str, set[str]]:
    """Return the packages that each package imports, as import-linter sees them."""
    command = [str(Path(sys.executable).parent / "import-linter"), "drawgraph", "evalkit"]
    graph = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found: dict[str, set[str]] = {}
    for importer, imported in re.findall(r'"\.(\w+)" ->  "\.(\w+)"', graph):
        if importer not in HIDDEN:
            found.setdefault(importer, set()).add(imported)
    return found


def reduce(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return a graph without the edges that are implied by longer paths."""

    def reachable(node: str) -> set[str]:
        return set().union(*({after, *reachable(after)} for after in graph.get(node, ())))

    return {
        node: {
            after
            for after in targets
            if not any(after in reachable(other) for other in targets - {after})
        }
        for node, targets in graph.items()
    }


def draw(rows: list[list[str]], edges: dict[str, set[str]]) -> str:
    """Return a Mermaid flowchart with one line per package, in the order of the layers."""
    lines = ["flowchart TD"]
    for name in (name for row in rows for name in row):
        targets = " & ".join(sorted(edges.get(name, ())))
        lines.append(f"  {name}[{name}{label(name)}]{f' --> {targets}' if targets else ''}")
    return "\n".join(lines) + "\n"


def label(name: str) -> str:
    """Return how a package's name ends: as a folder or as a module."""
    return "/" if (ROOT / "evalkit" / name).is_dir() else ".py"


if __name__ == "__main__":
    sys.exit(main())
