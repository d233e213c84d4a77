"""Holds projected documents against the tables of src/ecs and src/cim: names, types, lists, and what each model requires."""

import ipaddress
import re
from pathlib import Path

DATE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


def is_address(value) -> bool:
    try:
        return bool(ipaddress.ip_address(value))
    except ValueError:
        return False


# By the base type of the table.
HOLDS = {
    "string_t": lambda value: isinstance(value, str),
    "ip_t": is_address,
    "date_t": lambda value: isinstance(value, str) and bool(DATE.match(value)),
    "long_t": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float_t": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean_t": lambda value: isinstance(value, bool),
    "json_t": lambda value: True,
}


class Vocabulary:
    """One table: its types, its models with their tags, and the attributes of every object."""

    def __init__(self, path: Path):
        self.types, self.models, self.sections, section = {}, {}, {}, {}
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if line.startswith("  "):
                required_by = next((word[12:].split(",") for word in words if word.startswith("required_by=")), [])
                section[words[0]] = (words[1], words[2], required_by)
            elif words[:1] == ["type"]:
                self.types[words[1]] = words[2]
            elif words[:1] == ["profile"]:
                self.models[words[1]] = set(words[2:])
            elif words[:1] == ["rest"]:
                self.rest = words[1]
            elif words[:1] == ["class"]:
                section = self.sections.setdefault("", {})
            elif words[:1] == ["object"]:
                section = self.sections.setdefault(words[1], {})

    def faults(self, document: dict, section: str = "", at: str = "") -> list:
        """What of a document the table does not have, or has otherwise."""
        known, found = self.sections[section], []
        for name, value in document.items():
            path = f"{at}{name}"
            if not at and name in (self.rest, "tag"):
                continue
            if name not in known:
                found.append(f"{path}: not in the table")
                continue
            kind = known[name][0]
            is_list, kind = kind.endswith("[]"), kind.removesuffix("[]").split(":")[0]
            if is_list != isinstance(value, list):
                found.append(f"{path}: {'a list' if is_list else 'one value'} is wanted")
                continue
            for element in value if is_list else [value]:
                if kind.endswith("{}"):
                    found += self.faults(element, kind[:-2], f"{path}.")
                elif not HOLDS[self.types.get(kind, "string_t")](element):
                    found.append(f"{path}: {element!r} is no {kind}")
        for name, (_, requirement, required_by) in known.items():
            models = [model for model in required_by if self.models[model] <= set(document.get("tag", []))]
            if name not in document and (requirement == "required" or models):
                found.append(f"{at}{name}: missing, for {models or section or 'every document'}")
        return found
