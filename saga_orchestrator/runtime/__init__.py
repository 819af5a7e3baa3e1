"""A durable runtime for sagas on PostgreSQL and HTTP, of any `SagaDefinition`. It imports nothing of its service."""
