"""What a crash leaves behind: where in the code it was, and nothing that the program held.

Python shows an error with its message and with those of the errors before it, and a message
may quote private text. The system may keep the whole memory of a process that crashed, and
llama.cpp, before it aborts, starts a debugger that prints the arguments of its functions.
All of that is closed here, for the command line; a library must leave its host alone.

Not covered: crash reports of macOS and Windows (they hold stacks, not all memory), memory that
the system swaps to disk, and a debugger that the user of this process starts before it does.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from types import TracebackType
from typing import Final

_NOT_DUMPABLE: Final = 4  # PR_SET_DUMPABLE, see prctl(2)


def keep_crashes_private() -> None:
    """Hide messages of uncaught errors in every thread, and leave no copy of the memory."""
    sys.excepthook = lambda _, error, trace: _tell(error, trace)
    threading.excepthook = lambda args: _tell(args.exc_value, args.exc_traceback)
    sys.unraisablehook = lambda args: _tell(args.exc_value, args.exc_traceback)
    os.environ["GGML_NO_BACKTRACE"] = "1"
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # The limit says nothing to a program that the system hands crashed processes to.
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_NOT_DUMPABLE, 0, 0, 0, 0)


def shown(error: BaseException | None, trace: TracebackType | None) -> str:
    """An error as lines of code without values. Causes are left out: they have messages, too."""
    lines = "".join(traceback.format_tb(trace))
    return (
        f"{lines}{type(error).__name__} (its message is hidden, it may hold private text)\n"
        "This is a fault of CoGenesis: please report it with the lines above.\n"
    )


def _tell(error: BaseException | None, trace: TracebackType | None) -> None:
    if sys.stderr is None or isinstance(error, SystemExit):
        return
    # A closed standard error must not become one more error.
    with contextlib.suppress(OSError, ValueError):
        if isinstance(error, KeyboardInterrupt):
            sys.stderr.write("stopped\n")
        else:
            sys.stderr.write(shown(error, trace))
