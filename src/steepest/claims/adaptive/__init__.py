"""Claims about coordinatewise adaptive methods, momentum and signs."""
