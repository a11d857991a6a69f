"""The `limner` command, also as `python -m limner`: Ctrl-C is handled before anything slow is loaded."""

from .process import closed, stop


def main() -> None:
    """Run the command line, see `limner.cli.main`."""
    closed.open_missing()
    with stop.stoppable(keep=True):
        from . import cli

        cli.main()


if __name__ == "__main__":
    main()
