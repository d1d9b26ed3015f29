"""`python -m singcli`."""

import sys

from singcli.cli import main

if __name__ == "__main__":
    sys.exit(main())
