# SPDX-License-Identifier: Apache-2.0
"""The files for Kubernetes and KServe against the schema that their Python clients carry, and against themselves."""
import pathlib
import re
import warnings

import pytest

yaml = pytest.importorskip("yaml")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    kubernetes = pytest.importorskip("kubernetes").client
    kserve = pytest.importorskip("kserve")

FOLDER = pathlib.Path(__file__).resolve().parent.parent.parent / "deploy/kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
KINDS = {("apps/v1", "Deployment"): "V1Deployment", ("v1", "Service"): "V1Service",
         ("policy/v1", "PodDisruptionBudget"): "V1PodDisruptionBudget",
         ("serving.kserve.io/v1alpha1", "ServingRuntime"): "V1alpha1ServingRuntime",
         ("serving.kserve.io/v1beta1", "InferenceService"): "V1beta1InferenceService"}
PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float), "object": (str, int)}


def model(name):
    """The class that a schema's type has in one of the clients."""
    return getattr(kserve, name, None) or getattr(kubernetes, name)


def check(kind, value, path):
    """Raises AssertionError where `value` has a member that `kind` does not, lacks one, or has one of another type."""
    inner = re.fullmatch(r"(?:[Ll]ist\[|[Dd]ict[(\[]str, )(.*)[\])]", kind)
    if inner:
        assert isinstance(value, list if kind[0] in "Ll" else dict), f"{path}: expected {kind}, got {value!r}"
        for key, one in enumerate(value) if isinstance(value, list) else value.items():
            check(inner[1], one, f"{path}[{key}]")
    elif kind in PLAIN:
        good = isinstance(value, PLAIN[kind]) and (kind == "bool" or not isinstance(value, bool))
        assert good, f"{path}: expected {kind}, got {value!r}"
    else:
        made = model(kind)
        assert isinstance(value, dict), f"{path}: expected {kind}, got {value!r}"
        names = {outside: inside for inside, outside in made.attribute_map.items()}
        unknown = set(value) - set(names)
        assert not unknown, f"{path}: {kind} has no {sorted(unknown)}; it has {sorted(names)}"
        try:
            made(**{names[key]: one for key, one in value.items()})  # what is required must be there
        except ValueError as error:
            raise AssertionError(f"{path}: {error}") from error
        for key, one in value.items():
            check(made.openapi_types[names[key]], one, f"{path}.{key}")


def documents():
    return [(path.name, one) for path in FILES for one in yaml.safe_load_all(path.read_text())]


@pytest.mark.parametrize("name, document", documents(), ids=lambda x: x if isinstance(x, str) else x["kind"])
def test_schema(name, document):
    check(KINDS[document["apiVersion"], document["kind"]], document, name)


def test_schema_would_complain():
    def container(document):
        return document["spec"]["template"]["spec"]["containers"][0]

    for spoil, text in ((lambda d: d["spec"].update(replica=1), "replica"),
                        (lambda d: d["spec"].pop("selector"), "selector"),
                        (lambda d: d["spec"].update(replicas="3"), "integer|expected int"),
                        (lambda d: container(d)["readinessProbe"]["httpGet"].update(paths="/"), "paths"),
                        (lambda d: container(d)["ports"][0].pop("containerPort"), "container")):
        document = next(one for name, one in documents() if one["kind"] == "Deployment")
        spoil(document)
        with pytest.raises(AssertionError, match=text):
            check("V1Deployment", document, "spoilt")


def of_file(name, kind):
    return next(one for file, one in documents() if file == name and one["kind"] == kind)


@pytest.mark.parametrize("name", ["serve.yaml", "triton.yaml"])
def test_parts_fit_together(name):
    deployment, service, budget = (of_file(name, kind) for kind in ("Deployment", "Service", "PodDisruptionBudget"))
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"]
    for selector in (deployment["spec"]["selector"]["matchLabels"], service["spec"]["selector"],
                     budget["spec"]["selector"]["matchLabels"]):
        assert selector.items() <= labels.items()
    assert 0 < budget["spec"]["minAvailable"] < deployment["spec"]["replicas"]
    container = template["spec"]["containers"][0]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert {one["targetPort"] for one in service["spec"]["ports"]} <= set(ports)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in ("/v2/health/ready", "/v2/health/live")
        assert container[probe]["httpGet"]["port"] in ports
    volumes = {one["name"] for one in template["spec"]["volumes"]}
    assert {one["name"] for one in container["volumeMounts"]} == volumes
    # The pod has time for all that it does when it is told to end.
    args = container["args"]
    needed = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    for option in ("--drain-delay", "--drain-timeout"):
        needed += int(args[args.index(option) + 1]) if option in args else 0
    needed += sum(int(word.split("=")[1]) for word in args if word.startswith("--exit-timeout-secs="))
    assert 0 < needed < template["spec"]["terminationGracePeriodSeconds"]


def test_service_uses_the_runtime():
    runtime, service = of_file("kserve.yaml", "ServingRuntime"), of_file("kserve.yaml", "InferenceService")
    wanted = service["spec"]["predictor"]["model"]
    assert wanted["runtime"] == runtime["metadata"]["name"]
    assert wanted["modelFormat"]["name"] in [one["name"] for one in runtime["spec"]["supportedModelFormats"]]
    assert wanted["protocolVersion"] in runtime["spec"]["protocolVersions"]
