"""pagos: takes money for sagas and for merchants, gives it back, keeps wallets and a double-entry ledger."""
