"""Runs a module like `python -m`, and writes at its end which functions of the project were called, and when.

`python -m tests.reading.recorder <folder> <module> <arguments>` writes one JSON file a process to the folder: a list of
`[file, line, caller's file, times]`. The caller's file is empty where a library called; times are those of
`time.monotonic()`, which all processes of a machine share.
"""

import atexit
import json
import os
import runpy
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from shared.config import ROOT

_ROOT = f"{ROOT}{os.sep}"
_LIBRARIES = (f"{_ROOT}.venv", f"{_ROOT}.local", f"{_ROOT}tests")
Call = tuple[CodeType, str]
_calls: defaultdict[Call, list[float]] = defaultdict(list)


def _of_project(file: str) -> bool:
    return file.startswith(_ROOT) and not file.startswith(_LIBRARIES)


def _record(frame: FrameType, event: str, _: Any) -> None:
    code = frame.f_code
    if event == "call" and _of_project(code.co_filename):
        caller = frame.f_back.f_code.co_filename if frame.f_back else ""
        _calls[code, caller if _of_project(caller) else ""].append(time.monotonic())


def _write(folder: Path) -> None:
    sys.setprofile(None)
    rows = [
        (code.co_filename.removeprefix(_ROOT), code.co_firstlineno, caller.removeprefix(_ROOT), times)
        for (code, caller), times in list(_calls.items())
    ]
    folder.joinpath(f"{os.getpid()}.json").write_text(json.dumps(rows))


def main() -> None:
    """Record in this process, in its threads, and in those that it forks."""
    _, folder, module, *arguments = sys.argv
    atexit.register(_write, Path(folder))
    threading.setprofile(_record)
    sys.setprofile(_record)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
