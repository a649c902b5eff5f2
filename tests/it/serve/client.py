"""What programs do with docker's SDK for Python: client.py HOST SECONDS."""

import io
import struct
import sys
import tarfile
import threading

import docker

host, patience = sys.argv[1], int(sys.argv[2])
client = docker.DockerClient(base_url=host, timeout=patience, version="auto")
ALONE = {"network_mode": "none"}


def frames(sock):
    """Returns what each output of an attached program says until its end."""
    said = {1: b"", 2: b""}
    while True:
        head = exactly(sock, 8)
        if head is None:
            return said
        stream, length = struct.unpack(">BxxxL", head)
        said[stream] += exactly(sock, length)


def exactly(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.read(count - len(data)) if hasattr(sock, "read") else sock.recv(count - len(data))
        if not piece:
            return None
        data += piece
    return data


assert client.ping()
assert client.version()["Os"] == "linux"
assert client.info()["Containers"] == 0
assert [image.tags for image in client.images.list()] == [["box:latest"]]

# Run, with its output; and what fails.
assert client.containers.run("box", ["echo", "hello"], remove=True, **ALONE) == b"hello\n"
try:
    client.containers.run("box", ["sh", "-c", "echo bad >&2; exit 3"], remove=True, **ALONE)
    raise SystemExit("an error is expected")
except docker.errors.ContainerError as error:
    assert error.exit_status == 3 and b"bad" in error.stderr, error
try:
    client.containers.get("nope")
    raise SystemExit("an error is expected")
except docker.errors.NotFound as error:
    assert "No such container: nope" in str(error), error

# A container that goes on; events tell of it.
events = client.events(decode=True, filters={"type": "container"})
seen = []
listener = threading.Thread(
    target=lambda: [seen.append(event["Action"]) for event in events if True], daemon=True
)
listener.start()
web = client.containers.run(
    "box",
    ["sh", "-c", "echo one; trap 'echo two; exit 0' TERM; while :; do sleep 0.1; done"],
    name="web",
    detach=True,
    labels={"kind": "web"},
    mem_limit="64m",
    healthcheck={"test": ["CMD", "true"], "interval": 10**9},
    ports={"80/tcp": None},
    **ALONE,
)
assert [one.name for one in client.containers.list(filters={"label": "kind=web"})] == ["web"]
assert web.attrs["HostConfig"]["Memory"] == 64 << 20
assert web.top()["Processes"]
stats = web.stats(stream=False)
assert stats["memory_stats"]["limit"] == 64 << 20, stats
follow = web.logs(stream=True, follow=True)
assert next(follow) == b"one\n"

# Further programs: their output, their code, their input.
# The SDK loses what comes together with the answer's head, so the programs let it read that.
code, output = web.exec_run(["sh", "-c", "sleep 1; echo a; echo b >&2; exit 4"], demux=True)
assert (code, output) == (4, (b"a\n", b"b\n")), (code, output)
assert b"".join(web.exec_run(["sh", "-c", "sleep 1; echo piece"], stream=True).output) == b"piece\n"
made = client.api.exec_create(web.id, ["cat"], stdin=True)
sock = client.api.exec_start(made["Id"], socket=True)
raw = getattr(sock, "_sock", sock)
raw.sendall(b"through\n")
raw.shutdown(1)
assert frames(sock)[1] == b"through\n"
shown = client.api.exec_inspect(made["Id"])
assert shown["ContainerID"] == web.id and shown["Pid"] > 0, shown

# Files, both ways.
archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w") as tar:
    entry = tarfile.TarInfo("note")
    entry.size = 5
    tar.addfile(entry, io.BytesIO(b"words"))
assert web.put_archive("/tmp", archive.getvalue())
pieces, stat = web.get_archive("/tmp/note")
assert stat["size"] == 5, stat
with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
    assert tar.extractfile("note").read() == b"words"
assert {"Path": "/tmp/note", "Kind": 1} in web.diff()

# It stops by its own word, and is followed to its end.
web.stop(timeout=patience)
assert b"".join(follow) == b"two\n"
assert web.wait()["StatusCode"] == 0
image = web.commit("made", "1", conf={"Cmd": ["cat", "/tmp/note"], "Labels": {"a": "b"}})
assert image.labels["a"] == "b" and image.labels["kind"] == "web", image.labels
assert client.containers.run("made:1", remove=True, **ALONE) == b"words"
web.remove()

# Attached by a socket, before the start.
talk = client.containers.create("box", ["sh", "-c", "read a; echo got $a"], stdin_open=True, **ALONE)
sock = talk.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
talk.start()
getattr(sock, "_sock", sock).sendall(b"word\n")
assert frames(sock)[1] == b"got word\n"
talk.remove(force=True)

# Networks and volumes.
network = client.networks.create("back", labels={"a": "b"})
volume = client.volumes.create("data")
mount = {"data": {"bind": "/data", "mode": "rw"}}
client.containers.run("box", ["sh", "-c", "echo kept >/data/x"], volumes=mount, remove=True, **ALONE)
db = client.containers.run("box", ["sleep", "1000"], name="db", volumes=mount, detach=True, network="back")
db.reload()
assert db.attrs["NetworkSettings"]["Networks"]["back"]["IPAddress"]
assert [one.name for one in client.networks.get(network.id).containers] == ["db"]
assert client.containers.run("box", ["cat", "/data/x"], volumes=mount, remove=True, **ALONE) == b"kept\n"
db.kill()
db.remove()
network.remove()
saved = b"".join(image.save())
client.images.remove("made:1")
assert client.images.load(saved)[0].id == image.id
client.images.remove(image.id, force=True)
volume.remove()
assert client.api.df()["Volumes"] in (None, [])
for action in ["create", "start", "die", "destroy"]:
    assert action in seen, seen
print("all is well")
