"""proxy: Services as nftables rules: cluster IPs, node ports, addresses from outside.

Invariant: the rules are pure text (rules.py, nftables.py). May import: base, api, client.
"""
