"""The rules about money, as the services' books show them."""

from collections.abc import Mapping

from shared.auditing.books import Books, PagosAudit
from shared.auditing.rules import Topic, Verdict, none
from shared.money import to_decimal

money = Topic("money")


@money.of_books
def refunds_are_within_captures(books: Books) -> Verdict:
    """0 <= refunded <= captured."""
    kinds = (books.pagos.saga_payments, books.pagos.other_payments)
    holds = all(
        0 <= each["refunded_minor"] <= each["captured_minor"]
        and each["net_minor"] == each["captured_minor"] - each["refunded_minor"]
        for kind in kinds
        for each in kind.values()
    )
    captured, refunded = _paid(books.pagos, "captured_minor"), _paid(books.pagos, "refunded_minor")
    return Verdict(holds, f"captured {_money(captured)}, refunded {_money(refunded)}")


@money.of_books
def ledger_sums_to_zero(books: Books) -> Verdict:
    """The ledger sums to zero, in every currency."""
    sums = {currency: sum(accounts.values()) for currency, accounts in books.pagos.accounts.items()}
    return Verdict(not _nonzero(sums) and books.pagos.ledger_sum == 0, f"sums to {_money(sums)}")


@money.of_books
def ledger_matches_payments(books: Books) -> Verdict:
    """The ledger earned what the payments kept."""
    kept = _paid(books.pagos, "net_minor")
    earned = {currency: -accounts.get("revenue", 0) for currency, accounts in books.pagos.accounts.items()}
    payments = none(books.pagos.broken_payments, "payments that differ")
    figures = f"earned {_money(earned)}, kept {_money(kept)}; {payments.figures}"
    holds = _nonzero(kept) == _nonzero(earned) and payments.holds
    return Verdict(holds, figures, books.pagos.sagas_of_broken_payments)


@money.of_books
def wallets_match_ledger(books: Books) -> Verdict:
    """Wallets hold what the ledger says."""
    held = {currency: sums["balance_minor"] for currency, sums in books.pagos.wallets.items()}
    booked = {currency: sums["ledger_minor"] for currency, sums in books.pagos.wallets.items()}
    wallets = none(books.pagos.broken_wallets, "wallets that differ")
    figures = f"in wallets {_money(held)}, in the ledger {_money(booked)}; {wallets.figures}"
    return Verdict(held == booked and wallets.holds, figures)


def _paid(pagos: PagosAudit, name: str) -> dict[str, int]:
    """One sum of all payments, by currency."""
    sums: dict[str, int] = {}
    for kind in (pagos.saga_payments, pagos.other_payments):
        for currency, each in kind.items():
            sums[currency] = sums.get(currency, 0) + each[name]
    return sums


def _nonzero(sums: Mapping[str, int]) -> dict[str, int]:
    return {currency: minor for currency, minor in sums.items() if minor}


def _money(sums: Mapping[str, int]) -> str:
    return ", ".join(f"{to_decimal(minor):,} {currency}" for currency, minor in sorted(sums.items())) or "nothing"
