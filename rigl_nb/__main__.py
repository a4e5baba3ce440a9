"""`python -m rigl_nb`: the command line, which is `rigl_nb.report.commands`."""

import sys

from rigl_nb.report.commands import main

if __name__ == "__main__":
    sys.exit(main())
