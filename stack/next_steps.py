"""Where everything is, and what to try next."""

from stack import settings
from stack.audit import AUDITED
from stack.home import Home
from stack.shop import WAIT_SECONDS, Request, Shop
from stack.table import paint

# Its process group: what a gunicorn that is killed alone leaves behind goes on answering for a moment.
KILL = "kill -9 -$(make -s status | awk '$1 == \"pagos\" { print $3 }')"


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
    undo = Request("POST", f"{saga}/compensate", {"reason": "changed my mind"}, {"Prefer": f"wait={WAIT_SECONDS}"})
    tries = (
        ("The first saga, and all that happened to it", _shown(saga), _shown(f"{saga}/timeline")),
        ("Undo it in full: order cancelled, money refunded, stock back", undo.curl()),
        ("Every saga that was compensated", _shown(f"{orchestrator}/saga?status=compensated")),
        ("Kill pagos, check out a cart that is ready, and see its saga go on when pagos is back", KILL, ready.curl()),
        ("Check the books; see what runs; stop it all", "make audit", "make status", "make down"),
    )
    return [line for why, *commands in tries for line in ("", f"  # {why}", *_indented(commands))]


def _shown(url: str) -> str:
    return f"{Request('GET', url).curl()} | python3 -m json.tool"


def _indented(commands: list[str]) -> list[str]:
    return [f"  {line}" for command in commands for line in command.splitlines()]
