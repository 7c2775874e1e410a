"""Links that only a forge can follow, for the site that mkdocs builds.

On a forge a link such as ``../configs/voc/README.md`` leads to the file, and
one to a folder lists it. The site has only the pages of docs/: there such
links lead to the published repository (``repo_url`` in mkdocs.yml), and are
plain text without one.
"""

import os
import posixpath
import re
from typing import Any

_LINK = re.compile(r'(?<!!)\[((?:`[^`]*`|[^\]`])*)\]\((?!#|\w+:)([^)\s]+)\)')
_FENCE = re.compile(r'^ *(```|~~~)')


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Called by mkdocs for each page before it is rendered.

    Args:
        markdown (str): Of the page.
        page (Page): Of mkdocs.
        config (MkDocsConfig): Of mkdocs.
        **_: What else mkdocs passes.

    Returns:
        str: With links that lead somewhere.
    """
    folder = posixpath.dirname(page.file.src_uri)
    base = (config.repo_url or '').rstrip('/')

    def outside(match: re.Match) -> str:
        text, target = match.groups()
        path = posixpath.normpath(posixpath.join('docs', folder, target))
        inside = path.removeprefix('docs/')
        is_folder = os.path.isdir(os.path.join(config.docs_dir, inside))
        if inside != path and not is_folder:
            return match[0]
        return f'[{text}]({base}/blob/HEAD/{path})' if base else text

    lines, is_code = [], False
    for line in markdown.split('\n'):
        is_code ^= bool(_FENCE.match(line))
        lines.append(line if is_code else _LINK.sub(outside, line))
    return '\n'.join(lines)
