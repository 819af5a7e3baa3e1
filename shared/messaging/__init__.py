"""Events between services: outbox, inbox, publisher, consumer, dead letters."""
