"""The rules of the domain, a module per family: plain functions of a context and a message."""
