"""The SQL of the triggers that write an audit's totals and log (`log.py`), for migrations.

A trigger runs once for each statement, over all rows that it changed. Queries over `rows` give the topic, key and
amount that rows add to the totals; a changed row subtracts its old amounts and adds its new ones.

A table without totals, of which only some changes concern an auditor, has row triggers with a condition instead
(`row_triggers`): other changes run no trigger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TABLES = """
CREATE TABLE {schema}.audit_totals (
    topic text NOT NULL, key text NOT NULL, amount numeric NOT NULL, CONSTRAINT pk_audit_totals PRIMARY KEY (topic, key)
);
CREATE INDEX ix_audit_totals_zero ON {schema}.audit_totals (topic) WHERE amount = 0;
CREATE TABLE {schema}.audit_deltas (topic text NOT NULL, key text NOT NULL, amount bigint NOT NULL);
CREATE TABLE {schema}.audit_changes (
    xid bigint NOT NULL, saga_id uuid NOT NULL, changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_audit_changes_xid ON {schema}.audit_changes (xid, saga_id);
INSERT INTO {schema}.audit_totals VALUES
    ('log', 'begins', CAST(CAST(pg_current_xact_id() AS text) AS bigint));
"""
DROP_TABLES = "DROP TABLE {schema}.audit_totals, {schema}.audit_deltas, {schema}.audit_changes"
_FUNCTION = """
CREATE FUNCTION {schema}.audit_{table}_{operation}() RETURNS trigger LANGUAGE plpgsql AS $audit$
BEGIN{note}
    INSERT INTO {schema}.audit_deltas (topic, key, amount)
    SELECT topic, key, sum(amount) FROM ({amounts}) AS amounts (topic, key, amount)
     GROUP BY topic, key HAVING sum(amount) <> 0;
    RETURN NULL;
END $audit$;
CREATE TRIGGER audit_{operation} AFTER {operation} ON {schema}.{table}
    REFERENCING {transition} FOR EACH STATEMENT EXECUTE FUNCTION {schema}.audit_{table}_{operation}();
"""
_NOTE = """
    INSERT INTO {schema}.audit_changes (xid, saga_id)
    SELECT DISTINCT CAST(CAST(pg_current_xact_id() AS text) AS bigint), saga_id
      FROM ({changed}) AS changed (saga_id) WHERE saga_id IS NOT NULL;"""
_ROW_FUNCTION = """
CREATE FUNCTION {schema}.audit_{table}_row() RETURNS trigger LANGUAGE plpgsql AS $audit$
BEGIN
    INSERT INTO {schema}.audit_changes (xid, saga_id)
    SELECT DISTINCT CAST(CAST(pg_current_xact_id() AS text) AS bigint), saga_id
      FROM unnest(ARRAY[OLD.saga_id, NEW.saga_id]) AS changed (saga_id) WHERE saga_id IS NOT NULL;
    RETURN NULL;
END $audit$;
"""
_ROW_TRIGGER = """
CREATE TRIGGER audit_row_{operation} AFTER {event} ON {schema}.{table}
    FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION {schema}.audit_{table}_row();
"""
_CAME_OR_WENT = "SELECT saga_id FROM {rows}"
_DIFFERS = """
SELECT unnest(ARRAY[old_rows.saga_id, new_rows.saga_id])
  FROM old_rows FULL JOIN new_rows ON old_rows.{key} = new_rows.{key} WHERE {different}"""
_SIDE = "SELECT topic, key, {sign} * amount FROM ({query}) AS side (topic, key, amount)"
_TRANSITION = {
    "insert": "NEW TABLE AS new_rows",
    "delete": "OLD TABLE AS old_rows",
    "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
}
_SIDES = {"insert": (("new_rows", 1),), "delete": (("old_rows", -1),), "update": (("old_rows", -1), ("new_rows", 1))}
NOTHING: Mapping[str, Sequence[str]] = {}


@dataclass(frozen=True)
class ChangedColumns:
    """When a saga counts as changed: a row was inserted or deleted, or one of these columns of a row changed."""

    key: str
    columns: tuple[str, ...]


def triggers(
    schema: str,
    table: str,
    amounts: Sequence[str],
    changed: ChangedColumns | None,
    more: Mapping[str, Sequence[str]] = NOTHING,
) -> str:
    """SQL: the triggers of one table; `amounts` are queries over `{rows}`, which name other tables with their schema.

    `more` are queries for one operation only, by its name.
    """
    return "".join(
        _trigger(schema, table, operation, [*amounts, *more.get(operation, ())], changed) for operation in _SIDES
    )


def drop_triggers(schema: str, table: str) -> str:
    """SQL: drop the triggers of a table."""
    return "".join(f"DROP FUNCTION {schema}.audit_{table}_{operation}() CASCADE;\n" for operation in _SIDES)


def row_triggers(schema: str, table: str, conditions: Mapping[str, str]) -> str:
    """SQL: triggers that log the saga of each row that meets a condition, by event (`INSERT`, `UPDATE OF column`)."""
    made = [
        _ROW_TRIGGER.format(
            schema=schema, table=table, operation=event.split()[0].lower(), event=event, condition=condition
        )
        for event, condition in conditions.items()
    ]
    return _ROW_FUNCTION.format(schema=schema, table=table) + "".join(made)


def drop_row_triggers(schema: str, table: str) -> str:
    """SQL: drop the row triggers of a table."""
    return f"DROP FUNCTION {schema}.audit_{table}_row() CASCADE"


def _trigger(schema: str, table: str, operation: str, amounts: Sequence[str], changed: ChangedColumns | None) -> str:
    sides = [
        _SIDE.format(sign=sign, query=query.format(rows=rows)) for rows, sign in _SIDES[operation] for query in amounts
    ]
    note = "" if changed is None else _NOTE.format(schema=schema, changed=_changed(operation, changed))
    return _FUNCTION.format(
        schema=schema,
        table=table,
        operation=operation,
        note=note,
        amounts=" UNION ALL ".join(sides),
        transition=_TRANSITION[operation],
    )


def _changed(operation: str, changed: ChangedColumns) -> str:
    if operation != "update":
        return _CAME_OR_WENT.format(rows=_SIDES[operation][0][0])
    different = " OR ".join(f"old_rows.{each} IS DISTINCT FROM new_rows.{each}" for each in changed.columns)
    return _DIFFERS.format(key=changed.key, different=different)
