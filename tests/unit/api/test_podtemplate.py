"""Templates and selectors of workloads."""

from petset.api import podtemplate


def test_missing_selector_is_told_with_the_labels_it_does_not_match() -> None:
    spec = {"template": {"metadata": {"labels": {"app": "web"}}}}
    assert [str(fault) for fault in podtemplate.selector_faults(spec, "statefulset")] == [
        "spec.selector: Required value",
        'spec.template.metadata.labels: Invalid value: {"app":"web"}: '
        "`selector` does not match template `labels`",
    ]
