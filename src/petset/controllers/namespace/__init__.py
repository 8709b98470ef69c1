"""namespace: the default objects of every namespace, and its deletion.

Key: name of a Namespace. Watches: namespaces; the serviceaccount `default` and the configmap
`kube-root-ca.crt` of each; pods and claims (the last one gone, a namespace can be finalized).
Part: plan.py (pure).
Invariant: a namespace is finalized only after a live look found nothing in it.
"""
