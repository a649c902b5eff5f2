#!/usr/bin/env python3
"""Finds the code that the dashboard runs while nobody presses a key, and what starting needs beside it, and
writes assets/hot-code.ld, by which the linker puts either side by side: then little else is in memory with it.

usage: benches/hot-code.py WHARF HOST...

WHARF is a release build with its symbols (cargo build --release --config profile.release.strip=false), each
HOST the address of an engine with some running containers, or "embedded" for that of WHARF_ROOT. Needs root
and nm; x86-64 alone.

A breakpoint stands at the beginning of each function, and goes when it is met: so what runs is found at once,
and nothing of it is slow for long.
"""

import collections
import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dashboard import Dashboard  # noqa: E402

# What ptrace is asked for (linux/ptrace.h), and what it says.
CONT, GETREGS, SETREGS, SEIZE, INTERRUPT, LISTEN = 7, 12, 13, 0x4206, 0x4207, 0x4208
# What a tracee starts is traced, too, and dies with the tracer.
TRACE_ALL = 0x2 | 0x4 | 0x8 | 0x10 | 0x100000
EVENT_EXEC, EVENT_STOP = 4, 128
WALL = 0x40000000
RIP = 16
# How many functions of one name, but for its hash, are too many to be kept with the one that ran.
CROWD = 64
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long

HEAD = """/* Made by benches/hot-code.py: what the dashboard runs once a second, and what starting needs beside it, each
   side by side. A name that isn't there (any more) is no harm. */
"""


def ptrace(request, pid, data=0):
    if libc.ptrace(request, pid, None, data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request} of {pid}")


class Watched:
    """A dashboard over an engine, of whose functions it is noted which run."""

    def __init__(self, wharf, host, home, functions):
        homes = {name: home for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")}
        words = [wharf, "--host", host]
        if host == "embedded":
            words = [wharf]
            homes.update({name: os.environ[name] for name in ("WHARF_ROOT",) if name in os.environ})
        # It waits to be traced from its first instruction on.
        held = ["sh", "-c", 'kill -STOP $$; exec "$@"', "sh", *words]
        self.dashboard = Dashboard(held, 120, 40, homes)
        self.pid = self.dashboard.process.pid
        self.functions, self.original, self.met = functions, {}, set()
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)
        ptrace(SEIZE, self.pid, TRACE_ALL)
        os.kill(self.pid, signal.SIGCONT)

    def arm(self):
        """Sets the breakpoints that aren't there; what runs has stopped."""
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            for address in self.functions:
                memory.seek(address)
                byte = memory.read(1)
                if byte != b"\xcc":
                    self.original[address] = byte
                    memory.seek(address)
                    memory.write(b"\xcc")

    def watch(self, seconds):
        """Returns the functions that were met in this time."""
        self.met = set()
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pid, status = os.waitpid(-1, os.WNOHANG | WALL)
            if pid == 0:
                self.dashboard.read(0.002)
            elif os.WIFSTOPPED(status):
                self.stopped(pid, os.WSTOPSIG(status), status >> 16)
            elif pid == self.pid:
                sys.exit(f"the dashboard has ended: {status:#x}")
        return {name for address in self.met for name in self.functions[address]}

    def stopped(self, pid, number, event):
        if event == EVENT_EXEC:
            self.arm()
        if event == EVENT_STOP and number in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
            ptrace(LISTEN, pid)
            return
        if event or number == signal.SIGTRAP:
            if not event:
                self.trapped(pid)
            number = 0
        ptrace(CONT, pid, number)

    def trapped(self, pid):
        registers = (ctypes.c_ulonglong * 27)()
        ptrace(GETREGS, pid, ctypes.addressof(registers))
        address = registers[RIP] - 1
        # Two threads may come at once.
        if address in self.original:
            with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
                memory.seek(address)
                memory.write(self.original[address])
            self.met.add(address)
            registers[RIP] = address
            ptrace(SETREGS, pid, ctypes.addressof(registers))

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        # Each thread's end has to be taken note of.
        try:
            while True:
                os.waitpid(-1, WALL)
        except ChildProcessError:
            os.close(self.dashboard.master)


def executed(wharf, host, home, functions):
    """Returns the symbols of the functions that ran while it started, and of those that ran once it rested."""
    watched = Watched(wharf, host, home, functions)
    started = watched.watch(15)
    # What starting needs isn't needed again.
    watched.arm()
    hot = watched.watch(30)
    watched.close()
    print(f"{host}: {len(hot)} functions once a second, {len(started)} in all", flush=True)
    return started, hot


def stem(name):
    """Returns a symbol without the hash."""
    return re.sub(r"17h[0-9a-f]{16}E.*$", "17h", name)


def functions_of(program):
    """Returns the names of the functions at each address."""
    done = subprocess.run(["nm", program], check=True, capture_output=True, text=True)
    functions = collections.defaultdict(list)
    for line in done.stdout.splitlines():
        address, kind, name = line.rsplit(maxsplit=2)[-3:] if len(line.split()) == 3 else ("", "", "")
        if kind in ("t", "T") and name.startswith(("_ZN", "_R")):
            functions[int(address, 16)].append(name)
    return dict(functions)


def patterns(symbols, known):
    """Returns what these are called in the linker's language. The hash at a name's end changes with every
    version of a crate, so all of a name are taken together, unless they are a crowd."""
    return {f"{stem(name)}*" for name in symbols if known[stem(name)] <= CROWD}


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    wharf = os.path.abspath(sys.argv[1])
    functions = functions_of(wharf)
    started, hot = set(), set()
    for host in sys.argv[2:]:
        with tempfile.TemporaryDirectory(prefix="wharf-hot-") as home:
            found = executed(wharf, host, home, functions)
        started |= found[0]
        hot |= found[1]
    known = collections.Counter(stem(name) for names in functions.values() for name in names)
    hot = sorted(patterns(hot, known))
    started = sorted(patterns(started, known) - set(hot))
    place = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../assets/hot-code.ld")
    with open(place, "w", encoding="ascii") as file:
        file.write(HEAD + "SECTIONS\n{\n")
        for section, names in [("hot", hot), ("started", started)]:
            file.write(f"  .text.{section} :\n  {{\n")
            for name in names:
                file.write(f"    *(.text.{name})\n")
            file.write("  }\n")
        file.write("}\nINSERT BEFORE .text;\n")
    print(f"{len(hot)} functions once a second, {len(started)} while it starts")


if __name__ == "__main__":
    main()
