"""Compiled templates, kept where Python keeps compiled modules.

Compiling the page's templates takes longer than drawing a few dozen variants, and every session would do it. Jinja2 takes no bytecode that
another template text or another Python made; what else bytecode depends on, its own version and the environment's options, goes into the
file's name, and so does the Python: two of them need not take turns.
"""

from __future__ import annotations

import sys
from pathlib import Path

from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket

from evalkit._lib import compiled
from evalkit._lib.files import sha256
from evalkit._lib.version import version_of

_OPTIONS = ("autoescape", "trim_blocks", "lstrip_blocks", "keep_trailing_newline", "optimized")


class CompiledTemplates(BytecodeCache):
    """One file of bytecode for each template file, of one environment whose options are settled."""

    def __init__(self, environment: Environment) -> None:
        options = {name: vars(environment)[name] for name in _OPTIONS}
        self._kind = sha256(f"{version_of('jinja2')} {options} {sys.implementation.cache_tag}")[:12]

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """Return the path of the template's bytecode."""
        return str(compiled.place_of(Path(filename or name), self._kind))

    def load_bytecode(self, bucket: Bucket) -> None:
        """Read bytecode; what is missing, damaged or out of date is compiled again."""
        data = compiled.read(Path(bucket.key))
        if data is None:
            bucket.reset()
        else:
            bucket.bytecode_from_string(data)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Write bytecode, where Python would."""
        compiled.write(Path(bucket.key), bucket.bytecode_to_string())
