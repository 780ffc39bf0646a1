"""The images of the compose file, as far as they can be had without a container engine: Debian's packages have the same
programs as the public images, and what the Dockerfile makes is built here."""

import json
import re
import shlex

USERS = {"nobody": 65534}


class Image:
    def __init__(self, entrypoint=(), command=(), env=None, user=USERS["nobody"], workdir="/", health=None, programs=None):
        self.entrypoint, self.command = list(entrypoint), list(command)
        self.env = env or {}
        self.user = user
        self.workdir = workdir
        self.health = health
        self.programs = programs or {}


# Program, default arguments and directory as in the Dockerfile of each image.
PUBLIC = {
    # Debian's keeps its groups in a file of the system by default.
    "prom/pushgateway": Image(["prometheus-pushgateway", "--persistence.file="]),
    "prom/prometheus": Image(
        ["prometheus"],
        ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"],
        workdir="/prometheus",
    ),
    "prom/alertmanager": Image(
        ["prometheus-alertmanager"],
        ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"],
        workdir="/alertmanager",
    ),
    "python": Image([], ["python3"], user=0),
    "redis": Image([], ["redis-server"]),
}


def public(name):
    """The public image `name`, which has a tag; None where Debian has no such program."""
    return PUBLIC.get(name.split(":")[0])


def instructions(dockerfile):
    """Word and arguments of each instruction."""
    text = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", dockerfile, flags=re.M))
    return [line.split(maxsplit=1) for line in filter(None, text.splitlines())]


def built(dockerfile, target, metricsjob, examples):
    """The image of the stage `target` (None: the last), with the programs at the path `metricsjob` and, for what is copied
    from the stage of the examples, below the directory `examples`."""
    stages, image = {}, None
    for word, rest in instructions(dockerfile):
        if word == "FROM":
            parts = rest.split()
            base = stages.get(parts[0], Image(user=0))
            image = Image(base.entrypoint, base.command, dict(base.env), base.user, base.workdir, base.health, dict(base.programs))
            stages[parts[2] if len(parts) > 2 else None] = image
        elif word == "ENV":
            image.env |= dict(pair.split("=", 1) for pair in shlex.split(rest))
        elif word == "USER":
            image.user = int(rest.split(":")[0])
        elif word == "WORKDIR":
            image.workdir = rest
        elif word in ("ENTRYPOINT", "CMD"):
            setattr(image, {"CMD": "command"}.get(word, "entrypoint"), json.loads(rest))
        elif word == "HEALTHCHECK":
            image.health = json.loads(rest[rest.index("CMD") + 3 :])
        elif word == "COPY" and "--from=" in rest:
            source, target_dir = rest.split()[1:]
            if source.endswith("/metricsjob"):
                image.programs["metricsjob"] = metricsjob
            else:
                into = "install -D -t /out/examples "
                install = next(run.split(into)[1] for _, run in instructions(dockerfile) if into in run)
                names = [path.split("/")[-1] for path in install.split()]
                image.programs |= {name: examples / name for name in names}
            assert target_dir == "/usr/local/bin/", f"COPY {rest}: programs are looked for in /usr/local/bin/"
        elif word not in ("RUN", "COPY", "VOLUME", "EXPOSE"):
            raise ValueError(f"Dockerfile: nothing is known of {word} {rest}")
    return stages[target]
