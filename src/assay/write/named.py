"""Parts that the source keeps by names which cannot be attributes of this class: `"0"`, or those of a container of named parts.

Where users know parameters by the way that leads to them, such parts stand in a dictionary of modules, so that a saved state
of the source fits: `self.heads["mask"]`; `self["0"]` where the module is such a dictionary itself.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping

from assay.graph.names import attribute
from assay.write.parts import Body, Construct, DictConstruct

OWN = ""  # the attribute that stands for the module itself, which is a dictionary


def gather_named(body: Body, sources: Mapping[str, str]) -> None:
    """Puts attributes that the source has at `heads.mask`, or calls `0`, into dictionaries, the innermost first.

    `sources`: attribute → where the source has it, from this module on.
    """
    places = {name: place for name, place in sources.items() if name in body.attributes}
    while True:
        groups: dict[str, dict[str, str]] = {}
        for name, place in places.items():
            around, _, leaf = place.rpartition(".")
            if around or not _is_attribute(leaf):
                groups.setdefault(around, {})[leaf] = name
        if not groups:
            return
        around = max(groups, key=lambda item: item.count(".") if item else -1)
        members = groups[around]
        places = {name: place for name, place in places.items() if name not in members.values()}
        target = attribute(around) if around else OWN
        if target in body.attributes or target in (method.name for method in body.methods):
            continue  # a module with a class of its own, of which a part is called from here
        _make_dict(body, target, members)
        if target != around:
            places[target] = around


def _is_attribute(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _make_dict(body: Body, target: str, members: Mapping[str, str]) -> None:
    """Makes one attribute of several, by their names in it, where the first of them stands."""
    leaves = {name: leaf for leaf, name in members.items()}
    made = DictConstruct({leaf: body.attributes[name] for leaf, name in members.items()})
    attributes: dict[str, Construct] = {}
    for name, construct in body.attributes.items():
        if name in leaves:
            attributes.setdefault(target, made)
        else:
            attributes[name] = construct
    body.attributes = attributes
    body.weights = [
        ((*((target,) if target else ()), leaves[str(path[0])], *path[1:]), weight)
        if path and path[0] in leaves
        else (path, weight)
        for path, weight in body.weights
    ]
    owner = f"self.{target}" if target else "self"
    for name, leaf in leaves.items():
        pattern, item = re.compile(rf"self\.{name}\b"), f"{owner}[{json.dumps(leaf)}]"
        for statement in body.statements:
            statement.text = pattern.sub(lambda _, item=item: item, statement.text)  # type: ignore[misc]
            if statement.loop is not None:
                statement.loop = pattern.sub(lambda _, item=item: item, statement.loop)  # type: ignore[misc]


__all__ = ["OWN", "gather_named"]
