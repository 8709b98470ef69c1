"""autoscaling: kinds of the group `autoscaling`."""
