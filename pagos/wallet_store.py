"""The SQL statements for wallets, one wallet each. Money is in minor units."""

from sqlalchemy import Connection

from pagos.domain import Charge, Wallet
from shared.database.prepared import prepared

# A currency is cast: PostgreSQL would take a bare parameter for a `character` of length one.
_GET = prepared("""
    SELECT user_id, currency, balance_minor FROM wallets WHERE user_id = :user_id AND currency = CAST(:currency AS text)
""")
_DRAW = prepared("""
    UPDATE wallets SET balance_minor = balance_minor - :amount_minor
    WHERE user_id = :user_id AND currency = CAST(:currency AS text) AND balance_minor >= :amount_minor
        AND NOT EXISTS (SELECT FROM payments WHERE id = :payment_id)
    RETURNING user_id
""")
_FILL = prepared("""
    INSERT INTO wallets (user_id, currency, balance_minor) VALUES (:user_id, CAST(:currency AS text), :amount_minor)
    ON CONFLICT (user_id, currency) DO UPDATE SET balance_minor = wallets.balance_minor + excluded.balance_minor
    RETURNING user_id, currency, balance_minor
""")


def get(connection: Connection, user_id: str, currency: str) -> Wallet | None:
    """Return a user's wallet; None if there is none."""
    row = connection.execute(_GET, {"user_id": user_id, "currency": currency}).mappings().first()
    return None if row is None else Wallet(**row)


def draw(connection: Connection, charge: Charge) -> bool:
    """Take a charge's amount from its wallet; False if the wallet holds less, or the payment's id is taken."""
    values = {"payment_id": charge.id, **_of(charge)}
    return connection.execute(_DRAW, values).first() is not None


def put_back(connection: Connection, charge: Charge) -> None:
    """Return a charge's amount to its wallet."""
    connection.execute(_FILL, _of(charge))


def fill(connection: Connection, user_id: str, currency: str, amount_minor: int) -> Wallet:
    """Add money to a wallet, which is created if there is none."""
    values = {"user_id": user_id, "currency": currency, "amount_minor": amount_minor}
    return Wallet(**connection.execute(_FILL, values).mappings().one())


def _of(charge: Charge) -> dict[str, object]:
    return {"user_id": charge.user_id, "currency": charge.currency, "amount_minor": charge.amount_minor}
