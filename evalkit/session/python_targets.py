"""Import ``python: package.module:name`` targets that the project owns.

A suite is data: these targets are the only place where YAML can run code. A target must name a
function or class *defined* in a module under the project root, or in a package that the ini option
``evalkit_python`` names. What such a module merely imported from elsewhere (``tools:os.system``, or
``tools:system``) is refused, and a module from elsewhere is refused before it is imported.
"""

import _imp
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from evalkit._lib.files import is_inside
from evalkit._lib.json import JSON
from evalkit._lib.text import did_you_mean
from evalkit.checks.core.call_arguments import misfit
from evalkit.errors import EvalkitError, TargetError, ToolCrashed
from evalkit.suite.model.tools import ArgumentsInvalid

_INSTALLED = frozenset({"site-packages", "dist-packages"})


@dataclass(frozen=True, slots=True)
class PythonTargets:
    """The code that suites and tests may name: the project's, and that of named ``packages``."""

    root: Path
    packages: tuple[str, ...] = ()

    def resolve(self, target: str) -> Any:
        """Import what ``package.module:name`` names; ``name`` may contain dots.

        Raises TargetError.
        """
        module_name, colon, attribute = target.partition(":")
        if not colon or not module_name or not attribute:
            raise TargetError(f"python target {target!r} is not of the form package.module:name")
        with _importable(self.root):
            self._check_module(target, module_name)
            try:
                module = importlib.import_module(module_name)
            except Exception as error:
                raise TargetError(
                    f"python target {target!r}: importing {module_name} failed: "
                    f"{type(error).__name__}: {error}"
                ) from error
        value: Any = module
        for name in attribute.split("."):
            if not hasattr(value, name):
                hint = did_you_mean(name, dir(value))
                raise TargetError(f"python target {target!r}: {module_name} has no {name!r}{hint}")
            value = getattr(value, name)
        if not callable(value):
            # Harmless, and the caller reports it as what it is.
            return value
        owner = _defining_module(value)
        if owner is None or not self._owns(owner.__name__, getattr(owner, "__file__", None)):
            origin = "an unknown module" if owner is None else owner.__name__
            raise TargetError(
                f"python target {target!r}: {attribute} is defined in {origin}, not in "
                f"{self._expected()}; call it from a function of the project"
            )
        return value

    def call(self, target: str, arguments: dict[str, Any], parameters: JSON = None) -> Any:
        """Call a suite's python tool with the arguments of a function call; await a coroutine.

        Raises ArgumentsInvalid for arguments that do not fit the declared ``parameters`` or the
        function, ToolCrashed, TargetError.
        """
        function = self._function(target)
        reason = misfit(parameters, arguments) or self.signature_misfit(
            target, arguments, parameters
        )
        if reason:
            raise ArgumentsInvalid(f"the arguments do not fit the declared parameters: {reason}")
        try:
            value = function(**arguments)
            if not inspect.isawaitable(value):
                return value
            # Slow: importing asyncio takes longer than a replayed variant, and few tools need it.
            import asyncio

            return asyncio.run(awaited(value))
        except EvalkitError:
            raise
        except Exception as error:
            name = type(error).__name__
            raise ToolCrashed(f"the python tool {target} raised {name}: {error}") from error

    def signature_misfit(self, target: str, arguments: dict[str, Any], parameters: JSON) -> str:
        """Return why a suite's python tool cannot be called with arguments, ``""`` if it can be.

        Raises TargetError, also where the declared ``parameters`` name all of these arguments:
        then the suite is wrong, not the model.
        """
        reason = _signature_misfit(self._function(target), arguments)
        properties = parameters.get("properties") if isinstance(parameters, dict) else None
        if reason and isinstance(properties, dict) and arguments.keys() <= properties.keys():
            raise TargetError(
                f"python target {target!r} cannot be called with arguments that its declared"
                f" parameters allow ({reason}); make 'parameters' and the function agree"
            )
        return reason

    def _function(self, target: str) -> Callable[..., Any]:
        function = self.resolve(target)
        if not callable(function):
            raise TargetError(f"python target {target!r} is not callable")
        for called in _called_methods(function):
            module = sys.modules.get(getattr(called, "__module__", None) or "")
            if module is None or not self._owns(module.__name__, getattr(module, "__file__", None)):
                raise TargetError(
                    f"python target {target!r}: calling it runs {called.__qualname__} of another "
                    f"module than those in {self._expected()}; call it from a function of the "
                    "project"
                )
        return function  # type: ignore[no-any-return]

    def _check_module(self, target: str, module_name: str) -> None:
        """Refuse a module from elsewhere before its code runs."""
        top = module_name.partition(".")[0]
        if _is_standard(top) and not self._owns(module_name, None):
            raise TargetError(
                f"python target {target!r}: {top} is in the standard library, not in "
                f"{self._expected()}"
            )
        if self._owns(module_name, None):
            return
        parts = module_name.split(".")
        # Looking for a module imports the packages that contain it, so these are checked first.
        for name in (".".join(parts[: number + 1]) for number in range(len(parts))):
            try:
                spec = importlib.util.find_spec(name)
            except (ImportError, ValueError) as error:
                raise TargetError(f"python target {target!r}: {error}") from error
            except Exception as error:
                raise TargetError(
                    f"python target {target!r}: importing {name.rpartition('.')[0]} failed: "
                    f"{type(error).__name__}: {error}"
                ) from error
            # A namespace package may be in several folders and has no code: its module counts.
            if spec is None or (spec.origin is None and name == module_name):
                raise TargetError(
                    f"python target {target!r}: no module {name!r} in {self._expected()}"
                )
            if spec.origin is not None and not self._owns(name, spec.origin):
                raise TargetError(
                    f"python target {target!r}: {spec.origin} is not Python source in "
                    f"{self._expected()}; to trust the package, add to pytest.ini: "
                    f"evalkit_python = {top}"
                )

    def _owns(self, module_name: str, file: str | None) -> bool:
        if any(f"{module_name}.".startswith(f"{package}.") for package in self.packages):
            return True
        if file is None or _is_standard(module_name) or not is_inside(self.root, Path(file)):
            return False
        # Compiled files and archives cannot be reviewed.
        if Path(file).suffix != ".py" or not Path(file).is_file():
            return False
        # A virtual environment inside the project holds other people's code.
        return _INSTALLED.isdisjoint(Path(file).resolve().relative_to(self.root.resolve()).parts)

    def _expected(self) -> str:
        named = f" or {', '.join(self.packages)}" if self.packages else ""
        return f"the project ({self.root}){named}"


class NoPython(PythonTargets):
    """Refuses every target: for commands that read what somebody else may have changed."""

    def resolve(self, target: str) -> Any:
        """Raise TargetError."""
        raise TargetError(f"python target {target!r}: this command runs no code of the project")


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


def _called_methods(value: Any) -> Iterator[Any]:
    """Yield the methods that run when a class or an instance is called, but for Python's own.

    A class of the project may inherit them from elsewhere.
    """
    names: tuple[str, ...]
    if isinstance(value, type):
        names, owner = ("__new__", "__init__"), value
        if type(value).__call__ is not type.__call__:
            yield type(value).__call__
    elif inspect.isroutine(value) or hasattr(value, "__wrapped__"):
        return
    else:
        names, owner = ("__call__",), type(value)
    for name in names:
        method = inspect.getattr_static(owner, name)
        method = getattr(method, "__func__", method)
        if method is not object.__dict__.get(name):
            yield method


def _defining_module(value: Any) -> ModuleType | None:
    """Return the module that defines a function or class; for an instance that of its class."""
    try:
        value = inspect.unwrap(value)
    except ValueError:
        return None  # it wraps itself
    if not isinstance(value, type) and not inspect.isroutine(value):
        value = type(value)
    return sys.modules.get(getattr(value, "__module__", None) or "")


def _is_standard(module_name: str) -> bool:
    return module_name.partition(".")[0] in sys.stdlib_module_names


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    path = str(root)
    added = path not in sys.path
    if added:
        sys.path.insert(0, path)
    # A compiled file in the repository may say that it is not to be compared with its source.
    checked, _imp.check_hash_based_pycs = _imp.check_hash_based_pycs, "always"
    try:
        yield
    finally:
        _imp.check_hash_based_pycs = checked
        if added:
            sys.path.remove(path)
