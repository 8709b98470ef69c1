"""temporary"""

from petset.apiserver.route import NotFoundPathError


def _no(request):
    raise NotFoundPathError


api_versions = group_list = openapi_v2 = openapi_index = openapi_document = group_or_version = _no


def paths():
    return []
