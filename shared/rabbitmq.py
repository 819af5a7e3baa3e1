"""The only module that imports pika."""

from collections.abc import Callable, Mapping

import pika
from pika.exceptions import AMQPError

from shared.config import ServiceSettings


def rabbitmq_check(settings: ServiceSettings) -> Mapping[str, Callable[[], None]]:
    """The health check of the broker, for a service that is told of one (`RABBITMQ_URL`)."""
    url = settings.rabbitmq_url
    return {} if url is None else {"rabbitmq": lambda: ping(url)}


def ping(url: str) -> None:
    """Open a connection and close it; raises when the broker does not answer within two seconds."""
    parameters = pika.URLParameters(url)
    parameters.connection_attempts = 1
    parameters.socket_timeout = 2
    parameters.blocked_connection_timeout = 2
    try:
        pika.BlockingConnection(parameters).close()
    except AMQPError as error:
        raise ConnectionError(f"no broker at {parameters.host}:{parameters.port}") from error
