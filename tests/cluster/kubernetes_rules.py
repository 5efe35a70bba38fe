"""What a Kubernetes API server refuses in a Job: the rules of its validation that this workflow's jobs could break.

From kubernetes/kubernetes: pkg/apis/core/validation/validation.go, pkg/apis/batch/validation/validation.go, and
staging/src/k8s.io/apimachinery/pkg/api/{validation,resource}. Messages are the server's.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(m|[kMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?")
_SUFFIXES = {None: 1, "m": Decimal("0.001")}
_SUFFIXES |= {letter: Decimal(1000) ** (n + 1) for n, letter in enumerate("kMGTPE")}
_SUFFIXES |= {f"{letter}i": Decimal(1024) ** (n + 1) for n, letter in enumerate("KMGTPE")}
_STANDARD_RESOURCES = {"cpu", "memory", "ephemeral-storage"}


def quantity(text: Any) -> Decimal | None:
    """The value of a resource quantity such as "3800m" or "4Gi"; None where the text is none."""
    match = _QUANTITY.fullmatch(str(text))
    if not match:
        return None
    number, suffix = match.groups()
    if suffix and suffix[0] in "eE" and len(suffix) > 1 and suffix not in _SUFFIXES:
        return Decimal(number) * Decimal(10) ** int(suffix[1:])
    return Decimal(number) * _SUFFIXES[suffix]


def job_faults(job: dict[str, Any]) -> list[str]:
    """Every fault of a posted Job, as `path: message`; empty where the server would take it."""
    return list(_job(job))


def secret_faults(secret: dict[str, Any]) -> list[str]:
    """Every fault of a posted Secret."""
    faults = list(_subdomain(secret["metadata"].get("name"), "metadata.name"))
    faults += [f"data[{key}]: Invalid value" for key in secret.get("data") or {} if not _SECRET_KEY.fullmatch(key)]
    return faults


def _job(job: dict[str, Any]) -> Iterator[str]:
    metadata, spec = job.get("metadata", {}), job.get("spec", {})
    yield from _subdomain(metadata.get("name"), "metadata.name")
    # The name becomes the label job-name of its pods.
    if len(metadata.get("name") or "") > 63:
        yield "metadata.name: Too long: may not be more than 63 bytes"
    yield from _labels(metadata.get("labels"), "metadata.labels")
    if not isinstance(spec.get("backoffLimit", 6), int) or spec.get("backoffLimit", 6) < 0:
        yield "spec.backoffLimit: Invalid value: must be greater than or equal to 0"
    pod, where = spec.get("template", {}).get("spec"), "spec.template.spec"
    if not pod:
        yield f"{where}: Required value"
        return
    yield from _labels(spec["template"].get("metadata", {}).get("labels"), "spec.template.metadata.labels")
    if pod.get("restartPolicy") not in ("OnFailure", "Never"):
        yield f'{where}.restartPolicy: Unsupported value: supported values: "OnFailure", "Never"'
    yield from _labels(pod.get("nodeSelector"), f"{where}.nodeSelector")
    for i, toleration in enumerate(pod.get("tolerations") or []):
        yield from _toleration(toleration, f"{where}.tolerations[{i}]")
    volumes = list(pod.get("volumes") or [])
    for i, volume in enumerate(volumes):
        yield from _volume(volume, f"{where}.volumes[{i}]")
    names = [volume.get("name") for volume in volumes]
    yield from (f"{where}.volumes: Duplicate value: {name}" for name in set(names) if names.count(name) > 1)
    if not pod.get("containers"):
        yield f"{where}.containers: Required value"
    for i, container in enumerate(pod.get("containers") or []):
        yield from _container(container, names, f"{where}.containers[{i}]")


def _container(container: dict[str, Any], volumes: list[str], where: str) -> Iterator[str]:
    if not _DNS_LABEL.fullmatch(container.get("name") or ""):
        yield f"{where}.name: Invalid value: a lowercase RFC 1123 label must consist of lower case alphanumerics or '-'"
    if not (container.get("image") or "").strip():
        yield f"{where}.image: Required value"
    paths = [mount.get("mountPath") for mount in container.get("volumeMounts") or []]
    for i, mount in enumerate(container.get("volumeMounts") or []):
        place = f"{where}.volumeMounts[{i}]"
        if mount.get("name") not in volumes:
            yield f"{place}.name: Not found: {mount.get('name')!r}"
        if not mount.get("mountPath"):
            yield f"{place}.mountPath: Required value"
        elif paths.count(mount["mountPath"]) > 1:
            yield f"{place}.mountPath: Invalid value: must be unique"
    for i, variable in enumerate(container.get("env") or []):
        if not _ENV_NAME.fullmatch(variable.get("name") or ""):
            yield f"{where}.env[{i}].name: Invalid value"
        source = (variable.get("valueFrom") or {}).get("secretKeyRef")
        if source and not (_SECRET_KEY.fullmatch(source.get("key") or "") and source.get("name")):
            yield f"{where}.env[{i}].valueFrom.secretKeyRef: Required value"
    resources = container.get("resources") or {}
    yield from _resources(resources.get("requests") or {}, resources.get("limits") or {}, f"{where}.resources")


def _resources(requests: dict[str, Any], limits: dict[str, Any], where: str) -> Iterator[str]:
    for kind, amounts in (("requests", requests), ("limits", limits)):
        for name, text in amounts.items():
            amount = quantity(text)
            if name not in _STANDARD_RESOURCES and not _qualified(name):
                yield f"{where}.{kind}: Invalid value: {name!r}: must be a standard resource for containers"
            if amount is None:
                yield f"{where}.{kind}[{name}]: Invalid value: quantities must match the regular expression"
            elif amount < 0:
                yield f"{where}.{kind}[{name}]: Invalid value: must be greater than or equal to 0"
            elif name not in _STANDARD_RESOURCES and amount % 1:
                yield f"{where}.{kind}[{name}]: Invalid value: must be an integer"
    for name, text in requests.items():
        asked, limit = quantity(text), quantity(limits.get(name))
        if name not in _STANDARD_RESOURCES and name not in limits:
            yield f"{where}.limits: Required value: Limit must be set for non overcommitable resources"
        elif asked is None or limit is None:
            continue
        elif name not in _STANDARD_RESOURCES and asked != limit:
            yield f"{where}.requests: Invalid value: {text!r}: must be equal to {name} limit of {limits[name]}"
        elif asked > limit:
            yield f"{where}.requests: Invalid value: {text!r}: must be less than or equal to {name} limit"


def _volume(volume: dict[str, Any], where: str) -> Iterator[str]:
    if not _DNS_LABEL.fullmatch(volume.get("name") or ""):
        yield f"{where}.name: Invalid value: a lowercase RFC 1123 label must consist of lower case alphanumerics or '-'"
    sources = [source for key, source in volume.items() if key != "name" and source is not None]
    if len(sources) != 1:
        yield f"{where}: Required value: must specify a volume type"
    claim = volume.get("persistentVolumeClaim")
    if claim is not None and not claim.get("claimName"):
        yield f"{where}.persistentVolumeClaim.claimName: Required value"


def _toleration(toleration: dict[str, Any], where: str) -> Iterator[str]:
    if toleration.get("key"):
        yield from _labels({toleration["key"]: ""}, where)
    operator = toleration.get("operator") or "Equal"
    if operator not in ("Equal", "Exists"):
        yield f"{where}.operator: Unsupported value: {operator!r}"
    if operator == "Exists" and toleration.get("value"):
        yield f"{where}.operator: Invalid value: value must be empty when `operator` is 'Exists'"
    if toleration.get("effect") not in (None, "", "NoSchedule", "PreferNoSchedule", "NoExecute"):
        yield f"{where}.effect: Unsupported value: {toleration['effect']!r}"


def _labels(labels: dict[str, Any] | None, where: str) -> Iterator[str]:
    for key, value in (labels or {}).items():
        prefix, _, name = key.rpartition("/")
        if not name or not _LABEL_VALUE.fullmatch(name) or (prefix and list(_subdomain(prefix, ""))):
            yield f"{where}: Invalid value: {key!r}: name part must consist of alphanumeric characters, '-', '_' or '.'"
        if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
            yield f"{where}: Invalid value: {value!r}: a valid label must be empty or consist of alphanumerics"


def _qualified(name: str) -> bool:
    prefix, _, rest = name.rpartition("/")
    return bool(prefix) and not list(_subdomain(prefix, "")) and bool(rest) and bool(_LABEL_VALUE.fullmatch(rest))


def _subdomain(name: str | None, where: str) -> Iterator[str]:
    if not name or len(name) > 253 or not all(_DNS_LABEL.fullmatch(part) for part in name.split(".")):
        yield f"{where}: Invalid value: {name!r}: a lowercase RFC 1123 subdomain must consist of alphanumerics"
