"""A server that is measured: its start, its end, its answers, its memory."""

import contextlib
import http.client
import pathlib
import signal
import socket
import subprocess
import sys
import time


class Server:
    """One with its data in `directory`. It has a `name`, a `command()`, and a path that answers once it is
    `ready`."""

    ready = "/-/ready"

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def start(self):
        """Returns how many seconds it took until it was ready."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = open(self.directory / "log", "ab")
        start = time.monotonic()
        self.process = subprocess.Popen(self.command(), stdout=self.log, stderr=self.log)
        while True:
            if self.process.poll() is not None:
                sys.exit(f"{self.name} did not start: see {self.log.name}")
            with contextlib.suppress(OSError):
                if self.get(self.ready)[0] == 200:
                    return time.monotonic() - start
            time.sleep(0.002)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait()
        self.log.close()

    def get(self, path, headers=None):
        """The status and the body."""
        return self.request("GET", path, headers)

    def request(self, method, path, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def resident(self):
        """Bytes of memory."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024

    def scrape(self, headers=None):
        """Seconds and bytes of one."""
        start = time.monotonic()
        status, body = self.get("/metrics", headers)
        if status != 200:
            sys.exit(f"{self.name}: scrape answered {status}")
        return time.monotonic() - start, len(body)
