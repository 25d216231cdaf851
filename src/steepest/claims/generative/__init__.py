"""Claims about generative models."""
