"""Those who wait for a saga's end, and who listens for them."""

from sqlalchemy import create_engine, text

from shared.http.long_poll import Endings
from shared.ids import new_id
from shared.testing import wait_until

LONG = 120.0  # seconds, so that nothing hangs
LISTENING = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'listen some_ends'")


def test_who_listens_no_more_has_no_connection_and_no_thread(fresh_database_url: str) -> None:
    engine = create_engine(fresh_database_url)

    def listening() -> int:
        with engine.connect() as connection:
            return int(connection.scalar(LISTENING))

    endings = Endings(fresh_database_url, "some_ends", places=1)
    assert endings.wait(new_id(), 0.01, ended=lambda: False)
    wait_until(listening, "it listens", LONG)
    endings.close()
    wait_until(lambda: not listening(), "it listens no more", LONG)
    engine.dispose()
