"""Claims about matrices of low rank."""
