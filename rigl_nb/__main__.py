"""`python -m rigl_nb`: the command line, which is `rigl_nb.cli.commands`."""

import os
import sys
import time

if __name__ == "__main__":  # a worker imports this file too, and needs none of the rest
    for binding in ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY"):  # by which torch's OpenMP would pin this
        os.environ.pop(binding, None)  # process to its first core: all workers would share it
    started = time.monotonic()  # the import of torch takes seconds
    from rigl_nb.cli.commands import main

    sys.exit(main(started=started))
