"""Protection against cross-site request forgery and DNS rebinding: refuses what browsers send for other sites' pages.

A page of another site can make its visitor's browser send requests to all that the visitor can reach, also to services
on the visitor's machine. It can't forge these headers: `Origin` and `Sec-Fetch-Site` name the site of the page, and
`Host` the name by which the service was reached. With DNS rebinding, that is a name of the other site.
Other programs send no `Origin`, and a `Host` that the service knows, so they are not affected.
"""

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from flask import Flask, current_app, request
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException

from shared.config import ServiceSettings, ServiceUrls, host_names

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # those that change nothing (RFC 9110, section 9.2.1)
OWN_PAGES = frozenset({"same-origin", "none"})  # what Sec-Fetch-Site says of them, and of a user who typed the address
PROBED = frozenset({"/health", "/metrics"})  # called at each replica's IP address, which DNS rebinding can't forge
DEFAULT_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^\[\]:@/?#\s]+)(:(?P<port>[0-9]{1,5}))?", re.IGNORECASE)


class MisdirectedRequest(HTTPException):
    """421, which Werkzeug lacks: the request is for a host name that is not this service's."""

    code = 421


def guard(app: Flask, service: str, settings: ServiceSettings) -> None:
    """Refuse requests under a name that is not this service's (421), and changes for other sites' pages (403)."""
    added = app.extensions["added_hosts"] = host_names(settings.allowed_hosts)
    names = frozenset(_names_of(service, settings)) | added

    @app.before_request
    def refuse() -> None:
        authority = request.headers.get("Host")
        _check_host(authority, names)
        if request.method not in SAFE_METHODS and not is_of_own_page():
            raise Forbidden("a page of another site may change nothing here")


def _names_of(service: str, settings: ServiceSettings) -> Iterator[str]:
    """Yield the service's own name, the host where it is published, and the hosts in the URLs of all services."""
    yield from (service, service.replace("_", "-"))
    if settings.published_on and not _is_address(settings.published_on, "is_unspecified"):
        yield settings.published_on.lower()
    values = [value for _, value in [*settings, *ServiceUrls()] if isinstance(value, str)]
    yield from filter(None, (urlsplit(value).hostname for value in values if value.startswith(("http:", "https:"))))


def _check_host(authority: str | None, names: frozenset[str]) -> None:
    if authority is None:
        if request.environ.get("SERVER_PROTOCOL") == "HTTP/1.1":
            raise BadRequest("an HTTP/1.1 request has a Host")
        return  # HTTP/1.0, which no browser speaks
    host, _ = _split(authority)
    if host in names or host == "localhost" or _is_address(host, "is_loopback"):
        return
    if request.path in PROBED and _is_address(host):
        return
    raise MisdirectedRequest(f"this service does not go by the name {authority[:100]!r}; ALLOWED_HOSTS can add one")


def is_of_own_page() -> bool:
    """Return False when a browser sends the request for a page of another site, or of another port of this machine."""
    origin = request.headers.get("Origin")
    if origin is not None:
        page = _page(origin)
        if page is None:  # such as "null", when the page hides its origin
            return False
        if page.hostname in current_app.extensions["added_hosts"]:
            return True
        default = DEFAULT_PORTS[page.scheme]
        here, there = _split(request.headers.get("Host", "")), _split(page.netloc)
        if (here[0], here[1] or default) != (there[0], there[1] or default):
            return False
    return request.headers.get("Sec-Fetch-Site", "none") in OWN_PAGES


def _page(origin: str) -> SplitResult | None:
    """Parse an Origin header; None when it names no host."""
    try:
        return urlsplit(origin) if re.fullmatch(r"https?://[^\s,]+", origin) else None
    except ValueError:  # brackets without an address
        return None


@lru_cache(maxsize=1024)
def _split(authority: str) -> tuple[str, int | None]:
    """Split into the host, in lower case, and the port; the host is empty when there is none."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return "", None
    return match["host"].lower().strip("[]"), int(match["port"]) if match["port"] else None


def _is_address(host: str, kind: str = "version") -> bool:
    """Whether the host is an IP address, of this kind when one is named."""
    try:
        return bool(getattr(ipaddress.ip_address(host), kind))
    except ValueError:
        return False
