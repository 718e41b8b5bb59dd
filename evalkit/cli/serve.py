"""``evalkit serve``: a local Interactions API for the official SDKs and curl."""

from __future__ import annotations

from pathlib import Path

import click

_EXAMPLE = """\b
Example:
  evalkit serve --port 8787
  export GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:8787 GEMINI_API_KEY=anything
  python my_app.py                                 # the official SDKs, unchanged
  pytest suites --evalkit-record all               # record suites from it
"""

_READY = """\
evalkit serves the script '<title>' at <url>   (Ctrl-C ends)
  any SDK : GOOGLE_GEMINI_BASE_URL=<url> GEMINI_API_KEY=anything
  Python  : genai.Client(api_key="anything", http_options={"base_url": "<url>"})
  JS      : new GoogleGenAI({apiKey: "anything", httpOptions: {baseUrl: "<url>"}})
  curl    : curl <url>/v1beta/interactions -H 'x-goog-api-key: anything' -d '{"model": "gemini-3.5-flash", "input": "Hello"}'"""


@click.command(epilog=_EXAMPLE)
@click.option("--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="Port to listen on; 0 picks a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--script",
    type=click.Path(path_type=Path),
    help="YAML script of answers; without one, the guide's prompts are answered as the guide shows.",
)
@click.option("--signing-key", default=None, help="Text to sign thoughts with, where histories of two servers must not mix.")
@click.option("--quiet", is_flag=True, help="Do not print a line for each request.")
def serve(port: int, host: str, script: Path | None, signing_key: str | None, quiet: bool) -> None:
    """Serve a local Interactions API: deterministic answers, real state, verified histories, no key needed but any."""
    from evalkit.server.app import create_app
    from evalkit.server.default_script import DEFAULT_SCRIPT, load_script
    from evalkit.server.run import serve as run
    from evalkit.server.signatures import DEFAULT_KEY

    loaded = load_script(script or DEFAULT_SCRIPT)
    key = signing_key.encode() if signing_key else DEFAULT_KEY
    app = create_app(loaded, key=key, log=(lambda line: None) if quiet else click.echo)

    def ready(url: str) -> None:
        click.echo(_READY.replace("<title>", loaded.title).replace("<url>", url))

    run(app, host, port, ready=ready)
