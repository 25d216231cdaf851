"""Claims about learning while deciding."""
