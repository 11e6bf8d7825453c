import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli.commands import COMMANDS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def there(name: str) -> bool:
    return importlib.util.find_spec(COMMANDS[name][0].partition(":")[0]) is not None


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs/cli.md").read_text()


@pytest.mark.parametrize("name", [name for name in COMMANDS if there(name)])
def test_page_has_the_help_of_each_command_and_the_help_an_example(name: str, repository: Path, page: str) -> None:
    code = f"from flows.cli.reference import section; print(section({name!r}))"
    result = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert "Example: tokenmill" in result.stdout
    assert result.stdout.strip() in page, "python -m flows.cli.reference > docs/cli.md"
