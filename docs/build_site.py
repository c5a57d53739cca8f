"""What makes docs/ a site: the README is its first page, and what links to files beside docs/ names them instead.

A hook of MkDocs (mkdocs.yml); `make site` builds.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s]*)(#[^)\s]*)?\)")
IMAGE = re.compile(r"!\[([^\]]*)\]\(docs/([^)\s]+)\)")
FENCE = re.compile(r"^```(\w+) (\S+)$", re.MULTILINE)  # a block with the name of its file, or a word for .ci/blocks.py


def on_files(files: Any, config: Any) -> Any:
    """Add the README as the first page."""
    text = IMAGE.sub(r"![\1](\2)", (ROOT / "README.md").read_text(encoding="utf-8"))
    files.append(File.generated(config, "index.md", content=_with_links(text, ROOT)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn the links of a page to files that are not on the site into their names, and what a block's first line says
    beside its language into its title, or into nothing: MkDocs takes such a line for text.
    """
    markdown = FENCE.sub(lambda fence: f"```{fence[1]}" + (f' title="{fence[2]}"' if "." in fence[2] else ""), markdown)
    if page.file.src_uri == "index.md":
        return markdown
    return _with_links(markdown, (ROOT / "docs" / page.file.src_uri).parent)


def _with_links(text: str, folder: Path) -> str:
    depth = len(folder.relative_to(ROOT / "docs").parts) if folder != ROOT else 0

    def one(link: re.Match[str]) -> str:
        words, target, place = link[1], link[2], link[3] or ""
        if not target or "://" in target or target.startswith("mailto:"):
            return link[0]
        path = (folder / target).resolve()
        if path == ROOT / "README.md":
            return f"[{words}]({'../' * depth}index.md{place})"
        if (ROOT / "docs") in path.parents:
            return f"[{words}]({target.removeprefix('docs/') if folder == ROOT else target}{place})"
        return words  # in the repository, not on the site

    return LINK.sub(one, text)
