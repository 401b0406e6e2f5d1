"""ICMP echo requests at a steady pace: echo.py OWN SERVER SECONDS PER-SECOND

Prints how many microseconds each answer took, one a line, and `lost` for those that had none. The kernel notes when an answer
came; whether this process had its turn right then does not count.
"""
import os
import select
import socket
import struct
import sys
import time

SO_TIMESTAMPNS = 35
ECHO, REPLY = 8, 0
PAYLOAD = bytes(48)
PATIENCE_SECONDS = 1


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def request(identifier, number):
    body = struct.pack("!HH", identifier, number) + PAYLOAD
    return struct.pack("!BBH", ECHO, 0, checksum(bytes((ECHO, 0, 0, 0)) + body)) + body


own, server, seconds, rate = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
identifier = os.getpid() & 0xFFFF
count = min(int(seconds * rate), 0xFFFF)
sent, took = {}, {}
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as channel:
    channel.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    channel.bind((own, 0))
    channel.setblocking(False)
    begun = time.monotonic()
    number = 0
    while len(took) < count and time.monotonic() < begun + seconds + PATIENCE_SECONDS:
        wait = begun + number / rate - time.monotonic() if number < count else PATIENCE_SECONDS
        if wait <= 0:
            message = request(identifier, number)
            sent[number] = time.clock_gettime_ns(time.CLOCK_REALTIME)
            channel.sendto(message, (server, 0))
            number += 1
            continue
        if not select.select([channel], [], [], wait)[0]:
            continue
        data, extra, _, _ = channel.recvmsg(2048, 256)
        icmp = data[(data[0] & 15) * 4:]
        kind, _, _, whose, which = struct.unpack("!BBHHH", icmp[:8])
        if kind == REPLY and whose == identifier and which in sent and which not in took:
            stamps = [value for _, name, value in extra if name == SO_TIMESTAMPNS]
            second, nanosecond = struct.unpack("qq", stamps[0])
            took[which] = second * 1_000_000_000 + nanosecond - sent[which]
for number in range(count):
    print(f"{took[number] / 1000:.1f}" if number in took else "lost")
