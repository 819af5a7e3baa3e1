"""The services as pages use them."""

from flask import current_app

from dashboard.checkouts import Checkouts
from dashboard.letters_and_faults import LettersAndFaults
from dashboard.list_reading import ListReading
from dashboard.operator_requests import OperatorRequests
from dashboard.saga_reading import SagaReading


class Services(SagaReading, ListReading, LettersAndFaults, OperatorRequests, Checkouts):
    """All requests to the services: reads and commands."""


def services() -> Services:
    """Return the services, while a request is handled."""
    return current_app.extensions["services"]  # type: ignore[no-any-return]
