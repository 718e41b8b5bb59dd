"""Runs Python programs, each forked from this process, which has imported google-genai.

The import takes longer than most programs. For each program this reads a JSON line: ``{"program",
"folder", "environment", "out", "err"}``. It forks; the child changes to the folder, redirects
standard output and error to the two files, sets the environment and runs the program as ``python
program`` would. The reply is a line with the exit code. Programs are unchanged; only
``time.sleep(5)``, the guide's polling, returns at once.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import time
import traceback
from typing import Any

from google import genai

POLL_SECONDS = 5
MOST_SECONDS = 60


def become(job: dict[str, Any]) -> None:
    """Run a program in this process and end it."""
    code = 1
    signal.alarm(MOST_SECONDS)
    try:
        os.chdir(job["folder"])
        for stream, path in ((1, job["out"]), (2, job["err"])):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        os.environ.update(job["environment"])
        sleep = time.sleep
        time.sleep = lambda seconds: sleep(0.01 if seconds == POLL_SECONDS else seconds)
        sys.argv, sys.path[0] = [job["program"]], job["folder"]
        runpy.run_path(job["program"], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - printed as Python prints it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


genai.Client(api_key="none").interactions  # noqa: B018 - imports what a first call imports
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        become(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
