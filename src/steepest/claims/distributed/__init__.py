"""Claims about several workers and what they exchange."""
