"""Compiled templates, kept where Python keeps compiled modules.

Compiling the page's templates takes longer than drawing a few dozen variants, and every session would do it. So their bytecode lies in
``__pycache__`` beside them, by Python's own rules: elsewhere with ``PYTHONPYCACHEPREFIX``, not at all with ``PYTHONDONTWRITEBYTECODE`` or
in a folder that cannot be written. Jinja2 takes none that another template text or another Python made; what else bytecode depends on, its
own version and the environment's options, goes into the file's name.
"""

from __future__ import annotations

import sys
from importlib.util import cache_from_source
from pathlib import Path

from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket

from evalkit._lib.files import sha256, write_atomic
from evalkit._lib.version import version_of

_OPTIONS = ("autoescape", "trim_blocks", "lstrip_blocks", "keep_trailing_newline", "optimized")


class CompiledTemplates(BytecodeCache):
    """One file of bytecode for each template file, of one environment whose options are settled."""

    def __init__(self, environment: Environment) -> None:
        options = {name: vars(environment)[name] for name in _OPTIONS}
        self._kind = sha256(f"{version_of('jinja2')} {options}")[:12]

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """Return the path of the template's bytecode."""
        return cache_from_source(filename or name, optimization=self._kind)

    def load_bytecode(self, bucket: Bucket) -> None:
        """Read bytecode; what is missing, damaged or out of date is compiled again."""
        try:
            bucket.bytecode_from_string(Path(bucket.key).read_bytes())
        except OSError:
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Write bytecode, where Python would."""
        if sys.dont_write_bytecode:
            return
        try:
            write_atomic(Path(bucket.key), bucket.bytecode_to_string())
        except OSError:
            return
