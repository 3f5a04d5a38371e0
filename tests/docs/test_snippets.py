"""What README and docs tell people to run does run."""

from __future__ import annotations

import re
import shlex

import pytest
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser

from unbraid.cli.main import COMMANDS, main
from unbraid.cli.request import Request

SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
ASSIGNMENT = re.compile(r"\w+=")


def run_snippets(page):
    """Every block of Python on a page, in one namespace, as a reader would."""
    document = Document.parse(str(page), PythonCodeBlockParser())
    for example in document.examples():
        example.evaluate()


def shell_lines(text):
    """Each line of the shell blocks as words, without comments, variables before it and redirections."""
    for block in SHELL.findall(text):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            while words and ASSIGNMENT.match(words[0]):
                words.pop(0)
            yield words[: words.index(">")] if ">" in words else words


def commands(text):
    """The arguments of every `unbraid` line, in shell blocks and within sentences."""
    spans = (shlex.split(span) for span in SPAN.findall(text) if span.startswith("unbraid "))
    return [words[1:] for words in (*shell_lines(text), *spans) if words[:1] == ["unbraid"]]


@pytest.mark.usefixtures("workplace", "quick_network")
def test_every_block_of_python_runs(page):
    run_snippets(page)


@pytest.mark.weights
@pytest.mark.usefixtures("workplace")
def test_readme_runs_with_the_published_weights(root, workplace):
    run_snippets(root / "README.md")
    assert (workplace / "vocals.wav").stat().st_size > 100_000


def test_the_real_command_line_takes_every_line(page, report, monkeypatch):
    taken = []
    for path, command in report.facts.commands():
        if path != "unbraid":
            monkeypatch.setattr(command, "callback", lambda path=path, **values: taken.append((path, values)))
    lines = commands(page.read_text(encoding="utf-8"))
    for line in lines:
        assert main(line) == 0, line
    for path, values in taken:
        if path == "unbraid separate":
            Request(**values).output_format()
    assert len(taken) >= sum("--help" not in line and "--version" not in line for line in lines)


def test_every_option_that_is_named_exists(page, report):
    known = {
        name
        for _, command in report.facts.commands()
        for option in command.params
        for name in (*option.opts, *option.secondary_opts)
    } | {"--help"}
    text = page.read_text(encoding="utf-8")
    if page.name == "from-demucs.md":  # the first column holds the options of demucs
        text = re.sub(r"^\| [^|]* \|", "|", text, flags=re.MULTILINE)
    named = {span.split()[0] for span in SPAN.findall(text) if span.startswith("-")}
    assert named <= known


def test_make_knows_every_target_that_is_named(page, root):
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    spans = [shlex.split(span) for span in SPAN.findall(text) if span.startswith("make ")]
    named = {words[1] for words in (*shell_lines(text), *spans) if words[:1] == ["make"] and words[1:]}
    assert named <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def test_every_command_is_shown_in_some_line(root):
    # Guards the tests above: a pattern that finds nothing would pass them all.
    texts = [path.read_text(encoding="utf-8") for path in (root / "docs").rglob("*.md")]
    first_words = {line[0] for text in texts for line in commands(text) if line}
    assert set(COMMANDS) - {"separate"} <= first_words
    assert "song.mp3" in first_words
