# SPDX-License-Identifier: MIT
"""openapi_check.py DOCUMENT: answers of the API against its OpenAPI document.

Standard input: one JSON object a line, {"method", "path" (as in the document), "status", "type",
"body" (text)}. Prints a line for each thing that is wrong, then "checked N answers of M operations"
and exits 0 if nothing is. The document itself is checked first: references, schemas, examples.
"""
import json
import sys

from jsonschema import Draft202012Validator

with open(sys.argv[1], encoding="utf-8") as f:
    DOC = json.load(f)
FAULTS = []


def resolve(node):
    while "$ref" in node:
        target = DOC
        for word in node["$ref"][2:].split("/"):
            target = target[word]
        node = target
    return node


def errors(schema, value):
    """What is wrong with value; references are into the document."""
    whole = {"allOf": [schema], "components": DOC["components"]}
    Draft202012Validator.check_schema(schema)
    for e in Draft202012Validator(whole).iter_errors(value):
        yield "/".join(map(str, e.absolute_path)) + ": " + e.message[:300]


def refs(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


def check_document():
    used = set(refs(DOC))
    for ref in used:
        try:
            resolve({"$ref": ref})
        except (KeyError, TypeError):
            FAULTS.append(f"{ref}: there is no such thing")
    for group in ("schemas", "parameters", "responses"):
        for name in DOC["components"][group]:
            if f"#/components/{group}/{name}" not in used:
                FAULTS.append(f"components/{group}/{name} is not used")
    ids = set()
    for path, operations in DOC["paths"].items():
        for method, op in operations.items():
            if op["operationId"] in ids:
                FAULTS.append(f"{op['operationId']}: twice")
            ids.add(op["operationId"])
            for status, response in op["responses"].items():
                for media in resolve(response).get("content", {}).values():
                    if "example" in media:
                        for e in errors(media["schema"], media["example"]):
                            FAULTS.append(f"{method} {path} {status} example: {e}")


def check_answer(one):
    where = f"{one['method']} {one['path']} {one['status']}"
    op = DOC["paths"].get(one["path"], {}).get(one["method"].lower())
    if op is None:
        FAULTS.append(f"{where}: no such operation")
        return
    if str(one["status"]) not in op["responses"]:
        FAULTS.append(f"{where}: no such status: {one['body'][:200]}")
        return
    content = resolve(op["responses"][str(one["status"])]).get("content", {})
    kind = one["type"].split(";")[0]
    if kind not in content:
        FAULTS.append(f"{where}: type {kind}")
    elif kind == "application/json":
        body = json.loads(one["body"])
        for e in errors(content[kind].get("schema", {}), body):
            FAULTS.append(f"{where}: {e} in {one['body'][:200]}")


check_document()
ANSWERS = [json.loads(line) for line in sys.stdin]
for answer in ANSWERS:
    check_answer(answer)
for fault in FAULTS:
    print(fault)
SEEN = {(a["method"], a["path"]) for a in ANSWERS}
print(f"checked {len(ANSWERS)} answers of {len(SEEN)} operations")
sys.exit(1 if FAULTS else 0)
