"""Both ends of HTTP between the services."""
