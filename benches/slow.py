#!/usr/bin/env python3
"""Measures the dashboard at the end of a slow line, and prints one figure a line.

usage: benches/slow.py [--wharf BINARY] [--containers N] [--rate B] [--way MS] [--keys K] [--mute]
                       [--columns C] [--rows R] [--check]

N containers (100) of the built-in image are started below a folder under /tmp, which is removed at the
end. The dashboard runs on a pseudo-terminal that this script reads at B bytes a second (2000), as a
modem line would deliver them, with a terminal at its end that answers what terminals answer, MS
milliseconds away (20); with --mute it answers nothing. Taken are:

  first screen   exec until the whole first screen has arrived
  idle           how much of the line numbers take, nobody pressing keys
  key            'j' until the row it selects has arrived, so selected; one a second, then ten a second
  settled        the last of those ten a second until all of what it changed has arrived
  end            SIGTERM until the process has ended, with a reader that has stopped reading
  hang up        the terminal's end until the process has ended

--check ends with status 1 when a figure misses its target. Needs root, a release build, and the package
python3-pyte.
"""

import argparse
import collections
import os
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import pyte

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dashboard import Dashboard, start_containers  # noqa: E402

TARGETS = {"key_ms": 200.0, "held_ms": 200.0, "end_ms": 1000.0, "hang_up_ms": 1000.0}
# How often the line delivers.
STEP = 0.005


class Line:
    """A line that delivers so many bytes a second, and the terminal at its end."""

    def __init__(self, dashboard, rate, way, options):
        self.dashboard, self.rate, self.way = dashboard, rate, way
        self.screen = pyte.Screen(options.columns, options.rows)
        self.stream = pyte.ByteStream(self.screen)
        self.total = 0
        self.credit = 0.0
        self.at = time.perf_counter()
        self.answers = collections.deque()
        if not options.mute:
            self.screen.write_process_input = self.answer

    def answer(self, text):
        self.answers.append((time.perf_counter() + self.way, text.encode()))

    def selects(self, name):
        """Returns whether a container's row is on the terminal, and marked as the selected one."""
        for y, text in enumerate(self.screen.display):
            if (x := text.find(name)) >= 0 and self.screen.buffer[y][x].bg != "default":
                return True
        return False

    def pass_time(self, seconds, done=None):
        """Lets the line deliver for so long, or until something holds; returns whether it did."""
        until = time.perf_counter() + seconds
        while True:
            now = time.perf_counter()
            self.credit += (now - self.at) * self.rate
            self.at = now
            while self.answers and self.answers[0][0] <= now:
                os.write(self.dashboard.master, self.answers.popleft()[1])
            if self.credit >= 1 and select.select([self.dashboard.master], [], [], 0)[0]:
                got = os.read(self.dashboard.master, int(self.credit))
                self.credit -= len(got)
                self.total += len(got)
                self.stream.feed(got)
                if done is not None and done():
                    return True
            # What an idle line didn't deliver is lost.
            self.credit = min(self.credit, self.rate * STEP)
            if time.perf_counter() >= until:
                return done is None
            time.sleep(STEP / 2)

    def settle(self, quiet=0.3):
        """Waits until next to nothing comes for a while; returns when the last thing came."""
        last, total = time.perf_counter(), self.total
        while time.perf_counter() - last < quiet:
            self.pass_time(0.02)
            if self.total - total > 40:
                last = time.perf_counter()
            total = self.total
        return last

    def shown(self):
        return "\n".join(self.screen.display)


def key(line, letter, name):
    begin = time.perf_counter()
    os.write(line.dashboard.master, letter)
    if not line.pass_time(20, lambda: line.selects(name)):
        raise SystemExit(f"{name} isn't selected:\n{line.shown()}")
    return (time.perf_counter() - begin) * 1000


def measure(arguments, options):
    figures = {}
    dashboard = Dashboard(arguments, options.columns, options.rows)
    line = Line(dashboard, options.rate, options.way / 1000, options)
    if not line.pass_time(30, lambda: line.selects("bench-000")):
        raise SystemExit(f"no list:\n{line.shown()}")
    print(f"first screen {(line.settle() - dashboard.started):.1f} s")
    line.pass_time(8)
    before, begin = line.total, time.perf_counter()
    line.pass_time(options.seconds)
    rate = (line.total - before) / (time.perf_counter() - begin)
    print(f"idle         {rate:.0f} B/s of {options.rate}")

    at = 0

    def one(pause):
        nonlocal at
        # Always on to a row that wasn't marked before.
        at += 1
        took = key(line, b"j", f"bench-{at:03}")
        line.pass_time(pause)
        return took

    # An odd pause, so that keys meet the numbers' frames at every place of their second.
    keys = [one(1.037) for _ in range(options.keys)]
    print(f"key          median {statistics.median(keys):.0f} ms, worst {max(keys):.0f} ms, "
          f"one a second")
    figures["key_ms"] = max(keys)
    held = []
    for _ in range(options.keys):
        begin = time.perf_counter()
        held.append(one(0))
        line.pass_time(max(0.1 - (time.perf_counter() - begin), 0))
    pressed = time.perf_counter()
    print(f"key          median {statistics.median(held):.0f} ms, worst {max(held):.0f} ms, "
          f"ten a second")
    figures["held_ms"] = max(held)
    print(f"settled      {line.settle() - pressed:.1f} s after the last of them")

    # The reader stops, and the dashboard has something to say: then it is asked to end.
    for _ in range(200):
        os.write(dashboard.master, b"\x1b[6~\x1b[5~")
        time.sleep(0.01)
    begin = time.perf_counter()
    dashboard.process.send_signal(signal.SIGTERM)
    dashboard.process.wait(20)
    figures["end_ms"] = (time.perf_counter() - begin) * 1000
    print(f"end          {figures['end_ms']:.0f} ms after SIGTERM, nobody reading")
    os.close(dashboard.master)

    dashboard = Dashboard(arguments, options.columns, options.rows)
    line = Line(dashboard, options.rate, options.way / 1000, options)
    line.pass_time(2)
    begin = time.perf_counter()
    # As when the connection is found dead: sshd closes the terminal.
    os.close(dashboard.master)
    dashboard.process.wait(20)
    figures["hang_up_ms"] = (time.perf_counter() - begin) * 1000
    print(f"hang up      {figures['hang_up_ms']:.0f} ms")
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wharf", default="target/x86_64-unknown-linux-gnu/release/wharf")
    parser.add_argument("--containers", type=int, default=100)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--way", type=float, default=20.0)
    parser.add_argument("--keys", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--mute", action="store_true")
    parser.add_argument("--columns", type=int, default=120)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    wharf = os.path.abspath(options.wharf)
    if 2 * options.keys >= options.containers:
        parser.error("--keys: more than half of the containers")
    root = tempfile.mkdtemp(prefix=f"wharf-bench-slow-{os.getpid()}-")
    try:
        start_containers(wharf, root, options.containers)
        answers = "answers nothing" if options.mute else "answers"
        print(f"dashboard over {options.containers} running containers, "
              f"{options.columns}x{options.rows}, {options.rate} B/s, {options.way:g} ms away, "
              f"a terminal that {answers}")
        figures = measure([wharf, "--root", root], options)
    finally:
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
