"""`python -m facewright` is the command line."""

from facewright.cli.app import main

if __name__ == "__main__":
    main()
