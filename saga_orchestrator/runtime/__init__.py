"""A durable runtime for sagas on PostgreSQL and HTTP. It runs any `Saga[Data]`, and imports nothing of its service."""
