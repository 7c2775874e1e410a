"""Files of weights from the network: whole, checked, fetched once."""

from .fetching import FetchError, fetch
from .names import cache_folder, digest_in_name, is_url, sha256
from .transfer import Patience

__all__ = [
    'FetchError',
    'Patience',
    'cache_folder',
    'digest_in_name',
    'fetch',
    'is_url',
    'sha256',
]
