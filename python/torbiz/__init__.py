"""Torbiz's Python half: the seeder that runs in the container, and the ask server that runs in the system Python."""

__version__ = "0.1.0"
