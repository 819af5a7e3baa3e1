"""The audit: rules that the books of all services, and each saga as they see it, must not break."""
