"""Serves the application named by NOTIFY_TEST_APPLICATION, in a process that dies with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from importlib import import_module

PR_SET_PDEATHSIG = 1
if sys.platform == "linux":
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the kernel was asked
        sys.exit(1)

_module, _, _name = os.environ["NOTIFY_TEST_APPLICATION"].partition(":")
application = getattr(import_module(_module), _name)
