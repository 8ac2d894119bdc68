"""The manifests in conf/, as Kubernetes' schemas have them, and as the product and the image are."""

from __future__ import annotations

import re
import shlex
from contextlib import closing
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import st2sensor
from st2sensor import config
from st2sensor.config.options.sections import GROUPS
from st2sensor.sharing.partition import provider_of
from st2sensor.status.server import Server
from st2sensor.storage import open_storage
from tests.support.command_lines import accept
from tests.support.containerfile import parsed
from tests.support.workspace import ROOT

CONF = ROOT / "conf"
DOCUMENTS: list[dict[str, Any]] = [
    document
    for path in sorted(CONF.glob("kubernetes-*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
    if document
]
IMAGE = parsed((CONF / "Containerfile").read_text())[-1]
GUIDE = (ROOT / "docs" / "containers.md").read_text()
COMMANDS = [shlex.split(line, comments=False) for line in re.findall(r"^    (\S.*)$", GUIDE, re.MULTILINE)]


def of(kind: str) -> list[dict[str, Any]]:
    return [document for document in DOCUMENTS if document["kind"] == kind]


WORKLOADS = of("Deployment") + of("StatefulSet") + of("Job")
SERVED = of("Deployment") + of("StatefulSet")

each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda item: f"{item['kind']} {item['metadata']['name']}"
)
each_workload = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda item: item["kind"])
each_served = pytest.mark.parametrize("workload", SERVED, ids=lambda item: item["kind"])


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = workload["spec"]["template"]["spec"]
    return found


def container(workload: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod(workload)["containers"]
    return dict(found)


def variables(workload: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in container(workload)["env"]}


@each_document
def test_a_manifest_fits_kubernetes_schemas(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@each_workload
def test_a_workload_runs_the_image_without_privileges(workload: dict[str, Any]) -> None:
    (user,) = IMAGE.of("USER")
    context = pod(workload)["securityContext"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == user.text
    assert context["runAsNonRoot"] is True
    assert container(workload)["image"] == f"st2sensor:{st2sensor.__version__}"
    assert container(workload)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container(workload)["resources"]) == {"requests", "limits"}
    selected = workload["spec"].get("selector", {}).get("matchLabels", {})
    assert selected.items() <= workload["spec"]["template"]["metadata"]["labels"].items()


@each_workload
def test_a_workload_gives_options_that_there_are(workload: dict[str, Any]) -> None:
    known = {f"ST2_{group}__{option.name}".upper() for group, options in GROUPS.items() for option in options}
    assert set(variables(workload)) <= known
    (entry,) = IMAGE.of("ENTRYPOINT")
    (command,) = container(workload).get("command", entry.words)
    accept(command, container(workload)["args"])


@each_workload
def test_what_is_mounted_is_there_and_what_is_written_is_mounted(workload: dict[str, Any]) -> None:
    templates = [item["metadata"]["name"] for item in workload["spec"].get("volumeClaimTemplates", [])]
    volumes = [volume["name"] for volume in pod(workload)["volumes"]] + templates
    mounts = {mount["mountPath"]: mount for mount in container(workload)["volumeMounts"]}
    assert sorted(mount["name"] for mount in mounts.values()) == sorted(volumes)
    (state,) = IMAGE.of("VOLUME")
    assert {path for path, mount in mounts.items() if not mount.get("readOnly")} >= {state.text, "/tmp"}
    for volume in pod(workload)["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            if "configMap" in source:
                assert source["configMap"]["name"] in [item["metadata"]["name"] for item in of("ConfigMap")]


@each_served
def test_probes_ask_for_what_the_server_has(workload: dict[str, Any]) -> None:
    main = container(workload)
    (port,) = main["ports"]
    assert f"0.0.0.0:{port['containerPort']}" == variables(workload)["ST2_SENSORCONTAINER__HTTP"]["value"]
    assert port["containerPort"] == int(IMAGE.of("EXPOSE")[0].text)
    asked = {probe: main[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {"startupProbe": "/live", "livenessProbe": "/live", "readinessProbe": "/ready"}
    assert {main[probe]["httpGet"]["port"] for probe in asked} == {port["name"]}
    source = Path(str(Server.open.__code__.co_filename)).read_text()
    for path in asked.values():
        assert f'add_get("{path}"' in source


@each_served
def test_a_pod_has_longer_to_stop_than_its_sensors_and_one_outbox_of_its_own(
    workload: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in written(workload, tmp_path, monkeypatch):
        settings = config.load([str(path)])
        assert pod(workload)["terminationGracePeriodSeconds"] > settings.container.stop_timeout + 10
        assert settings.warnings == ()
        assert str(settings.container.state_dir) == IMAGE.of("VOLUME")[0].text
        assert settings.container.http == ("0.0.0.0", 9105)
    if workload["kind"] == "Deployment":
        assert workload["spec"]["replicas"] == 1
        assert workload["spec"]["strategy"] == {"type": "Recreate"}
        claims = [volume["persistentVolumeClaim"]["claimName"] for volume in pod(workload)["volumes"][-1:]]
        assert claims == [claim["metadata"]["name"] for claim in of("PersistentVolumeClaim")]
    else:
        assert workload["spec"]["podManagementPolicy"] == "Parallel"
        assert workload["spec"]["serviceName"] in [service["metadata"]["name"] for service in of("Service")]


def test_each_sensor_is_one_pods_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workload,) = of("StatefulSet")
    folder = written(workload, tmp_path, monkeypatch)[0].parent
    template = container(workload)["args"][1].removeprefix("--config-file=/etc/st2/")
    node = "ST2_SENSORCONTAINER__SENSOR_NODE_NAME"
    assert variables(workload)[node]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    monkeypatch.setenv("ST2_DATABASE__CONNECTION", f"sqlite:///{tmp_path}/st2.db")
    owners = []
    for number in range(workload["spec"]["replicas"]):
        name = f"{workload['metadata']['name']}-{number}"
        monkeypatch.setenv(node, name)
        settings = config.load([str(folder / "st2.conf"), str(folder / template.replace(f"$({node})", name))])
        assert settings.container.node_name == name
        with closing(open_storage(settings.database)) as storage:
            owners.append(provider_of(settings.container.partition_provider, name)(storage))
    refs = [f"pack.Sensor{number}" for number in range(300)]
    assert [sum(owns(ref) for owns in owners) for ref in refs] == [1] * len(refs)
    assert all(any(map(owns, refs)) for owns in owners)
    spans = [
        span for path in sorted(folder.glob("st2sensor-*.conf")) for span in re.findall(r"\w+\.\.\w+", path.read_text())
    ]
    ends = [span.split("..") for span in spans]
    assert len(ends) == workload["spec"]["replicas"]
    assert [ends[0][0], ends[-1][1]] == ["MIN", "MAX"]
    assert [end for _, end in ends[:-1]] == [start for start, _ in ends[1:]]


def test_the_guides_secret_has_what_the_manifests_ask_for() -> None:
    (command,) = [words for words in COMMANDS if words[:3] == ["kubectl", "create", "secret"]]
    made = {word.partition("=")[2].partition("=")[0] for word in command if word.startswith("--from-")}
    assert command[4] == "st2sensor"
    asked = re.findall(
        r"secretKeyRef: \{'name': 'st2sensor', 'key': '(\w+)'\}",
        str(DOCUMENTS).replace("'secretKeyRef'", "secretKeyRef"),
    )
    mounted = re.findall(r"'key': '(datastore_key\.json)'", str(DOCUMENTS))
    assert made == {*asked, *mounted}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_guides_commands_are_commands(command: list[str]) -> None:
    program, *arguments = command
    if program == "kubectl" and arguments[0] == "apply":
        assert (ROOT / arguments[2]).is_file()
    elif program == "kubectl" and arguments[0] == "exec":
        assert re.fullmatch(r"st2sensor-[012]", arguments[1])
        accept(arguments[3], arguments[4:])
    elif program == "podman":
        names = {f"ST2_{group}__{option.name}".upper() for group, options in GROUPS.items() for option in options}
        assert {word.partition("=")[0] for word in arguments if word.startswith("ST2_")} <= names
        assert any(word == f"st2sensor:{st2sensor.__version__}" for word in arguments)
        assert all((ROOT / word).is_file() for word in arguments if word.startswith("conf/"))
    elif program == "docker":
        assert (ROOT / arguments[arguments.index("-f") + 1]).is_file()
    elif program == "promtool":
        # test_monitoring runs them.
        assert arguments[1] == "rules"
        assert (ROOT / arguments[2]).is_file()
    elif program != "kubectl":
        accept(program, arguments)


def test_the_guide_names_every_file() -> None:
    table = re.findall(r"`([\w.-]+\.?[\w-]*)`", "".join(re.findall(r"^\| (`.*?) \|", GUIDE, re.MULTILINE)))
    ours = {"Containerfile", "st2sensor-probe"} | {
        path.name
        for pattern in ("kubernetes-*", "prometheus-*", "grafana-*", "compose*")
        for path in CONF.glob(pattern)
    }
    assert set(table) == ours


def written(workload: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The workload's ConfigMap as files, the shared one first; and its variables in this process."""
    name = next(
        source["configMap"]["name"]
        for volume in pod(workload)["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        if "configMap" in source
    )
    (data,) = [document["data"] for document in of("ConfigMap") if document["metadata"]["name"] == name]
    for file, text in data.items():
        (folder / file).write_text(text)
    secrets = {"database": "mongodb://db.example.org", "broker": "amqp://broker.example.org", "http_token": "t"}
    for variable, entry in variables(workload).items():
        key = entry.get("valueFrom", {}).get("secretKeyRef", {}).get("key")
        if key or "value" in entry:
            monkeypatch.setenv(variable, entry["value"] if "value" in entry else secrets[key])
    return [folder / "st2.conf"]
