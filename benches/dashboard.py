#!/usr/bin/env python3
"""Measures the dashboard over many running containers, and prints one figure a line.

usage: benches/dashboard.py [--wharf BINARY] [--containers N] [--seconds S] [--root DIR]
                            [--columns C] [--rows R] [--keys] [--check]

N containers (100) of the built-in image are started below DIR (a folder of its own under /tmp,
removed at the end), each asleep and without a network. The dashboard then runs on a
pseudo-terminal of this script's, and these are taken from outside:

  first frame   exec until the first byte of a drawn frame, median and worst of 10
  list shown    exec until the name of a container is on the terminal, of the same 10
  cpu           user + system time from /proc/PID/stat over S seconds (30) at one sample a
                second, as a share of one core, nobody pressing keys
  rss           VmRSS after these seconds, and the peak (VmHWM)
  terminal      bytes written to the terminal over the same seconds, by second
  key           'j' written to the terminal until the frame that answers it has been written,
                median and worst of 50, and the worst less what the hypervisor took meanwhile
                (/proc/stat's steal): that time was nobody's on this machine

--keys measures further keys in the same way, each ten times: to the ends of the list, a filter
while it is typed, the order, a mark, the palette, the tabs, screens and back. Esc is told, and not
held to the target: the rest of a longer key may follow it, for which 50 ms are waited.

--check ends with status 1 when a figure misses its target. Needs root, and a release build.
"""

import argparse
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time

FRAME_END = b"\x1b[?2026l"
# What the dashboard asks after each frame, small ones too, and what terminals answer: attributes, the
# cursor's place, colours, keys.
QUESTION = b"\x1b[c"
ANSWERS = [
    (re.compile(rb"\x1b\[0?c"), b"\x1b[?62;22c"),
    (re.compile(rb"\x1b\[6n"), b"\x1b[1;1R"),
    (re.compile(rb"\x1b\]11;\?(?:\x07|\x1b\\)"), b"\x1b]11;rgb:0000/0000/0000\x1b\\"),
    (re.compile(rb"\x1b\[\?u"), b"\x1b[?0u"),
]
# What is pressed one after the other, and what it does: each leaves things as the next one needs them.
KEYS = [
    ("G", b"G"), ("g", b"g"), ("page down", b"\x1b[6~"), ("mark", b" "), ("unmark", b"k "),
    ("o", b"o"), ("O", b"O"), ("/", b"/"), ("filter: b", b"b"), ("filter: be", b"e"),
    ("filter: bench-07", b"nch-07"), ("filter: Enter", b"\r"), ("Esc", b"\x1b"), ("a", b"a"),
    (":", b":"), ("palette: b", b"b"), ("palette: Esc", b"\x1b"), ("?", b"?"), ("help: Esc", b"\x1b"),
    ("Tab", b"\t"), ("Tab back", b"\x1b[Z"), ("l, logs", b"l"), ("i, inspect", b"i"),
    ("c, charts", b"c"), ("Esc to the list", b"\x1b"), ("4, networks", b"4"), ("5, events", b"5"),
    ("1, containers", b"1"),
]
TARGETS = {"first_ms": 50.0, "cpu": 0.5, "rss": 25.0, "bytes": 1500.0, "key_ms": 16.0}


class Dashboard:
    """A dashboard on a pseudo-terminal that answers what terminals answer."""

    def __init__(self, arguments, columns, rows, environment=None):
        # The size is set before the program starts: a resize later would be one more frame.
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = {
            "PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/root"),
            "TERM": "xterm-256color", "LANG": "C.UTF-8", **(environment or {}),
        }
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            arguments, stdin=slave, stdout=slave, stderr=slave, env=environment,
            start_new_session=True,
            # Its controlling terminal: some programs open /dev/tty.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.master = master

    def read(self, seconds):
        """Returns what is written within so many seconds, at once when there is something."""
        ready, _, _ = select.select([self.master], [], [], max(seconds, 0.0))
        if not ready:
            return b""
        try:
            got = os.read(self.master, 1 << 16)
            for question, answer in ANSWERS:
                for _ in question.findall(got):
                    os.write(self.master, answer)
            return got
        except OSError:
            return b""

    def wait_for(self, text, seconds=10.0):
        """Reads until a text has come, and returns when, as seconds of the clock."""
        seen = b""
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            seen += self.read(until - time.perf_counter())
            if text in seen:
                return time.perf_counter()
            if self.process.poll() is not None:
                break
        raise SystemExit(f"the dashboard didn't show {text!r}; it showed {seen[-2000:]!r}")

    def drain(self, seconds):
        """Reads for so many seconds; returns the bytes of each whole second."""
        begin = time.perf_counter()
        counts = [0] * max(int(seconds), 1)
        while (passed := time.perf_counter() - begin) < seconds:
            got = len(self.read(seconds - passed))
            at = min(int(time.perf_counter() - begin), len(counts) - 1)
            counts[at] += got
        return counts

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Returns resident memory now and at its peak, in MiB."""
        values = {}
        with open(f"/proc/{self.process.pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                values[name] = value.split()
        return tuple(int(values[name][0]) / 1024 for name in ("VmRSS", "VmHWM"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        # A terminal that nobody reads would keep it from ending.
        while self.process.poll() is None:
            self.read(0.05)
        os.close(self.master)


def stolen_ms():
    """Returns how long this machine's CPUs have stood still for others of its host, in ms."""
    with open("/proc/stat", encoding="ascii") as file:
        return int(file.readline().split()[8]) * 1000 / os.sysconf("SC_CLK_TCK")


def start_containers(wharf, root, count):
    """Starts what is missing of so many containers."""
    done = subprocess.run([wharf, "--root", root, "ps", "-q"], capture_output=True, text=True,
                          check=True)
    have = len(done.stdout.split())
    for n in range(have, count):
        subprocess.run(
            [wharf, "--root", root, "run", "-d", "--name", f"bench-{n:03}", "--network", "none",
             "wharf/demo", "sleep", "infinity"],
            check=True, stdout=subprocess.DEVNULL,
        )


def measure(arguments, options):
    figures = {}
    firsts, lists = [], []
    for _ in range(10):
        dashboard = Dashboard(arguments, options.columns, options.rows)
        firsts.append((dashboard.wait_for(FRAME_END) - dashboard.started) * 1000)
        lists.append((dashboard.wait_for(b"bench-0") - dashboard.started) * 1000)
        dashboard.close()
    figures["first_ms"] = max(firsts)
    print(f"first frame  median {statistics.median(firsts):.1f} ms, worst {max(firsts):.1f} ms")
    print(f"list shown   median {statistics.median(lists):.1f} ms, worst {max(lists):.1f} ms")

    dashboard = Dashboard(arguments, options.columns, options.rows)
    dashboard.wait_for(b"bench-0")
    # The first seconds belong to the start: charts and numbers appear.
    dashboard.drain(8)
    before, begin = dashboard.cpu_seconds(), time.perf_counter()
    counts = dashboard.drain(options.seconds)
    spent, passed = dashboard.cpu_seconds() - before, time.perf_counter() - begin
    resident, peak = dashboard.memory()
    figures["cpu"] = spent / passed * 100
    figures["rss"] = resident
    figures["bytes"] = sum(counts) / passed
    print(f"cpu          {figures['cpu']:.2f} % of one core ({spent:.2f} s in {passed:.1f} s), "
          f"{dashboard.threads()} threads")
    print(f"rss          {resident:.1f} MiB, peak {peak:.1f} MiB")
    print(f"terminal     {figures['bytes']:.0f} B/s, most in one second {max(counts)} B")

    keys, own = zip(*(press(dashboard, b"j" if n % 20 < 10 else b"k") for n in range(50)))
    figures["key_ms"] = max(own)
    print(f"key          median {statistics.median(keys):.1f} ms, worst {max(keys):.1f} ms, "
          f"{max(own):.1f} ms without what the hypervisor took")
    if options.keys:
        taken = {name: [] for name, _ in KEYS}
        for _ in range(10):
            for name, key in KEYS:
                taken[name].append(press(dashboard, key))
        for name, each in taken.items():
            keys, own = zip(*each)
            # An escape character is a key only once nothing has followed it for 50 ms.
            if "Esc" not in name:
                figures["key_ms"] = max(figures["key_ms"], *own)
            print(f"  {name:<18} median {statistics.median(keys):.1f} ms, worst {max(keys):.1f} ms, "
                  f"{max(own):.1f} ms without what the hypervisor took")
    dashboard.close()
    return figures


def press(dashboard, key):
    """Returns how long the frame took that answers a key, in ms, as it was and without what the
    hypervisor took."""
    # Between two frames that only numbers cause, at a place of the second that moves.
    dashboard.drain(0.137)
    while dashboard.read(0.0):
        pass
    stolen, begin = stolen_ms(), time.perf_counter()
    os.write(dashboard.master, key)
    took = (dashboard.wait_for(QUESTION) - begin) * 1000
    return took, max(took - (stolen_ms() - stolen), 0.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wharf", default="target/x86_64-unknown-linux-gnu/release/wharf")
    parser.add_argument("--containers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--root")
    parser.add_argument("--columns", type=int, default=120)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--keys", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    wharf = os.path.abspath(options.wharf)
    root = options.root or tempfile.mkdtemp(prefix=f"wharf-bench-ui-{os.getpid()}-")
    try:
        start_containers(wharf, root, options.containers)
        print(f"dashboard over {options.containers} running containers, "
              f"{options.columns}x{options.rows}")
        figures = measure([wharf, "--root", root], options)
    finally:
        if not options.root:
            subprocess.run([wharf, "--root", root, "system", "reset", "-f"],
                           stdout=subprocess.DEVNULL, check=False)
            shutil.rmtree(root, ignore_errors=True)
    missed = [name for name, most in TARGETS.items() if figures[name] > most]
    if missed:
        print("missed: " + ", ".join(f"{name} {figures[name]:.1f} > {TARGETS[name]:g}"
                                     for name in missed))
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
