"""The dashboard: reads the services' public APIs, shows their sagas, keeps nothing."""
