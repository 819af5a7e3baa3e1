"""HTTP to services on this machine, without the proxy that the environment may name."""

import os

import requests

CURL_PROXIES = ("http_proxy", "all_proxy", "ALL_PROXY")  # what curl looks at for an http URL


def session() -> requests.Session:
    """Make a session that uses no proxy, and no login from the user's `.netrc`."""
    made = requests.Session()
    made.trust_env = False
    return made


def curl_options() -> list[str]:
    """Return the options that curl needs in this environment to do the same."""
    return ["--noproxy", "'*'"] if any(map(os.environ.get, CURL_PROXIES)) else []
