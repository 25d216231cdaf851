"""Claims about methods that store less."""
