"""What all benchmarks need: where things are, and that they are there."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RIVALS = ROOT / "scripts" / "rivals"
BUILD = ROOT / "target" / "bench"
METRICSJOB = str(ROOT / "target" / "release" / "metricsjob")


def install_what_is_missing(packages):
    """Debian packages, each by a program or file that it has."""
    missing = [
        package
        for thing, package in packages.items()
        if not (os.path.exists(thing) if thing.startswith("/") else shutil.which(thing))
    ]
    if not missing:
        return
    if os.geteuid() != 0:
        sys.exit(f"missing on this machine: {' '.join(missing)} (Debian packages)")
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def build():
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=ROOT, check=True)
    BUILD.mkdir(parents=True, exist_ok=True)


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} cores of {model[1] if model else 'an unknown processor'}, Linux {os.uname().release}"
