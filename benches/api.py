"""The requests of benches/api: asks two servers the same things in turn."""

import http.client
import json
import os
import socket
import statistics
import struct
import sys
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
ALONE = {"NetworkMode": "none"}


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Server:
    """One of the two, by its socket and its processes."""

    def __init__(self, path, pid):
        self.path, self.pid = path, int(pid)
        self.connection = Connection(path)

    def ask(self, method, path, body=None, wanted=(200, 201, 204)):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        text = json.dumps(body) if body is not None else None
        self.connection.request(method, "/v1.41" + path, text, headers)
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status not in wanted:
            raise SystemExit(f"{method} {path}: {answer.status} {data[:300]}")
        return json.loads(data) if data.strip() else None

    def create(self, command, **more):
        body = {"Image": "bench", "Cmd": command, "HostConfig": {**ALONE, **more}}
        return self.ask("POST", "/containers/create", body)["Id"]

    def start(self, container):
        self.ask("POST", f"/containers/{container}/start")

    def remove(self, container):
        self.ask("DELETE", f"/containers/{container}?force=1")

    def stream(self, method, path):
        """Sends a request and returns what comes back, past its head."""
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(self.path)
        upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if method == "POST" else ""
        stream.sendall(f"{method} /v1.41{path} HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += stream.recv(1)
        return stream


def processes(pid):
    """Returns a server and those of its children that are part of it: no container, and no keeper of one."""
    found = [pid]
    for one in found:
        with open(f"/proc/{one}/task/{one}/children") as file:
            children = [int(word) for word in file.read().split()]
        for child in children:
            try:
                with open(f"/proc/{child}/comm") as file:
                    if file.read().strip() in ("containerd", "docker-proxy"):
                        found.append(child)
            except FileNotFoundError:
                pass
    return found


def memory(pid):
    """Returns KiB: the share of all memory, and what is the processes' own and written."""
    pss = dirty = 0
    for one in processes(pid):
        with open(f"/proc/{one}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Pss:"):
                    pss += int(line.split()[1])
                elif line.startswith("Private_Dirty:"):
                    dirty += int(line.split()[1])
    return pss, dirty


def cpu(pid):
    """Returns seconds of CPU time."""
    total = 0
    for one in processes(pid):
        with open(f"/proc/{one}/stat") as file:
            fields = file.read().rsplit(") ", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def row(what, ours, theirs, unit):
    ratio = ours / theirs if theirs else float("nan")
    print(f"{what:44} {ours:8.1f} {unit:4} dockerd    {theirs:8.1f} {unit:4} ratio {ratio:5.2f}")


def tell_memory(what, wharf, dockerd):
    (ours, our_dirty), (theirs, their_dirty) = memory(wharf), memory(dockerd)
    row(f"{what}: share of memory", ours / 1024, theirs / 1024, "MiB")
    row(f"{what}: own and written", our_dirty / 1024, their_dirty / 1024, "MiB")


def timed(runs, servers, do):
    """Returns the median seconds of each server, which are asked in turn."""
    times = [[] for _ in servers]
    for number in range(runs + 2):
        for server, of in zip(servers, times):
            began = time.perf_counter()
            do(server)
            if number >= 2:
                of.append(time.perf_counter() - began)
    return [statistics.median(of) for of in times]


def life(server):
    container = server.create(["true"])
    server.start(container)
    server.ask("POST", f"/containers/{container}/wait")
    server.remove(container)


def lists(servers, runs, longest):
    have = 0
    for length in sorted({min(100, longest), longest}):
        for server in servers:
            for _ in range(have, length):
                server.create(["true"])
        have = length
        ours, theirs = timed(runs, servers, lambda server: server.ask("GET", "/containers/json?all=1"))
        row(f"list of {length} containers", ours * 1e3, theirs * 1e3, "ms")
    # Many at once: dockerd takes its time.
    for server in servers:
        server.connection.close()
        server.ask("POST", "/containers/prune")


def received(stream):
    """Returns how many bytes of output come in frames until the end."""
    count = 0
    while True:
        data = stream.recv(1 << 18)
        if not data:
            return count
        count += len(data)


def throughput(servers, megabytes):
    # Lines of 64 bytes: programs write lines.
    line = "x" * 63
    command = ["sh", "-c", f"yes {line} | head -c {megabytes << 20}"]
    rates = []
    for server in servers:
        container = server.create(command)
        stream = server.stream("POST", f"/containers/{container}/attach?stream=1&stdout=1&stderr=1")
        began = time.perf_counter()
        server.start(container)
        assert received(stream) >= megabytes << 20
        rates.append((time.perf_counter() - began, container))
    row(f"{megabytes} MiB through attach, and into the log", rates[0][0], rates[1][0], "s")
    times = []
    for server, (_, container) in zip(servers, rates):
        stream = server.stream("GET", f"/containers/{container}/logs?stdout=1&stderr=1")
        began = time.perf_counter()
        # The end of the last piece of a chunked body.
        count, tail = 0, b""
        while not tail.endswith(b"0\r\n\r\n"):
            data = stream.recv(1 << 18)
            if not data:
                break
            count, tail = count + len(data), (tail + data)[-8:]
        assert count >= megabytes << 20, count
        times.append(time.perf_counter() - began)
        server.remove(container)
    row(f"{megabytes} MiB through logs", times[0], times[1], "s")


def statistics_clients(servers, clients):
    seconds = 10
    costs = []
    for server in servers:
        containers = [server.create(["sleep", "100000"]) for _ in range(clients)]
        for container in containers:
            server.start(container)
        time.sleep(1)
        before = memory(server.pid)[0]
        streams = [server.stream("GET", f"/containers/{one}/stats") for one in containers]
        ends = threading.Event()

        def read(stream):
            stream.settimeout(1)
            while not ends.is_set():
                try:
                    stream.recv(1 << 16)
                except TimeoutError:
                    pass

        readers = [threading.Thread(target=read, args=[stream]) for stream in streams]
        for reader in readers:
            reader.start()
        time.sleep(2)
        began = cpu(server.pid)
        time.sleep(seconds)
        spent = (cpu(server.pid) - began) / seconds / clients
        grown = (memory(server.pid)[0] - before) / clients
        costs.append((spent * 1e3, grown))
        ends.set()
        for reader in readers:
            reader.join()
        for container in containers:
            server.remove(container)
    row(f"statistics of {clients}: CPU each, of a second", costs[0][0], costs[1][0], "ms")
    row(f"statistics of {clients}: memory each", costs[0][1], costs[1][1], "KiB")


def main(what, *words):
    if what in ("idle", "after"):
        return tell_memory("idle" if what == "idle" else "after all of this", *map(int, words))
    sockets, pids = words[:2], words[2:4]
    runs, longest, megabytes, clients = map(int, words[4:])
    servers = [Server(path, pid) for path, pid in zip(sockets, pids)]
    ours, theirs = timed(runs, servers, life)
    row("create, start, wait, delete", ours * 1e3, theirs * 1e3, "ms")
    lists(servers, runs, longest)
    throughput(servers, megabytes)
    statistics_clients(servers, clients)


main(*sys.argv[1:])
