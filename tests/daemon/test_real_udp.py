#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real programs over UDP: dig asks dnsmasq, iperf3 measures, a ping beside bulk, all over a relay and with the daemon's own limits in
force."""

import contextlib
import json
import os
import socket
import statistics
import subprocess
import threading
import time

import harness
import real
from real import IS_SANITIZED, RealTest, free_port, pings, report

PATIENCE = harness.PATIENCE
CALM = "5M" if IS_SANITIZED else "10M"  # a rate at which stalls of a busy machine lose little
RATES = [CALM] if IS_SANITIZED else [CALM, "100M", "400M"]
PINGS = 50 if IS_SANITIZED else 200
ROUNDS = 10


class Udp(RealTest):
    def line(self, *services, forwards):
        """site-a with the services, a relay, site-b with the forwards."""
        relay = self.node("relay", "--discovery", "off")
        offered = [word for service in services for word in ("--service", service)]
        wanted = [word for forward in forwards for word in ("--forward", forward)]
        a = self.join("site-a", relay, "--discovery", "off", *offered)
        b = self.join("site-b", relay, "--discovery", "off", *wanted)
        for forward in forwards:
            b.wait_service(forward.split("=")[0].split("/")[0])
        return a, relay, b

    def spawn(self, *command):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        def end():
            process.kill()
            process.communicate()

        self.addCleanup(end)
        return process

    def test_dig_asks_dnsmasq(self):
        dig, dnsmasq = self.need("dig"), self.need("dnsmasq")
        port = free_port()
        texts = "".join(f"{number:03}" * 80 for number in range(1))
        server = self.spawn(
            dnsmasq, "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null",
            "--pid-file=", f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces", "--user=",
            "--edns-packet-max=4096", "--address=/web.example/192.0.2.7",
            *[f"--txt-record=big.example,{texts}{number}" for number in range(12)],
        )  # fmt: skip
        a, _, b = self.line(
            f"dns/udp=127.0.0.1:{port}", f"dns=127.0.0.1:{port}", forwards=["dns/udp=0", "dns=0"]
        )
        addresses = {row["protocol"]: row["address"] for row in b.get("forwards")}

        def ask(protocol, *words):
            host, port = addresses[protocol].rsplit(":", 1)
            done = subprocess.run(
                [dig, f"@{host}", "-p", port, "+short", "+tries=5", "+timeout=2", "+ignore", *words],
                capture_output=True, text=True, timeout=PATIENCE,
            )  # fmt: skip
            return done.stdout.strip()

        deadline = time.monotonic() + PATIENCE
        while ask("udp", "web.example") != "192.0.2.7":
            self.assertLess(time.monotonic(), deadline, server.poll())
        big = ask("udp", "+bufsize=4096", "TXT", "big.example").splitlines()
        self.assertEqual(len(big), 12, "3 kB in one datagram")
        self.assertEqual(sorted(ask("tcp", "+tcp", "TXT", "big.example").splitlines()), sorted(big))
        if not IS_SANITIZED:
            self.assertIn("calls", a.get("status")["sandbox"])

    def test_iperf3_measures_little_loss(self):
        iperf3 = self.need("iperf3")
        port, entry = free_port(), free_port()
        self.spawn(iperf3, "--server", "--port", str(port), "--bind", "127.0.0.1")
        a, relay, b = self.line(
            f"iperf=127.0.0.1:{port}", f"iperf/udp=127.0.0.1:{port}",
            forwards=[f"iperf={entry}", f"iperf/udp={entry}"],
        )  # fmt: skip
        lost = {rate: self.blast(iperf3, entry, rate, (a, relay, b)) for rate in RATES}
        self.assertLess(lost[CALM], 5)

    def blast(self, iperf3, entry, rate, nodes):
        """Datagrams for three seconds; per cent lost, of which the server's own socket loses most on a busy machine."""
        before = sum(cpu_seconds(node) for node in nodes)
        full = receive_errors()
        done = subprocess.run(
            [iperf3, "--client", "127.0.0.1", "--port", str(entry), "--udp", "--length", "1400",
             "--bitrate", rate, "--time", "3", "--json"],
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        answer = json.loads(done.stdout)
        self.assertNotIn("error", answer)
        end = answer["end"]["sum"]
        spent = sum(cpu_seconds(node) for node in nodes) - before
        report(
            f"{end['packets']} datagrams of 1,400 bytes at {rate}, {end['lost_percent']:.2f} % lost "
            f"({receive_errors() - full} datagrams in full sockets), "
            f"jitter {end['jitter_ms']:.3f} ms, {spent / end['bytes'] * 1e9:.1f} CPU s/GB of three daemons"
        )
        return end["lost_percent"]

    def test_a_ping_beside_bulk(self):
        """A datagram waits beside the bulk of others no longer than a stream's bytes do."""
        bulk = self.listener()
        pong = self.listener()
        echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        echo.bind(("127.0.0.1", 0))
        self.addCleanup(echo.close)
        threading.Thread(target=echo_all, args=(echo,), daemon=True).start()
        self.addCleanup(stop_echo, echo)
        threading.Thread(target=echo_stream, args=(pong,), daemon=True).start()
        _, _, b = self.line(
            f"bulk={place(bulk)}", f"pong={place(pong)}", f"echo/udp={place(echo)}",
            forwards=["bulk=0", "pong=0", "echo/udp=0"],
        )  # fmt: skip
        addresses = {row["service"]: split(row["address"]) for row in b.get("forwards")}
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
            socket.create_connection(addresses["pong"], PATIENCE) as stream,
            socket.create_connection(addresses["bulk"], PATIENCE) as client,
        ):
            datagrams.connect(addresses["echo"])
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            quiet = pings(datagrams, PINGS)
            far, _ = bulk.accept()
            threading.Thread(target=pour, args=(client,), daemon=True).start()
            threading.Thread(target=swallow, args=(far,), daemon=True).start()
            streamed, busy = [], []
            for _ in range(ROUNDS):  # in turn, so that what else the machine does meets both
                streamed += pings(stream, PINGS // ROUNDS)
                busy += pings(datagrams, PINGS // ROUNDS)
            far.close()
        report(
            f"ping p50 {statistics.median(quiet):.2f} ms; beside bulk {statistics.median(busy):.2f} ms, "
            f"worst {max(busy):.1f} ms, {PINGS - len(busy)} of {PINGS} lost; "
            f"by a stream {statistics.median(streamed):.2f} ms"
        )
        self.assertGreaterEqual(len(busy), PINGS * 0.97)
        self.assertLess(statistics.median(busy), 1.5 * statistics.median(streamed) + 5)

    def listener(self):
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(PATIENCE)
        self.addCleanup(listener.close)
        return listener


def place(listener):
    return "127.0.0.1:%d" % listener.getsockname()[1]


def split(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


def pour(client):
    body = b"x" * 65536
    with contextlib.suppress(OSError):
        while True:
            client.sendall(body)


def echo_stream(listener):
    with contextlib.suppress(OSError):
        connection, _ = listener.accept()
        while data := connection.recv(100):
            connection.sendall(data)


def receive_errors():
    """Datagrams that the kernel dropped because a socket's buffer was full."""
    with open("/proc/net/snmp") as file:
        names, values = [line.split() for line in file if line.startswith("Udp:")]
    return int(values[names.index("RcvbufErrors")])


def cpu_seconds(node):
    with open(f"/proc/{node.process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def swallow(connection):
    with contextlib.suppress(OSError):
        while connection.recv(1 << 18):
            pass


def echo_all(service):
    data, source = service.recvfrom(65536)
    while data != b"stop":
        service.sendto(data, source)
        data, source = service.recvfrom(65536)


def stop_echo(service):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.sendto(b"stop", service.getsockname())


if __name__ == "__main__":
    harness.main()
