"""`python -m stack`: the command line behind the Makefile's targets."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from stack import lifecycle, remembered_ports, servers
from stack.errors import StackError
from stack.home import Home
from stack.status import follow_logs, show
from stack.up import up

Arguments = argparse.Namespace


def _up(arguments: Arguments) -> None:
    """start everything and wait until it is well"""
    up(Home.at(arguments.home), private=arguments.free_ports, auto=arguments.ports == "auto")


def _ports(arguments: Arguments) -> None:
    """say which ports are taken, if any; needs nothing to be installed"""
    remembered_ports.check(Home.at(arguments.home), auto=arguments.ports == "auto")


def _down(arguments: Arguments) -> None:
    """stop everything that was started"""
    print("Stopped." if lifecycle.stop(Home.at(arguments.home)) else "Nothing was running.")


def _status(arguments: Arguments) -> None:
    """show processes, states, ports and URLs"""
    show(Home.at(arguments.home))


def _logs(arguments: Arguments) -> None:
    """follow all logs, or one process's"""
    follow_logs(Home.at(arguments.home), arguments.process)


def _servers(arguments: Arguments) -> None:
    """start private servers on free ports, for tests; print where they are"""
    home = Home.at(arguments.home)
    servers.start(home.path, [arguments.only] if arguments.only else servers.USUAL)
    print(home.env_file.read_text(), end="")


def _start(arguments: Arguments) -> None:
    """start one server again, and wait for it"""
    servers.start_one(Home.at(arguments.home).path, arguments.server)


def _stop(arguments: Arguments) -> None:
    """stop one server until `start`"""
    servers.stop_one(Home.at(arguments.home).path, arguments.server)


def _restart(arguments: Arguments) -> None:
    """stop and start one server, on the same port"""
    servers.restart(Home.at(arguments.home).path, arguments.server)


def _kill(arguments: Arguments) -> None:
    """kill -9 one server, which comes back by itself"""
    servers.kill(Home.at(arguments.home).path, arguments.server)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(act: Callable[[Arguments], None]) -> argparse.ArgumentParser:
        added = commands.add_parser(act.__name__[1:], help=act.__doc__)
        added.add_argument("--home", type=Path, help="the folder that holds everything; .local by default")
        added.set_defaults(act=act)
        return added

    starting = command(_up)
    starting.add_argument("--free-ports", action="store_true", help="don't use the well-known ports")
    for each in (starting, command(_ports)):
        each.add_argument("--ports", choices=["auto"], help="choose and remember free ports in place of taken ones")
    command(_down)
    command(_status)
    command(_logs).add_argument("process", nargs="?")
    command(_servers).add_argument("--only", choices=servers.NAMES, help="just this one")
    for act in (_start, _stop, _restart, _kill):
        command(act).add_argument("server", choices=servers.NAMES)
    return parser


def main() -> int:
    """Run one command; 1, with the reason on stderr, when it cannot be done."""
    arguments = _parser().parse_args()
    try:
        arguments.act(arguments)
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. `make down` stops what was started.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
