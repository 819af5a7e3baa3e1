"""A copy of the checkout in which bugs are planted, and the runs of tests in it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.mutants.planted import Mutant
from tests.system.servers import HOME

SECONDS = 600  # time limit of one run of tests, so that a bug that makes one wait for ever ends, too
# Read by `tests/conftest.py`: it is enough that a test fails, and the smallest example would take minutes.
UNSHRUNK = "CHECKOUT_TESTS_UNSHRUNK"
PASSED, FAILED = 0, 1  # pytest's exit codes; any other means that it could not run the tests
UNPACKED = Path(".local/rabbitmq/dist")  # a downloaded RabbitMQ, which the copy can use
# The same examples of hypothesis in every run. It is the only plugin of pytest here, which takes a fifth of the time.
PYTEST = ("-m", "pytest", "-x", "-q", "--tb=no", "-p", "_hypothesis_pytestplugin", "--hypothesis-seed=0")


class Outcome(StrEnum):
    """The result of a planted bug."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"  # all of its tests passed
    STALE = "STALE"  # the quoted code is gone, or is in several places
    UNTESTED = "UNTESTED"  # its tests could not be run, or did not end


@dataclass(frozen=True)
class Verdict:
    """A planted bug, its outcome, the test that caught it, and how many seconds that took."""

    mutant: Mutant
    outcome: Outcome
    by: str
    seconds: float


class Checkout:
    """A copy of all files that git would track, in its own folder. Every process imports what is planted there."""

    def __init__(self, source: Path, folder: Path, servers: Mapping[str, str]) -> None:
        """Copy `source`. `servers` are settings that name the servers for tests; without, tests start their own."""
        self._servers = servers
        self.root = folder
        self._planted_before = 0
        listed = ("git", "-C", str(source), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for name in subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0"):
            if name and (source / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / name, folder / name, follow_symlinks=False)
        if (source / UNPACKED).exists():
            shutil.copytree(source / UNPACKED, folder / UNPACKED, symlinks=True, copy_function=_link_or_copy)

    def run(self, tests: Sequence[str], seconds: float = SECONDS) -> tuple[int | None, str]:
        """Run tests; return pytest's exit code (None: they did not end in time) and its output."""
        command = [sys.executable, *PYTEST, *dict.fromkeys(tests)]
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                command, cwd=self.root, env=self._env(), stdout=output, stderr=output, start_new_session=True
            )
            try:
                code: int | None = process.wait(seconds)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            output.seek(0)
            return code, output.read()

    def judge(self, mutant: Mutant) -> Verdict:
        """Plant one bug, run its tests, and remove it again."""
        began = time.monotonic()
        if mutant.is_stale(self.root):
            return Verdict(mutant, Outcome.STALE, "", 0.0)
        with self._planted(mutant):
            code, output = self.run(mutant.tests)
        failed = re.search(r"^FAILED (\S+)", output, re.M)
        if code == PASSED:
            outcome = Outcome.SURVIVED
        else:
            outcome = Outcome.CAUGHT if code == FAILED and failed else Outcome.UNTESTED
        by = failed[1] if failed else output.strip().rpartition("\n")[2]
        return Verdict(mutant, outcome, by, time.monotonic() - began)

    @contextmanager
    def _planted(self, mutant: Mutant) -> Iterator[None]:
        """Plant the bug for the block. The file gets a new modification time, so that Python compiles it again."""
        path = self.root / mutant.file
        text, times = path.read_text(), path.stat()
        path.write_text(text.replace(mutant.old, mutant.new))
        self._planted_before += 1
        os.utime(path, (times.st_atime, times.st_mtime + self._planted_before))
        try:
            yield
        finally:
            path.write_text(text)
            os.utime(path, (times.st_atime, times.st_mtime))

    def _env(self) -> Mapping[str, str]:
        """Return this environment with the copy first on the import path, and without this run's servers."""
        kept = {name: value for name, value in os.environ.items() if name not in {HOME, "PYTEST_ADDOPTS"}}
        ours = {UNSHRUNK: "1", "PYTHONPATH": str(self.root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return kept | {**self._servers, **ours}


def _link_or_copy(source: str, target: str) -> None:
    """Link the file under another name; copy it where that is another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
