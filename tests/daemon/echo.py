# SPDX-License-Identifier: Apache-2.0
"""Streams of all sizes through an echo service: what comes back must be what was sent, to the byte."""

import contextlib
import hashlib
import random
import socket
import socketserver
import threading

from harness import PATIENCE, payload

SIZES = (1, 100, 1400, 16384, 65537, 300000, 1000000, 4000000)


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError):
            while data := self.request.recv(65536):
                self.request.sendall(data)
            self.request.shutdown(socket.SHUT_WR)


class Load:
    """Streams one after the other in each of `streams` threads, until told; each thread has a size."""

    def __init__(self, test, address, streams):
        self.address = address
        self.bytes = payload(max(SIZES) + 1000)
        self.lock = threading.Lock()
        self.is_over = False
        self.done = dict.fromkeys(SIZES, 0)
        self.wrong = []
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(streams)]
        for thread in self.threads:
            thread.start()
        test.addCleanup(self.end)

    def run(self, index):
        choose = random.Random(index)
        size = SIZES[index % len(SIZES)]
        while not self.is_over:
            start = choose.randrange(1000)
            try:
                self.one(self.bytes[start : start + size])
            except (OSError, AssertionError) as error:
                with self.lock:
                    self.wrong.append(f"{size} bytes: {error!r}")
                return
            with self.lock:
                self.done[size] += 1

    def one(self, data):
        host, port = self.address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=2 * PATIENCE) as sock:
            sender = threading.Thread(target=self.send, args=(sock, data))
            sender.start()
            heard = hashlib.sha256()
            count = 0
            while part := sock.recv(262144):
                heard.update(part)
                count += len(part)
            sender.join()
            assert count == len(data), f"{count} of {len(data)} came back"
            assert heard.digest() == hashlib.sha256(data).digest(), "other bytes came back"

    @staticmethod
    def send(sock, data):
        with contextlib.suppress(OSError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

    def end(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()
