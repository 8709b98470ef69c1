"""temporary"""

from petset.api.errors import not_implemented


def convert(obj, a, b):
    raise not_implemented("conversion")
