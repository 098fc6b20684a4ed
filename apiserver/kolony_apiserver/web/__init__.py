"""HTTP and WebSocket: bytes in, bytes out, and no rule of the domain."""
