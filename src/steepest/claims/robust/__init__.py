"""Claims about wrong labels, unequal domains and swapped preferences."""
