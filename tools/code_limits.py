"""Count what makes the code harder to read, print each count beside its limit, fail above one.

Run by ``make check``. ``python tools/code_limits.py --list`` also prints every place.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMITS = {
    "Python statements in the package, without docstrings": 39_270,
    "imports inside functions": 60,
    "imports inside functions without a comment that gives the reason": 0,
    "lines over 100 characters": 0,
    "named tuples of more than four fields": 0,
    "class names used twice": 0,
    "words of the old dialect in package and docs": 40,
}
# English words that once had private meanings in this code base; each use left needs a reason.
DIALECT = re.compile(
    r"\b(?:held|told|stands|whoever)\b|\b(?:is|are|was) no (?!longer|more|need)\w+", re.IGNORECASE
)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def main() -> int:
    """Print the table of counts; return 1 where one is above its limit."""
    places: dict[str, list[str]] = {name: [] for name in LIMITS}
    statements, *listed = LIMITS
    total = 0
    classes: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "evalkit").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        total += sum(
            isinstance(node, ast.stmt) and not is_docstring(node) for node in ast.walk(tree)
        )
        name = path.relative_to(ROOT).as_posix()
        lines = source.splitlines()
        for node in imports_inside_functions(tree):
            places[listed[0]].append(f"{name}:{node.lineno}")
            if not has_reason(lines, node.lineno):
                places[listed[1]].append(f"{name}:{node.lineno}")
        for number, line in enumerate(lines, 1):
            if len(line) > 100:
                places[listed[2]].append(f"{name}:{number}")
        for class_ in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
            classes[class_.name].append(f"{name}:{class_.lineno}")
            if is_large_named_tuple(class_):
                places[listed[3]].append(f"{name}:{class_.lineno} {class_.name}")
    for class_name, uses in classes.items():
        if len(uses) > 1:
            places[listed[4]].append(f"{class_name}: {', '.join(uses)}")
    for path in texts():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for word in DIALECT.findall(line):
                places[listed[5]].append(f"{path.relative_to(ROOT).as_posix()}:{number} {word}")
    counts = {statements: total, **{name: len(places[name]) for name in listed}}
    for name, limit in LIMITS.items():
        above = counts[name] > limit
        print(f"{counts[name]:>7,} of {limit:>6,}  {name}{'   ABOVE THE LIMIT' if above else ''}")
        if above or "--list" in sys.argv:
            print(
                *(f"           {place}" for place in places[name]),
                sep="\n",
                end="\n" * bool(places[name]),
            )
    return int(any(counts[name] > limit for name, limit in LIMITS.items()))


def is_docstring(node: ast.stmt) -> bool:
    """Whether a statement is a bare string: a docstring, or one below a constant or a field."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def imports_inside_functions(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield every import below a function, each once."""
    seen = set()
    for function in (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)):
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in seen:
                seen.add(id(node))
                yield node


def has_reason(lines: list[str], number: int) -> bool:
    """Whether an import inside a function has a comment: on its line, or above its block of imports."""
    if "#" in lines[number - 1]:
        return True
    above = number - 2
    while above >= 0 and re.match(r"\s*(?:from\s|import\s|\)|\w+,$|$)", lines[above]):
        above -= 1
    return lines[above].lstrip().startswith("#")


def is_large_named_tuple(class_: ast.ClassDef) -> bool:
    """Whether a class is a NamedTuple of more than four fields."""
    fields = sum(isinstance(node, ast.AnnAssign) for node in class_.body)
    return fields > 4 and any("NamedTuple" in ast.unparse(base) for base in class_.bases)


def texts() -> Iterator[Path]:
    """Yield the files that people read: the package's sources and pages, and the documentation."""
    for suffix in ("py", "js", "css", "html", "yaml", "yml"):
        yield from sorted((ROOT / "evalkit").rglob(f"*.{suffix}"))
    yield from sorted((ROOT / "docs").rglob("*.md"))
    yield from sorted(ROOT.glob("*.md"))


if __name__ == "__main__":
    sys.exit(main())
