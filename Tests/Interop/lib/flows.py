"""Short TCP flows over many sessions: some at a time, each of some bytes, and when one ends the next session has its turn.

flows.py serve PORT
flows.py up|down CLIENTS PORT AT-ONCE BYTES SECONDS
    CLIENTS has a line for each: its own address, and its server's. Prints JSON: bytes that arrived, seconds, and over how many
    sessions.
"""
import itertools
import json
import random
import socket
import sys
import threading
import time

CHUNK = 1 << 18
REQUEST_BYTES = 9
PATIENCE_SECONDS = 20


def take(connection, count):
    """Takes that many bytes and throws them away; returns how many there were."""
    room = bytearray(min(count, CHUNK))
    left = count
    while left:
        # The kernel need not copy what nobody looks at.
        got = connection.recv_into(room, min(left, CHUNK), socket.MSG_TRUNC)
        if not got:
            break
        left -= got
    return count - left


def give(connection, count):
    chunk = bytes(min(count, CHUNK))
    while count:
        count -= connection.send(chunk[:count])


def serve(port):
    listener = socket.create_server(("", port), backlog=1024)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection):
    with connection:
        try:
            request = connection.recv(REQUEST_BYTES, socket.MSG_WAITALL)
            if len(request) < REQUEST_BYTES:
                return
            count = int.from_bytes(request[1:], "big")
            if request[:1] == b"u":
                take(connection, count)
                connection.send(b".")
            else:
                give(connection, count)
                connection.recv(1)
        except OSError:
            pass  # the other end tells


def flow(own, server, port, kind, count):
    with socket.create_connection((server, port), PATIENCE_SECONDS, (own, 0)) as connection:
        connection.settimeout(PATIENCE_SECONDS)
        connection.send(kind[:1].encode() + count.to_bytes(8, "big"))
        if kind == "up":
            give(connection, count)
            return count if connection.recv(1) else 0
        return take(connection, count)


def run(kind, clients, port, at_once, count, seconds):
    with open(clients) as lines:
        pairs = [line.split() for line in lines]
    random.shuffle(pairs)
    turns = itertools.cycle(pairs)
    lock = threading.Lock()
    result = {"bytes": 0, "flows": 0, "failed": 0}
    begun = time.monotonic()

    def work():
        while time.monotonic() < begun + seconds:
            with lock:
                own, server = next(turns)
            try:
                got = flow(own, server, port, kind, count)
            except OSError:
                got = 0
            with lock:
                result["bytes"] += got
                result["flows"] += 1
                result["failed"] += got == 0

    threads = [threading.Thread(target=work) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result["seconds"] = time.monotonic() - begun
    result["sessions"] = min(len(pairs), result["flows"])
    print(json.dumps(result))


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    run(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
