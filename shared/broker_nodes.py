"""The nodes of a RabbitMQ cluster that `RABBITMQ_URL` names, and the order in which a process connects to them.

It is one URL, whose hosts are separated by commas, as in PostgreSQL's and MongoDB's URLs. The nodes of a cluster share
users, virtual hosts and options, so these are named once, and the password, too.
"""

import random
from urllib.parse import SplitResult, urlsplit

SCHEMES = ("amqp", "amqps")
PORTS = range(1, 65_536)
RECONNECT_FIRST_SECONDS, RECONNECT_MOST_SECONDS = 0.1, 5.0
FORM = "must be an amqp:// or amqps:// URL, such as amqp://user:password@host1:5672,host2:5672/%2F"


def checked(url: str) -> str:
    """Return the URL, or raise `ValueError`, whose message never contains the login."""
    node_urls(url)
    return url


def node_urls(url: str) -> list[str]:
    """Return a URL for each host of `url`, in its order; raises `ValueError` when it is not well formed."""
    try:
        parts = urlsplit(url)
    except ValueError:  # whose text has the login
        raise ValueError(FORM) from None
    if "@" in parts.path + parts.query + parts.fragment:  # so what stands for hosts may be a part of the login
        raise ValueError("must have / ? # in a user's name or password as %2F %3F %23")
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise ValueError(FORM)
    login, at, hosts = parts.netloc.rpartition("@")
    if "@" in login and "," in login:
        raise ValueError("must have one login, before the first host, for all of them; @ in a password is %40")
    for host in hosts.split(","):
        _check(host)
    return [_with_netloc(parts, f"{login}{at}{host}") for host in hosts.split(",")]


def place(url: str) -> str:
    """Return the hosts and ports of a URL without its login, for logs and messages."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _check(host: str) -> None:
    """Raise `ValueError` unless it is `host` or `host:port`; an IPv6 address has brackets."""
    told = urlsplit(f"//{host}")
    try:
        right = bool(told.hostname) and (told.port is None or told.port in PORTS) and not host.endswith(":")
    except ValueError:  # the port is no number
        right = False
    if not right or any(character.isspace() for character in host):
        raise ValueError(f"must have hosts as host or host:port, with commas between: not {host!r}")


def _with_netloc(parts: SplitResult, netloc: str) -> str:
    return parts._replace(netloc=netloc).geturl()


class NodeRotation:
    """The order in which a process tries the nodes: a random one, so that clients of a lost node spread over others.

    After a lost connection the next node is tried first, since the former one probably failed.
    """

    def __init__(self, url: str) -> None:
        urls = node_urls(url)
        self._urls = random.sample(urls, len(urls))
        self._at = self._failures = 0

    @property
    def url(self) -> str:
        """The URL of the node to connect to."""
        return self._urls[self._at]

    @property
    def rounds(self) -> int:
        """How many times in a row each node has failed, since one was `connected`."""
        return self._failures // len(self._urls)

    @property
    def seconds_to_next_try(self) -> float:
        """How long to wait after a failure: exponential back-off with jitter, which grows from round to round."""
        most = min(RECONNECT_MOST_SECONDS, RECONNECT_FIRST_SECONDS * 2 ** min(self.rounds, 10))
        return random.uniform(most / 2, most)  # noqa: S311  (jitter)

    def connected(self) -> None:
        """Record that the node works."""
        self._failures = 0

    def failed(self) -> None:
        """Continue with the next node."""
        self._failures += 1
        self._at = (self._at + 1) % len(self._urls)
