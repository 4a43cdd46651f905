"""The Helm chart and the plain manifests: what Kubernetes would say to them, and what a security
review would.

    chart.py --bin DIR     DIR has the programs, whose flags are held against the pods'
"""

import argparse
import copy
import json
import pathlib
import re
import shlex
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import tools
import yaml
from checks import REPOSITORY, Failure, check, main, run

CHART = REPOSITORY / "packaging/kubernetes/chart"
PLAIN = REPOSITORY / "packaging/kubernetes/tokenwatch.yaml"
OLDEST, NEWEST = "1.27", "1.37"
EVERYTHING = {"namespace.create": True, "monitoring.serviceMonitor.enabled": True,
              "monitoring.prometheusRule.enabled": True, "monitoring.dashboard.enabled": True}
# Each way to install that the values offer; all must be what Kubernetes accepts.
WAYS = {
    "default values": ({}, {}),
    "everything": (EVERYTHING, {}),
    "another name": ({}, {"name": "prod"}),
    "agents only": ({"collector.enabled": False, "agent.collector": "a.example.com:7443"}, {}),
    "collector only": ({"agent.enabled": False}, {}),
    "privileged": ({"agent.privileged": True, "agent.seLinuxOptions.type": "spc_t"}, {}),
    "no CRI socket, two keys": ({"agent.cri.enabled": False, "agent.fleetKeys": [
        {"secret": "tokenwatch-fleet-key", "key": "fleet.key"},
        {"secret": "tokenwatch-fleet-key-new", "key": "fleet.key"}]}, {}),
    "narrow": ({"agent.scopeNamespaces": ["payments"], "agent.extraArgs": ["--pod-labels=app"],
                "image.registry": "registry.example.com/security", "image.tag": "1.2.3",
                "collector.serverNames": ["tokens.example.com"],
                "collector.policy.configMap": "tokenwatch-policy",
                "collector.persistence.storageClass": "fast"}, {}),
}
# What a review would ask about, each with the comment in the templates that answers.
CAPABILITIES = {"SYS_ADMIN", "BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH", "LEASE",
                "SYS_RESOURCE", "SYS_NICE", "SETUID", "SETGID", "SETPCAP", "CHOWN", "KILL"}
# Path on the node: whether it is mounted read-only, and whether it may be made there.
HOST_PATHS = {"/var/lib/tokenwatch-agent": (False, "DirectoryOrCreate"),
              "/sys/fs/cgroup": (True, "Directory"), "/var/log/pods": (True, "DirectoryOrCreate")}


def template(values=None, name="tokenwatch", kubernetes=NEWEST, expect=0):
    command = [tools.helm(), "template", name, CHART, "--namespace", "tokenwatch",
               "--kube-version", kubernetes]
    for key, value in (values or {}).items():
        command += ["--set-json", f"{key}={json.dumps(value)}"]
    return run(*command, expect=expect)


def objects(text):
    return [item for item in yaml.safe_load_all(text) if item]


def validate(items, kubernetes=NEWEST, expect=0):
    definitions = map(tools.operator_definition, ("servicemonitors", "prometheusrules"))
    return run(tools.schemas(), REPOSITORY / "tests/packaging/validate_manifests.py", kubernetes,
               *definitions, text="".join(json.dumps(item) + "\n" for item in items), expect=expect)


def workloads(items):
    return [item for item in items if item["kind"] in ("DaemonSet", "StatefulSet")]


def of_kind(items, kind):
    return next(item for item in items if item["kind"] == kind)


def containers(workload):
    pod = workload["spec"]["template"]["spec"]
    return pod.get("initContainers", []) + pod["containers"]


def test_lint():
    run(tools.helm(), "lint", CHART, "--strict", "--kube-version", NEWEST)


def test_every_way_fits_the_schemas():
    for kubernetes in (OLDEST, "1.30", NEWEST):
        items = []
        for values, options in WAYS.values():
            items += objects(template(values, kubernetes=kubernetes, **options))
        check(len(items) >= 60, f"only {len(items)} objects")
        validate(items, kubernetes)


def test_wrong_fields_do_not_fit():
    items = objects(template(EVERYTHING))

    def wrong(kind, change):
        item = copy.deepcopy(of_kind(items, kind))
        change(item)
        said = validate([item], expect=1)
        check(kind in said, f"not refused: {said}")

    def container(item):
        return item["spec"]["template"]["spec"]["containers"][0]

    wrong("DaemonSet", lambda item: container(item)["securityContext"].update(capabilites={}))
    wrong("DaemonSet", lambda item: item["spec"]["updateStrategy"].update(rollingUpdate=1))
    wrong("DaemonSet", lambda item: item["spec"].pop("selector"))
    wrong("StatefulSet", lambda item: container(item)["livenessProbe"].update(httpGet=1))
    wrong("NetworkPolicy", lambda item: item["spec"].update(egres=[]))
    wrong("PodDisruptionBudget", lambda item: item["spec"].update(maxUnavailable=True))
    wrong("ServiceMonitor", lambda item: item["spec"]["endpoints"][0].update(tls={}))
    wrong("PrometheusRule", lambda item: item["spec"]["groups"][0]["rules"][0].update(exp="up"))
    older = of_kind(objects(template(kubernetes="1.30")), "DaemonSet")
    check("appArmorProfile" in validate([older], OLDEST, expect=1), "1.27 has no appArmorProfile")


def test_wrong_values_are_refused():
    for key, value in (("agent.colector", "a:1"), ("agent.spool.maxBytes", "many"),
                       ("agent.collector", "no-port"), ("agent.fleetKeys", None),
                       ("agent.scopeNamespaces", ["Not_A_Name"]), ("agent.cri.directory", "run"),
                       ("agent.extraArgs", ["collector"]), ("agent.hostNetwork", True),
                       ("collector.replicas", 2), ("collector.persistence.size", "large"),
                       ("image.pullPolicy", "Sometimes"),
                       ("monitoring.prometheusRule.runbookUrl", "a page#entry"),
                       ("collector.enabled", "perhaps"),
                       ("collector.enabled", False)):
        said = template({key: value}, expect=1)
        check(key.split(".")[-1] in said or "agent.collector" in said,
              f"{key}={value}: {said}")


def test_plain_manifests_are_the_chart():
    printed = run("env", f"HELM={tools.helm()}", "packaging/kubernetes/render", "--print")
    check(printed.rstrip("\n") == PLAIN.read_text().rstrip("\n"),
          "packaging/kubernetes/tokenwatch.yaml is not the chart: run packaging/kubernetes/render")


def test_plain_manifests_are_in_order():
    """`kubectl apply` makes one after the other: the namespace first, everything else in it."""
    items = objects(PLAIN.read_text())
    namespace = items[0]
    check([item["kind"] for item in items].count("Namespace") == 1, "one namespace")
    check(namespace["kind"] == "Namespace", f"first comes {namespace['kind']}")
    check(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged",
          "the agent's pods are not admitted")
    for item in items[1:]:
        check(item["metadata"].get("namespace") == namespace["metadata"]["name"],
              f"{item['kind']} is elsewhere: {item['metadata']}")
    check("Namespace" not in {item["kind"] for item in objects(template())},
          "helm install would meet a namespace that exists")


def test_alerts_link_to_the_runbook():
    for values, page in (({}, "packaging/runbook.md"),
                         ({"monitoring.prometheusRule.runbookUrl": "https://wiki.example.com/a"},
                          "https://wiki.example.com/a")):
        rule = of_kind(objects(template(EVERYTHING | values)), "PrometheusRule")
        alerts = [alert for group in rule["spec"]["groups"] for alert in group["rules"]
                  if "alert" in alert]
        check(len(alerts) > 10, f"only {len(alerts)} alerts")
        for alert in alerts:
            link = alert["annotations"]["runbook"]
            check(link == f"{page}#{alert['alert'].lower()}", f"{alert['alert']} links to {link}")


def test_app_armor_profiles():
    """A field from 1.30 on, an annotation of other words before."""
    key = "container.apparmor.security.beta.kubernetes.io/agent"
    for profile, annotation in (("Unconfined", "unconfined"), ("RuntimeDefault", "runtime/default")):
        for kubernetes in ("1.29", "1.30"):
            agent = of_kind(objects(template({"agent.appArmorProfile": profile},
                                             kubernetes=kubernetes)), "DaemonSet")
            field = containers(agent)[0]["securityContext"].get("appArmorProfile")
            said = agent["spec"]["template"]["metadata"]["annotations"].get(key)
            wanted = (None, annotation) if kubernetes == "1.29" else ({"type": profile}, None)
            check((field, said) == wanted, f"{profile} on {kubernetes}: {field}, {said}")


def test_names_of_containers():
    """The runtime's socket is the node's, whether or not this node has it."""
    for values, socket in (({}, "unix:/proc/1/root/run/containerd/containerd.sock"),
                           ({"agent.cri.directory": "/run/crio", "agent.cri.socket": "crio.sock"},
                            "unix:/proc/1/root/run/crio/crio.sock"),
                           ({"agent.cri.enabled": False}, "none")):
        agent = of_kind(objects(template(values)), "DaemonSet")
        check(f"--cri-socket={socket}" in containers(agent)[0]["args"],
              f"{values}: {containers(agent)[0]['args']}")
        check(agent["spec"]["template"]["spec"]["hostPID"] is True, "/proc/1 is the pod's own")


def test_nothing_asks_for_the_api_server():
    for item in objects(template(EVERYTHING)):
        check("rbac" not in item["apiVersion"], f"{item['kind']} {item['metadata']['name']}")
        if item["kind"] == "ServiceAccount":
            check(item["automountServiceAccountToken"] is False, item["metadata"]["name"])
    for workload in workloads(objects(template())):
        pod = workload["spec"]["template"]["spec"]
        check(pod["automountServiceAccountToken"] is False, "a token is mounted")
        check(pod["serviceAccountName"] == workload["metadata"]["name"], "another's account")


def test_least_privilege():
    items = objects(template())
    for workload in workloads(items):
        pod = workload["spec"]["template"]["spec"]
        name = workload["metadata"]["name"]
        check(pod["enableServiceLinks"] is False, f"{name}: variables of Services become options")
        check(pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name)
        check(pod["hostNetwork"] is pod["hostIPC"] is False, name)
        for container in containers(workload):
            context = container["securityContext"]
            check(context["privileged"] is context["allowPrivilegeEscalation"] is False, name)
            check(context["readOnlyRootFilesystem"] is True, name)
            check(context["capabilities"]["drop"] == ["ALL"], name)
            check({"requests", "limits"} <= set(container["resources"]), name)
            check("memory" in container["resources"]["limits"], f"{name}: no bound of memory")
    agent, collector = of_kind(items, "DaemonSet"), of_kind(items, "StatefulSet")
    added = set(containers(agent)[0]["securityContext"]["capabilities"]["add"])
    check(added == CAPABILITIES, f"capabilities of the agent: {sorted(added)}")
    pod = collector["spec"]["template"]["spec"]
    check(pod["securityContext"]["runAsNonRoot"] is True and pod["hostPID"] is False, "collector")
    for container in containers(collector):
        check("add" not in container["securityContext"]["capabilities"], "collector's capabilities")
    mounts = {mount["name"]: mount for mount in containers(agent)[0]["volumeMounts"]}
    paths = {}
    for volume in agent["spec"]["template"]["spec"]["volumes"]:
        if "hostPath" in volume:
            paths[volume["hostPath"]["path"]] = (mounts[volume["name"]].get("readOnly", False),
                                                 volume["hostPath"]["type"])
    check(paths == HOST_PATHS, f"host paths: {paths}")
    check(all("hostPath" not in volume for volume in pod["volumes"]), "collector's host paths")


def test_agent_asks_for_no_more_than_the_chart_gives():
    source = (REPOSITORY / "agent/capture/capabilities.cc").read_text()
    needed = set(re.findall(r'\{CAP_\w+, "CAP_(\w+)"', source))
    check(len(needed) >= 5, f"found only {needed}")
    check(needed <= CAPABILITIES, f"the chart does not give {sorted(needed - CAPABILITIES)}")


def test_upgrade_overlaps():
    agent = of_kind(objects(template()), "DaemonSet")
    strategy = agent["spec"]["updateStrategy"]
    check(strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}, f"{strategy}")
    container = containers(agent)[0]
    check("--take-over" in container["args"] and "ports" not in container, "hand-over")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        command = container[probe]["exec"]["command"]
        check(command[2] in container["args"], f"{probe} asks another socket: {command}")


def test_names_agree():
    items = objects(template())
    pods = {workload["kind"]: workload["spec"]["template"] for workload in workloads(items)}
    labels = {kind: pod["metadata"]["labels"] for kind, pod in pods.items()}

    def selected(selector):
        return {kind for kind, has in labels.items() if selector.items() <= has.items()}

    for item in items:
        spec = item.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector", {}))
        selector = selector.get("matchLabels", selector)
        if selector:
            component = item["metadata"]["labels"]["app.kubernetes.io/component"]
            kind = {"agent": "DaemonSet", "collector": "StatefulSet"}[component]
            check(selected(selector) == {kind}, f"{item['kind']} selects {selected(selector)}")
    service = of_kind(items, "Service")
    name = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    agent, collector = containers(of_kind(items, "DaemonSet"))[0], of_kind(items, "StatefulSet")
    init, server = containers(collector)
    check(f"--server-name={name}" in init["args"], "the certificate has another name")
    check(f"--collector={name}:7443" in agent["args"], "agents ask another name")
    declared = {port["name"]: port["containerPort"] for port in server["ports"]}
    for port in service["spec"]["ports"]:
        check(declared[port["targetPort"]] == port["port"], f"port {port['name']}")
    for argument in ("--data-dir=/var/lib/tokenwatch-collector/data",):
        check(argument in init["args"] and argument in server["args"], argument)


def flags_of(program):
    """{command or "": flags} as its help says."""
    root = run(program, "--help")
    found = {"": set(re.findall(r"--[a-z][a-z-]+", root))}
    for command in re.findall(r"^  ([a-z][a-z-]+)\s", root, re.MULTILINE):
        found[command] = set(re.findall(r"--[a-z][a-z-]+", run(program, command, "--help",
                                                               expect=None))) | found[""]
    return found


def test_programs_have_the_flags(bin_dir):
    items = objects(template(WAYS["narrow"][0])) + objects(template())
    for workload in workloads(items):
        for container in containers(workload):
            program = re.search(r"/(tokenwatch-[a-z]+):", container["image"])[1]
            flags = flags_of(bin_dir / program)
            commands = [container["args"]]
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if "exec" in container.get(probe, {}):
                    commands.append(container[probe]["exec"]["command"][1:])
            for words in commands:
                command = "" if words[0].startswith("-") else words[0]
                check(command in flags, f"{program} has no command {command}")
                for word in words:
                    flag = word.partition("=")[0]
                    check(not flag.startswith("-") or flag in flags[command],
                          f"{program} has no {shlex.join(words[:1])} {flag}")
            for variable in container.get("env", []):
                flag = "--" + variable["name"].removeprefix("TOKENWATCH_").lower().replace("_", "-")
                check(flag in flags[""], f"{program} does not read {variable['name']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True, type=pathlib.Path)
    arguments = parser.parse_args()

    def test_flags():
        test_programs_have_the_flags(arguments.bin)

    main(test_lint, test_every_way_fits_the_schemas, test_wrong_fields_do_not_fit,
         test_wrong_values_are_refused, test_plain_manifests_are_the_chart,
         test_plain_manifests_are_in_order, test_app_armor_profiles, test_names_of_containers,
         test_nothing_asks_for_the_api_server, test_least_privilege,
         test_agent_asks_for_no_more_than_the_chart_gives, test_upgrade_overlaps, test_names_agree,
         test_flags)
