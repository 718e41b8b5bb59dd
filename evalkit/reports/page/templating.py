"""What every page is drawn with: one template environment, and the style and script that ship beside the templates.

Nothing a model said is trusted: the environment escapes whatever it prints and makes hostile characters visible.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit._lib.text import visible
from evalkit.reports.page.embedded_data import check_inline

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent


@cache
def environment() -> Environment:
    """Return the one template environment: everything printed is escaped, and hostile characters in it are made visible."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("evalkit.reports.page"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _shown(value: Any) -> Any:
    return visible(value) if type(value) is str and not value.isprintable() else value


@cache
def resource(name: str) -> str:
    """Return a file that ships with the report, fit to stand inline."""
    return check_inline((_HERE / name).read_text(encoding="utf-8"))
