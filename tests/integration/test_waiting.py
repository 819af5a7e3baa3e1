"""Requests that wait for a saga's end, and the listener for them."""

from sqlalchemy import create_engine, text

from shared.http.long_poll import CompletionNotifier
from shared.ids import new_id
from shared.testing import wait_until

LONG = 120.0  # seconds; only keeps a test from hanging
LISTENING = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'listen some_ends'")


def test_who_listens_no_more_has_no_connection_and_no_thread(fresh_database_url: str) -> None:
    engine = create_engine(fresh_database_url)

    def listening() -> int:
        with engine.connect() as connection:
            return int(connection.scalar(LISTENING))

    completions = CompletionNotifier(fresh_database_url, "some_ends", max_waiters=1)
    with completions.waiter(new_id(), 0.01) as waiter:
        assert waiter is not None
        while waiter.wait():  # until its deadline
            pass
    wait_until(listening, "it listens", LONG)
    completions.close()
    wait_until(lambda: not listening(), "it listens no more", LONG)
    engine.dispose()
