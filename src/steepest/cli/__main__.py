"""`python -m steepest.cli`."""

from steepest.cli import main

main()
