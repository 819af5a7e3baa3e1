"""PostgreSQL: connections, transactions, migrations, prepared statements, LISTEN and NOTIFY."""
