#!/usr/bin/env python3
"""Measures the dashboard's log tab over large logs, and prints one figure a line.

usage: benches/logs.py [--wharf BINARY] [--root DIR] [--columns C] [--rows R] [--check]

Three containers of the built-in image are made below DIR (a folder of its own under /tmp, removed
at the end). Their logs are written into their files by this script, as the engine writes them: 53 MB,
1 GB, and one line of 90,000 characters (which the engine keeps in parts). For each the dashboard then
runs on a pseudo-terminal of this script's, with the container selected, and these are taken from
outside:

  first line   'l' written to the terminal until the log's last line is on it, median and worst of 5
  peak         VmHWM after the histogram is drawn and the log's start was gone to ('g')
  search       '/', a pattern that matches once, Enter, until the count is complete, and VmHWM then

--check ends with status 1 when a figure misses its target. Needs root, a release build, 1.2 GB, and the
package python3-pyte.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import pyte

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dashboard import Dashboard  # noqa: E402

TARGETS = {"first_ms": 100.0, "peak_mib": 64.0}
LOGS = [("small-53mb", 53 << 20), ("large-1gb", 1 << 30), ("one-90000", 0)]
# The engine's own bound for a record.
PART = 16 * 1024


class Shown(Dashboard):
    """A dashboard with a terminal that knows what is on its screen."""

    def __init__(self, arguments, columns, rows):
        super().__init__(arguments, columns, rows)
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)

    def read(self, seconds):
        got = super().read(seconds)
        self.stream.feed(got)
        return got

    def wait_shown(self, text, seconds, alone=False):
        """Waits until a row holds a text, or nothing else, and returns when."""
        until = time.perf_counter() + seconds
        while not any(row.strip() == text if alone else text in row for row in self.screen.display):
            if time.perf_counter() > until:
                raise SystemExit(f"no {text!r}:\n" + "\n".join(self.screen.display))
            self.read(until - time.perf_counter())
        return time.perf_counter()


def record(text, number, stream="stdout"):
    seconds, nanos = divmod(number * 1_000_000, 1_000_000_000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_767_225_600 + seconds))
    line = {"log": text, "stream": stream, "time": f"{stamp}.{nanos:09}Z"}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def write_log(path, size):
    """Writes a log; returns a text of its last line, and one that occurs once."""
    with open(path, "wb") as file:
        if size == 0:
            text = "x" * 89_990 + "of-90000\n"
            parts = [text[at:at + PART] for at in range(0, len(text), PART)]
            for part in parts:
                file.write(record(part, 1))
            file.write(record("last-of-them\n", 2))
            return "last-of-them", "90000"
        number = 0
        while file.tell() < size:
            # A megabyte at a time: made once, with times that go on.
            lines = []
            for _ in range(5000):
                number += 1
                lines.append(record(f"request {number} served in {number % 97} ms, nothing else to "
                                    f"say about it but that it is a line of usual length\n", number))
            file.write(b"".join(lines))
        file.write(record("needle in the haystack\n", number + 1))
        file.write(record("last-of-them\n", number + 2))
    return "last-of-them", "needle in"


def prepare(wharf, root, name, size):
    run = [wharf, "--root", root, "run", "--name", name, "--network", "none", "wharf/demo", "true"]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    inspect = [wharf, "--root", root, "inspect", "-f", "{{.LogPath}}", name]
    done = subprocess.run(inspect, check=True, capture_output=True, text=True)
    return write_log(done.stdout.strip(), size)


def measure(arguments, options, name, last, once):
    firsts = []
    for turn in range(5):
        dashboard = Shown(arguments, options.columns, options.rows)
        dashboard.wait_shown(name, 10)
        os.write(dashboard.master, f"/{name}\r".encode())
        dashboard.drain(0.5)
        begin = time.perf_counter()
        os.write(dashboard.master, b"l")
        firsts.append((dashboard.wait_shown(last, 60, alone=True) - begin) * 1000)
        if turn < 4:
            dashboard.close()
    dashboard.wait_shown(" a bar", 60)
    os.write(dashboard.master, b"g")
    dashboard.drain(2)
    peak = dashboard.memory()[1]
    begin = time.perf_counter()
    os.write(dashboard.master, f"/{once}\r".encode())
    dashboard.wait_shown("1 match", 120)
    searched = time.perf_counter() - begin
    after = dashboard.memory()[1]
    dashboard.close()
    print(f"{name:<12} first line median {statistics.median(firsts):.1f} ms, worst "
          f"{max(firsts):.1f} ms; peak {peak:.1f} MiB; search {searched:.2f} s, then {after:.1f} MiB")
    return max(firsts), max(peak, after)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wharf", default="target/x86_64-unknown-linux-gnu/release/wharf")
    parser.add_argument("--root")
    parser.add_argument("--columns", type=int, default=80)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    wharf = os.path.abspath(options.wharf)
    root = options.root or tempfile.mkdtemp(prefix=f"wharf-bench-logs-{os.getpid()}-")
    missed = []
    try:
        logs = [(name, *prepare(wharf, root, name, size)) for name, size in LOGS]
        for name, last, once in logs:
            first, peak = measure([wharf, "--root", root], options, name, last, once)
            for what, value in (("first_ms", first), ("peak_mib", peak)):
                if value > TARGETS[what]:
                    missed.append(f"{name} {what} {value:.1f} > {TARGETS[what]:g}")
    finally:
        if not options.root:
            subprocess.run([wharf, "--root", root, "system", "reset", "-f"],
                           stdout=subprocess.DEVNULL, check=False)
            shutil.rmtree(root, ignore_errors=True)
    if missed:
        print("missed: " + ", ".join(missed))
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
