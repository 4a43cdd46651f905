#!/usr/bin/env python3
"""Writes what ocsf_1_5_0.txt holds, from the schema as one JSON document.

    ocsf_facts.py SCHEMA.json > ocsf_1_5_0.txt

The document is as in the package ocsf-json-schema of PyPI (ocsf/1.5.0.json), which has
https://schema.ocsf.io/1.5.0/ whole, with what classes and objects inherit.
"""

import json
import sys

CLASSES = ("base_event", "detection_finding", "api_activity")
# Those that we write; an attribute that leads to another one is an error of the check.
OBJECTS = ("actor", "analytic", "api", "container", "device", "evidences", "file", "finding_info",
           "http_request", "http_response", "image", "metadata", "network_endpoint", "object",
           "process", "product", "remediation", "request", "resource_details", "response",
           "service", "url", "user")


def facts(attribute):
    parts = [attribute.get("object_type") or attribute["type"]]
    if "object_type" in attribute:
        parts[0] = "@" + parts[0]
    if attribute.get("is_array"):
        parts[0] += "[]"
    if attribute.get("requirement") == "required":
        parts.append("!")
    if attribute.get("profile"):
        parts.append("+" + attribute["profile"])
    if "enum" in attribute:
        parts.append("=" + ",".join(sorted(attribute["enum"], key=lambda key: (len(key), key))))
    return " ".join(parts)


def write(kind, name, what):
    constraints = what.get("constraints", {})
    print(" ".join([kind, name] + [f"{key}={','.join(sorted(names))}"
                                   for key, names in sorted(constraints.items())]))
    for key, attribute in sorted(what["attributes"].items()):
        print(f"  {key} {facts(attribute)}")


def main():
    with open(sys.argv[1]) as file:
        schema = json.load(file)
    print(f"# OCSF {schema['version']}, https://schema.ocsf.io/ (Apache-2.0), by ocsf_facts.py. An\n"
          "# attribute has a type or an @object, [] where it is a list, ! where it is required, the\n"
          "# +profile that it needs, and the values that it may have.")
    for name in CLASSES:
        write("class", name, schema["classes"].get(name) or schema["base_event"])
    for name in OBJECTS:
        write("object", name, schema["objects"][name])


main()
