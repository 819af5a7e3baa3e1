"""The choreography's part of the audit, from the events recorded so far."""

from saga_choreography.service import SAGAS
from shared.saga.audit import audit_of

audit = audit_of(SAGAS.tables)
