"""A whole colony on one machine, for trying things and for tests."""
