"""What the tables of sagas have in common."""

# SQL: the number of the transaction that writes a row, which orders the change feed (`changes.py`). Rows of one commit
# have the same, and it never begins anew as the short numbers inside PostgreSQL do.
THIS_TRANSACTION = "CAST(CAST(pg_current_xact_id() AS text) AS bigint)"
