"""What auditors are shown, as far as the events have come: every accepted saga has ended, or is on its way."""

from saga_choreography.sagas import SAGAS
from shared.saga.audit import audit_of

audit = audit_of(SAGAS.tables)
