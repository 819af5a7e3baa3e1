"""RabbitMQ from the distribution's packages, unpacked beside the project: Debian and Ubuntu, no root.

apt works in folders of its own, so neither the system's package lists nor its installed packages change, and it
checks signatures as always.
"""

import re
import shutil
import subprocess
import time
from pathlib import Path

from stack.errors import StackError
from stack.home import lock

# Relocated Erlang: as packaged, this script names /usr/lib/erlang.
ERL = """\
#!/bin/sh
ROOTDIR=$(dirname "$(dirname "$(readlink -f "$0")")")
BINDIR=$(echo "$ROOTDIR"/erts-*/bin)
EMU=beam
PROGNAME=erl
export ROOTDIR BINDIR EMU PROGNAME
exec "$BINDIR/erlexec" "$@"
"""


def is_debian() -> bool:
    """Whether this system has apt's tools."""
    return all(shutil.which(tool) for tool in ("apt-get", "dpkg-deb", "dpkg-query"))


def unpack_rabbitmq(folder: Path) -> None:
    """Download and unpack RabbitMQ into `folder`, completely or not at all; does nothing if it is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock(folder.with_name(folder.name + ".lock")):
        if folder.exists():
            return
        work = folder.with_name(folder.name + ".new")
        shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
        print("  RabbitMQ isn't installed: downloading the distribution's packages ... ", end="", flush=True)
        began = time.monotonic()
        tree = work / "tree"
        for package in _download(work):
            _run("dpkg-deb", "-x", str(package), str(tree))
        (tree / "usr/lib/erlang/bin/erl").write_text(ERL)
        tree.rename(folder)
        shutil.rmtree(work)
        print(f"done ({time.monotonic() - began:.0f} s)", flush=True)


def _download(work: Path) -> list[Path]:
    """Download what RabbitMQ needs: itself, Erlang, and libraries that the system lacks; return the packages."""
    debs = work / "debs"
    for part in (work / "state/lists/partial", work / "cache/archives/partial", debs):
        part.mkdir(parents=True)
    apt = _apt(work)
    _run(*apt, "update")
    # Nothing counts as installed here, so that all of Erlang is listed even where a part of it is installed.
    erlang = [name for name in _needed_by(apt, "rabbitmq-server") if name.startswith("erlang-")]
    present = _run("dpkg-query", "--show", "--showformat=${Package}\n").split()
    libraries = [name for name in _needed_by(apt, *erlang) if re.fullmatch("lib.*(?<!-perl)", name)]
    missing = [name for name in libraries if name not in present]
    _run(*apt, "download", "rabbitmq-server", *erlang, *missing, folder=debs)
    return sorted(debs.glob("*.deb"))


def _needed_by(apt: list[str], *packages: str) -> list[str]:
    plan = _run(*apt, "install", "--simulate", "--no-install-recommends", *packages)
    return [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]


def _apt(work: Path) -> list[str]:
    (work / "state/status").touch()
    options = {
        "Dir::State": work / "state",
        "Dir::State::status": work / "state/status",
        "Dir::Cache": work / "cache",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",  # as root, apt would download as a user without write permission here
        "Debug::NoLocking": "1",
    }
    return ["apt-get", "-q", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]


def _run(*command: str, folder: Path | None = None) -> str:
    """Run a command and return its output; raises `StackError` with the last lines of that if it fails."""
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-15:])
        raise StackError(f"{command[0]} failed ({done.returncode}).\n{last}")
    return done.stdout
