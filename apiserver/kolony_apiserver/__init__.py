"""The Colonies server: an API of signed messages over PostgreSQL."""
