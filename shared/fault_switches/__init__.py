"""Named failures that happen to chosen steps of sagas, switched on over HTTP while a service runs."""
