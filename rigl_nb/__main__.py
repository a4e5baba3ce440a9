"""`python -m rigl_nb`: the command line, which is `rigl_nb.cli.commands`."""

import sys
import time

if __name__ == "__main__":  # a worker imports this file too, and needs none of the rest
    started = time.monotonic()  # the import of torch takes seconds
    from rigl_nb.cli.commands import main

    sys.exit(main(started=started))
