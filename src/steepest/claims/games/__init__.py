"""Claims about minimax problems and games."""
