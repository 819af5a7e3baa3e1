"""`python -m stack`: the command line behind the Makefile's targets."""

import argparse
import sys
from pathlib import Path

from stack import servers
from stack.errors import StackError
from stack.home import Home


def main() -> int:
    """Run one command; 1 and the reason on stderr when it cannot be done."""
    arguments = _parser().parse_args()
    home = Home.at(arguments.home)
    try:
        run(arguments, home.path)
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--home", type=Path, help="the folder that holds everything; .local by default")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("down", parents=[common], help="stop everything that was started")
    some = commands.add_parser("servers", parents=[common], help="start private servers on free ports, for tests")
    some.add_argument("--only", choices=servers.NAMES, help="just this one")
    for name in ("restart", "start", "stop", "kill"):
        one = commands.add_parser(name, parents=[common], help=f"{name} one server")
        one.add_argument("server", choices=servers.NAMES)
    return parser


def run(arguments: argparse.Namespace, home: Path) -> None:
    """Do what the arguments say."""
    if arguments.command == "down":
        servers.stop(home)
    elif arguments.command == "servers":
        servers.start(home, [arguments.only] if arguments.only else servers.NAMES)
        print(Home.at(home).env_file.read_text(), end="")
    else:
        {"restart": servers.restart, "start": servers.start_one, "stop": servers.stop_one, "kill": servers.kill}[
            arguments.command
        ](home, arguments.server)


if __name__ == "__main__":
    sys.exit(main())
