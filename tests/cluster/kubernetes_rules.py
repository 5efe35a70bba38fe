"""What a Kubernetes API server refuses in a Job: the rules that settings of this workflow and its profile can break.

From kubernetes/kubernetes: pkg/apis/core/validation/validation.go, pkg/apis/batch/validation/validation.go, and
staging/src/k8s.io/apimachinery/pkg/api/{validation,resource}. Messages are the server's.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(m|[kMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?")
_SUFFIXES = {None: 1, "m": Decimal("0.001")}
_SUFFIXES |= {letter: Decimal(1000) ** (n + 1) for n, letter in enumerate("kMGTPE")}
_SUFFIXES |= {f"{letter}i": Decimal(1024) ** (n + 1) for n, letter in enumerate("KMGTPE")}
_STANDARD_RESOURCES = {"cpu", "memory", "ephemeral-storage"}


def job_errors(job: dict[str, Any]) -> list[str]:
    """Every error of a posted Job, as `path: message`; empty where the server would take it."""
    return list(_job(job))


def _job(job: dict[str, Any]) -> Iterator[str]:
    metadata, pod = job["metadata"], job["spec"]["template"]["spec"]
    # The name becomes the label job-name of its pods.
    if not _DNS_LABEL.fullmatch(metadata["name"]):
        yield f"metadata.name: Invalid value: {metadata['name']!r}: may not be more than 63 bytes of a subdomain"
    for where, labels in (("metadata.labels", metadata.get("labels")), ("nodeSelector", pod.get("nodeSelector"))):
        for key, value in (labels or {}).items():
            if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
                yield f"{where}: Invalid value: {key!r}: a valid label must be empty or consist of alphanumerics"
    if pod.get("restartPolicy") not in ("OnFailure", "Never"):
        yield 'restartPolicy: Unsupported value: supported values: "OnFailure", "Never"'
    for toleration in pod.get("tolerations") or []:
        if toleration.get("operator") == "Exists" and toleration.get("value"):
            yield "tolerations.operator: Invalid value: value must be empty when `operator` is 'Exists'"
    volumes = {volume["name"] for volume in pod.get("volumes") or []}
    for container in pod["containers"]:
        if not container.get("image"):
            yield "image: Required value"
        mounts = container.get("volumeMounts") or []
        yield from (f"volumeMounts: Not found: {mount['name']!r}" for mount in mounts if mount["name"] not in volumes)
        resources = container.get("resources") or {}
        yield from _resources(resources.get("requests") or {}, resources.get("limits") or {})


def _resources(requests: dict[str, Any], limits: dict[str, Any]) -> Iterator[str]:
    for kind, amounts in (("requests", requests), ("limits", limits)):
        for name, text in amounts.items():
            amount = _quantity(text)
            if name not in _STANDARD_RESOURCES and "/" not in name:
                yield f"{kind}: Invalid value: {name!r}: must be a standard resource for containers"
            if amount is None:
                yield f"{kind}[{name}]: Invalid value: quantities must match the regular expression"
            elif amount < 0:
                yield f"{kind}[{name}]: Invalid value: must be greater than or equal to 0"
            elif name not in _STANDARD_RESOURCES and amount % 1:
                yield f"{kind}[{name}]: Invalid value: must be an integer"
    for name, text in requests.items():
        asked, limit = _quantity(text), _quantity(limits.get(name))
        if name not in _STANDARD_RESOURCES and name not in limits:
            yield "limits: Required value: Limit must be set for non overcommitable resources"
        elif asked is None or limit is None:
            continue
        elif name not in _STANDARD_RESOURCES and asked != limit:
            yield f"requests: Invalid value: {text!r}: must be equal to {name} limit of {limits[name]}"
        elif asked > limit:
            yield f"requests: Invalid value: {text!r}: must be less than or equal to {name} limit"


def _quantity(text: Any) -> Decimal | None:
    """The value of a resource quantity such as "3800m" or "4Gi"; None where the text is none."""
    match = _QUANTITY.fullmatch(str(text))
    if not match:
        return None
    number, suffix = match.groups()
    return Decimal(number) * (_SUFFIXES[suffix] if suffix in _SUFFIXES else Decimal(10) ** int(suffix[1:]))
