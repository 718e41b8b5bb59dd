"""Templates, styles and scripts of all pages, and the policy that lets only these run.

Text from a model is never trusted: templates escape whatever they print and make hostile characters
visible, and the content security policy names the page's own style and script by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit._lib.files import atomic_writer
from evalkit._lib.text import visible

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent


@cache
def environment() -> Environment:
    """Return the template environment, which escapes everything it prints."""
    # Jinja2 is slow to import, and a session that writes no page does not need it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("evalkit.reports.page"),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _visible(value: Any) -> Any:
    return visible(value) if type(value) is str else value


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Write a page atomically, piece by piece, and return its path."""
    stream = environment().get_template(template).stream(**values)
    stream.enable_buffering(50)
    with atomic_writer(path) as file:
        for piece in stream:
            file.write(piece.encode())
    return path


@cache
def resource(name: str) -> str:
    """Return a style or script file for use inside a page."""
    return check_inline((_HERE / name).read_text(encoding="utf-8"))


def check_inline(text: str) -> str:
    """Return code that is safe inside an element. Raises ValueError if it could end the element."""
    if "</" in text or "<!--" in text:
        raise ValueError("inline code contains '</' or '<!--'")
    return text


def content_policy(
    script: str, style: str, *, loads_data: bool = False, loads_media: bool = False
) -> str:
    """Return the content security policy (CSP 3) of a page with exactly this script and style.

    Nothing is fetched, nothing else runs, and no text becomes markup or code (Trusted Types). With
    ``loads_data`` the page may load scripts beside it, but only under names its own script allows;
    with ``loads_media`` pictures, sound and video.
    """
    scripts = f"{_hash(script)} 'self'" if loads_data else _hash(script)
    types = "evalkit-data" if loads_data else "'none'"
    media = "data: 'self'" if loads_media else "data:"
    return (
        f"default-src 'none'; script-src {scripts}; style-src {_hash(style)}; img-src {media}; "
        f"media-src {media}; base-uri 'none'; form-action 'none'; "
        f"require-trusted-types-for 'script'; trusted-types {types}"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
