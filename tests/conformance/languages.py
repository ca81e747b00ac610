"""How a conformance runner is made and run in every language: renderings of many schemas, one main program.

A schema's part is rendered from the language's `runner.*.j2` beside this file: one function that answers one
case. The main programs here read cases, hand each to its schema's part and print the answers. What the cases
are and what the answers should be is left to `cases.py` and `reference.py`.

    Rust    STEM/messages.rs, STEM/runner.rs      pub fn answer(command: &str, arguments: &[&str]) -> String
            (a runner finds its messages at `super::messages`)
    C, C++  STEM/messages.h, STEM/runner.c        void STEM_answer(const char *command, size_t count,
                                                                   char **arguments, FILE *out)
            (writes the answer without a line feed; includes "messages.h"; one text for C11 and C++17)
    OCaml   messages_STEM.ml, runner_STEM.ml      let answer (command : string) (arguments : string list)
            (its messages are the module Messages_STEM)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mycelium_fast.codegen.render import Language as Output
from mycelium_fast.codegen.render import render, render_template
from mycelium_fast.contracts import Contracts, load
from mycelium_fast.errors import ContractWarning

__all__ = ["LANGUAGES", "BuildFailedError", "Language", "checked", "model_of", "render_files", "stem_of"]

HERE: Final = Path(__file__).resolve().parent

RUST_FLAGS: Final = (
    *("--edition", "2021", "-D", "warnings", "-C", "debuginfo=0", "-C", "opt-level=0"),
    *("-C", "overflow-checks=on", "-C", "debug-assertions=on", "-C", "codegen-units=1"),
)
C_WARNINGS: Final = (
    *("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wcast-align", "-Wundef", "-Werror"),
)
OCAML_FLAGS: Final = (
    *("-w", "+a-4-9-40..42-44-45-70", "-warn-error", "+a", "-strict-sequence", "-safe-string"),
)


class BuildFailedError(Exception):
    """A compiler refused what was generated; holds the command and what it printed."""


@dataclass(frozen=True)
class Language:
    """One language, or one way of compiling it.

    Attributes:
        tools: programs that it takes; the first that is not there is the reason for leaving it out.
        build: renders and compiles a runner for these contracts files in an empty directory; gives the
            command that runs it.
    """

    name: str
    tools: tuple[str, ...]
    build: Callable[[Sequence[Path], Path], list[str]]

    def missing(self) -> str | None:
        """The tool that is not on this machine; None if all are."""
        return next((tool for tool in self.tools if shutil.which(tool) is None), None)


def stem_of(file: Path) -> str:
    """What a case calls the schema of a contracts file; templates have it as `stem`."""
    return file.stem


def checked(command: Sequence[str | Path], directory: Path) -> None:
    """Run a compiler.

    Raises:
        BuildFailedError: it failed, or said anything at all.
    """
    done = subprocess.run(
        [str(part) for part in command],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=1200,
    )
    if done.returncode or done.stdout.strip():
        line = " ".join(map(str, command))
        shown = f"{line[:500]} ..." if len(line) > 500 else line
        raise BuildFailedError(
            f"in {directory}, with exit code {done.returncode}:\n{shown}\n{done.stdout[:6000]}"
        )


def model_of(file: Path) -> Contracts:
    """The model of a contracts file, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ContractWarning)
        return load(file)


def put(text: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _render_both(
    files: Sequence[Path], directory: Path, output: Output, messages: str, template: str, runner: str
) -> list[str]:
    """Render every schema's messages and its part of the runner; gives the stems."""
    stems = []
    for file in files:
        model, stem = model_of(file), stem_of(file)
        put(render(model, output), directory / messages.format(stem=stem))
        put(render_template(model, HERE / template), directory / runner.format(stem=stem))
        stems.append(stem)
    return stems


def render_files(files: Sequence[Path], templates: Sequence[Path], directory: Path) -> None:
    """Render templates of one's own: `directory/STEM/NAME` for a template `NAME.j2`."""
    for file in files:
        model = model_of(file)
        for template in templates:
            put(
                render_template(model, template),
                directory / stem_of(file) / template.name.removesuffix(".j2"),
            )


# --- Rust ---------------------------------------------------------------------------------------------------

_RUST_MAIN: Final = """\
// Reads cases, one a line, and prints an answer a line.
#![forbid(unsafe_code)]
use std::io::{{BufRead, Write}};

{modules}
fn answer(schema: &str, command: &str, arguments: &[&str]) -> String {{
    match schema {{
{arms}        _ => String::from("error schema"),
    }}
}}

fn main() {{
    let input = std::io::stdin();
    let mut output = std::io::stdout().lock();
    for line in input.lock().lines() {{
        let line = line.expect("stdin is readable");
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let text = match words.as_slice() {{
            [schema, command, arguments @ ..] => answer(schema, command, arguments),
            _ => String::from("error case"),
        }};
        output.write_all(text.as_bytes()).expect("stdout is writable");
        output.write_all(b"\\n").expect("stdout is writable");
    }}
    output.flush().expect("stdout is writable");
}}
"""


def _build_rust(files: Sequence[Path], directory: Path) -> list[str]:
    names = ("s_{stem}/messages.rs", "runner.rs.j2", "s_{stem}/runner.rs")
    stems = _render_both(files, directory, "rust", *names)
    modules = "".join(f"mod s_{stem} {{\n    pub mod messages;\n    pub mod runner;\n}}\n" for stem in stems)
    arms = "".join(f'        "{stem}" => s_{stem}::runner::answer(command, arguments),\n' for stem in stems)
    put(_RUST_MAIN.format(modules=modules, arms=arms), directory / "main.rs")
    checked(["rustc", *RUST_FLAGS, "-o", "runner", "main.rs"], directory)
    return [str(directory / "runner")]


# --- C and C++ ----------------------------------------------------------------------------------------------

_C_MAIN: Final = """\
/* Reads cases, one a line, and prints an answer a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void answer_function(const char *command, size_t count, char **arguments, FILE *out);

{prototypes}
static const struct {{
    const char *schema;
    answer_function *answer;
}} parts[] = {{
{rows}}};

static char *line = NULL;
static size_t room = 0;
static char **words = NULL;
static size_t words_room = 0;

static void *grown(void *memory, size_t size)
{{
    void *more = realloc(memory, size);
    if (more == NULL)
        abort();
    return more;
}}

/* The next line without its line feed; 0 at the end of the input. */
static int read_line(void)
{{
    size_t length = 0;
    for (;;) {{
        if (room - length < 4096) {{
            room = 2 * room + 8192;
            line = (char *)grown(line, room);
        }}
        if (fgets(line + length, (int)(room - length > 65536 ? 65536 : room - length), stdin) == NULL)
            return length != 0;
        length += strlen(line + length);
        if (length != 0 && line[length - 1] == '\\n') {{
            line[length - 1] = '\\0';
            return 1;
        }}
    }}
}}

static size_t split(void)
{{
    size_t count = 0;
    char *word = strtok(line, " ");
    while (word != NULL) {{
        if (count == words_room) {{
            words_room = 2 * words_room + 64;
            words = (char **)grown((void *)words, words_room * sizeof *words);
        }}
        words[count++] = word;
        word = strtok(NULL, " ");
    }}
    return count;
}}

int main(void)
{{
    while (read_line()) {{
        size_t count = split(), i;
        if (count < 2) {{
            puts("error case");
            continue;
        }}
        for (i = 0; i < sizeof parts / sizeof parts[0]; i++)
            if (strcmp(parts[i].schema, words[0]) == 0)
                break;
        if (i == sizeof parts / sizeof parts[0])
            fputs("error schema", stdout);
        else
            parts[i].answer(words[1], count - 2, words + 2, stdout);
        putchar('\\n');
        if (fflush(stdout) != 0)
            return 1;
    }}
    free(line);
    free((void *)words);
    return 0;
}}
"""


def _render_c(files: Sequence[Path], directory: Path) -> list[str]:
    """The sources, relative to the directory."""
    names = ("s_{stem}/messages.h", "runner.c.j2", "s_{stem}/runner.c")
    stems = _render_both(files, directory, "c", *names)
    prototypes = "".join(f"answer_function {stem}_answer;\n" for stem in stems)
    rows = "".join(f'    {{"{stem}", {stem}_answer}},\n' for stem in stems)
    put(_C_MAIN.format(prototypes=prototypes, rows=rows), directory / "main.c")
    return ["main.c", *(f"s_{stem}/runner.c" for stem in stems)]


def _build_c(files: Sequence[Path], directory: Path) -> list[str]:
    sources = _render_c(files, directory)
    checked(["gcc", "-std=c11", *C_WARNINGS, "-O1", "-o", "runner", *sources, "-lm"], directory)
    return [str(directory / "runner")]


def _build_cxx(files: Sequence[Path], directory: Path) -> list[str]:
    sources = _render_c(files, directory)
    switches = ["-std=c++17", *C_WARNINGS, "-O0", "-x", "c++"]
    checked(["g++", *switches, "-o", "runner", *sources, "-lm"], directory)
    return [str(directory / "runner")]


# --- OCaml --------------------------------------------------------------------------------------------------

_OCAML_MAIN: Final = """\
(* Reads cases, one a line, and prints an answer a line. *)
let answer schema command arguments =
  match schema with
{arms}  | _ -> "error schema"

let rec run () =
  match input_line stdin with
  | exception End_of_file -> ()
  | line ->
    let words = List.filter (fun word -> word <> "") (String.split_on_char ' ' line) in
    (match words with
     | schema :: command :: arguments -> print_string (answer schema command arguments)
     | _ -> print_string "error case");
    print_newline ();
    run ()

let () = run ()
"""


def _build_ocaml(files: Sequence[Path], directory: Path) -> list[str]:
    names = ("messages_{stem}.ml", "runner.ml.j2", "runner_{stem}.ml")
    stems = _render_both(files, directory, "ocaml", *names)
    arms = "".join(f'  | "{stem}" -> Runner_{stem}.answer command arguments\n' for stem in stems)
    put(_OCAML_MAIN.format(arms=arms), directory / "main.ml")
    sources = [name for stem in stems for name in (f"messages_{stem}.ml", f"runner_{stem}.ml")]
    checked(["ocamlopt", *OCAML_FLAGS, "-o", "runner", *sources, "main.ml"], directory)
    return [str(directory / "runner")]


# --- Python -------------------------------------------------------------------------------------------------


def _python(implementation: str) -> Callable[[Sequence[Path], Path], list[str]]:
    def build(files: Sequence[Path], directory: Path) -> list[str]:
        return [sys.executable, str(HERE / "runner.py"), f"--{implementation}", *map(os.fspath, files)]

    return build


LANGUAGES: Final = {
    language.name: language
    for language in (
        Language("compiled", ("cc",), _python("compiled")),
        Language("rust", ("rustc",), _build_rust),
        Language("c", ("gcc",), _build_c),
        Language("c++", ("g++",), _build_cxx),
        Language("ocaml", ("ocamlopt",), _build_ocaml),
    )
}
