"""Claims about privacy."""
