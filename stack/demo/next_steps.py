"""The end of the demo: where everything is, and what to try next."""

from collections.abc import Mapping

from stack import settings
from stack.audit.run import AUDITED
from stack.demo.shop import CHOREOGRAPHED, ORCHESTRATED, WAIT_SECONDS, Request, Shop, Style
from stack.home import Home
from stack.table import paint

# kills the process group: a gunicorn worker whose master was killed alone answers for a moment longer
KILL = "kill -9 -$(make -s status | awk '$1 == \"pagos\" { print $3 }')"


def text(shop: Shop, home: Home, completed: Mapping[Style, str], ready: Request) -> str:
    """Return URLs, and commands for a completed saga of each style and for a filled cart."""
    return "\n".join(
        [
            "",
            paint("Where things are", "bold"),
            *_dashboard(home),
            *(f"  {name:<18} {url}/openapi/" for name, url in shop.urls.items() if name in AUDITED),
            *_servers(home),
            f"  {'logs':<18} make logs",
            "",
            paint("Things to try next", "bold"),
            *_tries(shop.urls, completed, ready),
        ]
    )


def _dashboard(home: Home) -> list[str]:
    url = settings.read_env_file(home.env_file).get("DASHBOARD_URL")
    return [f"  {'dashboard':<18} {url}/  (all of the above, as pictures: open it in a browser)"] if url else []


def _servers(home: Home) -> list[str]:
    port = settings.read_env_file(home.env_file).get("RABBITMQ_MANAGEMENT_PORT")
    return [f"  {'rabbitmq':<18} http://127.0.0.1:{port}/ (guest, guest)"] if port else []


def _tries(urls: Mapping[str, str], completed: Mapping[Style, str], ready: Request) -> list[str]:
    sagas = {each: f"{urls[each.service]}{each.path}/{saga_id}" for each, saga_id in completed.items()}
    undo = {
        each: Request("POST", f"{saga}/compensate", {"reason": "changed my mind"}, {"Prefer": f"wait={WAIT_SECONDS}"})
        for each, saga in sagas.items()
    }
    undoing = "Undo them in full: order cancelled, money refunded, stock back"
    if settings.user_settings().get("ADMIN_TOKEN"):
        undoing += ' (add -H "Authorization: Bearer $ADMIN_TOKEN")'
    orchestrated, choreographed = urls[ORCHESTRATED.service], urls[CHOREOGRAPHED.service]
    tries = (
        ("Ana's orchestrated saga, and every request that was made for it", *_shown(sagas[ORCHESTRATED], "/timeline")),
        ("Her choreographed saga, and every event of it", *_shown(sagas[CHOREOGRAPHED], "/timeline")),
        (undoing, *(each.curl() for each in undo.values())),
        (
            "Every saga that was compensated",
            *_shown(f"{orchestrated}/saga?status=compensated"),
            *_shown(f"{choreographed}/saga/choreography/status?status=compensated"),
        ),
        ("Kill pagos, check out a cart that is ready, and see its saga go on when pagos is back", KILL, ready.curl()),
        ("Check the books; see what runs; stop it all", "make audit", "make status", "make down"),
    )
    return [line for why, *commands in tries for line in ("", f"  # {why}", *_indented(commands))]


def _shown(url: str, *more: str) -> list[str]:
    return [f"{Request('GET', url + each).curl()} | python3 -m json.tool" for each in ("", *more)]


def _indented(commands: list[str]) -> list[str]:
    return [f"  {line}" for command in commands for line in command.splitlines()]
