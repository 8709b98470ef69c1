"""Commands that create: every version in a namespace of its own."""

import base64
import re
import stat

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from petset.base.certificates import authority
from tests.e2e.kubectl_player import Player, Walk

CREATE = Walk("Creating")
CM = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {set: %s}}\ndata: {a: '%s'}\n"

CREATED = {
    "create configmap one --from-literal=a=b": "configmap/one",
    "create secret generic s --from-literal=a=b": "secret/s",
    "create secret docker-registry d --docker-server=h --docker-username=u --docker-password=p": (
        "secret/d"
    ),
    "create serviceaccount a": "serviceaccount/a",
    "create service clusterip c --tcp=80:8080": "service/c",
    "create service nodeport n --tcp=80:8080": "service/n",
    "create service externalname e --external-name=example.com": "service/e",
    "create service loadbalancer l --tcp=80:8080": "service/l",
    "create deployment dep --image=busybox --replicas=0": "deployment.apps/dep",
    "create job j --image=busybox --dry-run=server -- true": (
        "job.batch/j created (server dry run)"
    ),
    "create cronjob cj --image=busybox --schedule=@daily --dry-run=server -- true": (
        "cronjob.batch/cj created (server dry run)"
    ),
    "create role r --verb=get --resource=pods": "role.rbac.authorization.k8s.io/r",
    "create rolebinding rb --role=r --user=u": "rolebinding.rbac.authorization.k8s.io/rb",
    "create clusterrole cr --verb=get --resource=pods --dry-run=server": (
        "clusterrole.rbac.authorization.k8s.io/cr created (server dry run)"
    ),
    "create clusterrolebinding cb --clusterrole=cr --user=u --dry-run=server": (
        "clusterrolebinding.rbac.authorization.k8s.io/cb created (server dry run)"
    ),
    "create poddisruptionbudget p --selector=app=x --min-available=1": (
        "poddisruptionbudget.policy/p"
    ),
    "create quota q --hard=configmaps=50": "resourcequota/q",
    "create priorityclass high --value=5 --dry-run=server": (
        "priorityclass.scheduling.k8s.io/high created (server dry run)"
    ),
    "create ingress i --rule=example.com/*=c:80": "ingress.networking.k8s.io/i",
    "create configmap ghost --from-literal=a=b --dry-run=client": (
        "configmap/ghost created (dry run)"
    ),
}
for words, made in CREATED.items():
    CREATE.plain(words, re.escape(made))
CREATE.plain("create configmap one", r'configmaps "one" already exists', code=1)
CREATE.refused("create token default", r"petset does not support serviceaccounts/token yet")


@CREATE.step("create secret tls")
def create_tls(p: Player) -> None:
    pair = authority("example.com", 0.0)
    p.file("tls.crt", pair.cert)
    p.file("tls.key", pair.key)
    p.run("create", "secret", "tls", "t", "--cert=tls.crt", "--key=tls.key").says(
        "secret/t created"
    )
    p.run("get", "secret", "t", "-o", "jsonpath={.type}").says(r"\Akubernetes\.io/tls\Z")


@CREATE.step("create job --from=cronjob/cj")
def create_job(p: Player) -> None:
    p.run("create", "cronjob", "cj", "--image=busybox", "--schedule=@daily", "--", "true")
    p.run("create", "job", "once", "--from=cronjob/cj").says("job.batch/once created")
    owner = "jsonpath={.metadata.ownerReferences[0].kind}"
    p.run("get", "job", "once", "-o", owner).says(r"\ACronJob\Z")


@CREATE.step("create clusterrole, clusterrolebinding, priorityclass")
def create_wide(p: Player) -> None:
    name = p.namespace
    p.run("create", "clusterrole", name, "--verb=get", "--resource=pods").says("created")
    p.run("create", "clusterrolebinding", name, f"--clusterrole={name}", "--user=u").says("created")
    p.run("create", "priorityclass", name, "--value=5").says("created")
    kinds = "clusterrole,clusterrolebinding,priorityclass"
    assert len(p.run("get", kinds, name, "-o", "name").out.split()) == 3
    p.run("delete", kinds, name).says("deleted")


@CREATE.step("certificate approve, deny")
def certificate(p: Player) -> None:
    name = p.namespace
    p.run("create", "-f", "-", stdin=signing_request(name)).says("created")
    try:
        p.run("certificate", "deny", name, code=1).says("petset does not support .*/approval yet")
        p.refused("certificate", "approve", name, says="petset does not support .*/approval yet")
    finally:
        p.run("delete", "csr", name)


def signing_request(name: str) -> str:
    """A CertificateSigningRequest, as YAML."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    asked = base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()
    return f"""
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {{name: {name}}}
spec:
  request: {asked}
  signerName: kubernetes.io/kube-apiserver-client
  usages: [client auth]
"""


@CREATE.step("create namespace other")
def create_namespace(p: Player) -> None:
    name = f"{p.namespace}-other"
    p.run("create", "namespace", name).says(rf"^namespace/{name} created$")
    p.run("get", "sa,cm", "-n", name)
    p.run("delete", "namespace", name).says(r"deleted")
    p.run("get", "namespace", name, code=1).says("not found")


@CREATE.step("create -f cm.yaml")
def create_file(p: Player) -> None:
    p.file("cm.yaml", CM % ("filed", "x", "1"))
    p.run("create", "-f", "cm.yaml").says(r"^configmap/filed created$")
    p.run("create", "-f", "cm.yaml", code=1).says("AlreadyExists")


@CREATE.step("create -f - --save-config")
def create_stdin(p: Player) -> None:
    text = (CM % ("in-1", "x", "1")) + "---\n" + (CM % ("in-2", "x", "1"))
    done = p.run("create", "-f", "-", "--save-config", stdin=text)
    done.says(r"\Aconfigmap/in-1 created\nconfigmap/in-2 created\n\Z")
    p.run("get", "cm", "in-2", "-o", "yaml").says("last-applied-configuration")


@CREATE.step("create -f list.json")
def create_list(p: Player) -> None:
    items = [
        f'{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"item-{i}"}}}}' for i in "ab"
    ]
    p.file("list.json", f'{{"apiVersion":"v1","kind":"List","items":[{",".join(items)}]}}')
    p.run("create", "-f", "list.json").says(r"configmap/item-a created\nconfigmap/item-b created")


@CREATE.step("create -f folder -R")
def create_folder(p: Player) -> None:
    p.file("tree/a.yaml", CM % ("leaf-a", "x", "1"))
    p.file("tree/deep/b.yaml", CM % ("leaf-b", "x", "1"))
    p.run("create", "-R", "-f", "tree").says(r"leaf-a created\n(.|\n)*leaf-b created")


@CREATE.step("create configmap --from-file --from-env-file")
def create_from_files(p: Player) -> None:
    p.file("binary.dat", bytes(range(256)))
    p.file("some.env", "A=1\nB=2\n")
    p.run("create", "configmap", "bin", "--from-file=binary.dat")
    p.run("create", "configmap", "env", "--from-env-file=some.env")
    p.run("get", "cm", "bin", "-o", "jsonpath={.binaryData}").says("AAECAwQF")
    p.run("get", "cm", "env", "-o", "jsonpath={.data.B}").says(r"\A2\Z")


@CREATE.step("create with generateName")
def create_generated(p: Player) -> None:
    text = (CM % ("x", "g", "1")).replace("name:", "generateName:")
    p.run("create", "-f", "-", stdin=text).says(r"^configmap/x[a-z0-9]{5} created$")


@CREATE.step("create --raw; replace --raw")
def create_raw(p: Player) -> None:
    path = f"/api/v1/namespaces/{p.namespace}/configmaps"
    body = '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"raw-1"},"data":{"a":"%s"}}'
    p.run("create", "--raw", path, "-f", "-", stdin=body % 1).says('"uid"')
    p.run("replace", "--raw", f"{path}/raw-1", "-f", "-", stdin=body % 2).says('"a": ?"2"')


@CREATE.step("create --edit")
def create_edit(p: Player) -> None:
    done = p.run(
        "create", "-f", "-", "--edit", stdin=CM % ("edited", "x", "1"), env=editor(p, "a", '"z"')
    )
    done.says("configmap/edited created")
    p.run("get", "cm", "edited", "-o", "jsonpath={.data.a}").says(r"\Az\Z")


def editor(p: Player, key: str, value: str) -> dict[str, str]:
    """An EDITOR that sets one field of the file, as a person would."""
    name = p.file("editor.sh", f"#!/bin/sh\nsed -i 's/^\\( *{key}:\\).*/\\1 {value}/' \"$1\"\n")
    path = p.home / name
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"EDITOR": str(path), "KUBE_EDITOR": str(path)}
