"""``evalkit serve``: a local Interactions API for the official SDKs and curl."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.server.calls import Backend
    from evalkit.server.fault_injection.plans import FaultPlan
    from evalkit.server.replay.backend import Timing

_EXAMPLE = """\b
Example:
  evalkit serve --port 8787
  export GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:8787 GEMINI_API_KEY=anything
  python my_app.py                                 # the official SDKs, unchanged
  pytest suites --evalkit-record all               # record suites from it
  evalkit serve --cassettes cassettes              # replay recorded answers to any client
  evalkit serve --upstream https://generativelanguage.googleapis.com --record tapes
  evalkit serve --fault error=503,retry_after=1@0.1 --fault cut=3@every=5
"""

_READY = """\
evalkit serves <title> at <url>   (Ctrl-C ends)
  any SDK : GOOGLE_GEMINI_BASE_URL=<url> GEMINI_API_KEY=anything
  Python  : genai.Client(api_key="anything", http_options={"base_url": "<url>"})
  JS      : new GoogleGenAI({apiKey: "anything", httpOptions: {baseUrl: "<url>"}})
  curl    : curl <url>/v1beta/interactions -H 'x-goog-api-key: anything' -d '{"model": "gemini-3.5-flash", "input": "Hello"}'"""


_EXCLUDE = (
    ("--script", "--cassettes"),
    ("--script", "--upstream"),
    ("--signing-key", "--cassettes"),
    ("--signing-key", "--upstream"),
    ("--api-key", "--cassettes"),
    ("--api-key", "--upstream"),
    ("--lenient", "--cassettes"),
    ("--lenient", "--upstream"),
    ("--cassettes", "--upstream"),
)
_NEED = (
    ("--timing", "--cassettes"),
    ("--replay-again", "--cassettes"),
    ("--record", "--upstream"),
    ("--upstream-key-env", "--upstream"),
)


@click.command(epilog=_EXAMPLE)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8787,
    show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--script",
    type=click.Path(path_type=Path),
    help="YAML script of answers; without one, the guide's prompts are answered as the guide shows.",
)
@click.option(
    "--signing-key",
    default=None,
    help="Text to sign thoughts with, where histories of two servers must not mix.",
)
@click.option(
    "--api-key",
    metavar="KEY",
    default=None,
    help="Answer to this key only; without it, any key will do.",
)
@click.option(
    "--lenient",
    is_flag=True,
    help="Log what the API would refuse (altered histories, unpaired calls, …) and let it pass.",
)
@click.option(
    "--cassettes",
    type=click.Path(path_type=Path),
    help="Replay the cassettes of this folder (or file) to any client.",
)
@click.option(
    "--timing",
    type=click.Choice(["instant", "recorded"]),
    default=None,
    help="With --cassettes: answer at once (the default), or with the recorded delays.",
)
@click.option(
    "--replay-again",
    is_flag=True,
    help="With --cassettes: recordings that were all played answer once more.",
)
@click.option("--upstream", metavar="URL", help="Pass requests on to this API.")
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    help="With --upstream: record each conversation into a cassette of this folder.",
)
@click.option(
    "--upstream-key-env",
    metavar="NAME",
    help="With --upstream: send the key of this environment variable, not the client's.",
)
@click.option(
    "--fault",
    "faults",
    metavar="FAULT",
    multiple=True,
    help="What goes wrong: KIND[=VALUE][,FIELD=VALUE][@WHEN], e.g. error=503,retry_after=1@0.1.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Decides which requests faults befall."
)
@click.option("--quiet", is_flag=True, help="Do not print a line for each request.")
def serve(
    port: int,
    host: str,
    script: Path | None,
    signing_key: str | None,
    api_key: str | None,
    lenient: bool,
    cassettes: Path | None,
    timing: Timing | None,
    replay_again: bool,
    upstream: str | None,
    record: Path | None,
    upstream_key_env: str | None,
    faults: tuple[str, ...],
    seed: int,
    quiet: bool,
) -> None:
    """Serve the Interactions API on this machine.

    Responses come from a script (deterministic answers, real state, verified histories), from cassettes, or from an
    upstream whose answers are recorded. No key is needed but any.
    """
    from evalkit.server.app import create_app
    from evalkit.server.run import raise_file_limit
    from evalkit.server.run import serve as run

    given = {
        "--script": script,
        "--signing-key": signing_key,
        "--api-key": api_key,
        "--lenient": lenient,
        "--cassettes": cassettes,
        "--timing": timing,
        "--replay-again": replay_again,
        "--upstream": upstream,
        "--record": record,
        "--upstream-key-env": upstream_key_env,
    }
    for option, other in _EXCLUDE:
        if given[option] and given[other]:
            raise UsageError(f"{option} and {other} cannot be given together")
    for option, other in _NEED:
        if given[option] and not given[other]:
            raise UsageError(f"{option} needs {other}")

    plans = _plans(faults)
    log: Callable[[str], object] = (lambda line: None) if quiet else _say
    if cassettes is not None:
        from evalkit.server.replay.backend import CassetteBackend

        backend: Backend = CassetteBackend(
            cassettes, timing=timing or "instant", again=replay_again, log=_say
        )
    elif upstream is not None:
        from evalkit.server.proxy.backend import open_proxy

        backend = open_proxy(upstream, record, key_env=upstream_key_env, log=_say)
    else:
        backend = _script(script, signing_key, api_key, lenient, seed, _say)

    def ready(url: str) -> None:
        _say(_READY.replace("<title>", backend.title).replace("<url>", url))

    if few := raise_file_limit():
        click.echo(few, err=True)
    run(create_app(backend, log=log, faults=plans, seed=seed), host, port, ready=ready)


def _plans(spelled: tuple[str, ...]) -> list[FaultPlan]:
    if not spelled:
        return []
    from evalkit.server.fault_injection.plans import FaultPlanError, parse_plan

    plans = []
    for number, text in enumerate(spelled, 1):
        try:
            plans.append(parse_plan(text, f"--fault {number}"))
        except FaultPlanError as error:
            raise UsageError(f"--fault {text!r}: {error}") from error
    return plans


def _script(
    path: Path | None,
    signing_key: str | None,
    api_key: str | None,
    lenient: bool,
    seed: int,
    log: Callable[[str], object],
) -> Backend:
    from evalkit.server.history_integrity import DEFAULT_KEY
    from evalkit.server.script_backend import ScriptBackend
    from evalkit.server.scripting.default_script import DEFAULT_SCRIPT, load_script

    if api_key == "":
        raise UsageError("--api-key is empty; leave it out where any key will do")
    key = signing_key.encode() if signing_key else DEFAULT_KEY
    return ScriptBackend(
        load_script(path or DEFAULT_SCRIPT),
        key=key,
        api_key=api_key,
        lenient=lenient,
        log=log,
        seed=seed,
    )


def _say(line: str) -> None:
    """Print a line, if somebody still reads: `evalkit serve | head` must not end answers."""
    with suppress(BrokenPipeError):
        click.echo(line)
