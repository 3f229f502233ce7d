# SPDX-License-Identifier: Apache-2.0
"""What is sent through a tunnel, and what is read off it. Each function takes the places and an open
tunnel and returns {figure: value}. CPU seconds are those of the tunnel's own processes only."""
import json
import os
import re
import signal
import subprocess
import time

from places import Missed, cpu_s, rss_kb
from report import busy_s
from tunnels import which

COLD_PATIENCE_S = 20


class Services:
    """nginx (200 bytes an answer), iperf3 and an endless source, at B."""

    def __init__(self, places, traffic):
        self.places, self.traffic = places, traffic
        host = "0.0.0.0" if places.is_apart else "127.0.0.1"
        self.at = {name: ("127.0.0.1", places.port()) for name in ("web", "bulk", "source")}
        self.folder = os.path.join(places.folder, "nginx")
        os.mkdir(self.folder, 0o755)
        places.start("b", [which("nginx"), "-p", self.folder, "-c", self.config(host)])
        places.start("b", [which("iperf3"), "-s", "-p", str(self.at["bulk"][1])])
        places.start("b", [traffic, "source", str(self.at["source"][1])])

    def config(self, host):
        path = os.path.join(self.folder, "nginx.conf")
        temporary = "".join(f"{kind}_temp_path {self.folder}/t;" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.geteuid() == 0 else ""
        with open(path, "w") as file:
            file.write(f"""{user} daemon off; worker_processes 1; pid {self.folder}/pid;
error_log {self.folder}/error.log; worker_rlimit_nofile 65536;
events {{ worker_connections 30000; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; {temporary}
  server {{ listen {host}:{self.at["web"][1]} backlog=4096;
    location / {{ default_type text/plain; return 200 "{'w' * 200}"; }} }} }}
""")
        return path


def figures_of(text):
    return {key: float(value) for key, value in re.findall(r"(\w+)=([\d.]+)", text)}


def client(places, traffic, tunnel, verb, service, *words, patience_s=60):
    host, port = tunnel.entry[service]
    argv = [traffic, verb, host, str(port), *map(str, words)]
    return figures_of(places.ask("a", argv, patience_s))


def cold_start(places, traffic, tunnel):
    """From the start of all its processes to the first answer through it."""
    begun = time.monotonic()
    tunnel.open()
    while True:
        try:
            client(places, traffic, tunnel, "ping", "web", 0.001, patience_s=5)
            return {"cold_s": time.monotonic() - begun}
        except Missed:
            if time.monotonic() - begun > COLD_PATIENCE_S:
                raise Missed(f"{tunnel.name}: no answer in {COLD_PATIENCE_S} s") from None
            time.sleep(0.003)


def iperf(places, tunnel, seconds, streams):
    host, port = tunnel.entry["bulk"]
    argv = [which("iperf3"), "-c", host, "-p", str(port), "-t", str(seconds), "-P", str(streams),
            "-J"]
    result = json.loads(places.ask("a", argv, seconds + 30))
    if "error" in result:
        raise Missed(f"iperf3: {result['error']}")
    return result["end"]["sum_received"]


def bulk(places, tunnel, seconds, streams, relays=()):
    """`end` and `all`: how many cores the busiest of the tunnel's nodes and the whole machine took."""
    begun, busy = time.monotonic(), busy_s()
    before = {place: cpu_s(tunnel.pids([place])) for place in tunnel.processes}
    received = iperf(places, tunnel, seconds, streams)
    spent = {place: cpu_s(tunnel.pids([place])) - before[place] for place in before}
    took = time.monotonic() - begun
    gigabytes = received["bytes"] / 1e9
    return {"gbit": received["bits_per_second"] / 1e9,
            "cpu": sum(spent.values()) / gigabytes,
            "relay_cpu": sum(spent[place] for place in relays if place in spent) / gigabytes,
            "end": max(spent.values(), default=0) / took, "all": (busy_s() - busy) / took}


def requests(places, tunnel, seconds, connections):
    host, port = tunnel.entry["web"]
    before = cpu_s(tunnel.pids())
    text = places.ask("a", [which("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s",
                            f"http://{host}:{port}/"], seconds + 30)
    spent = cpu_s(tunnel.pids()) - before
    done = int(re.search(r"(\d+) requests in", text)[1])
    if done == 0 or "Non-2xx" in text:
        raise Missed(f"wrk: {text[-300:]}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
    return {"rate": rate, "us": 1e6 * spent / done}


def idle(places, traffic, tunnel, count):
    """KB that each of many connections at rest costs at both ends together."""
    host, port = tunnel.entry["web"]
    before = rss_kb(tunnel.pids())
    argv = places.argv("a", [traffic, "hold", host, str(port), str(count)])
    holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if "held" not in holder.stdout.readline():
            raise Missed(f"{count} idle connections: not all answered")
        time.sleep(2)
        return {"kb": (rss_kb(tunnel.pids()) - before) / count}
    finally:
        holder.kill()
        holder.wait()
        holder.stdin.close()
        holder.stdout.close()


def busiest(tunnel, places):
    before = {place: cpu_s(tunnel.pids([place])) for place in places}
    time.sleep(0.5)
    return max(places, key=lambda place: cpu_s(tunnel.pids([place])) - before[place])


def stall(places, traffic, tunnel, number, seconds):
    """The longest pause of a bulk stream whose relay is killed, or stopped."""
    host, port = tunnel.entry["source"]
    argv = places.argv("a", [traffic, "drink", host, str(port), str(seconds)])
    drinker = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    time.sleep(1.5)
    victim = tunnel.processes[busiest(tunnel, tunnel.relays)]
    victim.send_signal(number)
    text, _ = drinker.communicate(timeout=seconds + 30)
    if number == signal.SIGSTOP:
        victim.send_signal(signal.SIGCONT)
    result = figures_of(text)
    if "stall_ms" not in result:
        raise Missed(f"{tunnel.name}: the stream died with its relay")
    return {"s": result["stall_ms"] / 1000}
