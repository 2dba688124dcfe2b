"""Lets `python -m rsdet` stand for the command."""

from rsdet.cli import main

if __name__ == "__main__":
    main()
