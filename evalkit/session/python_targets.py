"""``python: package.module:name`` targets: imported from the project or an installed package, from nowhere else.

YAML cannot run code except here (design section 9), so a target that leads to the standard library (``os:system``) or to a file outside the
project and outside site-packages is refused before it is imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit._lib.files import is_inside
from evalkit._lib.text import did_you_mean
from evalkit.errors import EvalkitError, TargetError, ToolCrashed


def resolve(target: str, root: Path) -> Any:
    """Import what ``package.module:name`` names; ``name`` may have dots. Raises TargetError, which says what is wrong and what would do."""
    module_name, colon, attribute = target.partition(":")
    if not colon or not module_name or not attribute:
        raise TargetError(f"python target {target!r} is not of the form package.module:name")
    with _importable(root):
        _check_home(target, module_name, root)
        try:
            value: Any = importlib.import_module(module_name)
        except Exception as error:
            raise TargetError(
                f"python target {target!r}: importing {module_name} failed: {type(error).__name__}: {error}"
            ) from error
    for part in attribute.split("."):
        if not hasattr(value, part):
            raise TargetError(
                f"python target {target!r}: {module_name} has no {part!r}{did_you_mean(part, dir(value))}"
            )
        value = getattr(value, part)
    return value


def call_tool(target: str, arguments: dict[str, Any], root: Path) -> Any:
    """Call a suite's python tool with a function call's arguments; a coroutine is run to its end. Raises ToolCrashed, TargetError."""
    function = resolve(target, root)
    if not callable(function):
        raise TargetError(f"python target {target!r} is not callable")
    try:
        value = function(**arguments)
        if not inspect.isawaitable(value):
            return value
        import asyncio  # few tools are coroutines, and this takes longer than a whole variant

        return asyncio.run(_awaited(value))
    except EvalkitError:
        raise
    except Exception as error:
        raise ToolCrashed(
            f"the python tool {target} raised {type(error).__name__}: {error}"
        ) from error


async def _awaited(value: Any) -> Any:
    return await value


def _check_home(target: str, module_name: str, root: Path) -> None:
    top = module_name.partition(".")[0]
    if top in sys.stdlib_module_names:
        raise TargetError(
            f"python target {target!r}: {top} is the standard library; a target lies in the project or an installed package"
        )
    try:
        spec = importlib.util.find_spec(top)
        if spec is not None and spec.origin is None:
            # A folder without __init__.py may lie in several places at once and holds no code: what counts is the module inside.
            spec = importlib.util.find_spec(module_name)
    except (ImportError, ValueError) as error:
        raise TargetError(f"python target {target!r}: {error}") from error
    if spec is None or spec.origin is None:
        raise TargetError(
            f"python target {target!r}: no module {module_name!r} under {root} or among the installed packages"
        )
    place = Path(spec.origin)
    if not (is_inside(root, place) or _installed(top, place)):
        raise TargetError(
            f"python target {target!r}: {place} lies outside the project ({root}) and is no installed package"
        )


def _installed(top: str, place: Path) -> bool:
    paths = sysconfig.get_paths()
    if any(is_inside(Path(paths[key]), place) for key in ("purelib", "platlib")):
        return True
    from importlib.metadata import packages_distributions

    return top in packages_distributions()


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    added = str(root)
    fresh = added not in sys.path
    if fresh:
        sys.path.insert(0, added)
    try:
        yield
    finally:
        if fresh:
            sys.path.remove(added)
