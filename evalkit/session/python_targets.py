"""Import ``python: package.module:name`` targets, from the project or an installed package only.

A suite is data: these targets are the only place where YAML can run code. A target in the standard
library (``os:system``), or in a file outside both the project and site-packages, is refused before
it is imported.
"""

import importlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from evalkit._lib.files import is_inside
from evalkit._lib.json import JSON
from evalkit._lib.text import did_you_mean
from evalkit.checks.core.call_arguments import misfit
from evalkit.errors import EvalkitError, TargetError, ToolCrashed
from evalkit.suite.model.tools import ArgumentsInvalid


def resolve(target: str, root: Path) -> Any:
    """Import what ``package.module:name`` names; ``name`` may contain dots. Raises TargetError."""
    module_name, colon, attribute = target.partition(":")
    if not colon or not module_name or not attribute:
        raise TargetError(f"python target {target!r} is not of the form package.module:name")
    with _importable(root):
        _check_origin(target, module_name, root)
        try:
            value: Any = importlib.import_module(module_name)
        except Exception as error:
            raise TargetError(
                f"python target {target!r}: importing {module_name} failed: "
                f"{type(error).__name__}: {error}"
            ) from error
    for name in attribute.split("."):
        if not hasattr(value, name):
            hint = did_you_mean(name, dir(value))
            raise TargetError(f"python target {target!r}: {module_name} has no {name!r}{hint}")
        value = getattr(value, name)
    return value


def call_tool(target: str, arguments: dict[str, Any], root: Path, parameters: JSON = None) -> Any:
    """Call a suite's python tool with the arguments of a function call; await a coroutine.

    Raises ArgumentsInvalid for arguments that do not fit the declared ``parameters`` or the
    function, ToolCrashed, TargetError.
    """
    function = _function(target, root)
    if reason := misfit(parameters, arguments) or _signature_misfit(function, arguments):
        raise ArgumentsInvalid(f"the arguments do not fit the declared parameters: {reason}")
    try:
        value = function(**arguments)
        if not inspect.isawaitable(value):
            return value
        # Slow: importing asyncio takes longer than a whole replayed variant, and few tools need it.
        import asyncio

        return asyncio.run(awaited(value))
    except EvalkitError:
        raise
    except Exception as error:
        name = type(error).__name__
        raise ToolCrashed(f"the python tool {target} raised {name}: {error}") from error


def signature_misfit(target: str, arguments: dict[str, Any], root: Path) -> str:
    """Return why a suite's python tool cannot be called with arguments, ``""`` if it can be.

    Raises TargetError.
    """
    return _signature_misfit(_function(target, root), arguments)


def _function(target: str, root: Path) -> Callable[..., Any]:
    function = resolve(target, root)
    if not callable(function):
        raise TargetError(f"python target {target!r} is not callable")
    return function  # type: ignore[no-any-return]


def _signature_misfit(function: Callable[..., Any], arguments: dict[str, Any]) -> str:
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        return f"the signature of the function: {error}"
    except ValueError:
        # Some functions of extension modules have no signature.
        return ""
    return ""


async def awaited(value: Awaitable[Any]) -> Any:
    """Turn any awaitable into a coroutine, which ``asyncio`` insists on."""
    return await value


def _check_origin(target: str, module_name: str, root: Path) -> None:
    top = module_name.partition(".")[0]
    if top in sys.stdlib_module_names:
        raise TargetError(
            f"python target {target!r}: {top} is in the standard library; "
            "a target must be in the project or an installed package"
        )
    try:
        spec = importlib.util.find_spec(top)
        if spec is not None and spec.origin is None:
            # A namespace package may be in several folders and holds no code; its module counts.
            spec = importlib.util.find_spec(module_name)
    except (ImportError, ValueError) as error:
        raise TargetError(f"python target {target!r}: {error}") from error
    if spec is None or spec.origin is None:
        raise TargetError(
            f"python target {target!r}: no module {module_name!r} in {root} "
            "or among the installed packages"
        )
    origin = Path(spec.origin)
    if not is_inside(root, origin) and not _is_installed(top, origin):
        raise TargetError(
            f"python target {target!r}: {origin} is outside the project ({root}) "
            "and not an installed package"
        )


def _is_installed(top: str, origin: Path) -> bool:
    paths = sysconfig.get_paths()
    if any(is_inside(Path(paths[key]), origin) for key in ("purelib", "platlib")):
        return True
    # An editable installation is outside site-packages.
    return top in packages_distributions()


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    path = str(root)
    if path in sys.path:
        yield
        return
    sys.path.insert(0, path)
    try:
        yield
    finally:
        sys.path.remove(path)
