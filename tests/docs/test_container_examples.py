"""The Containerfile and the Kubernetes file work: built and run by podman, checked against the Kubernetes schemas."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import filelock
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

import callers_mcp
from callers_mcp import Settings
from callers_mcp.access import UNRESTRICTED
from callers_mcp.api.key import KeySource
from callers_mcp.http.auth import token_store
from callers_mcp.http.settings import HostingSettings
from callers_mcp.sandbox import API_KEY
from tests.support.command_line import run_process
from tests.support.constants import PATIENCE, SAMPLE_ID

ROOT = Path(__file__).parents[2]
FILES = ROOT / "examples/hosting"
CONTAINERFILE = (FILES / "Containerfile").read_text()
CRON = ROOT / "examples/cron"
CRON_OBJECTS: dict[str, dict[str, Any]] = {
    each["kind"]: each for each in yaml.safe_load_all((CRON / "cronjob.yaml").read_text("utf-8"))
}
OBJECTS: dict[str, dict[str, Any]] = {
    each["kind"]: each for each in yaml.safe_load_all((FILES / "kubernetes.yaml").read_text())
}
POD = OBJECTS["Deployment"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
ENVIRONMENT: dict[str, str] = {each["name"]: each["value"] for each in CONTAINER["env"]}
(MOUNT,) = CONTAINER["volumeMounts"]
PROBES = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}

LONG = 20 * PATIENCE
"""Seconds for downloads, and for copying much data."""

Command = subprocess.CompletedProcess[str]


def instruction(name: str) -> str:
    """Return the arguments of an instruction in the last stage of the Containerfile, which is the image."""
    (arguments,) = re.findall(rf"^{name} (.*)$", CONTAINERFILE.rpartition("\nFROM ")[2], re.MULTILINE)
    return str(arguments)


# The files


@pytest.mark.parametrize("version", ["1.25", kubernetes_validate.latest_version()])
def test_the_objects_are_valid_for_kubernetes(version: str) -> None:
    assert sorted(OBJECTS) == ["Deployment", "Secret", "Service"]
    for each in [*OBJECTS.values(), *CRON_OBJECTS.values()]:
        kubernetes_validate.validate(each, version, strict=True)


def test_the_objects_refer_to_each_other_correctly() -> None:
    deployment, service, secret = (OBJECTS[kind] for kind in ("Deployment", "Service", "Secret"))
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels == deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    (port,), (open_port,) = service["spec"]["ports"], CONTAINER["ports"]
    assert port["targetPort"] == open_port["name"]
    (volume,) = POD["volumes"]
    assert (volume["name"], volume["secret"]["secretName"]) == (MOUNT["name"], secret["metadata"]["name"])
    mounted = {f"{MOUNT['mountPath']}/{field}" for field in secret["stringData"]}
    assert mounted == {ENVIRONMENT["CALLERS_API_KEY_FILE"], ENVIRONMENT["CALLERS_HTTP_TOKEN_FILE"]}
    assert deployment["spec"]["replicas"] == 2


def test_the_deployment_matches_the_image() -> None:
    user, group = instruction("USER").split(":")
    context = POD["securityContext"]
    assert context["runAsUser"] == int(user) != 0
    assert context["runAsGroup"] == context["fsGroup"] == int(group)
    arguments = json.loads(instruction("CMD"))
    (port,) = CONTAINER["ports"]
    assert arguments[arguments.index("--port") + 1] == instruction("EXPOSE") == str(port["containerPort"])
    assert {probe: CONTAINER[probe]["httpGet"] for probe in PROBES} == {
        probe: {"path": path, "port": port["name"]} for probe, path in PROBES.items()
    }


def test_a_pod_meets_the_restricted_standard() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and more."""
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["automountServiceAccountToken"] is False
    assert {"cpu", "memory"} == set(CONTAINER["resources"]["limits"])
    (volume,) = POD["volumes"]
    assert volume["secret"]["defaultMode"] == 0o440  # the server refuses a token file that others may read


def test_a_cron_job_runs_what_the_image_of_the_report_runs_and_mounts_what_it_needs() -> None:
    pod = CRON_OBJECTS["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    entry = json.loads(re.findall(r"^ENTRYPOINT (.*)$", (CRON / "Containerfile").read_text("utf-8"), re.MULTILINE)[0])
    assert container["command"] == ["sh", "-c", f"{' '.join(entry)} < /config/ids.txt"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert {"ids.txt"} == set(CRON_OBJECTS["ConfigMap"]["data"])
    assert {"api-key"} == set(CRON_OBJECTS["Secret"]["stringData"])
    assert container["env"] == [{"name": "CALLERS_API_KEY_FILE", "value": "/secret/api-key"}]
    assert container["securityContext"] == CONTAINER["securityContext"]
    user, _ = instruction("USER").split(":")
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == int(user)


def test_a_pod_has_time_to_finish_its_calls() -> None:
    drain, timeout = (float(ENVIRONMENT[f"CALLERS_{name}"]) for name in ("HTTP_DRAIN_SECONDS", "TIMEOUT"))
    assert POD["terminationGracePeriodSeconds"] >= drain + timeout + 10
    readiness = CONTAINER["readinessProbe"]
    assert drain >= readiness["failureThreshold"] * readiness["periodSeconds"] + readiness["timeoutSeconds"]
    # A replica is stopped only when another one is ready.
    assert OBJECTS["Deployment"]["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_the_environment_configures_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled_in(tmp_path)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value.replace(MOUNT["mountPath"], str(tmp_path)))
    settings = Settings.from_environment()
    hosting = HostingSettings.from_environment(host="0.0.0.0", port=8000)  # as in the image's command
    assert settings.notices == ()
    assert KeySource(settings).current() == API_KEY
    assert hosting.token_file
    assert len(token_store.read(hosting.token_file)) == 1


@pytest.mark.slow
def test_a_secret_that_was_not_filled_in_lets_no_caller_in(tmp_path: Path) -> None:
    for name, content in OBJECTS["Secret"]["stringData"].items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o440)
    assert token_store.read(tmp_path / "tokens.json") == ()
    given = {name: value.replace(MOUNT["mountPath"], str(tmp_path)) for name, value in ENVIRONMENT.items()}
    code, _, errors = run_process("http", "--host", "0.0.0.0", "--port", "0", environment=given)
    assert code == 2
    assert "CALLERS_API_KEY_FILE names does not contain a usable key" in errors


def filled_in(folder: Path) -> str:
    """Write the files of a filled-in secret to a folder, and return the token."""
    (folder / "api-key").write_text(API_KEY)
    return token_store.add(folder / "tokens.json", "support", UNRESTRICTED)


# The image

LOOK_UP = """
import sys, anyio, httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

async def main():
    forwarded = {"Authorization": f"Bearer {sys.argv[1]}", "Host": "callers.example.com", "X-Forwarded-Proto": "https"}
    async with httpx2.AsyncClient(headers=forwarded) as http:
        async with Client(streamable_http_client("http://127.0.0.1:8000/mcp", http_client=http)) as client:
            result = await client.call_tool("get_campaign", {"campaign_id": sys.argv[2]})
    print(result.structured_content["summary"]["status"])

anyio.run(main)
"""

PROBE = """
import http.client, sys, time
until = time.monotonic() + float(sys.argv[2])
while True:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", 8000)
        # With the pod's address as Host, like a kubelet.
        connection.request("GET", sys.argv[1], headers={"Host": "10.244.0.7:8000"})
        status = connection.getresponse().status
    except OSError:
        status = 0
    if status == 200 or time.monotonic() > until:
        sys.exit(status != 200)
    time.sleep(0.1)
"""


class Podman:
    """podman with its own folder for images and containers."""

    def __init__(self, folder: Path) -> None:
        storage = ["--root", str(folder / "root"), "--runroot", str(folder / "run"), "--cgroup-manager", "cgroupfs"]
        # The default runtime, crun, may not support the cgroups of this machine.
        runtime = shutil.which("runc")
        self._command = ["podman", *storage, *(["--runtime", runtime] if runtime else [])]

    def __call__(self, *arguments: str) -> Command:
        return subprocess.run([*self._command, *arguments], capture_output=True, text=True, timeout=LONG, cwd=ROOT)

    def must(self, *arguments: str) -> str:
        done = self(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, *arguments: str) -> Command:
        """Run the image like the pod, but without network: no capabilities, a read-only root file system."""
        limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]  # within the limits of this process
        hardened = ["--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--network", "none"]
        return self("run", *limits, *hardened, *arguments)


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Podman]:
    """The image, built once for all test processes; the last process removes it."""
    if missing := [name for name in ("podman", "mmdebstrap") if shutil.which(name) is None]:
        pytest.skip(f"{' and '.join(missing)} not installed")
    if os.geteuid() != 0:
        pytest.skip("needs root, to create Debian's file system")
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "containers"
    users = folder / "users"
    lock = filelock.FileLock(f"{folder}.lock")
    podman = Podman(folder)
    with lock:
        if not users.exists():
            folder.mkdir()
            build(podman, folder)
        with users.open("a") as file:
            file.write("x")
    yield podman
    with lock:
        users.write_text(users.read_text()[1:])
        if not users.read_text():
            podman.must("rmi", "--all", "--force")
            shutil.rmtree(folder)


def build(podman: Podman, folder: Path) -> None:
    """Build the image from the Containerfile, on a local Debian 12 instead of the base image from a registry."""
    debian = folder / "debian.tar"
    lean = ["--include=python3,python3-venv", "--dpkgopt=force-unsafe-io"]
    lean += [f"--dpkgopt=path-exclude=/usr/share/{of}/*" for of in ("doc", "locale", "man")]
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", *lean, "bookworm", str(debian)],
        check=True,
        timeout=LONG,
    )
    podman.must("import", "--quiet", str(debian), "localhost/python")
    # The settings with which pip reaches its packages here, except local folders.
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    found = re.findall(r"^(?:global|:env:)\.(index-url|extra-index-url|cert|proxy)='(.*)'$", listed, re.MULTILINE)
    pip = dict(reversed([(name, value) for name, value in found if "file:" not in value]))
    (folder / "pip.conf").write_text("\n".join(["[global]", *(f"{name} = {value}" for name, value in pip.items())]))
    files = ["--secret", f"id=pip.conf,src={folder / 'pip.conf'}"]
    files += ["--volume", f"{pip['cert']}:{pip['cert']}:ro"] if "cert" in pip else []
    options_ = ["--format", "docker", "--isolation", "chroot", "--network", "host"]
    options_ += ["--build-arg", "PYTHON=localhost/python"]
    podman.must("build", "-f", str(FILES / "Containerfile"), "-t", "callers-mcp", *options_, *files, ".")


@pytest.fixture
def pod(podman: Podman, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The name of a container that runs the image's command with the settings of the Kubernetes file, and a token."""
    secrets = tmp_path / "secrets"
    secrets.mkdir(0o755)
    token = filled_in(secrets)
    for file in (secrets / "api-key", secrets / "tokens.json"):
        os.chown(file, 0, int(POD["securityContext"]["fsGroup"]))
        file.chmod(0o440)
    given = ENVIRONMENT | {"CALLERS_BASE_URL": "http://127.0.0.1:8080", "CALLERS_HTTP_DRAIN_SECONDS": "0.2"}
    environment = [argument for name, value in given.items() for argument in ("--env", f"{name}={value}")]
    started = podman.run("--detach", *environment, "--volume", f"{secrets}:{MOUNT['mountPath']}:ro", "callers-mcp")
    assert started.returncode == 0, started.stderr
    name = started.stdout.strip()
    yield name, token
    podman("rm", "--force", name)


@pytest.mark.parts
def test_the_image_runs_the_demo_without_privileges_on_a_read_only_root(podman: Podman) -> None:
    done = podman.run("--rm", "callers-mcp", "demo")
    assert done.returncode == 0, done.stderr
    assert "Running outbound campaign" in done.stdout
    version = podman.run("--rm", "callers-mcp", "--version")
    assert version.stdout == f"callers-mcp {callers_mcp.__version__}\n"


@pytest.mark.parts
def test_the_image_does_not_serve_without_a_setting_for_authentication(podman: Podman) -> None:
    done = podman.run("--rm", "--env", "CALLERS_API_KEY=x", "callers-mcp")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Set CALLERS_HTTP_AUTH if other machines may reach the server" in done.stderr


@pytest.mark.parts
def test_a_pod_becomes_ready_looks_up_a_campaign_and_stops_cleanly(podman: Podman, pod: tuple[str, str]) -> None:
    name, token = pod
    python = "/opt/callers-mcp/bin/python3"
    for path in sorted(set(PROBES.values())):
        podman.must("exec", name, python, "-c", PROBE, path, str(PATIENCE))
    podman.must("healthcheck", "run", name)
    podman.must("exec", "--detach", name, "/opt/callers-mcp/bin/callers-mcp", "sandbox", "--port", "8080")
    assert podman.must("exec", name, python, "-c", LOOK_UP, token, SAMPLE_ID) == "running\n"
    assert podman.must("exec", name, "id", "-u") == "65532\n"
    assert "Read-only file system" in podman("exec", name, "touch", "/opt/callers-mcp/x").stderr
    podman.must("stop", "--time", str(int(PATIENCE)), name)
    assert podman.must("inspect", name, "--format", "{{.State.ExitCode}}") == "0\n"


@pytest.mark.parts
def test_the_image_contains_no_test_packages_and_no_files_of_the_build(podman: Podman, tmp_path: Path) -> None:
    podman.must("save", "--format", "docker-archive", "--output", str(tmp_path / "image.tar"), "callers-mcp")
    with tarfile.open(tmp_path / "image.tar") as archive:
        (manifest,) = json.load(archive.extractfile("manifest.json") or BytesIO())
        names = set[str]()
        for layer in manifest["Layers"][1:]:  # the first one is the base
            with tarfile.open(fileobj=archive.extractfile(layer)) as files:
                names |= set(files.getnames())
    site = {name.split("/")[5] for name in names if name.startswith("opt/callers-mcp/lib/python3.11/site-packages/")}
    assert {"callers_mcp", "mcp", "uvicorn"} <= site
    assert not {"pip", "pytest", "_pytest", "mypy"} & site
    assert not [name for name in names if "pip.conf" in name or name.startswith(("build", "run/"))]


@pytest.mark.parts
def test_a_cron_job_in_a_container_prints_the_report_and_keeps_the_results(podman: Podman, tmp_path: Path) -> None:
    arguments = ["--format", "docker", "--isolation", "chroot", "--build-arg", "SERVER=localhost/callers-mcp"]
    podman.must("build", "-f", str(CRON / "Containerfile"), "-t", "callers-report", *arguments, ".")
    saved = tmp_path / "saved"
    saved.mkdir()
    os.chown(saved, 65532, 65532)
    job = ["--rm", "--no-healthcheck", "--volume", f"{saved}:/saved", "callers-report"]
    first = podman.run(*job, "--sandbox")
    assert (first.returncode, first.stderr) == (0, "")
    assert "new in this report" in first.stdout
    assert [file.name for file in saved.iterdir()] == ["saved.json"]
    second = podman.run(*job, "--sandbox")
    assert second.returncode == 0
    assert "new in this report" not in second.stdout
    without_ids = podman.run(*job)
    assert without_ids.returncode == 2
    assert "give a campaign's id" in without_ids.stderr.splitlines()[-1]
