"""Clients of Colonies servers, and the worker that stands on them."""
