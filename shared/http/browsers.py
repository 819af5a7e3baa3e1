"""What a browser sends on behalf of a page from elsewhere is refused, before anything is done.

A page of another site can have its visitor's browser send requests to whatever the visitor can reach, also to services
on his own machine. It can't forge these headers: `Origin` and `Sec-Fetch-Site` tell where the page is from, and `Host`
by which name the service was reached, which is the page's own when that name was made to lead here (DNS rebinding).
Programs that are no browsers send no `Origin` and the name that they were told, and notice nothing of this.
"""

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from flask import Flask, request
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException

from shared.config import ServiceSettings, ServiceUrls, host_names

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # those that change nothing (RFC 9110, section 9.2.1)
OWN_PAGES = frozenset({"same-origin", "none"})  # what Sec-Fetch-Site says of them, and of a user who typed the address
PROBED = frozenset({"/health", "/metrics"})  # by address, of each replica; an address can't be made to lead elsewhere
DEFAULT_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^\[\]:@/?#\s]+)(:(?P<port>[0-9]{1,5}))?", re.IGNORECASE)


class MisdirectedRequest(HTTPException):
    """The request is for somebody else; Werkzeug has no such error."""

    code = 421


def guard(app: Flask, service: str, settings: ServiceSettings) -> None:
    """Refuse requests under a name that is not this service's (421), and changes for pages from elsewhere (403)."""
    added = host_names(settings.allowed_hosts)
    names = frozenset(_names_of(service, settings)) | added

    @app.before_request
    def refuse() -> None:
        authority = request.headers.get("Host")
        _check_host(authority, names)
        if request.method not in SAFE_METHODS and _is_from_elsewhere(authority or "", added):
            raise Forbidden("a page of another site may change nothing here")


def _names_of(service: str, settings: ServiceSettings) -> Iterator[str]:
    """The service's own name, that of the address where it is published, and those in the URLs of all services."""
    yield from (service, service.replace("_", "-"))
    if settings.published_on and not _is_address(settings.published_on, "is_unspecified"):
        yield settings.published_on.lower()
    values = [value for _, value in [*settings, *ServiceUrls()] if isinstance(value, str)]
    yield from filter(None, (urlsplit(value).hostname for value in values if value.startswith(("http:", "https:"))))


def _check_host(authority: str | None, names: frozenset[str]) -> None:
    if authority is None:
        if request.environ.get("SERVER_PROTOCOL") == "HTTP/1.1":
            raise BadRequest("an HTTP/1.1 request has a Host")
        return  # of a program that speaks HTTP/1.0: no browser does
    host, _ = _split(authority)
    if host in names or host == "localhost" or _is_address(host, "is_loopback"):
        return
    if request.path in PROBED and _is_address(host):
        return
    raise MisdirectedRequest(f"this service does not go by the name {authority[:100]!r}; ALLOWED_HOSTS can add one")


def _is_from_elsewhere(authority: str, added: frozenset[str]) -> bool:
    origin = request.headers.get("Origin")
    if origin is not None:
        page = _page(origin)
        if page is None:  # "null", for one: a page that won't say
            return True
        if page.hostname in added:
            return False
        default = DEFAULT_PORTS[page.scheme]
        here, there = _split(authority), _split(page.netloc)
        if (here[0], here[1] or default) != (there[0], there[1] or default):
            return True
    return not is_of_own_page()


def is_of_own_page() -> bool:
    """Whether the request is not sent by a browser for a page of another site, or of another port of this machine."""
    return request.headers.get("Sec-Fetch-Site", "none") in OWN_PAGES


def _page(origin: str) -> SplitResult | None:
    """Where a page is from; None for what does not say."""
    try:
        return urlsplit(origin) if re.fullmatch(r"https?://[^\s,]+", origin) else None
    except ValueError:  # brackets that hold no address
        return None


@lru_cache(maxsize=1024)
def _split(authority: str) -> tuple[str, int | None]:
    """The host, in small letters, and the port; a host without a name for what is neither."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return "", None
    return match["host"].lower().strip("[]"), int(match["port"]) if match["port"] else None


def _is_address(host: str, kind: str = "version") -> bool:
    """Whether it is an IP address, and of this kind."""
    try:
        return bool(getattr(ipaddress.ip_address(host), kind))
    except ValueError:
        return False
