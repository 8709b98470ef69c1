import pytest

from petset.node.images import reference
from petset.node.images.reference import InvalidReferenceError

D = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27-alpine", "docker.io/library/nginx:1.27-alpine"),
        ("bitnami/redis", "docker.io/bitnami/redis:latest"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("registry.k8s.io/nginx-slim:0.24", "registry.k8s.io/nginx-slim:0.24"),
        ("host:5000/a/b", "host:5000/a/b:latest"),
        ("UPPER/app", "UPPER/app:latest"),
        ("a__b/c.d-e--f", "docker.io/a__b/c.d-e--f:latest"),
        (f"nginx@{D}", f"docker.io/library/nginx@{D}"),
        (f"nginx:1@{D}", f"docker.io/library/nginx:1@{D}"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ("nginx:" + "t" * 128, "docker.io/library/nginx:" + "t" * 128),
    ],
)
def test_fills_in_what_is_left_out(text: str, normal: str) -> None:
    ref = reference.parse(text)
    assert str(ref) == normal
    assert reference.parse(normal) == ref


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "Nginx", "a/Nginx", "nginx:", "nginx:-x", "nginx:" + "t" * 129, "a//b", "/a", "a/",
        "-a", "a..b", "a___b", "nginx@sha256:abc", f"nginx@md5:{'a' * 32}", "a b", "nginx\n",
        "a" * 64, "ho_st:5000/a", "x/" + "a" * 300, "nginx:1\n", "é", "http://a/b", "[::1/app",
    ],
)  # fmt: skip
def test_refuses_what_is_no_reference(text: str) -> None:
    with pytest.raises(InvalidReferenceError):
        reference.parse(text)


def test_says_when_only_the_case_is_wrong() -> None:
    with pytest.raises(InvalidReferenceError, match=r"\(library/Nginx\) must be lowercase"):
        reference.parse("Nginx")


def test_knows_whom_to_ask_for_what() -> None:
    hub = reference.parse("nginx")
    assert (hub.host, hub.wanted, hub.local) == ("registry-1.docker.io", "latest", False)
    own = reference.parse(f"127.0.0.1:5000/a@{D}")
    assert (own.host, own.wanted, own.local) == ("127.0.0.1:5000", D, True)
    assert reference.parse("localhost/a").local
    assert reference.parse("[::1]:5000/a").local
    assert not reference.parse("localhost.example.com/a").local
