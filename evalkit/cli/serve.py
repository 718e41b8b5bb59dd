"""``evalkit serve``: a local Interactions API for the official SDKs and curl."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import click

from evalkit._lib.text import visible
from evalkit.cli.host_option import allow_host_option
from evalkit.errors import UsageError
from evalkit.protocol.wire_facts import UNUSED_KEY
from evalkit.server.app import create_app
from evalkit.server.calls import Backend
from evalkit.server.fault_injection.plans import FaultPlan, FaultPlanError, parse_plan
from evalkit.server.history_seals import DEFAULT_KEY
from evalkit.server.proxy.backend import open_proxy
from evalkit.server.replay.backend import CassetteBackend, Timing
from evalkit.server.run import raise_file_limit
from evalkit.server.run import serve as run_server
from evalkit.server.script_backend import ScriptBackend
from evalkit.server.scripting.script import DEFAULT_SCRIPT, load_script

_EXAMPLE = f"""\b
Example:
  evalkit serve --port 8787
  export GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:8787 GEMINI_API_KEY={UNUSED_KEY}
  python my_app.py                                 # the official SDKs, unchanged
  pytest suites --evalkit-record all               # record suites from it
  evalkit serve --cassettes cassettes              # replay recorded responses to any client
  evalkit serve --upstream https://generativelanguage.googleapis.com --record tapes
  evalkit serve --fault error=503,retry_after=1@0.1 --fault cut=3@every=5
"""

_READY = """\
evalkit serves <title> at <url>   (Ctrl-C ends)
  any SDK : GOOGLE_GEMINI_BASE_URL=<url> GEMINI_API_KEY=<key>
  Python  : genai.Client(api_key="<key>", http_options={"base_url": "<url>"})
  JS      : new GoogleGenAI({apiKey: "<key>", httpOptions: {baseUrl: "<url>"}})
  curl    : curl <url>/v1beta/interactions -H 'x-goog-api-key: <key>' \
-d '{"model": "gemini-3.5-flash", "input": "Hello"}'"""

_SCRIPT_OPTIONS = ("--script", "--signing-key", "--api-key", "--lenient", "--strict")
_NEEDED = {
    "--timing": "--cassettes",
    "--replay-again": "--cassettes",
    "--record": "--upstream",
    "--upstream-key-env": "--upstream",
    "--redact": "--record",
}


@click.command(epilog=_EXAMPLE)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8787,
    show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@allow_host_option
@click.option(
    "--script",
    type=click.Path(path_type=Path),
    help="YAML script of responses; by default, the API guide's prompts get the guide's answers.",
)
@click.option(
    "--signing-key",
    default=None,
    help="Text to sign thoughts with, so that histories of two servers do not mix.",
)
@click.option(
    "--api-key",
    metavar="KEY",
    default=None,
    help="Accept this key only; by default, any key is valid.",
)
@click.option(
    "--lenient",
    is_flag=True,
    help="Log what the API would refuse (altered calls, unpaired results, …) and accept it.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Also refuse what the API may accept, such as any altered step of a history.",
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
    help="With --cassettes: respond at once (the default), or with the recorded delays.",
)
@click.option(
    "--replay-again",
    is_flag=True,
    help="With --cassettes: play recordings again when all that match were played.",
)
@click.option("--upstream", metavar="URL", help="Forward requests to this API.")
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    help="With --upstream: record each conversation into a cassette in this folder.",
)
@click.option(
    "--upstream-key-env",
    metavar="NAME",
    help="With --upstream: send the key in this environment variable, not the client's.",
)
@click.option(
    "--redact",
    "patterns",
    metavar="PATTERN",
    multiple=True,
    help="With --record: a regular expression of texts that are not recorded; may be repeated.",
)
@click.option(
    "--delay",
    metavar="SECONDS",
    help="Wait before each response: a number, or a range such as 0.5..2.",
)
@click.option(
    "--fault",
    "faults",
    metavar="FAULT",
    multiple=True,
    help="Inject a fault: KIND[=VALUE][,FIELD=VALUE][@WHEN], e.g. error=503,retry_after=1@0.1.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Decides which requests get faults."
)
@click.option(
    "--cors/--no-cors",
    default=None,
    help="Whether web pages of this machine may use the server (default: yes, without --upstream).",
)
@click.option("--quiet", is_flag=True, help="Do not print a line for each request.")
def serve(
    port: int,
    host: str,
    allow_host: tuple[str, ...],
    script: Path | None,
    signing_key: str | None,
    api_key: str | None,
    lenient: bool,
    strict: bool,
    cassettes: Path | None,
    timing: Timing | None,
    replay_again: bool,
    upstream: str | None,
    record: Path | None,
    upstream_key_env: str | None,
    patterns: tuple[str, ...],
    delay: str | None,
    faults: tuple[str, ...],
    seed: int,
    cors: bool | None,
    quiet: bool,
) -> None:
    """Serve the Interactions API on this machine.

    Responses come from a script (deterministic, with real state and verified histories), from
    cassettes, or from an upstream and are recorded. Any API key is accepted.
    """
    _check_options(
        {
            "--script": script,
            "--signing-key": signing_key,
            "--api-key": api_key,
            "--lenient": lenient,
            "--strict": strict,
            "--cassettes": cassettes,
            "--timing": timing,
            "--replay-again": replay_again,
            "--upstream": upstream,
            "--record": record,
            "--upstream-key-env": upstream_key_env,
            "--redact": patterns,
        }
    )
    plans = [_parse_fault(number, text) for number, text in enumerate(faults, 1)]
    if delay is not None:
        plans.append(_parse_delay(delay))
    if cassettes is not None:
        backend: Backend = CassetteBackend(
            cassettes, timing=timing or "instant", again=replay_again, log=_log
        )
    elif upstream is not None:
        backend = open_proxy(
            upstream, record, key_env=upstream_key_env, patterns=patterns, log=_log
        )
    else:
        if api_key == "":
            raise UsageError("--api-key is empty; omit it to accept any key")
        backend = ScriptBackend(
            load_script(script or DEFAULT_SCRIPT),
            key=signing_key.encode() if signing_key else DEFAULT_KEY,
            api_key=api_key,
            lenient=lenient,
            strict=strict,
            log=_log,
            seed=seed,
        )
    log: Callable[[str], object] = (lambda line: None) if quiet else _log
    app = create_app(
        backend, log=log, faults=plans, seed=seed, cors=cors, hosts=[*allow_host, *_names_of(host)]
    )
    if warning := raise_file_limit():
        click.echo(warning, err=True)
    ready = _READY.replace("<title>", backend.title).replace("<key>", UNUSED_KEY)
    run_server(app, host, port, ready=lambda url: _echo(ready.replace("<url>", url)))


def _names_of(host: str) -> list[str]:
    """Return the name of an address to listen on; that of all interfaces names none."""
    return [] if host in ("0.0.0.0", "::") else [host]  # noqa: S104 - compared, not bound


def _check_options(values: Mapping[str, object]) -> None:
    exclusive = [(one, other) for one in _SCRIPT_OPTIONS for other in ("--cassettes", "--upstream")]
    pairs = [*exclusive, ("--cassettes", "--upstream"), ("--lenient", "--strict")]
    for option, other in pairs:
        if values[option] and values[other]:
            raise UsageError(f"{option} and {other} cannot be given together")
    for option, other in _NEEDED.items():
        if values[option] and not values[other]:
            raise UsageError(f"{option} needs {other}")


def _parse_fault(number: int, text: str) -> FaultPlan:
    try:
        return parse_plan(text, f"--fault {number}")
    except FaultPlanError as error:
        raise UsageError(f"--fault {text!r}: {error}") from error


def _parse_delay(seconds: str) -> FaultPlan:
    try:
        return parse_plan(f"delay={seconds}", "--delay")
    except FaultPlanError as error:
        raise UsageError(
            f"--delay {seconds!r}: not a number of seconds (expected 1.5, or a range: 0.5..2)"
        ) from error


def _log(entry: str) -> None:
    """Print an entry of the log; clients decide what is in it, so none looks like another one."""
    _echo(visible(entry).replace("\n", "\n  "))


def _echo(line: str) -> None:
    # In `evalkit serve | head` nobody reads the output any more; that must not end responses.
    with suppress(BrokenPipeError):
        click.echo(line)
