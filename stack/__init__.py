"""The local stack: private PostgreSQL and RabbitMQ, and every service, under a supervisor. No Docker, no root."""
