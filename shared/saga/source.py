"""What the shared API needs to know of one style of saga."""

from dataclasses import dataclass

from sqlalchemy import Subquery

from shared.db import Database
from shared.saga.definition import DefinitionOut


@dataclass(frozen=True)
class SagaSource:
    """A saga service as `api.py` sees it; `operations` has the columns of `OperationOut`."""

    database: Database
    definition: DefinitionOut
    operations: Subquery
