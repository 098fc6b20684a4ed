"""Several servers that serve one colony as one: who is there, who leads, and what they tell each other."""
