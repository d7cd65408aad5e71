"""Run the command line with ``python -m meiflow``."""

from meiflow.cli.app import main

if __name__ == "__main__":
    main()
