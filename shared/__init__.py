"""A library that every service uses; it never imports a service."""

VERSION = "0.2.0"  # of the project: pyproject.toml, the OpenAPI and AsyncAPI documents and CHANGELOG.md say the same
