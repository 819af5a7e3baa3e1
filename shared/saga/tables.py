"""The column that both tables of sagas share."""

# SQL: the id of the transaction that writes a row, which orders the change feed (`changes.py`). It has 64 bits, and so
# never wraps around as the 32-bit ids inside PostgreSQL do.
THIS_TRANSACTION = "CAST(CAST(pg_current_xact_id() AS text) AS bigint)"
