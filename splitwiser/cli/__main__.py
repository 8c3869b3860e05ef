"""`python -m splitwiser.cli`: the command where its script is not installed, as in the images."""

from splitwiser.cli.main import main

if __name__ == "__main__":
    main()
