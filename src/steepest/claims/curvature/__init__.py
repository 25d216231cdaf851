"""Claims about methods that divide by the curvature."""
