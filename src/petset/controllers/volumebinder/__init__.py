"""volumebinder: claims find, or are given, volumes; released volumes are reclaimed.

Keys: `claim/<namespace>/<name>` and `volume/<name>`. Watches: persistentvolumeclaims,
persistentvolumes, storageclasses, pods (that use a claim).
Parts: plan.py (which of the two), claim.py, volume.py, binding.py, match.py, provision.py; all
pure; directories.py makes and removes the directories (`actions.External`).
Provisions for the classes of `petset.dev/directory` (every node of the machine sees the volume)
and `petset.dev/local` (tied to the node that the scheduler chose).
Invariant: data is removed only for a volume of ours with policy Delete whose claim is gone (seen by
a live look). Refused by name: policy Recycle, block volumes, data sources.
"""
