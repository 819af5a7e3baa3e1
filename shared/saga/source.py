"""What the shared API needs to know of a saga service."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Subquery, Table

from shared.auditing.log import AuditLog
from shared.database.connections import Database, Row
from shared.saga.definition import DefinitionOut
from shared.saga.views import SagaSummary


@dataclass(frozen=True)
class SagaSource:
    """A saga service as `api.py` sees it.

    `list_path` is the path of its list, under the blueprint's prefix. `failing_steps` are the steps because of which a
    saga may turn back. `sagas` has a row for each saga, and the columns by which `listing.py` filters; `audit_log` logs
    their changes; `operations` has the columns of `OperationOut`.
    """

    database: Database
    list_path: str
    definition: DefinitionOut
    failing_steps: Sequence[str]
    sagas: Table
    audit_log: AuditLog
    summary: Callable[[Row], SagaSummary]
    operations: Subquery
