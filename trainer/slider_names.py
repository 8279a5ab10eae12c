"""Names of sliders, taken over from the model file that an export replaces.

An export measures the directions anew and names them after what they change. A person may have
given the sliders of the file before other names, in that file or beside it (`checkpoint.rewrite`,
`checkpoint.slider_names`); where a direction is found again, they go over to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from comfyui_cldis.editing.direction import Direction

TOLERANCE = 1e-3  # distance of two unit vectors, up to which they are the same direction


def take_over(
    before: Sequence[Direction], found: Sequence[Direction], *, is_same_model: bool
) -> tuple[tuple[Direction, ...], tuple[str, ...]]:
    """The directions found, under the names of those before that are the same.

    Names beside the file always go over, with their ends and their sense. Names in the file go over
    where only the export is new: after more training those found describe the model better.

    Args:
        before: directions of the file that is replaced, as a person sees them.
        found: those of the new export.
        is_same_model: whether the weights are the same.

    Returns:
        The directions, and the names of those before that none of them has now, or another one.
    """
    partners = _partners(before, found)
    directions = [
        each if partner is None else _turned(each, partner)
        for each, partner in zip(found, partners, strict=True)
    ]
    if is_same_model:
        directions = _named_in_file(directions, partners)
    for index, partner in enumerate(partners):
        if partner is not None and partner.file_name and _may_have(directions, index, partner):
            ends = (partner.negative_label, partner.positive_label)
            directions[index] = directions[index].called(
                partner.name, ends, is_flipped=partner.is_flipped
            )
    kept = {
        partner.name
        for each, partner in zip(directions, partners, strict=True)
        if partner is not None
        and each.name == partner.name
        and math.dist(each.vector, partner.vector) <= TOLERANCE
    }
    return tuple(directions), tuple(each.name for each in before if each.name not in kept)


def _partners(before: Sequence[Direction], found: Sequence[Direction]) -> list[Direction | None]:
    """For each direction found the one before that lies on the same line, each at most once."""
    left, partners = list(before), []
    for each in found:
        partner = next((old for old in left if _is_same(each, old.as_in_file())), None)
        partners.append(partner)
        if partner is not None:
            left.remove(partner)
    return partners


def _is_same(one: Direction, other: Direction) -> bool:
    if len(one.vector) != len(other.vector):
        return False
    turned = one.reversed().vector
    return min(math.dist(one.vector, other.vector), math.dist(turned, other.vector)) <= TOLERANCE


def _turned(direction: Direction, partner: Direction) -> Direction:
    """`direction` in the sense that it had in the file before."""
    is_opposite = math.dist(direction.vector, partner.as_in_file().vector) > 1
    return direction.reversed() if is_opposite else direction


def _named_in_file(
    directions: Sequence[Direction], partners: Sequence[Direction | None]
) -> list[Direction]:
    """Directions with the names and ends of the file before; a new one that has such a name gets a
    number."""
    taken = {partner.as_in_file().name for partner in partners if partner is not None}
    named = []
    for each, partner in zip(directions, partners, strict=True):
        if partner is not None:
            old = partner.as_in_file()
            ends = {"negative_label": old.negative_label, "positive_label": old.positive_label}
            named.append(replace(each, name=old.name, **ends))
            continue
        name, count = each.name, 1
        while name in taken:
            count += 1
            name = f"{each.name} {count}"
        taken.add(name)
        named.append(replace(each, name=name))
    return named


def _may_have(directions: Sequence[Direction], index: int, partner: Direction) -> bool:
    """Whether no other direction has the partner's name, and it does not turn its own round."""
    others = (each for place, each in enumerate(directions) if place != index)
    if any(partner.name in (each.name, each.file_name) for each in others):
        return False
    return not (partner.is_flipped and partner.name == directions[index].name)
