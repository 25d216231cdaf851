"""Claims about methods that evaluate the loss only."""
