#!/usr/bin/env python3
"""The measuring part of benches/dashboards.

usage: benches/dashboards.py idle WHARF SOCKET DOCKERD COUNT SECONDS
       benches/dashboards.py logs WHARF SOCKET DOCKERD MIB DOCKERS_LOG WHARFS_LOG

Each dashboard runs on a pseudo-terminal of 120x40 that answers what terminals answer. `idle` takes, over
COUNT running containers:

  list    exec until a container's name is on the terminal, best of three
  cpu     user + system time of the dashboard and what it started, as a share of one core, nobody
          pressing keys
  engine  the same of the dockerd behind it meanwhile
  rss     resident memory of the dashboard and what it started
  term    bytes to the terminal, a second

`logs` fills the logs of the container that is there, as the engines write them, up to MIB, and takes:

  line    exec, and the keys that lead to the log, until the log's last line is on the terminal
  peak    the most memory the dashboard has had five seconds later
"""

import os
import re
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dashboard import Dashboard  # noqa: E402

LAST = "the-very-last-line"


class Peer(Dashboard):
    """A dashboard that may not end when it is asked to, with all that it starts."""

    def close(self):
        self.process.terminate()
        until = time.perf_counter() + 2
        while self.process.poll() is None and time.perf_counter() < until:
            self.read(0.05)
        for pid in reversed(self.tree()):
            if self.process.poll() is None:
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.master)

    def tree(self):
        """Returns the ids of the process and all below it."""
        found, wanted = [], [self.process.pid]
        while wanted:
            pid = wanted.pop()
            found.append(pid)
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                        wanted += [int(child) for child in file.read().split()]
            except OSError:
                pass
        return found

    def cpu(self):
        return sum(cpu_of(pid) for pid in self.tree())

    def resident(self, field="VmRSS"):
        total = 0
        for pid in self.tree():
            try:
                with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
                    total += sum(int(line.split()[1]) for line in file if line.startswith(field))
            except OSError:
                pass
        return total / 1024


def cpu_of(pid):
    """Returns the seconds of a process, and of those of its children that have ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def programs(wharf, socket):
    """Returns what is measured: name, command line, environment, and the keys that lead to the log."""
    # The log of the selected container stands beside its charts at this width.
    yield "wharf, its own engine", [wharf], {"WHARF_ROOT": os.environ["WHARF_ROOT"]}, b""
    yield "wharf, dockerd", [wharf, "--host", socket], {}, b""
    docker = {"DOCKER_HOST": socket}
    for name, words, keys in [
        ("lazydocker", ["lazydocker"], b""),
        ("oxker", ["oxker", "--host", socket], b""),
        ("dtop", ["dtop", "--host", socket], b"l"),
    ]:
        if path := shutil.which(words[0]):
            yield name, [path, *words[1:]], docker, keys
        else:
            print(f"{name}: not found, left out")


def start(words, environment):
    home = os.environ["HOME"]
    return Peer(words, 120, 40, {"XDG_CONFIG_HOME": home, "XDG_STATE_HOME": home, **environment})


def wait_shown(peer, text, seconds):
    """Returns when a text has come to the terminal, or none; letters apart are joined."""
    seen, until = b"", time.perf_counter() + seconds
    while time.perf_counter() < until and peer.process.poll() is None:
        seen += peer.read(until - time.perf_counter())
        plain = re.sub(rb"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()].|.)", b"", seen)
        if text in plain:
            return time.perf_counter()
        seen = seen[-65536:]
    return None


def idle(wharf, socket, dockerd, count, seconds):
    print(f"\n{count} running containers        list     cpu  engine     rss      term")
    for name, words, environment, _ in programs(wharf, socket):
        lists = []
        for _ in range(3):
            peer = start(words, environment)
            shown = wait_shown(peer, b"bench-0", 60)
            lists.append((shown - peer.started) * 1000 if shown else float("nan"))
            peer.close()
        peer = start(words, environment)
        wait_shown(peer, b"bench-0", 60)
        # Over many containers the first values are a while coming.
        peer.drain(20)
        before, engine, begin = peer.cpu(), cpu_of(dockerd), time.perf_counter()
        written = sum(peer.drain(seconds))
        passed = time.perf_counter() - begin
        own, engine = peer.cpu() - before, cpu_of(dockerd) - engine
        print(f"{name:24} {min(lists):8.0f} ms {own / passed * 100:6.2f}% {engine / passed * 100:6.2f}% "
              f"{peer.resident():6.1f} M {written / passed:7.0f} B/s", flush=True)
        peer.close()


def fill(path, size):
    with open(path, "ab") as file:
        line = b'{"log":"%s\\n","stream":"stdout","time":"%s.%09dZ"}\n'
        now = time.time() - 3600
        number = 0
        while file.tell() < size:
            part = []
            for _ in range(5000):
                number += 1
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now + number // 5000)).encode()
                part.append(line % (b"a line of some length, as programs write it, %d" % number, stamp,
                                    number % 5000 * 200_000))
            file.write(b"".join(part))
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()).encode()
        file.write(line % (LAST.encode(), stamp, 0))


def logs(wharf, socket, mib, docker_log, wharf_log):
    fill(docker_log, mib << 20)
    fill(wharf_log, mib << 20)
    print(f"\na log of {mib} MiB              line      peak")
    for name, words, environment, keys in programs(wharf, socket):
        peer = start(words, environment)
        begin = peer.started
        if keys:
            wait_shown(peer, b"bench-logs", 60)
            peer.drain(0.3)
            begin = time.perf_counter()
            os.write(peer.master, keys)
        shown = wait_shown(peer, LAST.encode(), 120)
        peer.drain(5)
        line = f"{(shown - begin) * 1000:8.0f} ms" if shown else "not in 120 s"
        print(f"{name:24} {line:>12} {peer.resident('VmHWM'):8.1f} M", flush=True)
        peer.close()


def main():
    what, wharf, socket, dockerd, number = sys.argv[1:6]
    # Nobody's settings.
    with tempfile.TemporaryDirectory(prefix="wharf-bench-home-") as home:
        os.environ["HOME"] = home
        if what == "idle":
            idle(wharf, socket, int(dockerd), int(number), float(sys.argv[6]))
        else:
            logs(wharf, socket, int(number), sys.argv[6], sys.argv[7])


if __name__ == "__main__":
    main()
