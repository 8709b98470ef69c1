"""What kubectl shows of the API's refusals of bad input."""

from tests.e2e.kubectl_player import Player, Walk

ERRORS = Walk("Bad input")

POD = """
apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers:
  - {name: c, image: busybox%s}
"""
SET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: bad}
spec:
  serviceName: bad
  replicas: %s
  selector: {matchLabels: {app: one}}
  template:
    metadata: {labels: {app: %s}}
    spec:
      containers: [{name: c, image: busybox}]
"""


def create(p: Player, text: str, *words: str) -> str:
    return p.run("create", "-f", "-", *words, stdin=text, code=1).all


def expect(title: str, text: str, says: str, *words: str) -> None:
    def play(p: Player) -> None:
        p.run("create", "-f", "-", *words, stdin=text, code=1).says(says)

    ERRORS.step(title)(play)


expect(
    "unknown field",
    POD % ", bogus: 1",
    r'strict decoding error: unknown field "spec.containers\[0\].bogus"',
)
expect(
    "wrong type",
    SET % ('"three"', "one"),
    r"cannot unmarshal string into Go struct field StatefulSetSpec.spec.replicas of type int32",
    "--validate=false",
)
expect(
    "bad quantity",
    POD % ", resources: {limits: {cpu: lots}}",
    r"quantities must match the regular expression",
)
expect(
    "selector that does not match",
    SET % ("1", "two"),
    r"spec.template.metadata.labels: Invalid value: .*: `selector` does not match template",
)
expect(
    "missing image",
    POD.replace(", image: busybox%s", ""),
    r"^\* ?spec.containers\[0\].image: Required value|spec.containers\[0\].image: Required value",
)
expect(
    "bad name",
    POD.replace("bad", "Bad_Name") % "",
    r'metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of',
)
expect(
    "unknown kind",
    "apiVersion: v1\nkind: Spaceship\nmetadata: {name: x}\n",
    r'no matches for kind "Spaceship" in version "v1"',
)
expect(
    "unknown version",
    "apiVersion: apps/v9\nkind: StatefulSet\nmetadata: {name: x}\n",
    r'no matches for kind "StatefulSet" in version "apps/v9"',
)
expect("malformed YAML", "a: [b\n", r"error parsing STDIN|error converting YAML to JSON")
expect(
    "missing namespace",
    POD % "",
    r'namespaces "nowhere" not found|does not match the namespace',
    "-n",
    "nowhere",
)


@ERRORS.step("--validate=warn and ignore")
def warn(p: Player) -> None:
    words = ["create", "-f", "-", "--dry-run=server"]
    p.run(*words, "--validate=warn", stdin=POD % ", bogus: 1").says(
        r'Warning: unknown field "spec.containers\[0\].bogus"'
    )
    quiet = p.run(*words, "--validate=ignore", stdin=POD % ", bogus: 1")
    assert "bogus" not in quiet.all
