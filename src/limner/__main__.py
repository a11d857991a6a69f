"""`python -m limner` is the `limner` command."""

from .cli import main

if __name__ == "__main__":
    main()
