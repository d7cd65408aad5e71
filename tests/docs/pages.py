"""The fenced blocks of the pages, and how each shell command in them is tested.

``python -m tests.docs.pages`` prints every command and how it is tested.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    + [p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts]
)
TRIED = ("sh", "console", "python", "yaml")

# The neuron named in the pages; a neuron of the small run replaces it.
NEURON = "950000147"

# How a command is tested that cannot be run here unchanged; the first pattern that matches it
# decides. A command that no pattern matches is run.
WAYS = {
    r"--profile workflow/profiles/slurm|^scancel": "slurm",  # tests/slurm do
    r"^make \w+": "make -n",  # these run this test, or a full-size session
    r"^(uv )?pip install|^conda env create": "files",  # the environment already exists
    r"^(apptainer|docker) build|--sdm apptainer": "files",  # tests/packaging reads the recipes
    r"^source \.venv/bin/activate": "files",
    r"workflow/presets/\w+\.yaml": "snakemake -n",  # full-size runs, hours of training
    r"--configfile louder\.yaml$": "snakemake -n",
    r"^snakemake --cores 8 --configfile allen\.yaml$": "snakemake -n",  # two gigabytes
    r"allen\.yaml -- .*neurons\.csv$": "snakemake -n",  # the stand-in session has no neuron to fit
    r"--configfile (mice|all)\.yaml": "snakemake -n",  # several whole sessions
    r"^meiflow validate( --quick)?$": "validate -n",  # minutes and hours
    r"^meiflow benchmark .*--(published|judge)": "benchmark --cite",  # minutes to hours
    r"^meiflow convert-phy": "files",  # tests/stages/test_convert_own.py does
    r"^meiflow session info http": "files",  # tests/session/test_ranges.py does
    r"^meiflow sessions": "warehouse",  # the one on this machine
}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, text and location."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str | None:
        """Name of the file that the block's first line gives."""
        named = re.match(r"# ([\w./-]+\.(?:py|yaml))\b", self.text)
        return named.group(1) if named else None

    @property
    def commands(self) -> list[str]:
        """Commands of a shell block, without comments and with continued lines joined."""
        joined = re.sub(r"\\\n\s*", "", self.text)
        lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines()]
        return [line.removeprefix("$ ") for line in lines if line]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    return [
        Block(page, (token.map or [0])[0] + 1, token.info.strip(), token.content)
        for token in tokens
        if token.type == "fence"
    ]


def way(command: str) -> str:
    """How a command is tested."""
    return next((how for pattern, how in WAYS.items() if re.search(pattern, command)), "run")


def all_commands() -> list[tuple[Block, str]]:
    """Every command of every page, with its block."""
    found = [block for page in PAGES for block in blocks(page)]
    shell = [block for block in found if block.language in ("sh", "console")]
    return [(block, command) for block in shell for command in block.commands]


def tried() -> Counter[str]:
    """Number of commands tested in each way."""
    return Counter(way(command) for _, command in all_commands())


if __name__ == "__main__":
    for block, command in all_commands():
        print(f"{way(command):14}{command}   ({block})")
    print(dict(tried()))
