#!/usr/bin/env python3
"""Finds the code that the dashboard runs while nobody presses a key, and what starting needs beside it, and
writes assets/hot-code.ld, by which the linker puts either side by side: then little else is in memory with it.

usage: benches/hot-code.py WHARF HOST [CONTAINER]

WHARF is a release build with its symbols (cargo build --release --config profile.release.strip=false), HOST
the address of a dockerd with some running containers, CONTAINER the beginning of their names (bench-).
Needs valgrind and nm.
"""

import collections
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dashboard import Dashboard  # noqa: E402

# Small crates of which all is kept together: the embedded engine can't be watched by valgrind.
WHOLE = ["_ZN11wharf_stats", "_ZN12wharf_cgroup"]
HEAD = """/* Made by benches/hot-code.py: what the dashboard runs once a second, and what starting needs beside it, each
   side by side. A name that isn't there (any more) is no harm. */
"""


def executed(wharf, host, container, out, rests):
    """Returns the symbols of the functions that ran: while it started, or once it rested."""
    at_start = "no" if rests else "yes"
    valgrind = ["valgrind", "--tool=callgrind", f"--instr-atstart={at_start}", "--demangle=no",
                f"--callgrind-out-file={out}"]
    folder = os.path.dirname(out)
    homes = {name: folder for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    dashboard = Dashboard([*valgrind, wharf, "--host", host], 120, 40, homes)
    dashboard.wait_for(container.encode(), 60)
    # What starting needs isn't needed again.
    dashboard.drain(15)
    if rests:
        subprocess.run(["callgrind_control", "-i", "on", str(dashboard.process.pid)], check=True,
                       stdout=subprocess.DEVNULL)
        dashboard.drain(20)
    dashboard.process.terminate()
    until = time.perf_counter() + 30
    while dashboard.process.poll() is None and time.perf_counter() < until:
        dashboard.read(0.1)
    with open(out, encoding="utf-8", errors="replace") as file:
        return set(re.findall(r"^c?fn=\(\d+\) (\S+)", file.read(), re.M))


def stem(name):
    """Returns a symbol without the hash."""
    return re.sub(r"17h[0-9a-f]{16}E.*$", "17h", name)


def symbols_of(program):
    done = subprocess.run(["nm", program], check=True, capture_output=True, text=True)
    return [line.split()[-1] for line in done.stdout.splitlines()]


def patterns(symbols, known):
    """Returns what these are called in the linker's language. The hash at a name's end changes with every
    compiler and every version of a crate, and is left out but where there are many of a name."""
    return {
        f"{stem(name)}*" if known[stem(name)] <= 8 else f"{name.partition('.llvm.')[0]}*"
        for name in symbols if name.startswith("_ZN")
    }


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    container = sys.argv[3] if len(sys.argv) == 4 else "bench-"
    wharf = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="wharf-hot-") as folder:
        started, hot = (executed(wharf, sys.argv[2], container, os.path.join(folder, name), name == "hot")
                        for name in ("started", "hot"))
    known = collections.Counter(map(stem, symbols_of(sys.argv[1])))
    hot = sorted(patterns(hot, known)) + [f"{whole}*" for whole in WHOLE]
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
