"""`python -m stormcell` is the command line."""

import sys

from stormcell.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
