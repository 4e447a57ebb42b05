use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::detect::Language;

const PYTHON: &str = "\
import os

@app.task(
    retries=3,
)
def outer(a,
          b: int = 3) -> int:  # a comment: with a colon
    def inner(x):
        return x / 0

    return inner(a)


class Loader(Base):
    \"\"\"Läds.\"\"\"

    rows = [1,
            2]

    @property
    async def load(self, path: str):
        query = '''
SELECT a
FROM b
'''
        return [row for row in query]

if __name__ == '__main__':
    outer(1, 2)
";

const JAVASCRIPT: &str = "\
'use strict';
function plain(a, b) {
  return a.b.c;
}
export const load = async (path) => {
  const rows = await read(path);
  return rows.map((row) => {
    return row.a.b;
  });
};
const short = (x) => x.foo.bar;
class Store extends Base {
  #secret = 1;
  get value() {
    return this.#secret.x;
  }
  handler = (event) => {
    event.go();
  };
}
app.get('/users', (req, res) => {
  res.send(req.user.name);
});
module.exports.run = function () {
  fail();
};
describe('it', () => {
  it('works', function named() {
    boom();
  });
});
";

const TYPESCRIPT: &str = "\
namespace Geometry {
  export abstract class Shape<T> {
    @log()
    public async area(scale: number): Promise<number> {
      return this.inner!.value;
    }
  }
}
export default function main(): void {
  throw new Error('x');
}
";

const GO: &str = "\
package main

func (s *Server[T]) Handle(w http.ResponseWriter,
\tr *http.Request) error {
\tgo func() {
\t\tpanic(\"x\")
\t}()
\treturn nil
}

func main() {
\tvar m map[string]int
\tm[\"a\"] = 1
}
";

const RUST: &str = "\
mod inner {
    impl<T: Debug> Store<T>
    where
        T: Clone,
    {
        /// Loads.
        #[inline]
        pub async fn load(&self, path: &str) -> Option<u8> {
            let f = |x: u8| x.checked_add(1).unwrap();
            Some(f(255))
        }
    }
}

#[tokio::main]
async fn main() {
    panic!();
}
";

const JAVA: &str = "\
package a.b;

public class Loader<T> extends Base {
    static { init(); }

    private static final class Inner {
        @Override
        @Deprecated
        public <R> List<R> load(String path,
                                int retries) throws IOException {
            return run(() -> {
                throw new IllegalStateException();
            });
        }

        Inner(int x) {
            this.x = 1 / x;
        }
    }
}
";

#[test]
fn the_function_around_a_line() {
    // name, file, source, line, heads, function, first and last line shown
    #[rustfmt::skip]
    let rows = [
        ("nested", "a.py", PYTHON, 9, "def outer(a, b: int = 3) -> int > def inner(x)", Some("inner"), (8, 9)),
        ("after nested", "a.py", PYTHON, 11, "def outer(a, b: int = 3) -> int", Some("outer"), (3, 11)),
        ("decorator", "a.py", PYTHON, 3, "def outer(a, b: int = 3) -> int", Some("outer"), (3, 11)),
        ("text at column 0", "a.py", PYTHON, 26, "class Loader(Base) > async def load(self, path: str)", Some("load"), (20, 26)),
        ("head of a method", "a.py", PYTHON, 21, "class Loader(Base) > async def load(self, path: str)", Some("load"), (20, 26)),
        ("class body", "a.py", PYTHON, 18, "class Loader(Base)", None, (8, 28)),
        ("module", "a.py", PYTHON, 29, "", None, (19, 29)),
        ("function", "a.js", JAVASCRIPT, 3, "function plain(a, b)", Some("plain"), (2, 4)),
        ("arrow with a name around a callback", "a.mjs", JAVASCRIPT, 8, "export const load = async (path) =>", Some("load"), (5, 10)),
        ("arrow on one line", "a.js", JAVASCRIPT, 11, "const short = (x) =>", Some("short"), (11, 11)),
        ("getter", "a.jsx", JAVASCRIPT, 15, "class Store extends Base > get value()", Some("value"), (14, 16)),
        ("field", "a.js", JAVASCRIPT, 18, "class Store extends Base > handler = (event) =>", Some("handler"), (17, 19)),
        ("callback without a name", "a.js", JAVASCRIPT, 22, "app.get('/users', (req, res) =>", None, (21, 23)),
        ("assigned", "a.cjs", JAVASCRIPT, 25, "module.exports.run = function ()", Some("run"), (24, 26)),
        ("method", "a.ts", TYPESCRIPT, 5, "namespace Geometry > abstract class Shape<T> > public async area(scale: number): Promise<number>", Some("area"), (3, 6)),
        ("exported", "a.tsx", TYPESCRIPT, 10, "export default function main(): void", Some("main"), (9, 11)),
        ("goroutine", "a.go", GO, 6, "func (s *Server[T]) Handle(w http.ResponseWriter, r *http.Request) error", Some("Handle"), (3, 9)),
        ("main", "a.go", GO, 13, "func main()", Some("main"), (11, 14)),
        ("closure in an impl", "a.rs", RUST, 9, "mod inner > impl<T: Debug> Store<T> where T: Clone, > pub async fn load(&self, path: &str) -> Option<u8>", Some("load"), (7, 11)),
        ("attribute", "a.rs", RUST, 17, "async fn main()", Some("main"), (15, 18)),
        ("lambda", "A.java", JAVA, 12, "public class Loader<T> extends Base > private static final class Inner > public <R> List<R> load(String path, int retries) throws IOException", Some("load"), (7, 14)),
        ("constructor", "A.java", JAVA, 17, "public class Loader<T> extends Base > private static final class Inner > Inner(int x)", Some("Inner"), (16, 18)),
    ];
    for (name, file, source, line, heads, function, shown) in rows {
        let frame = explode(source.as_bytes(), file, line, &FrameOptions::default());
        assert_eq!(frame.enclosing.as_deref().unwrap_or_default(), heads, "{name}");
        assert_eq!(frame.function.as_deref(), function, "{name}");
        assert_eq!(frame.note, None, "{name}");
        let numbers: Vec<u32> = frame.lines.iter().map(|line| line.number).collect();
        assert_eq!((numbers[0], numbers[numbers.len() - 1]), shown, "{name}");
        let hot: Vec<u32> = frame.lines.iter().filter(|line| line.hot).map(|line| line.number).collect();
        assert_eq!(hot, [line], "{name}");
    }
}

#[test]
fn snippets_agree_with_whole_files() {
    // Many methods: the class is longer than what is parsed whole.
    let mut python = String::from("@final\nclass Big(\n    Base,\n):\n    \"\"\"Doc.\"\"\"\n");
    let mut java = String::from("public class Big\n    extends Base\n{\n");
    let mut rust = String::from("impl<T> Big<T>\nwhere\n    T: Clone,\n{\n");
    for at in 0..200 {
        write!(python, "    @cached\n    def m{at}(self):\n        if self.x:\n            return {at}\n\n").unwrap();
        write!(java, "    @Override\n    public int m{at}() {{\n        return {at};\n    }}\n\n").unwrap();
        write!(rust, "    #[inline]\n    fn m{at}(&self) -> u32 {{\n        {at}\n    }}\n\n").unwrap();
    }
    java.push_str("}\n");
    rust.push_str("}\n");
    let rows = [
        ("big.py", python.as_str(), 5, 3, "class Big( Base, ) > def m150(self)"),
        ("Big.java", java.as_str(), 3, 2, "public class Big extends Base > public int m150()"),
        ("big.rs", rust.as_str(), 4, 2, "impl<T> Big<T> where T: Clone, > fn m150(&self) -> u32"),
    ];
    for (file, source, before, inside, heads) in rows {
        let line = before + 150 * 5 + inside + 1;
        let frame = explode(source.as_bytes(), file, line, &FrameOptions::default());
        assert_eq!(frame.enclosing.as_deref(), Some(heads), "{file}");
        assert_eq!(frame.lines[0].number, before + 150 * 5 + 1, "{file}");
        assert_eq!(frame.lines.len(), 4, "{file}");
    }
}

#[test]
fn code_inside_a_string_is_no_code() {
    let source = "package main\n\nfunc TestX(t *testing.T) {\n\tconst src = `\npackage main\n\nfunc other() {\n}\n`\n\trun(src)\n\tpanic(1)\n}\n";
    let frame = explode(source.as_bytes(), "a_test.go", 11, &FrameOptions::default());
    assert_eq!(frame.function.as_deref(), Some("TestX"));
}

#[test]
fn a_long_function_is_its_head_and_the_surroundings() {
    let mut source = String::from("def long(\n    a,\n):\n");
    for at in 0..300 {
        writeln!(source, "    x = {at}").unwrap();
    }
    source.push_str("\n\nother = 1\n");
    let options = FrameOptions { context_lines: 2, ..FrameOptions::default() };
    let numbers = |line| -> Vec<u32> {
        let frame = explode(source.as_bytes(), "a.py", line, &options);
        assert_eq!(frame.function.as_deref(), Some("long"));
        frame.lines.iter().map(|line| line.number).collect()
    };
    assert_eq!(numbers(150), [1, 2, 3, 148, 149, 150, 151, 152, 303]);
    assert_eq!(numbers(4), [1, 2, 3, 4, 5, 6, 303]);
    assert_eq!(numbers(303), [1, 2, 3, 301, 302, 303]);
}

#[test]
fn whatever_is_wrong_is_said() {
    let options = FrameOptions::default();
    let long_line = format!("x = '{}'\n", "é".repeat(5000));
    let huge = "x = 1\n".repeat(800_000);
    let deep = format!("x = {}\n", "(".repeat(300_000));
    type Row<'a> = (&'a str, &'a str, &'a [u8], u32, usize, &'a str);
    #[rustfmt::skip]
    let rows: Vec<Row<'_>> = vec![
        ("beyond the end", "a.py", b"x = 1\n", 2, 0, "not shown: line 2 is not in the file, which has 1 lines now"),
        ("line zero", "a.py", b"x = 1\n", 0, 0, "not shown: line 0 is not in the file, which has 1 lines now"),
        ("empty", "a.py", b"", 1, 0, "not shown: line 1 is not in the file, which has 0 lines now"),
        ("binary", "a.py", b"\x7fELF\0\0", 1, 0, "not shown: the file is binary"),
        ("broken", "a.py", b"def f(:\n  ]]] return\n", 2, 2, "the source does not parse here: plain text"),
        ("latin-1", "a.py", b"def f():\n    return '\xe9'\n", 2, 2, "the file is not valid UTF-8; what is not is shown as \u{fffd}"),
        ("huge", "a.py", huge.as_bytes(), 5, 15, "the file is larger than 4 MiB: plain text"),
        ("no grammar", "Makefile", b"all:\n\tfalse\n", 2, 2, ""),
        ("long line", "a.py", long_line.as_bytes(), 1, 1, ""),
        ("deep", "a.py", deep.as_bytes(), 1, 1, "looking for the function took too long: plain text"),
    ];
    for (name, file, source, line, shown, note) in rows {
        let frame = explode(source, file, line, &options);
        assert_eq!(frame.note.as_deref().unwrap_or_default(), note, "{name}");
        assert_eq!(frame.lines.len(), shown, "{name}");
        assert!(frame.lines.iter().all(|line| line.text.chars().count() <= 241), "{name}");
    }
    let off = FrameOptions { languages: vec![Language::Go], ..FrameOptions::default() };
    assert_eq!(explode(PYTHON.as_bytes(), "a.py", 9, &off).enclosing, None, "language switched off");
}

#[test]
fn the_budget_belongs_to_the_incident() {
    let mut exploder = Exploder::new(FrameOptions::default());
    let hostile = format!("x = [{}\n", "(1,[".repeat(60_000));
    for _ in 0..8 {
        exploder.explode(hostile.as_bytes(), "a.py", &[1]);
    }
    let frames = exploder.explode(PYTHON.as_bytes(), "a.py", &[9, 28]);
    assert_eq!(frames[0].note.as_deref(), Some("looking for the function took too long: plain text"));
    assert_eq!(frames[0].lines.len(), 19);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn never_panics_on_bytes(source in proptest::collection::vec(any::<u8>(), 0..2000), line in 0u32..60, file in 0usize..7) {
        check(&source, line, file);
    }

    #[test]
    fn never_panics_on_torn_source(
        pieces in proptest::collection::vec((0usize..6, 0usize..900, 1usize..200), 0..8), line in 0u32..80, file in 0usize..7,
    ) {
        let all = [PYTHON, JAVASCRIPT, TYPESCRIPT, GO, RUST, JAVA];
        let mut source = Vec::new();
        for (which, from, len) in pieces {
            let text = all[which].as_bytes();
            let from = from.min(text.len());
            source.extend_from_slice(&text[from..(from + len).min(text.len())]);
        }
        check(&source, line, file);
    }
}

fn check(source: &[u8], line: u32, file: usize) {
    let name = ["a.py", "a.js", "a.ts", "a.tsx", "a.go", "a.rs", "a.java"][file];
    let frame = explode(source, name, line, &FrameOptions::default());
    let hot = frame.lines.iter().filter(|line| line.hot).count();
    assert!(hot == 1 || (frame.lines.is_empty() && frame.note.is_some()), "{frame:?}");
    assert!(frame.lines.windows(2).all(|pair| pair[0].number < pair[1].number), "{frame:?}");
    assert!(frame.enclosing.is_none_or(|heads| !heads.contains('\n')));
}
