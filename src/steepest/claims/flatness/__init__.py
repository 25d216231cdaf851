"""Claims about sharpness and flat minima."""
