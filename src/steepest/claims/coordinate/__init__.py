"""Claims about coordinate descent."""
