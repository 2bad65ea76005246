"""`python -m cogenesis` is the command line."""

from cogenesis.cli import main

main()
