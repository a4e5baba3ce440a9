"""Kernels forked from one process that has imported once what all notebooks need."""

import functools
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from rigl_nb import paths
from rigl_nb.runs import workers

LIBRARIES = ("ipykernel.kernelapp", "matplotlib.backends.backend_svg", "optuna")


@functools.cache
def warm() -> multiprocessing.context.BaseContext:
    """Start the process that kernels, and trainings, are forked from; it imports on another core while one goes on.

    Its path comes first: a kernel must import the package that asked for it, not one of another checkout.
    """
    rooms = [Path(__file__).parents[1] / room for room in ("figures", "sections")]
    own = [f"rigl_nb.report.{room.name}.{file.stem}" for room in rooms for file in sorted(room.glob("[a-z]*.py"))]
    context = workers.processes(*LIBRARIES, *own)
    os.environ["PYTHONPATH"] = _path()
    if context.get_start_method() == "forkserver":
        forkserver.ensure_running()
    return context


def _path() -> str:
    return os.pathsep.join(filter(None, [str(paths.ROOT), os.environ.get("PYTHONPATH")]))


class Forked(LocalProvisioner):
    """A kernel's process, from `warm`."""

    async def launch_kernel(self, cmd: list[str], **how) -> dict:
        """Fork a kernel; of the command, what follows the module's name are its options."""
        options = cmd[cmd.index("-m") + 2 :]
        process = warm().Process(target=_serve, args=(options, how["env"], how["cwd"]))
        process.start()
        self.process, self.pid, self.cwd = _Handle(process), process.pid, how["cwd"]
        return self.connection_info


class _Handle:
    """A process, by the names that `subprocess.Popen` has for what jupyter_client asks."""

    stdin = stdout = stderr = None

    def __init__(self, process: BaseProcess):
        self.pid, self.process = process.pid, process
        self.kill, self.terminate = process.kill, process.terminate

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self) -> int:
        self.process.join()
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _serve(options: list[str], env: dict[str, str], folder: str) -> None:
    """Be a kernel, for as long as the process that asked for it is there."""
    import pandas
    import torch
    from ipykernel.kernelapp import IPKernelApp
    from matplotlib import rcParams

    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C is for the process that asked
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os.kill(os.getpid(), signal.SIGKILL)), daemon=True).start()
    multiprocessing.current_process().daemon = False
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    if threads := env.get("OMP_NUM_THREADS"):  # which torch read when it was imported
        torch.set_num_threads(int(threads))
    # What matplotlib and pandas find out for themselves where they are imported in a kernel:
    rcParams["backend"] = "module://matplotlib_inline.backend_inline"
    pandas.options.display.max_columns = 20
    sys.argv = ["ipykernel_launcher", *options]
    IPKernelApp.launch_instance(sys.argv[1:])


def manager(scratch: Path, share: dict[str, str], started: list) -> type:
    """The kernels of this interpreter, whatever `python3` kernel is installed; each is put into the list.

    `scratch` keeps the reader's own IPython start-up files out of the report, `share` is for the environment.
    """

    class ThisInterpreter(AsyncKernelManager):
        kernel_spec = KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "--log-level=CRITICAL", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
            env={**share, **os.environ, "PYTHONPATH": _path(), "IPYTHONDIR": str(scratch / "ipython")},
        )

        def __init__(self, **options):
            # Kernels that start together over TCP can pick the same port.
            kept = {"ip": str(scratch / "kernel"), "connection_file": str(scratch / "kernel.json")}
            super().__init__(**options, **kept, transport="ipc")
            self.provisioner = Forked(parent=self, kernel_id="", kernel_spec=self.kernel_spec)
            started.append(self)

    return ThisInterpreter
