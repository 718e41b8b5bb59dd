"""Fuzz the readers of foreign bytes with Atheris, guided by coverage.

    pip install --group fuzz
    python tools/fuzz.py --minutes 10            every target of tests/fuzz/targets.py in turn
    python tools/fuzz.py sse yaml --minutes 60   some of them

A failing input is written to tests/fuzz/corpus/<target>/; the tests run every file there. New
inputs of a run are collected in --work and not committed.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _fuzz(name: str, seconds: int, work: Path) -> None:
    # Atheris is optional, and it must instrument the modules before they are imported.
    import atheris

    with atheris.instrument_imports(include=["evalkit"]):
        from tests.fuzz.targets import CORPUS, TARGETS, stored
    target, inputs = TARGETS[name], work / name
    inputs.mkdir(parents=True, exist_ok=True)
    (CORPUS / name).mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate((*target.seeds, *stored(name))):
        (inputs / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20", "-rss_limit_mb=1500"]
    artifacts = f"-artifact_prefix={CORPUS / name}/"
    atheris.Setup(
        [sys.argv[0], *options, artifacts, "-print_final_stats=1", str(inputs)], target.run
    )
    atheris.Fuzz()


def main() -> int:
    """Run each target in a process of its own, because libFuzzer ends the process."""
    sys.path.insert(0, str(ROOT))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", help="default: all")
    parser.add_argument("--minutes", type=float, default=10, help="for each target (10)")
    parser.add_argument("--work", type=Path, default=ROOT / ".fuzz", help="inputs found (.fuzz)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        _fuzz(options.one, round(options.minutes * 60), options.work)
        return 0
    # Only now: a process that fuzzes imports the targets instrumented.
    from tests.fuzz.targets import TARGETS

    failed = []
    for name in options.targets or TARGETS:
        arguments = ["--one", name, "--minutes", str(options.minutes), "--work", options.work]
        command = [sys.executable, __file__, *map(str, arguments)]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"after {name}: {used.ru_utime + used.ru_stime:.0f} s of CPU in all", flush=True)
    print(f"failed: {', '.join(failed)}" if failed else "no target failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
