"""proxy: ClusterIP Services as nftables rules.

Invariant: the rules are pure text (rules.py). May import: base, api, client.
"""
