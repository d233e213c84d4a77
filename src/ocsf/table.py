#!/usr/bin/env python3
"""Writes the compact OCSF table that the room `ocsf` embeds. Run by hand for a new version; never by the build or a test.

usage: table.py SCHEMA.json > table-VERSION.txt

SCHEMA.json is the OCSF schema reduced to: version, types (base, regex, max_len, range, observable), categories,
profiles, observable_type_ids, classes and objects by name. A class or object has attributes, caption, constraints,
profiles, d (deprecated since), ob (observable type_id); a class also uid, category_uid, category_name. An attribute has
t (type), o (object), r (q required, m recommended, p optional), a (is an array), e (enum {value: caption}), s (sibling),
p (profiles that supply it), d, de (deprecated enum values), ob.

The output is described at the top of `src/vocabulary/parse.rs`.
"""

import json
import sys

# The classes that AWS log types map to, and their neighbours that mappings of other sources need.
CLASSES = """
base_event
file_activity process_activity event_log_actvity
security_finding vulnerability_finding compliance_finding detection_finding incident_finding data_security_finding
application_security_posture_finding iam_analysis_finding
account_change authentication authorize_session entity_management user_access group_management
network_activity http_activity dns_activity dhcp_activity ssh_activity ntp_activity email_activity tunnel_activity
inventory_info device_config_state_change software_info cloud_resources_inventory_info
web_resources_activity application_lifecycle api_activity datastore_activity file_hosting scan_activity application_error
""".split()


def word(value):
    """A value that stands between spaces."""
    assert value and not set(value) & set(" \n|,="), value
    return value


class Enums:
    """Enumerations by content: many attributes share one, so each is written once, named after its first attribute."""

    def __init__(self):
        self.names, self.taken = {}, {}

    def name(self, attribute, values):
        numeric = all(key.lstrip("-").isdigit() for key in values)
        keys = sorted(values, key=int) if numeric else sorted(values)
        assert not any(set(text) & set("|\n") for pair in values.items() for text in pair)
        assert not any("=" in key for key in keys), keys
        text = "|".join(f"{key}={values[key]}" for key in keys)
        if text not in self.names:
            count = self.taken[attribute] = self.taken.get(attribute, 0) + 1
            self.names[text] = word(attribute if count == 1 else f"{attribute}.{count}")
        return self.names[text]


def attribute_line(name, attribute, enums):
    kind = attribute["o"] if attribute["t"] == "object_t" else attribute["t"]
    parts = [word(name), word(kind) + ("{}" if attribute["t"] == "object_t" else "") + ("[]" if attribute.get("a") else "")]
    parts.append({"q": "required", "m": "recommended", "p": "optional"}[attribute["r"]])
    if attribute.get("e"):
        parts.append("enum=" + enums.name(name, attribute["e"]))
    for key, label in (("s", "sibling"), ("d", "deprecated")):
        if attribute.get(key):
            parts.append(f"{label}={word(attribute[key])}")
    for key, label in (("p", "profiles"), ("de", "deprecated_values")):
        if attribute.get(key):
            parts.append(f"{label}=" + ",".join(word(str(value)) for value in attribute[key]))
    if attribute.get("ob") is not None:
        parts.append(f"observable={attribute['ob']}")
    return "  " + " ".join(parts)


def shape_facts(shape):
    facts = []
    if shape.get("profiles"):
        facts.append("profiles=" + ",".join(map(word, shape["profiles"])))
    for kind, keys in sorted(shape.get("constraints", {}).items()):
        assert kind in ("at_least_one", "just_one"), kind
        facts.append(f"{kind}=" + ",".join(map(word, keys)))
    if shape.get("d"):
        facts.append(f"deprecated={word(shape['d'])}")
    if shape.get("ob") is not None:
        facts.append(f"observable={shape['ob']}")
    return facts + [f"caption={shape['caption']}"]


def reachable(schema):
    """Every object that an attribute of a target class leads to."""
    seen, todo = set(), [schema["classes"][name] for name in CLASSES]
    while todo:
        for attribute in todo.pop()["attributes"].values():
            name = attribute.get("o")
            if name and name not in seen:
                seen.add(name)
                todo.append(schema["objects"][name])
    return sorted(seen)


def without_derived(name, shape):
    """The class's attributes without the enumerations that the reader derives, after a check that it can."""
    attributes = {key: dict(value) for key, value in shape["attributes"].items()}
    activities = attributes["activity_id"]["e"]
    derived = {
        "class_uid": {str(shape["uid"]): shape["caption"]},
        "category_uid": {str(shape["category_uid"]): shape["category_name"]},
        "type_uid": {str(shape["uid"] * 100 + int(key)): f"{shape['caption']}: {value}" for key, value in activities.items()},
    }
    for key, values in derived.items():
        assert attributes[key].pop("e") == values, (name, key)
    return attributes


def main():
    schema = json.load(open(sys.argv[1], encoding="utf-8"))
    enums, body = Enums(), []
    base = without_derived("base_event", schema["classes"]["base_event"])
    for name in sorted(CLASSES, key=lambda name: schema["classes"][name]["uid"]):
        shape = schema["classes"][name]
        attributes = without_derived(name, shape)
        facts = shape_facts(shape)
        body.append(" ".join(["", f"class {word(name)} {shape['uid']} {shape['category_uid']}", *facts]).strip())
        for key in sorted(base.keys() - attributes.keys()):
            body.append(f"  -{key}")
        for key in sorted(attributes):
            if name == "base_event" or attributes[key] != base.get(key):
                body.append(attribute_line(key, attributes[key], enums))
    for name in reachable(schema):
        shape = schema["objects"][name]
        body.append(" ".join([f"object {word(name)}", *shape_facts(shape)]))
        body += [attribute_line(key, shape["attributes"][key], enums) for key in sorted(shape["attributes"])]

    print(f"version {schema['version']}")
    print("rest unmapped")
    categories = {schema["classes"]["base_event"]["category_uid"]: schema["classes"]["base_event"]["category_name"]}
    categories.update({int(key): value for key, value in schema["categories"].items()})
    for key in sorted(categories):
        print(f"category {key} {categories[key]}")
    for shape in schema["classes"].values():
        assert categories[shape["category_uid"]] == shape["category_name"]
    for name in sorted(schema["profiles"]):
        print(f"profile {word(name)}")
    for key in sorted(schema["observable_type_ids"], key=int):
        print(f"observable {key} {schema['observable_type_ids'][key]}")
    for name in sorted(schema["types"]):
        kind = schema["types"][name]
        parts = [f"type {word(name)} {word(kind['base'])}"]
        if "max_len" in kind:
            parts.append(f"max_len={kind['max_len']}")
        if "range" in kind:
            parts.append("range={},{}".format(*kind["range"]))
        if "observable" in kind:
            parts.append(f"observable={kind['observable']}")
        # An IP address is checked by parsing it: the schema's pattern is three thousand characters and less exact.
        if "regex" in kind and name != "ip_t":
            parts.append(f"regex={kind['regex']}")
        print(" ".join(parts))
    for text, name in sorted(enums.names.items(), key=lambda pair: pair[1]):
        print(f"enum {name} {text}")
    print("\n".join(body))


if __name__ == "__main__":
    main()
