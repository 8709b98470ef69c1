"""namespace: what every namespace has, and how a namespace goes.

Key: name of a Namespace. Watches: namespaces; the serviceaccount `default` and the configmap
`kube-root-ca.crt` of each; pods and claims (their going lets a namespace go).
Part: plan.py (pure).
Invariant: a namespace is finalized only after a live look found nothing in it.
"""
