"""Label selectors of pods, joined with the keys whose values come from the pod itself."""

from collections.abc import Mapping, Sequence

from petset.api import selectors
from petset.api.meta import Obj
from petset.api.selectors import NOTHING, LabelSelector


def joined(
    selector: Obj | None,
    labels: Mapping[str, str],
    match: Sequence[str] = (),
    mismatch: Sequence[str] = (),
) -> LabelSelector:
    """`selector` with one more requirement per key that `labels` has (matchLabelKeys and so on).

    None selects nothing, and so does a selector that cannot be read (validation lets none pass).
    """
    if selector is None:
        return NOTHING
    more = [
        {"key": key, "operator": operator, "values": [labels[key]]}
        for operator, keys in (("In", match), ("NotIn", mismatch))
        for key in keys
        if key in labels
    ]
    expressions = [*(selector.get("matchExpressions") or ()), *more]
    try:
        return selectors.from_object({**selector, "matchExpressions": expressions})
    except ValueError:
        return NOTHING
