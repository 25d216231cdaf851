"""Claims about methods that treat a matrix as a matrix."""
