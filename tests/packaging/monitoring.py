"""Alerts, dashboard and runbook, held against the /metrics of a real collector with a real agent.

    monitoring.py --bin DIR
"""

import json
import pathlib
import re
import sys

sys.dont_write_bytecode = True
sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent),
                str(pathlib.Path(__file__).resolve().parent.parent / "e2e")]
import tools
import yaml
from checks import REPOSITORY
from harness.servers import Truth, get
from harness.tokenwatch import Agent, Collector
from harness.world import Skip, check, main, note, wait_until

DASHBOARDS = REPOSITORY / "packaging/dashboards"
# Families that exist only once something has happened, or only with TLS.
NOT_ALWAYS = {"tokenwatch_fleet_agent_losses_by_kind_total", "tokenwatch_certificate_left_seconds",
              "tokenwatch_certificate_lifetime_seconds"}
NAME = re.compile(r"\b((?:tokenwatch|process)_[a-z0-9_]+)\b")


def alerts():
    groups = yaml.safe_load((DASHBOARDS / "alerts.yaml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def dashboard():
    return json.loads((DASHBOARDS / "dashboard.json").read_text())


def expressions():
    """{where it stands: PromQL}"""
    found = {f"alert {name}": rule["expr"] for name, rule in alerts().items()}
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            found[f"panel {panel['title']} {target['refId']}"] = target["expr"]
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            found[f"variable {variable['name']}"] = variable["definition"]
    return found


def metrics(page):
    """{family: [label names of each sample]}"""
    found = {}
    for line in page.splitlines():
        sample = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? \S+", line)
        if sample:
            found.setdefault(sample[1], []).append(set(re.findall(r'([a-z]+)="', sample[2] or "")))
    return found


def check_expressions(page):
    """Every metric that is asked for exists, with the labels that are asked for."""
    exist = metrics(page)
    check(len(exist) > 30, f"the page has only {sorted(exist)}")
    asked = set()
    for where, expression in expressions().items():
        names = set(NAME.findall(expression))
        check(names, f"{where} asks for no metric of ours")
        for name in names - NOT_ALWAYS:
            check(name in exist, f"{where} asks for {name}, which the collector does not have")
        for name, matchers in re.findall(NAME.pattern + r"\{([^}]*)\}", expression):
            labels = set(re.findall(r"([a-z]+) *[=!]", matchers)) - {"instance", "job"}
            for sample in exist.get(name, ()):
                check(labels <= sample, f"{where}: {name} has no labels {labels - sample}")
        asked |= names
    note(f"{len(expressions())} expressions ask for {len(asked)} metrics of {len(exist)}")


def check_dashboard():
    board = dashboard()
    taken = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        check(not cells & taken and at["x"] + at["w"] <= 24, f"{panel['title']} overlaps another")
        taken |= cells
        check(panel["type"] == "row" or panel["targets"], f"{panel['title']} shows nothing")
    ids = [panel["id"] for panel in board["panels"]]
    check(len(ids) == len(set(ids)), "two panels have one id")


def check_runbook():
    runbook = (REPOSITORY / "packaging/runbook.md").read_text()
    anchors = {title.lower() for title in re.findall(r"^## (.+)$", runbook, re.MULTILINE)}
    for name, rule in alerts().items():
        link = rule["annotations"]["runbook"]
        check(link == f"packaging/runbook.md#{name.lower()}", f"{name} links to {link}")
        check(name.lower() in anchors, f"the runbook has no entry {name}")
        check({"summary", "description"} <= set(rule["annotations"]), f"{name} says too little")
        check(rule["labels"]["severity"] in ("critical", "warning", "info"), f"{name}'s severity")
    check(len(anchors) == len(alerts()), f"entries without an alert: {anchors}")
    for target in re.findall(r"\]\(#([^)]+)\)", runbook):
        check(target in anchors, f"the runbook links to #{target}")
    for path in re.findall(r"`(packaging/[a-z./]+)`", runbook):
        check((REPOSITORY / path).exists(), f"the runbook names {path}")


def check_rules(world, page):
    promtool = tools.promtool()
    world.run([promtool, "check", "rules", DASHBOARDS / "alerts.yaml"])
    # A panel's expression parses as a rule's does; the dashboard's variables are text there.
    panels = [{"record": f"panel:{number}", "expr": target["expr"]}
              for panel in dashboard()["panels"] for number, target in
              enumerate(panel.get("targets", ()), 100 * panel["id"])]
    check(len(panels) > 30, f"only {len(panels)} expressions")
    rules = {"groups": [{"name": "panels", "rules": panels}]}
    world.run([promtool, "check", "rules", world.write("panels.yaml", yaml.safe_dump(rules))])
    cases = REPOSITORY / "tests/packaging/alerts_test.yaml"
    note(world.run([promtool, "test", "rules", cases]).strip().replace("\n", " "))
    tried = {test["alertname"] for group in yaml.safe_load(cases.read_text())["tests"]
             for test in group["alert_rule_test"] if test.get("exp_alerts")}
    check(tried == set(alerts()), f"alerts that no case raises: {set(alerts()) - tried}")
    with open(world.write("metrics.txt", page), encoding="utf-8") as file:
        said = world.run([promtool, "check", "metrics"], stdin=file, expect=None)
    # Its advice on names is not ours: a page of another program may use other words.
    check("error" not in said.lower(), f"promtool on /metrics: {said}")


def scenario(world):
    check_dashboard()
    check_runbook()
    collector = Collector(world)
    truth = Truth(world)
    world.hold_openssl()
    Agent(world, collector.grpc)
    world.run(["/usr/bin/curl", "-q", "-s", "-o", "/dev/null", "--cacert", truth.ca, "-H",
               "Authorization: Bearer made-up-for-metrics", truth.url() + "/v1/items"],
              inside=True, env=world.private_openssl())
    collector.wait_for_uses(1)

    def page():
        text = get(collector.http, "/metrics")[1]
        text = text.decode() if isinstance(text, bytes) else text
        return "probes" in text and "tokenwatch_tls_connections_total{" in text and text

    text = wait_until(page, 60, "the agent's heartbeat in /metrics", 0.5)
    for line in ('tokenwatch_fleet_agents{state="connected"} 1', "tokenwatch_collector_ready 1"):
        check(line in text, f"/metrics lacks {line}:\n{text}")
    uses = re.search(r"^tokenwatch_fleet_agent_uses_total\{.*\} (\d+)$", text, re.MULTILINE)
    check(uses and uses[1] == "1", f"uses of the agent: {uses}")
    probes = re.search(r"^tokenwatch_fleet_agent_probes\{.*\} (\d+)$", text, re.MULTILINE)
    check(int(probes[1]) > 0, "no probe")
    check_expressions(text)
    try:
        check_rules(world, text)
    except tools.Unavailable as reason:
        raise Skip(str(reason)) from None


if __name__ == "__main__":
    main("monitoring", scenario)
