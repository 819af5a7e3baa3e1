"""A small library that every service uses; it never imports a service."""
