#!/usr/bin/env python3
"""wire.py NAMESPACE_A IF_A NAMESPACE_B IF_B

A cable between two namespaces: two TAP devices and this process between them, because kernels without netem cannot delay.
Reads one JSON object a line: {"delayMs", "loss" (0 to 1), "bitsPerSecondUp", "bitsPerSecondDown", "bufferBytes", "seed"}.
"Up" is from A to B; a rate of 0 is unlimited; what waits for the rate and exceeds the buffer is lost, as in a router.
Says "ready" once the devices are there and "set" after each line.
"""
import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x0002 | 0x1000


def open_tap(namespace, name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    # The device is born in this namespace under a name that no other wire uses.
    born = "w%d%s" % (os.getpid() % 100000, name[-4:])
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", born.encode(), IFF_TAP_NO_PI))
    subprocess.check_call(["ip", "link", "set", born, "netns", namespace, "name", name])
    return device


class Direction:
    def __init__(self, target):
        self.target = target
        self.bits_per_second = 0
        # When the last packet that waits for the rate has left.
        self.free_at = 0.0

    def depart(self, now, size, buffer_bytes):
        """Seconds (monotonic) at which a packet leaves, None when it does not fit."""
        if self.bits_per_second == 0:
            return now
        waiting = max(0.0, self.free_at - now) * self.bits_per_second / 8
        if waiting + size > buffer_bytes:
            return None
        self.free_at = max(self.free_at, now) + size * 8 / self.bits_per_second
        return self.free_at


namespace_a, if_a, namespace_b, if_b = sys.argv[1:5]
a, b = open_tap(namespace_a, if_a), open_tap(namespace_b, if_b)
up, down = Direction(b), Direction(a)
settings = {"delayMs": 0, "loss": 0, "bufferBytes": 1 << 20, "seed": 1}
chance = random.Random(settings["seed"])
queue, count = [], 0
os.set_blocking(0, False)
pending = b""
print("ready", flush=True)

while True:
    now = time.monotonic()
    wait = max(0.0, queue[0][0] - now) if queue else None
    for source in select.select([a, b, 0], [], [], wait)[0]:
        if source == 0:
            chunk = os.read(0, 65536)
            if chunk == b"":
                sys.exit(0)
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                settings.update(json.loads(line))
                up.bits_per_second = settings.get("bitsPerSecondUp", 0)
                down.bits_per_second = settings.get("bitsPerSecondDown", 0)
                chance = random.Random(settings["seed"])
                print("set", flush=True)
            continue
        direction = up if source == a else down
        try:
            while True:
                packet = os.read(source, 65536)
                if chance.random() < settings["loss"]:
                    continue
                leaves = direction.depart(time.monotonic(), len(packet), settings["bufferBytes"])
                if leaves is None:
                    continue
                count += 1
                heapq.heappush(queue, (leaves + settings["delayMs"] / 1000, count, direction.target, packet))
        except BlockingIOError:
            pass
        except OSError:
            # The device is down for the moment: a cut cable.
            pass
    while queue and queue[0][0] <= time.monotonic():
        _, _, target, packet = heapq.heappop(queue)
        try:
            os.write(target, packet)
        except OSError:
            pass
