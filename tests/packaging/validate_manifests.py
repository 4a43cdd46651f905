"""Holds Kubernetes objects, one JSON object a line on standard input, against the schemas.

    PYTHON validate_manifests.py KUBERNETES_VERSION DEFINITION.yaml...

PYTHON has kubernetes_validate (tools.py schemas). Each DEFINITION is a CustomResourceDefinition.
Prints one line for each object that does not fit; fields that do not exist are wrong, too.
"""

import json
import sys

import jsonschema
import kubernetes_validate
import yaml


def close(schema):
    """A schema under which a field that is not named is wrong, as for built-in kinds."""
    if isinstance(schema, list):
        return [close(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: close(value) for key, value in schema.items()}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed


def custom_schemas(paths):
    found = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            definition = yaml.safe_load(file)
        spec = definition["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            schema["properties"]["metadata"] = {"type": "object",
                                                "x-kubernetes-preserve-unknown-fields": True}
            found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = close(schema)
    return found


def main():
    version, *definitions = sys.argv[1:]
    custom = custom_schemas(definitions)
    wrong = 0
    for line in sys.stdin:
        item = json.loads(line)
        kind = item["apiVersion"], item["kind"]
        try:
            if kind in custom:
                jsonschema.Draft202012Validator(custom[kind]).validate(item)
            else:
                kubernetes_validate.validate(item, version, strict=True)
        except (jsonschema.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            wrong += 1
            where = ".".join(str(step) for step in getattr(error, "path", ()))
            print(f"{item['kind']} {item['metadata']['name']}: {where}: {error.message[:300]}")
    sys.exit(1 if wrong else 0)


main()
