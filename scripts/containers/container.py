"""A container of our own: a program in namespaces, with a network address, a root directory and a user of its own.

Its root has /usr, /dev and the certificates of this machine, else only what it is given. All of it is made of mounts and
networks in the namespaces of this process, and is gone with that.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import time

NETWORK = "10.89.0"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def call(*command, **options):
    subprocess.run([str(word) for word in command], check=True, **options)


def set_up(place, names):
    """Makes the network on which `names` have the addresses that are returned, and a file system at `place` for all that
    follows. To be called once, in namespaces of our own."""
    call("mount", "--make-rprivate", "/")
    call("mount", "-t", "proc", "none", "/proc")
    call("mount", "-t", "tmpfs", "none", "/run")
    call("mount", "-t", "tmpfs", "none", place)
    call("ip", "link", "set", "lo", "up")
    call("ip", "link", "add", "containers", "type", "bridge")
    call("ip", "address", "add", f"{NETWORK}.1/24", "dev", "containers")
    call("ip", "link", "set", "containers", "up")
    addresses = {name: f"{NETWORK}.{number}" for number, name in enumerate(names, 10)}
    hosts = "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in addresses.items())
    (place / "hosts").write_text(hosts)
    # For this process, too.
    call("mount", "--bind", place / "hosts", "/etc/hosts")
    return addresses


class Container:
    def __init__(self, place, name, address, image, command, env, volumes):
        """A container below the directory `place`. A volume is a path here or a name, a path there, and whether it is read-only."""
        self.name, self.address, self.image = name, address, image
        self.arguments = image.entrypoint + (command if command is not None else image.command)
        self.env = {"PATH": PATH, "HOME": image.workdir, "LANG": "C.UTF-8"} | image.env | env
        self.root = place / name / "root"
        self.log = place / name / "log"
        self.make_root(volumes)
        self.make_network()

    def make_root(self, volumes):
        for directory in ("usr", "proc", "dev", "tmp", "run", "etc/ssl"):
            (self.root / directory).mkdir(parents=True, exist_ok=True)
        (self.root / "tmp").chmod(0o1777)
        for name in ("bin", "lib", "lib64", "sbin"):
            (self.root / name).symlink_to(f"usr/{name}")
        user = self.image.user
        (self.root / "etc/passwd").write_text(f"root:x:0:0::/:/bin/sh\ncontainer:x:{user}:{user}::{self.image.workdir}:/bin/sh\n")
        (self.root / "etc/group").write_text(f"root:x:0:\ncontainer:x:{user}:\n")
        shutil.copy("/etc/hosts", self.root / "etc/hosts")
        for path in ("/usr", "/dev", "/etc/ssl"):
            self.bind(path, path, True)
        # The machine's own programs there are no part of an image.
        programs = self.root / "usr/local/bin"
        call("mount", "-t", "tmpfs", "none", programs)
        for name, path in self.image.programs.items():
            self.bind(path, f"/usr/local/bin/{name}", True)
        self.directory(self.image.workdir)
        for source, target, is_read_only in volumes:
            if os.path.isabs(source):
                self.bind(source, target, is_read_only)
            else:
                # A named volume is in the image's directory, which is that of the image's user.
                self.directory(target)

    def directory(self, path):
        directory = self.root / path.lstrip("/")
        if not directory.exists():
            directory.mkdir(parents=True)
            os.chown(directory, self.image.user, self.image.user)
            directory.chmod(0o700)

    def bind(self, source, target, is_read_only):
        target = self.root / target.lstrip("/")
        if os.path.isdir(source):
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        call("mount", "--bind", source, target)
        if is_read_only:
            call("mount", "-o", "remount,bind,ro", target)

    def make_network(self):
        inside = ("ip", "-n", self.name)
        interface = f"veth{self.address.rsplit('.')[-1]}"
        call("ip", "netns", "add", self.name)
        call("ip", "link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        call("ip", "link", "set", interface, "master", "containers", "up")
        call(*inside, "address", "add", f"{self.address}/24", "dev", "eth0")
        call(*inside, "link", "set", "eth0", "up")
        call(*inside, "link", "set", "lo", "up")

    def as_user(self):
        user = self.image.user
        return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all"]

    def start(self):
        namespaces = ["ip", "netns", "exec", self.name, "unshare", "--mount", "--pid", "--fork", "--kill-child"]
        place = [f"--root={self.root}", f"--wd={self.image.workdir}", "--mount-proc"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                namespaces + place + self.as_user() + self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.env,
            )

    def first_process(self):
        """The process with the number 1 in the container, by its number here; None if it has not begun or has ended."""
        try:
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        except FileNotFoundError:
            return None
        return int(children[0]) if children else None

    def run(self, arguments):
        """Runs another program in the container, and returns how it has ended."""
        enter = ["nsenter", f"--target={self.first_process()}", "--mount", "--net", "--pid", "--root", "--wd"]
        return subprocess.run(enter + self.as_user() + arguments, env=self.env, capture_output=True, text=True, timeout=60)

    def is_healthy(self):
        return self.first_process() is not None and self.run(self.image.health).returncode == 0

    def has_ended(self):
        return self.process.poll() is not None

    def stop(self):
        """Ends it as an engine does. Returns its exit code; None if it had to be killed."""
        first = self.first_process()
        if first is None:
            return self.process.wait()
        os.kill(first, signal.SIGTERM)
        try:
            return self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def last_lines(self):
        return "".join(f"  {line}\n" for line in self.log.read_text(errors="replace").splitlines()[-15:])


def wait_for(what, patience, attempt):
    """Calls `attempt` until it returns something, which it returns; what it raises or None is no success yet."""
    end = time.monotonic() + patience
    problem = None
    while time.monotonic() < end:
        try:
            if (result := attempt()) is not None and result is not False:
                return result
            problem = None
        except (OSError, ValueError, KeyError, LookupError, subprocess.TimeoutExpired) as error:
            problem = error
        time.sleep(0.2)
    raise TimeoutError(f"{what}: not within {patience} s" + (f" ({problem})" if problem else ""))
