"""Claims about finite sums and variance reduction."""
