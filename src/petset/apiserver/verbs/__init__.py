"""verbs: get, list, watch, create, update, patch, delete; generic over every resource."""
