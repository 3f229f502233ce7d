# SPDX-License-Identifier: Apache-2.0
"""What carries an application at A to a service at B: plain TCP, weft, and what people use today.

A tunnel is started between the places for some services (name -> (host, port) at B) and then says at
which address each of them is reached from A. Over a relay: weft relays, haproxy passes TCP on, stunnel
opens and seals again, ssh jumps. All of them check the other side's identity, plain ones apart.
"""
import os
import resource
import secrets
import shutil
import subprocess
import time

from places import Missed


def which(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Tunnel:
    """One way from A to B. `relays` are the places between, none or R1, or R1 and R2."""

    name = ""
    program = None   # what must be installed
    takes_two_relays = False

    def __init__(self, places, relays, services, options):
        self.places, self.relays, self.services, self.options = places, relays, services, options
        self.processes = {}
        self.entry = {}

    def write(self, name, text, mode=0o600):
        path = os.path.join(self.places.folder, f"{self.name.replace(' ', '-')}-{name}")
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def start(self, place, argv):
        self.processes[place] = self.places.start(place, argv)

    def open(self):
        raise NotImplementedError

    def close(self):
        self.places.stop(list(self.processes.values()))
        self.processes = {}

    def pids(self, places=None):
        return [process.pid for place, process in self.processes.items()
                if places is None or place in places]

    def towards_b(self):
        """[(place, where its other end is seen)]: A's next place, then that one's, up to B."""
        way = ["a", *self.relays[:1], "b"]
        return list(zip(way, way[1:]))


class Raw(Tunnel):
    name = "raw TCP"

    def open(self):
        host = self.places.address("b", self.relays[0] if self.relays else "a")
        self.entry = {name: (host, port) for name, (_, port) in self.services.items()}


class Weft(Tunnel):
    name = "weft"
    takes_two_relays = True

    def daemon(self, place, listens, seeds, flags):
        state = os.path.join(self.places.folder, f"weft-{place}-{secrets.token_hex(4)}")
        os.mkdir(state, 0o700)
        argv = [self.options.weftd, "--name", place, "--state", state, "--discovery", "off",
                "--secret-file", self.secret, "--heartbeat", self.options.heartbeat]
        for host, port in listens or [("127.0.0.1", 0)]:
            argv += ["--listen", f"{host}:{port}"]
        for host, port in seeds:
            argv += ["--seed", f"{host}:{port}"]
        self.start(place, argv + flags)
        return state

    def open(self):
        self.secret = self.write("secret", secrets.token_hex(32) + "\n")
        address = self.places.address
        at_b = [(address("b", other), self.places.port()) for other in self.relays or ["a"]]
        at_relays = [(address(relay, "a"), self.places.port()) for relay in self.relays]
        flags = [f"--service={name}={host}:{port}" for name, (host, port) in self.services.items()]
        self.daemon("b", at_b, [], flags)
        for relay, listen, seed in zip(self.relays, at_relays, at_b):
            self.daemon(relay, [listen], [seed], [])
        self.entry = {name: ("127.0.0.1", self.places.port()) for name in self.services}
        flags = [f"--forward={name}={host}:{port}" for name, (host, port) in self.entry.items()]
        self.daemon("a", [], at_relays or at_b, flags)


class Haproxy(Tunnel):
    name = "haproxy plain"
    program = "haproxy"
    bind = server = ""  # what the sealed side says more

    def section(self, name, bind, server):
        return f"listen {name}\n  bind {bind}\n  server next {server}\n"

    def config(self, sections):
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        count = min(20000, (files - 100) // 2)
        return (f"global\n  maxconn {count}\n  nbthread 1\n"
                "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n"
                f"  timeout server 1h\n  maxconn {count}\n" + "".join(sections))

    def run(self, place, sections):
        path = self.write(f"{place}.cfg", self.config(sections))
        self.start(place, [which("haproxy"), "-db", "-f", path])

    def open(self):
        sections = {place: [] for place in ("a", *self.relays, "b")}
        for name, (host, port) in self.services.items():
            self.entry[name] = ("127.0.0.1", self.places.port())
            bind = "{}:{}".format(*self.entry[name])
            for place, other in self.towards_b():
                at = f"{self.places.address(other, place)}:{self.places.port()}"
                sealed = self.server if place == "a" else ""
                sections[place].append(self.section(name, bind, at + sealed))
                bind = at
            sections["b"].append(self.section(name, bind + self.bind, f"{host}:{port}"))
        for place, texts in sections.items():
            self.run(place, texts)


def certificate(folder):
    """A key and a self-signed certificate in one file, made once: both sides hold it."""
    path = os.path.join(folder, "both.pem")
    if not os.path.exists(path):
        key, cert = path + ".key", path + ".crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days",
                        "2", "-subj", "/CN=weft-bench", "-addext",
                        "subjectAltName=DNS:weft-bench"], check=True, capture_output=True)
        with open(path, "w") as out:
            for part in (key, cert):
                with open(part) as file:
                    out.write(file.read())
    return path


class HaproxyTls(Haproxy):
    name = "haproxy TLS"

    def open(self):
        pem = certificate(self.places.folder)
        self.bind = f" ssl crt {pem} ca-file {pem} verify required ssl-min-ver TLSv1.3"
        self.server = (f" ssl crt {pem} ca-file {pem} verify required verifyhost weft-bench"
                       " ssl-min-ver TLSv1.3")
        super().open()


class Stunnel(Tunnel):
    name = "stunnel"
    program = "stunnel4"

    def open(self):
        pem = certificate(self.places.folder)
        head = f"foreground = yes\npid =\ndebug = 3\ncert = {pem}\nCAfile = {pem}\nverifyPeer = yes\n"
        sections = {place: [] for place in ("a", *self.relays[:1], "b")}
        for name, service in self.services.items():
            self.entry[name] = ("127.0.0.1", self.places.port())
            accept = self.entry[name]
            for place, other in self.towards_b():
                sealed = (self.places.address(other, place), self.places.port())
                sections[place].append(self.section(name + "-out", accept, sealed, "yes"))
                accept = sealed
                if other != "b":  # a relay opens, and seals again behind a port of its own
                    accept = ("127.0.0.1", self.places.port())
                    sections[other].append(self.section(name + "-in", sealed, accept, "no"))
            sections["b"].append(self.section(name, accept, service, "no"))
        for place, texts in sections.items():
            path = self.write(f"{place}.conf", head + "".join(texts))
            self.start(place, [which("stunnel4"), path])

    @staticmethod
    def section(name, accept, connect, is_client):
        return ("[{}]\nclient = {}\naccept = {}:{}\nconnect = {}:{}\n"
                "socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
                ).format(name, is_client, *accept, *connect)


class Ssh(Tunnel):
    name = "ssh -L"
    program = "sshd"

    def open(self):
        key = os.path.join(self.places.folder, "ssh-key")
        if not os.path.exists(key):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        hops = [(place, other, self.places.address(other, place), self.places.port())
                for place, other in self.towards_b()]
        for _, other, host, port in hops:
            self.start(other, [which("sshd"), "-D", "-e", "-f", self.server(other, host, port, key)])
            self.wait_listening(other, port)
        jump, last = hops[:-1], hops[-1]
        config = "".join(self.host(f"hop{other}", host, port, key) for _, other, host, port in hops)
        self.entry = {name: ("127.0.0.1", self.places.port()) for name in self.services}
        argv = ["ssh", "-N", "-F", self.write("client.conf", config)]
        for _, other, _, _ in jump:
            argv += ["-J", f"hop{other}"]
        for name, (_, port) in self.entry.items():
            argv += ["-L", "{}:{}:{}".format(port, *self.services[name])]
        self.start("a", [which("ssh"), *argv[1:], f"hop{last[1]}"])

    def wait_listening(self, place, port):
        """ssh tries once: what it connects to must be there."""
        for _ in range(1000):
            with open(os.path.join(self.places.folder, f"sshd-{place}.log")) as log:
                if f"port {port}." in log.read():
                    return
            time.sleep(0.003)
        raise Missed(f"sshd does not listen at port {port}")

    def server(self, place, host, port, key):
        return self.write(f"{place}.sshd", (
            f"ListenAddress {host}:{port}\nHostKey {key}\nAuthorizedKeysFile {key}.pub\n"
            "StrictModes no\nUsePAM no\nPidFile none\nMaxSessions 100\nMaxStartups 100\n"
            "AllowTcpForwarding yes\nPermitRootLogin yes\nPasswordAuthentication no\n"))

    @staticmethod
    def host(name, host, port, key):
        return (f"Host {name}\n  HostName {host}\n  Port {port}\n  IdentityFile {key}\n"
                "  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n"
                "  Ciphers aes128-gcm@openssh.com\n  ExitOnForwardFailure yes\n"
                "  IdentitiesOnly yes\n")


TUNNELS = {"raw": Raw, "weft": Weft, "haproxy": HaproxyTls, "haproxy-plain": Haproxy,
           "stunnel": Stunnel, "ssh": Ssh}


def installed(name):
    program = TUNNELS[name].program
    return program is None or which(program) is not None
