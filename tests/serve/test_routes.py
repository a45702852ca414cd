# SPDX-License-Identifier: Apache-2.0
"""Every route by every verb, with bodies that it has no use for, that are too large, and names that are not there."""
import json

import pytest

# path, verb, status with a good body or none, that body
ROUTES = [
    ("/v2", "GET", 200, None),
    ("/v2/health/live", "GET", 200, None),
    ("/v2/health/ready", "GET", 200, None),
    ("/v2/models/tiny", "GET", 200, None),
    ("/v2/models/tiny/versions/1", "GET", 200, None),
    ("/v2/models/tiny/ready", "GET", 200, None),
    ("/v2/models/tiny/versions/1/ready", "GET", 200, None),
    ("/v2/models/tiny/config", "GET", 200, None),
    ("/v2/models/tiny/versions/1/config", "GET", 200, None),
    ("/v2/models/tiny/stats", "GET", 200, None),
    ("/v2/models/tiny/versions/1/stats", "GET", 200, None),
    ("/v2/models/stats", "GET", 200, None),
    ("/v2/models/tiny/infer", "POST", 400, {}),
    ("/v2/models/tiny/versions/1/infer", "POST", 400, {}),
    ("/v2/repository/index", "POST", 200, {}),
    ("/v2/repository/models/tiny/load", "POST", 200, {}),
    ("/v2/repository/models/other/unload", "POST", 200, {}),
    ("/v2/systemsharedmemory/status", "GET", 200, None),
    ("/v2/systemsharedmemory/region/r/status", "GET", 404, None),
    ("/v2/systemsharedmemory/region/r/register", "POST", 400, {}),
    ("/v2/systemsharedmemory/region/r/unregister", "POST", 200, None),
    ("/v2/systemsharedmemory/unregister", "POST", 200, None),
    ("/v2/cudasharedmemory/status", "GET", 200, None),
    ("/v2/cudasharedmemory/region/r/status", "GET", 404, None),
    ("/v2/cudasharedmemory/region/r/register", "POST", 403, {}),
    ("/v2/cudasharedmemory/region/r/unregister", "POST", 200, None),
    ("/v2/cudasharedmemory/unregister", "POST", 200, None),
    ("/v2/trace/setting", "GET", 501, None),
    ("/v2/models/tiny/trace/setting", "GET", 501, None),
    ("/v2/logging", "GET", 501, None),
    ("/metrics", "GET", 200, None),
    ("/status.json", "GET", 200, None),
    ("/", "GET", 200, None),
]
VERBS = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "BREW"]
BOTH = {"/v2/trace/setting", "/v2/models/tiny/trace/setting", "/v2/logging"}  # GET and POST


@pytest.mark.parametrize("path, verb, status, body", ROUTES)
def test_verbs(tiny_server, path, verb, status, body):
    with tiny_server.client() as client:
        for other in VERBS:
            answer = client.ask(other, path, json.dumps(body).encode() if body is not None else None)
            good = other == verb or (other == "HEAD" and verb == "GET") or (other == "POST" and path in BOTH)
            assert answer.status == (status if good else 405), (other, answer.body)
            verbs = {"GET", "HEAD", "POST"} if path in BOTH else {"POST"} if verb == "POST" else {"GET", "HEAD"}
            allowed = answer.headers.get("allow")
            assert (allowed and set(allowed.split(", "))) == (None if good else verbs), (other, allowed)
            if not good and other != "HEAD":
                assert answer.error == "Method Not Allowed"
        assert client.get("/v2/health/live").status == 200


@pytest.mark.parametrize("path, verb, status, body", [r for r in ROUTES if r[1] == "POST"])
def test_bodies(tiny_server, path, verb, status, body):
    with tiny_server.client() as client:
        for wrong in (b"{", b"[]", b"7", b"\x00", b'"x"', b"{" * 3000):
            answer = client.post(path, wrong)
            expected = {400, status} if "register" in path and "region" in path or "unregister" in path else {400}
            assert answer.status in expected, (wrong, answer.status, answer.body)
        assert client.get("/v2/health/live").status == 200
    if "infer" not in path and "load" not in path or "unload" in path:
        assert tiny_server.ask("POST", path, b"x" * 70000).status == 413


@pytest.mark.parametrize("path", ["/v1", "/v2/", "/v2/model", "/v2/models", "/v2/models/", "/v2/models//ready", "/v2x",
                                  "/v2/models/tiny/", "/v2/models/tiny/infer/", "/v2/models/tiny/versions",
                                  "/v2/models/tiny/versions/x", "/v2/models/tiny/versions/1x/ready",
                                  "/v2/repository/models/tiny", "/v2/systemsharedmemory/region//register",
                                  "/../etc/passwd", "//", "/status", "/metrics/", "/index.html", "/favicon.ico"])
def test_unknown_paths(tiny_server, path):
    with tiny_server.client() as client:
        for verb in ("GET", "POST"):
            answer = client.ask(verb, path, b"{}" if verb == "POST" else None)
            assert answer.status == (404 if path != "/v2/" else {"GET": 200, "POST": 405}[verb]), answer.body


def test_path_of_all_models(tiny_server):
    """Triton has no such path; people try it first, and are told which there is."""
    for path in ("/v2/models", "/v2/models/"):
        assert "POST /v2/repository/index" in tiny_server.ask("GET", path).error
    assert tiny_server.ask("GET", "/v2/model").error == "Not Found"


@pytest.mark.parametrize("name", ["other", "tiny2", "TINY", ".", "..", "a%2Fb", "a%20b", "x" * 65, "%ff", "tiny%0a"])
def test_unknown_models(tiny_server, name):
    with tiny_server.client() as client:
        for path in ("", "/config", "/stats"):
            answer = client.get(f"/v2/models/{name}{path}")
            assert answer.status == 404, (path, answer.body)
        ready = client.get(f"/v2/models/{name}/ready")
        assert (ready.status, ready.error.split(":")[0]) == (
            (404, "Not Found") if "%2F" in name else (400, "Model version not ready"))
        answer = client.post(f"/v2/models/{name}/infer", b"{}")
        assert answer.status == 404 and "Request for unknown model" in answer.error or "Not Found" in answer.error


@pytest.mark.parametrize("path", ["/v2/models%2Ftiny", "/v2%2fmodels/tiny", "/v2/models/tiny%2Fready", "%2Fv2",
                                  "/v2/models/tiny/versions/1%2Fready", "/metrics%2F"])
def test_encoded_slashes(tiny_server, path):
    """They part no names: what a proxy forbids by its path must not be reached by another spelling of it."""
    with tiny_server.client() as client:
        assert client.get(path).status in (400, 404)
    with tiny_server.client() as client:
        assert client.get("/v2/models/tiny?a=b%2Fc").status == 200  # behind the path it is anybody's
        assert client.get("/v2/models/t%69ny").status == 200


def test_unknown_versions(tiny_server):
    for version in ("2", "01", "0", "99999999999999999999"):
        for path in ("", "/config", "/stats"):
            assert tiny_server.ask("GET", f"/v2/models/tiny/versions/{version}{path}").status == 404
        assert tiny_server.ask("GET", f"/v2/models/tiny/versions/{version}/ready").status == 400
        assert tiny_server.ask("POST", f"/v2/models/tiny/versions/{version}/infer", b"{}").status == 404


def test_long_paths(tiny_server):
    assert tiny_server.ask("GET", "/" + "x" * 2047).status == 404
    assert tiny_server.ask("GET", "/" + "x" * 2048).status == 414
    assert tiny_server.ask("GET", "/v2/models/tiny%00/ready").status == 414
    assert tiny_server.ask("GET", "/v2/models/tiny?" + "a=b&" * 100).status == 200


def test_head_has_no_body(tiny_server):
    with tiny_server.client() as client:
        answer = client.ask("HEAD", "/v2")
        assert answer.status == 200 and int(answer.headers["content-length"]) > 0
        assert client.get("/v2").status == 200


def test_status_page(tiny_server, tensors):
    with tiny_server.client() as client:
        assert client.infer("tiny", tensors()).status == 200
    page = tiny_server.ask("GET", "/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"http://" not in page.body.replace(b"http://www.w3.org/2000/svg", b"") and b"https://" not in page.body
    status = tiny_server.ask("GET", "/status.json").json
    assert status["ready"] is True and status["devices"] == ["cpu"]
    model, = status["models"]
    assert (model["name"], model["atoms"], model["answered"], model["version"]) == ("tiny", 5, 1, 1)
    assert sum(model["microseconds"]) == 1
