#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Redis, PostgreSQL and ssh over one relay, with their own clients."""

import getpass
import os
import pathlib
import shutil

import harness
from real import BIG, MEGABYTE, RealTest, report, sha256, write_random


class Redis(RealTest):
    def test_redis_benchmark(self):
        server = self.need("redis-server")
        benchmark = self.need("redis-benchmark")
        address = self.start_server(
            "redis", lambda port: [server, "--port", port, "--save", "", "--dir", self.folder]
        )
        self.sites(redis=address)
        host, port = self.forward("redis")
        to = ["-h", host, "-p", str(port), "--csv"]
        for options in (
            ["-t", "set,get", "-n", "20000", "-c", "50"],
            ["-t", "set,get", "-n", "100000", "-c", "50", "-P", "16"],
            ["-t", "get", "-n", "20000", "-c", "500"],  # 500 connections at once
            ["-t", "get", "-n", "2000", "-c", "10", "-d", "100000"],
        ):
            rows = self.run_program(benchmark, *to, *options).splitlines()
            for row in rows[1:]:
                name, rate, _, _, p50, _, p99, _ = (cell.strip('"') for cell in row.split(","))
                self.assertGreater(float(rate), 0)
                report(f"{' '.join(options[2:])}: {name} {rate}/s, p50 {p50} ms, p99 {p99} ms")
        self.wait_no_streams()


class Postgres(RealTest):
    def test_pgbench_and_psql(self):
        self.start_postgres()
        host, port = self.forward("db")
        to = ["-h", host, "-p", str(port), "-U", "weft"]
        self.run_program(self.pgbench, *to, "-i", "-q", "-s", "1", "postgres")
        said = self.run_program(self.pgbench, *to, "-n", "-c", "8", "-T", "3", "postgres")
        tps = next(line for line in said.splitlines() if line.startswith("tps"))
        self.assertIn("number of failed transactions: 0", said)
        report(f"pgbench {tps}")
        ask = "select count(*), sum(length(repeat('weft', n))) from generate_series(1, 2000) n"
        said = self.run_program(self.psql, *to, "-At", "-c", ask, "postgres")
        self.assertEqual(said, "2000|8004000\n")
        said = self.run_program(
            self.psql, *to, "-At", "-c", "select repeat('x', 20000000)", "postgres"
        )
        self.assertEqual(said, "x" * 20_000_000 + "\n")
        self.wait_no_streams()

    def start_postgres(self):
        folder = self.bin_folder()
        self.pgbench = self.need("pgbench", folder)
        self.psql = self.need("psql", folder)
        initdb, server = self.need("initdb", folder), self.need("postgres", folder)
        data = self.folder / "db"
        data.mkdir()
        options = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self.folder.chmod(0o711)
            shutil.chown(data, "postgres", "postgres")
            options = {"user": "postgres", "cwd": "/"}
        self.run_program(initdb, "-D", data, "-U", "weft", "-A", "trust", "-N", "-E", "UTF8",
                         "--locale=C", patience=60, **options)  # fmt: skip
        settings = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        settings += ["-c", "fsync=off"]
        self.sites(
            db=self.start_server(
                "postgres", lambda port: [server, "-D", data, "-p", port, *settings], **options
            )
        )

    def bin_folder(self):
        versions = pathlib.Path("/usr/lib/postgresql")
        found = sorted(versions.iterdir(), key=lambda path: float(path.name), reverse=True) if (
            versions.is_dir()) else []  # fmt: skip
        return found[0] / "bin" if found else versions


class Ssh(RealTest):
    def test_ssh_and_scp(self):
        self.start_sshd()
        host, port = self.forward("ssh")
        common = ["-F", "none", "-i", self.key, "-o", "BatchMode=yes", "-o",
                  f"UserKnownHostsFile={self.folder}/known", "-o",
                  "StrictHostKeyChecking=accept-new"]  # fmt: skip
        to = f"{getpass.getuser()}@{host}"
        said = self.run_program(self.ssh, *common, "-p", port, to, "echo over; exit 0")
        self.assertEqual(said, "over\n")
        size = BIG // 6
        digest = write_random(self.folder / "sent", size)
        there, back = self.folder / "there", self.folder / "back"
        self.run_program(self.scp, *common, "-P", port, self.folder / "sent", f"{to}:{there}")
        self.run_program(self.scp, *common, "-P", port, f"{to}:{there}", back)
        self.assertEqual([sha256(there), sha256(back)], [digest, digest])
        report(f"scp of {size // MEGABYTE} MB there and back")
        self.wait_no_streams()

    def start_sshd(self):
        self.ssh, self.scp = self.need("ssh"), self.need("scp")
        sshd, keygen = self.need("sshd"), self.need("ssh-keygen")
        self.key, host_key = self.folder / "key", self.folder / "host"
        for path in (self.key, host_key):
            self.run_program(keygen, "-q", "-t", "ed25519", "-N", "", "-f", path)
        shutil.copy(f"{self.key}.pub", self.folder / "authorized")
        if os.geteuid() == 0:
            pathlib.Path("/run/sshd").mkdir(exist_ok=True)  # sshd's empty folder, made by its service
        config = self.folder / "sshd.conf"

        def command(port):
            config.write_text(SSHD.format(folder=self.folder, port=port, host_key=host_key))
            return [sshd, "-D", "-e", "-f", config]

        self.sites(ssh=self.start_server("sshd", command))


SSHD = """
ListenAddress 127.0.0.1:{port}
HostKey {host_key}
PidFile none
AuthorizedKeysFile {folder}/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""

if __name__ == "__main__":
    harness.main()
