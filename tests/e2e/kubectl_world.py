"""The objects that the walks find: a StatefulSet, and pods that talk, listen, and crash."""

from pathlib import Path

from tests.e2e.conftest import Cluster, eventually, is_ready

WEB = """
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec:
  clusterIP: None
  selector: {app: web}
  ports: [{name: http, port: 80}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: nginx
        image: nginx
        ports: [{containerPort: 80, name: http}]
        volumeMounts: [{name: www, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: www}
    spec:
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 1Gi}}
"""

OTHERS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden}
stringData: {word: sesame}
---
apiVersion: v1
kind: Pod
metadata: {name: talker, labels: {role: talker}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: one
    image: busybox
    command: [sh, -c, "for i in 1 2 3 4 5; do echo line-$i; done; exec sleep 100000"]
  - name: two
    image: busybox
    command: [sh, -c, "echo other; exec sleep 100000"]
---
apiVersion: v1
kind: Pod
metadata: {name: listener}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: ear
    image: busybox
    stdin: true
    command: [sh, -c, "while read word; do echo heard $word; done"]
---
apiVersion: v1
kind: Pod
metadata: {name: failing}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox
    command:
    - sh
    - -c
    - |
      if test -e /d/was; then echo second life; exec sleep 100000; fi
      echo first life; touch /d/was; exit 7
    volumeMounts: [{name: d, mountPath: /d}]
  volumes: [{name: d, emptyDir: {}}]
"""

KUSTOMIZATION = """
namePrefix: k-
commonAnnotations: {made: by-kustomize}
configMapGenerator:
- name: made
  literals: [a=b]
  options: {disableNameSuffixHash: true}
"""


def build(cluster: Cluster) -> None:
    """Apply everything and wait until it is there."""
    cluster.kubectl("apply", "-f", "-", stdin=WEB + "---" + OTHERS)
    cluster.kubectl("rollout", "status", "sts/web", "--timeout=90s")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/talker", "pod/listener", "--timeout=60s")
    eventually(lambda: _restarted(cluster), "the failing pod in its second life")


def _restarted(cluster: Cluster) -> bool:
    pod = cluster.json("get", "pod", "failing")
    return is_ready(pod) and bool(pod["status"]["containerStatuses"][0]["restartCount"] == 1)


def furnish(home: Path) -> None:
    """The files that the commands name, in the player's folder."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "web.yaml").write_text(WEB)
    (home / "app").mkdir(exist_ok=True)
    (home / "app" / "kustomization.yaml").write_text(KUSTOMIZATION)
