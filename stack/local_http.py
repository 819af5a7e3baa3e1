"""HTTP to this machine's own services and servers, past whatever proxy the environment names for others."""

import os

import requests

CURL_PROXIES = ("http_proxy", "all_proxy", "ALL_PROXY")  # what curl looks at for an http URL


def session() -> requests.Session:
    """A session that asks no proxy, and sends no login of the user's `.netrc`."""
    made = requests.Session()
    made.trust_env = False
    return made


def curl_options() -> list[str]:
    """What curl needs to do the same, here and now."""
    return ["--noproxy", "'*'"] if any(map(os.environ.get, CURL_PROXIES)) else []
