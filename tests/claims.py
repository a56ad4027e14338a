# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a Python story says: claims, and at its end how many of them held, as run.py
counts them.  Those in shell have it from integration/lib.sh."""
import pathlib
import sys
import tempfile

from varved import Varved

held = []


def claim(text, truth, detail=""):
    """Returns whether it holds; detail: why not, or what was measured."""
    held.append(bool(truth))
    print(f"{'ok  ' if truth else 'FAIL'} {text}{': ' if detail != '' else ''}{detail}",
          flush=True)
    return held[-1]


def claim_equal(text, got, expected):
    return claim(text, got == expected, "" if got == expected
                 else f"{got!r}, not {expected!r}")


def main(story):
    """Runs story(directory, varved) with a varved of its own, and ends the process."""
    with tempfile.TemporaryDirectory() as text:
        directory = pathlib.Path(text)
        with Varved(directory / "varved") as varved:
            story(directory, varved)
    finish()


def finish():
    """Says how many held, and ends the process."""
    print(f"{sum(held)} passed, {len(held) - sum(held)} failed")
    sys.exit(0 if held and all(held) else 1)
