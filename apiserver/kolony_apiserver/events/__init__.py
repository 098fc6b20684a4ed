"""Telling subscribers what happens to processes."""
