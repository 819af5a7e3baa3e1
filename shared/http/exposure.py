"""A service that other machines can reach does not start without its tokens."""

import ipaddress
from collections.abc import Iterable

from shared.config import ServiceSettings


class Exposed(RuntimeError):
    """The service would be open to everybody who can reach it. gunicorn shows the message of a RuntimeError."""


def refuse_exposure(addresses: Iterable[object], settings: ServiceSettings) -> None:
    """Raise `Exposed` when other machines can reach one of gunicorn's addresses and a token is not set.

    For a container, the address where it is published counts instead. With fault switches the operators' token is
    needed even in a demo.
    """
    missing = [name for name in ("ADMIN_TOKEN", "SERVICE_TOKEN") if getattr(settings, name.lower()) is None]
    breakable = settings.faults and settings.admin_token is None
    if not missing or (settings.insecure_demo and not breakable):
        return
    for address in [(settings.published_on,)] if settings.published_on else addresses:
        if not is_local(address):
            if breakable:
                raise Exposed(
                    f"bound to {_words(address)}, beyond this machine, with FAULTS=true and without ADMIN_TOKEN: "
                    "anybody could break it. Set ADMIN_TOKEN to a secret, or leave FAULTS out."
                )
            raise Exposed(
                f"bound to {_words(address)}, beyond this machine, without {' and '.join(missing)}: anybody could "
                "operate it, or ask what only services ask. Set each to a secret, or INSECURE_DEMO=true if that is "
                "what you want."
            )


def is_local(address: object) -> bool:
    """Whether only this machine can reach the address, such as a Unix socket; False for an inherited socket."""
    if isinstance(address, str):
        return True
    if not isinstance(address, tuple):
        return False
    host = str(address[0])
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _words(address: object) -> str:
    return ":".join(map(str, address)) if isinstance(address, tuple) else f"socket {address}"
