"""The protocol: envelopes, and the messages in them, a module per family."""
