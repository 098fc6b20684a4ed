"""From envelope to reply: routes, a module per family, and their dispatch."""
