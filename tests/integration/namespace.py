"""Run by the tests inside `unshare -rn`: a network with nothing but this process's own loopback.

All other traffic is routed to a tunnel whose other end is this script. So whatever any code
tries to send away, C libraries and their name look-ups included, arrives here as a packet and
goes nowhere. Ports that somebody listens at are noted, too.

    unshare -rn python namespace.py REPORT [--cloud GGUF] COMMAND...

"{cloud}" in the command is the address of a demo cloud that runs inside. REPORT gets one JSON
object: returncode, stdout, stderr, packets (address and IP protocol), listening (ports), cloud.
Exit code 77 where the system gives no tunnel.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import ipaddress
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

NO_TUNNEL = 77

SIOCADDRT, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x890B, 0x8914, 0x8916, 0x891C
TUNSETIFF, IFF_TUN_NO_PI, UP_AND_RUNNING, RTF_UP_GATEWAY = 0x400454CA, 0x1001, 0x41, 3
LISTEN = "0A"

# Addresses for documentation: nobody has them.
OWN, GATEWAY, MASK = "198.51.100.1", "198.51.100.2", "255.255.255.0"


def tunnel() -> int:
    """Bring loopback up, route everything else into a tunnel; its other end."""
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", b"out", IFF_TUN_NO_PI))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for name in (b"lo", b"out"):
            if name == b"out":
                for request, address in ((SIOCSIFADDR, OWN), (SIOCSIFNETMASK, MASK)):
                    fcntl.ioctl(control, request, struct.pack("16s16s8x", name, place(address)))
            fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", name, UP_AND_RUNNING))
        device = ctypes.create_string_buffer(b"out")
        everywhere = place("0.0.0.0")
        addresses = (everywhere, place(GATEWAY), everywhere)
        tail = (RTF_UP_GATEWAY, 0, 0, 0, 0, ctypes.addressof(device), 0, 0, 0)
        route = struct.pack("L16s16s16sHhLPhPLLH", 0, *addresses, *tail)
        fcntl.ioctl(control, SIOCADDRT, route)
    return end


def place(address: str) -> bytes:
    """An address as the kernel writes it: a sockaddr_in."""
    return struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))


def packets(end: int) -> list[tuple[str, int]]:
    """Where the packets so far wanted to go. The kernel's own greetings to a network are none."""
    found: list[tuple[str, int]] = []
    while True:
        try:
            packet = os.read(end, 65_536)
        except BlockingIOError:
            return found
        six = packet[0] >> 4 == 6
        to = ipaddress.ip_address(packet[24:40] if six else packet[16:20])
        if not (six and to.is_multicast):
            found.append((str(to), packet[6 if six else 9]))


class Ports:
    """Every TCP port that somebody listened at, looked at twenty times a second."""

    def __init__(self) -> None:
        self.found: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> list[int]:
        self._stop.set()
        self._thread.join()
        return sorted(self.found)

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            for table in ("/proc/net/tcp", "/proc/net/tcp6"):
                with contextlib.suppress(OSError):
                    for line in Path(table).read_text().splitlines()[1:]:
                        fields = line.split()
                        if fields[3] == LISTEN:
                            self.found.add(int(fields[1].rpartition(":")[2], 16))


def main() -> None:
    report, *rest = sys.argv[1:]
    try:
        end = tunnel()
    except OSError as error:
        sys.stderr.write(f"no tunnel: {error.strerror}\n")
        sys.exit(NO_TUNNEL)
    with contextlib.ExitStack() as stack:
        url = ""
        if rest[0] == "--cloud":
            from cogenesis.cloud_server import DemoCloud

            url = stack.enter_context(DemoCloud(rest[1])).url
            rest = rest[2:]
        ports = Ports()
        command = [each.replace("{cloud}", url) for each in rest]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        listening = ports.stop()
    told = {
        "returncode": done.returncode,
        "stdout": done.stdout,
        "stderr": done.stderr,
        "packets": packets(end),
        "listening": listening,
        "cloud": url,
    }
    Path(report).write_text(json.dumps(told), "utf-8")


if __name__ == "__main__":
    main()
