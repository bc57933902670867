"""Print why the demo cannot use a port, in one line: python tools/check_port.py 8000"""

from __future__ import annotations

import socket
import sys


def find_fault(text: str) -> str:
    """Returns a sentence with a command to use instead, or an empty string if the port is free."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        return f"PORT={text} is not a port number from 1 to 65535. Try: make demo PORT=8000"
    port = int(text)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            return f"Port {port} is reserved for root. Try: make demo PORT=8000"
        except OSError as error:
            other = port + 1 if port < 65535 else 8000
            return f"Port {port} cannot be used ({error.strerror}). Try: make demo PORT={other}"
    return ""


if __name__ == "__main__":
    sys.exit(find_fault(sys.argv[1]) or 0)
