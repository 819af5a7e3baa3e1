"""Where everything is, and what to try next."""

from stack import settings
from stack.audit import AUDITED
from stack.home import Home
from stack.shop import Request, Shop
from stack.table import paint


def text(shop: Shop, home: Home, completed: str, ready: Request) -> str:
    """For people: URLs, and commands about a completed saga and a cart that is `ready` to be checked out."""
    return "\n".join(
        [
            "",
            paint("Where things are", "bold"),
            *(f"  {name:<18} {url}/openapi/" for name, url in shop.urls.items() if name in AUDITED),
            *_servers(home),
            f"  {'logs':<18} make logs",
            "",
            paint("Things to try next", "bold"),
            *_tries(shop.urls["saga_orchestrator"], completed, ready),
        ]
    )


def _servers(home: Home) -> list[str]:
    port = settings.read_env_file(home.env_file).get("RABBITMQ_MANAGEMENT_PORT")
    return [f"  {'rabbitmq':<18} http://127.0.0.1:{port}/ (guest, guest)"] if port else []


def _tries(orchestrator: str, completed: str, ready: Request) -> list[str]:
    saga = f"{orchestrator}/saga/{completed}"
    undo = Request("POST", f"{saga}/compensate", {"reason": "changed my mind"}, {"Prefer": "wait=30"})
    tries = [
        (
            "The first saga, and all that happened to it",
            [
                Request("GET", saga).curl() + " | python3 -m json.tool",
                Request("GET", f"{saga}/timeline").curl() + " | python3 -m json.tool",
            ],
        ),
        ("Undo it in full: order cancelled, money refunded, stock back", [undo.curl()]),
        ("Every saga that was compensated", [Request("GET", f"{orchestrator}/saga?status=compensated").curl()]),
        (
            "Kill pagos, check a cart out that is ready, and see it wait until pagos is back",
            ["kill -9 $(make -s status | awk '$1 == \"pagos\" { print $3 }')", ready.curl()],
        ),
        ("Check the books; see what runs; stop it all", ["make audit", "make status", "make down"]),
    ]
    return [line for why, commands in tries for line in ("", f"  # {why}", *_indented(commands))]


def _indented(commands: list[str]) -> list[str]:
    return [f"  {line}" for command in commands for line in command.splitlines()]
