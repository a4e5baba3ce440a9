"""`python -m rigl_nb`: the command line, which is `rigl_nb.cli.commands`."""

import sys

if __name__ == "__main__":  # a worker imports this file too, and needs none of the rest
    from rigl_nb.cli.commands import main

    sys.exit(main())
