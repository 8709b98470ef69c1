"""network: the node's namespace, routed pod links, netlink."""
