use super::*;
use crate::error::Severity;
use proptest::prelude::*;
use std::process::Command;
use std::time::{Duration, Instant};

/// Snippets that set `X`, each of which must have the value that bash gives it.
const ACCEPTED: &[&str] = &[
    "X=",
    "X=a",
    "export X=a",
    "export X=a Y=b",
    "X=a Y=b",
    "Y=b; X=a",
    "X=a;",
    "  \t X=a  ",
    "#!/bin/bash\n\n# X=b\nX=a # c",
    "X=a#b",
    "X=a;#b",
    "X=1\nX=2",
    "A=1; export A=2 X=$A",
    "A=1; A=2 X=$A",
    "X=a=b",
    "X==b",
    "export X=a b",
    "X=a; export X",
    "export export X=a",
    "X='a b'",
    "X='a\\b$c`d`\"'",
    "X=\"a b\"",
    "X=\"it's\"",
    "X=\"\\$HOME \\`id\\` \\\"q\\\" \\\\ \\n \\' \\a\"",
    "X=\"a\\\nb\"",
    "X=\"a\nb\n\"",
    "X='a\\\nb'",
    "X=a\\\nb",
    "X=\\\na",
    "X=a\\ b\\$c\\\"d\\'e\\\\f\\g",
    "X=a\"b c\"'d e'f",
    "X=''\"\"",
    "X=*?[a]!{a}~%^+,./:@",
    "X={a,b}",
    "export X={a} ; export Y=a,b",
    "export X='{a,b}'\"{1..3}\"\\{c,d}",
    "export X='{\"a\": 1, \"b\": [2]}'",
    "X=\\",
    "X=é\\ü\"ß\"",
    "X=\"a\tb\"",
    "X=$ ; X=$X%",
    "X=\"$\"a\"$ $\"",
    "Y='a  *  b'; X=$Y",
    "Y='a  *  b'; X=\"<$Y>\"",
    "Y=a; X=${Y}b$Y.c$Y-d",
    "Y=a; X=$Y$Y; X=$X$X",
    "X=a; X=b$X",
    "X=${A:-b}",
    "X=${A-b}",
    "A=; X=${A:-b}",
    "A=; X=${A-b}",
    "A=1; X=${A:-b}${A-b}",
    "X=${A:-}${A-}",
    "X=${A:-b c  d}",
    "X=${A:-;|&><#()}",
    "X=${A:-\"}\"'}'\\}}",
    "X=${A:-${B:-${C-d}}}",
    "A=1; X=${A:-{x}}",
    "X=${A:-{x}}",
    "X=${A:-a\nb}",
    "X=\"${A:-b}\"",
    "X=\"${A:-b c}$\"",
    "X=\"${A:-\"b c\"}\"",
    "X=\"${A:-\"b}c\"}\"",
    "X=\"${A:-'b'}\"",
    "X=\"${A:-b\\}c\\d\\\"e\\$}\"",
    "X=\"${A:-\"b\\\"c\\\\d\"}\"",
    "X=\"a${A:-\"b \"c\" d\"}e\"",
    "X=\"${A:-${B:-'c d'}}\"",
    "Y=1; X=${A:-\"<$Y>\"}",
    "X='vllm serve ; source x && y | z'",
];

/// Snippets whose `X` is a document.
const DOCUMENTS: &[&str] = &[
    "export X=$(mktemp)\ncat << EOF > $X\na\nEOF",
    "X=$(mktemp)\ncat<<EOF>$X\na\n  b\n\nEOF\n",
    "X=$( mktemp -t foo.XXXX )\ncat > \"$X\" <<EOF\na\nEOF\n",
    "X=\"$(mktemp)\"\ncat << EOF > \"${X}\"\na\nEOF\n",
    "Y=1 X=$(mktemp); cat << EOF > $X; Z=1 # c\na $Y\nEOF\n",
    "X=$(mktemp)\ncat << EOF > ${X}\nEOF\n",
    "X=$(mktemp)\nA=1 B=\ncat << EOF > $X\n$A${A} ${B:-b} ${B-b} ${C:-c}${C-} ${D:-${A}}\nEOF\n",
    "X=$(mktemp)\ncat << EOF > $X\n\\$A \\${A} \\` \\\\ \\\" \\a \" ' # ; $ $% $'a' $\"a\"\nEOF\n",
    "X=$(mktemp)\ncat << EOF > $X\na \\\n  b \\\\\nc\\\nEOF\nd\nEOF\n",
    "X=$(mktemp)\ncat << EOF > $X\na\nEO\\\nF\nY=1",
    "X=$(mktemp)\ncat << EOF > $X\n${A:-\"b\"} ${A:-'b'} ${A:-b\\}c} ${A:-x\ny}\nEOF\n",
    "X=$(mktemp)\ncat << 'EOF' > $X\n$A ${A} \\$A \\\n`id` $(id) \\\\\nEOF\n",
    "X=$(mktemp)\ncat << \"EOF\" > $X\n$A\nEOF\n",
    "X=$(mktemp)\ncat << \\EOF > $X\n$A\nEOF\n",
    "X=$(mktemp)\ncat << E'O'F > $X\n$A\nEOF\n",
    "X=$(mktemp)\ncat << 'a b' > $X\n$A\na\na b\n",
    "X=$(mktemp)\ncat << '' > $X\na\n\nY=1\n",
    "X=$(mktemp)\ncat << END-1 > $X\na\n END-1\nEND-1 \nEND-1\n",
    "X=$(mktemp)\ncat <<- EOF > $X\n\ta\n\t\tb\tc\n \td\n\t${A:-x\n\ty}\n\ta \\\n\tb\n\tEOF\n",
    "X=$(mktemp)\ncat <<-'EOF' > $X\n\ta\n\t\tb \\\n\tc\n\tEOF\n",
    "X=$(mktemp)\ncat << EOF > $X\na\nEOF\ncat << EOF > $X\nb\nEOF\n",
    "X=$(mktemp)\ncat << EOF > $X\na\nEOF\ncat << EOF >> $X\nb\nEOF\n",
    "X=$(mktemp)\ncat << EOF >> $X\na\nEOF\n",
    "Y=$(mktemp)\nX=$Y\ncat << EOF > $Y\na\nEOF\n",
    "Y=$(mktemp) X=${Y:-z}\ncat << EOF > $X\na\nEOF\n",
    "X=$(mktemp) Y=$(mktemp)\ncat << A > $X; cat << B > $Y\n1\nA\n2\nB\ncat $Y >> $X\n",
    "X=$(mktemp) Y=$(mktemp)\ncat << A > $Y\n1\nA\ncat $Y $Y > $X\n",
    "X=$(mktemp)\ncat << EOF > $X\na\nEOF\nX=$(mktemp)\ncat << EOF > $X\nb\nEOF",
];

fn read(text: &str) -> (Sources, Result<Evaluation, Errors>) {
    read_with(text, &|_| None)
}

fn read_with(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> (Sources, Result<Evaluation, Errors>) {
    let mut sources = Sources::default();
    let id = sources.add("test.sh", text);
    let result = parse(&sources, id).and_then(|script| script.evaluate(lookup));
    (sources, result)
}

/// The last value of a name.
fn value(text: &str, name: &str) -> String {
    let (sources, result) = read(text);
    match result {
        Ok(evaluation) => {
            let found = evaluation.assignments.iter().rfind(|a| a.name == name);
            found.unwrap_or_else(|| panic!("no {name} in {text:?}")).value.as_str().to_owned()
        }
        Err(errors) => panic!("{text:?}\n{}", render(&sources, &errors.0)),
    }
}

fn render(sources: &Sources, diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|d| d.render(sources, false) + "\n").collect()
}

/// The errors of a text as `line: text at the place: sentence`.
fn errors(text: &str) -> Vec<String> {
    let (sources, result) = read(text);
    let errors = result.err().unwrap_or_else(|| panic!("accepted {text:?}"));
    assert!(errors.0.iter().all(|d| d.hint.is_some() && d.severity == Severity::Error), "{errors:?}");
    let show = |d: &Diagnostic| {
        let span = d.span.unwrap_or_else(|| panic!("no place: {d:?}"));
        format!("{}: {}: {}", sources.position(span).line, sources.slice(span), d.problem)
    };
    errors.0.iter().map(show).collect()
}

fn refused(text: &str, place: &str, construct: &str) {
    assert_eq!(errors(text), [format!("1: {place}: {construct} is not part of the scenario language")], "{text:?}");
}

/// What bash prints for a snippet; the snippet runs in an empty directory without any environment.
fn bash(snippet: &str, show: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("bash")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TMPDIR", directory.path())
        .env("LC_ALL", "C.UTF-8")
        .current_dir(directory.path())
        .args(["--norc", "-c", &format!("eval \"$1\"\n{show}"), "bash", snippet])
        .output()
        .expect("these tests compare with bash, which must be installed");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn values_are_those_of_bash() {
    assert!(ACCEPTED.len() + DOCUMENTS.len() >= 60);
    for snippet in ACCEPTED {
        assert_eq!(value(snippet, "X"), bash(snippet, "printf %s \"$X\""), "{snippet:?}");
    }
    for snippet in DOCUMENTS {
        assert_eq!(value(snippet, "X"), bash(snippet, "cat \"$X\""), "{snippet:?}");
    }
}

#[test]
fn line_ends_of_another_system_change_nothing() {
    for snippet in ACCEPTED.iter().chain(DOCUMENTS) {
        assert_eq!(value(&snippet.replace('\n', "\r\n"), "X"), value(snippet, "X"), "{snippet:?}");
    }
    assert_eq!(value("X=a\r", "X"), "a");
    assert_eq!(value("X=a\rb\r\n", "X"), "a\rb");
    assert_eq!(value("\u{feff}X=a", "X"), "a");
}

#[test]
fn values_of_a_bundle_do_not_depend_on_a_home() {
    for text in ["~", "~/data", "~someone/x", "a:~/b"] {
        assert_eq!(value(&format!("X={text}"), "X"), text);
        assert_eq!(value(&format!("X=\"{text}\""), "X"), text);
    }
}

#[test]
fn lookup_answers_only_for_names_not_assigned_yet() {
    let lookup = |name: &str| (name == "A").then(|| "outer".to_owned());
    let (_, result) = read_with("X=$A\nA=inner\nY=$A\nZ=${B:-$A}\n", &lookup);
    let values: Vec<_> = result.unwrap().assignments.into_iter().map(|a| (a.name, a.value)).collect();
    let inline = |name: &str, value: &str| (name.to_owned(), Text::Inline(value.to_owned()));
    assert_eq!(values, [inline("X", "outer"), inline("A", "inner"), inline("Y", "inner"), inline("Z", "inner")]);
}

#[test]
fn places_are_exact() {
    let text = "export A=\"b c\" D='e'\nX=$(mktemp -q)\ncat << EOF > $X\nf\n g\nEOF\n";
    let (sources, result) = read(text);
    let assignments = result.unwrap().assignments;
    let places: Vec<_> =
        assignments.iter().map(|a| (sources.slice(a.name_span), sources.slice(a.value_span))).collect();
    assert_eq!(places, [("A", "\"b c\""), ("D", "'e'"), ("X", "$(mktemp -q)")]);
    let Text::Document { text, body_span } = &assignments[2].value else { panic!("{assignments:?}") };
    assert_eq!((text.as_str(), sources.slice(*body_span)), ("f\n g\n", "f\n g\n"));

    let mut sources = Sources::default();
    let id = sources.add("test.sh", "A=1\nexport B\nC=2 A=3\n");
    let script = parse(&sources, id).unwrap();
    let names: Vec<_> = script.names().map(|(name, span)| (name, sources.position(span).line)).collect();
    assert_eq!(names, [("A", 1), ("C", 3), ("A", 3)]);
}

#[test]
fn constructs_are_refused_by_name() {
    let cases = [
        ("X=$(id -un)", "$(id -un)", "command substitution `$(id -un)`"),
        ("X=\"a$(id)b\"", "$(id)", "command substitution `$(id)`"),
        ("X=$(mktemp)/a", "$(mktemp)", "command substitution `$(mktemp)`"),
        ("X=$(mktemp)#a", "$(mktemp)", "command substitution `$(mktemp)`"),
        ("X=$(mktemp; id)", "$(mktemp; id)", "command substitution `$(mktemp; id)`"),
        ("X=$(mktemp $(id))", "$(mktemp $(id))", "command substitution `$(mktemp $(id))`"),
        ("X=${A:-$(mktemp)}", "$(mktemp)", "command substitution `$(mktemp)`"),
        ("X=$(mktemp -d)", "$(mktemp -d)", "`mktemp -d`"),
        (
            "X=$(echo ')' \"$(a)\" | rev) Y=1",
            "$(echo ')' \"$(a)\" | rev)",
            "command substitution `$(echo ')' \"$(a)\" | rev)`",
        ),
        ("X=`id`", "`id`", "command substitution in back-ticks"),
        ("X=\"`mktemp`\"", "`mktemp`", "command substitution in back-ticks"),
        ("X=$((1 + (2)))", "$((1 + (2)))", "arithmetic `$((1 + (2)))`"),
        ("X=$[1]", "$[", "arithmetic `$[`"),
        ("X=$'a\\'b'", "$'a\\'b'", "quoting `$'a\\'b'`"),
        ("X=$\"a\"", "$\"a\"", "translation `$\"a\"`"),
        ("X=${A#b}", "${A#b}", "parameter expansion `${A#b}`"),
        ("X=${A/b/c}", "${A/b/c}", "parameter expansion `${A/b/c}`"),
        ("X=${!A}", "${!A}", "parameter expansion `${!A}`"),
        ("X=${#A}", "${#A}", "parameter expansion `${#A}`"),
        ("X=${A:=b}", "${A:=b}", "parameter expansion `${A:=b}`"),
        ("X=${A:?b}", "${A:?b}", "parameter expansion `${A:?b}`"),
        ("X=\"${A:+${B}}\"", "${A:+${B}}", "parameter expansion `${A:+${B}}`"),
        ("X=${A:1:2}", "${A:1:2}", "parameter expansion `${A:1:2}`"),
        ("X=${A[0]}", "${A[0]}", "parameter expansion `${A[0]}`"),
        ("X=${1}", "${1}", "parameter expansion `${1}`"),
        ("X=$1", "$1", "special parameter `$1`"),
        ("X=\"$@\"", "$@", "special parameter `$@`"),
        ("X=$?", "$?", "special parameter `$?`"),
        ("X=$$", "$$", "special parameter `$$`"),
        ("X=(a b)", "(a b)", "array `(a b)`"),
        ("X[0]=a", "X[0]=a", "array element `X[0]=a`"),
        ("X+=a", "X+=", "`+=`"),
        ("export X={a,b}", "{a,b}", "brace expansion"),
        ("export X={1..3}", "{1..3}", "brace expansion"),
        ("X=${A:-<(id)}", "<(id)", "process substitution `<(id)`"),
        ("X=\"${A:-it's}\"", "'", "a single quote in the default of a quoted `${…}`"),
        ("echo a > b | c && d", "echo", "command `echo`"),
        ("source a.sh", "source", "command `source`"),
        (". a.sh", ".", "command `.`"),
        ("unset X", "unset", "command `unset`"),
        ("exit 1", "exit", "command `exit`"),
        ("set -e", "set", "command `set`"),
        ("readonly X=1", "readonly", "command `readonly`"),
        ("declare -x X=1", "declare", "command `declare`"),
        ("eval 'X=1'", "eval", "command `eval`"),
        ("*.sh", "*.sh", "command `*.sh`"),
        ("\"a\" b", "\"a\"", "command `\"a\"`"),
        ("X = 1", "X", "command `X`"),
        ("X= 1", "1", "command `1` after an assignment"),
        ("X=1 export Y=2", "export", "command `export` after an assignment"),
        ("export", "export", "`export` without a name"),
        ("export -n X", "-n", "`-n` after `export`"),
        ("export \"X=1\"", "\"X=1\"", "`\"X=1\"` after `export`"),
        ("export $X", "$X", "`$X` after `export`"),
        ("X=1 | Y=2", "|", "pipe `|`"),
        ("X=1 && Y=2", "&&", "`&&`"),
        ("X=1 || Y=2", "||", "`||`"),
        ("X=a&b=1", "&", "background `&`"),
        ("X=1 > a", ">", "redirection `>`"),
        ("X=1 <<< a", "<<<", "redirection `<<<`"),
        ("> a", ">", "redirection `>`"),
        ("! X=1", "!", "`!`"),
        ("if [ -n \"$X\" ]; then X=1; fi", "if", "`if`"),
        ("for x in a b; do X=$x; done", "for", "`for`"),
        ("while true; do X=$(id); done < a", "while", "`while`"),
        ("until false; do id; done", "until", "`until`"),
        ("case $X in a|b) id ;; (*) id ;; esac", "case", "`case`"),
        ("{ X=$(id); }", "{", "`{`"),
        ("( X=$(id) )", "(", "a subshell `( )`"),
        ("(( X = 1 ))", "(( X = 1 ))", "arithmetic `(( X = 1 ))`"),
        ("f() { X=$(id); }", "f", "function `f`"),
        ("function f { X=$(id); }", "function f", "function `function f`"),
        ("[[ $X == a ]] && Y=$(id)", "[[", "command `[[`"),
        ("cat a", "a", "`cat` of `a`"),
        ("cat > $X", "cat > $X", "command `cat > $X`"),
        ("cat << E\na\nE", "<< E", "a here-document without `> $X`"),
        ("cat << E > /tmp/a b\n`a`\nE", "/tmp/a", "`cat` into `/tmp/a`"),
        ("cat << E > $X.yaml\na\nE", "$X.yaml", "`cat` into `$X.yaml`"),
        ("cat << E $A > $X\na\nE", "<< E $A > $X", "a here-document for a `cat` that reads files"),
        ("tee $X << E\n$(id)\nE", "tee", "command `tee`"),
        ("X=1 << E\na\nE", "<< E", "a here-document for this command"),
        ("X=$(mktemp)", "$(mktemp)", "`$(mktemp)` that no here-document fills"),
        ("X=a; cat << E > $X\na\nE", "$X", "a file `$X` that is no `$(mktemp)`"),
        ("cat << E > $X\na\nE", "$X", "a file `$X` that is no `$(mktemp)`"),
    ];
    for (text, place, construct) in cases {
        refused(text, place, construct);
    }
    let fill = "X=$(mktemp)\ncat << E > $X\na\nE\n";
    let itself = "5: $X: `cat` of `$X` into itself is not part of the scenario language";
    assert_eq!(errors(&format!("{fill}cat $X >> $X")), [itself]);
    let early = "1: $Y: `cat` of `$Y` before something fills it is not part of the scenario language";
    assert_eq!(errors("X=$(mktemp) Y=$(mktemp); cat $Y > $X")[2], early);
    let nested = format!("X={}a{}", "${A:-".repeat(21), "}".repeat(21));
    assert_eq!(errors(&nested).len(), 1);
    assert_eq!(value(&format!("X={}a{}", "${A:-".repeat(20), "}".repeat(20)), "X"), "a");
}

#[test]
fn paths_of_documents_cannot_be_part_of_a_text() {
    let fill = "D=$(mktemp)\ncat << E > $D\na\nE\n";
    for (line, place) in [("X=a$D", "$D"), ("X=${D}b", "${D}"), ("X=$D$D", "$D"), ("X=\"${A:-<$D>}\"", "$D")] {
        let found = errors(&format!("{fill}{line}"));
        let expected = format!(
            "5: {place}: the path of a temporary file (`$D`) inside a text is not part of the scenario language"
        );
        assert!(found.iter().all(|e| *e == expected) && !found.is_empty(), "{found:?}");
    }
    let found = errors(&format!("{fill}X=$(mktemp)\ncat << E > $X\n$D\nE"));
    assert!(found[0].starts_with("7: $D: the path"), "{found:?}");
}

#[test]
fn what_is_no_shell_either_is_an_error() {
    let cases: [(&str, &str); 17] = [
        ("X='a\nb", "1: ': a single quote is never closed"),
        ("X=\"a\nb", "1: \": a double quote is never closed"),
        ("X=${A:-b", "1: $: a `${` is never closed"),
        ("X=$(id", "1: $: a `$(` is never closed"),
        ("X=`id", "1: `: a quote is never closed"),
        ("X=(a", "1: (: a `(` is never closed"),
        ("X=a(b)", "1: (: unexpected `(`"),
        ("X=a)", "1: ): unexpected `)`"),
        ("X=a;;", "1: ;;: unexpected `;;`"),
        (";", "1: ;: unexpected `;`"),
        ("fi", "1: fi: `fi` without its start"),
        ("A=1; X=$\\\nA", "1: $: a line ends between `$` and what belongs to it"),
        ("A=1 AB=2; X=$A\\\nB", "1: $A: a variable name goes on in the next line"),
        ("cat <<", "1: <<: a here-document without a word that ends it"),
        ("X=$(mktemp)\ncat << E > $X\na\n E\n", "2: << E: a here-document without the line `E` that ends it"),
        ("X=$(mktemp)\ncat << E > $X", "2: << E: a here-document without the line `E` that ends it"),
        ("X=a\0", "1: : a NUL byte cannot be part of a value"),
    ];
    for (text, expected) in cases {
        assert_eq!(errors(text).first().map(String::as_str), Some(expected), "{text:?}");
    }
    let (sources, result) = read("X=$(mktemp)\ncat << E > $X\na\n E\n");
    assert!(render(&sources, &result.unwrap_err().0).contains("line 4 holds it with blanks around it"));
    let (sources, result) = read("export A=\"a\nexport B=\"b\"\n");
    assert!(render(&sources, &result.unwrap_err().0).contains("the quotation that starts in line 1 runs over"));
}

#[test]
fn all_errors_of_a_file_are_reported() {
    let text = "\
A=$(id) B=`id`
if true; then
  echo $(id)
  cat << E > /tmp/a
fi
E
fi
C=1; echo; D=$1
f()
{
  E=$(id)
}
case $A in
  a | b) echo `id` ;;
  *) ( g=$(id) ) ;;
esac
X=$(mktemp)
cat << E > $X
$(id) ${A:
`id`
E
F=1 && G=$(id)
H=$2
";
    let found = errors(text);
    let lines: Vec<&str> = found.iter().filter_map(|e| e.split(':').next()).collect();
    assert_eq!(lines.join(" "), "1 1 2 8 8 9 13 19 19 22 22 23", "{found:#?}");
    assert_eq!(found[2], "2: if: `if` is not part of the scenario language");
}

#[test]
fn unset_variables_are_named_where_they_stand() {
    let text = "A=$B${C}\nX=$(mktemp)\ncat << E > $X\n $D \\$E\nE\n";
    let expected = [
        "1: $B: variable `B` has no value here",
        "1: ${C}: variable `C` has no value here",
        "4: $D: variable `D` has no value here",
    ];
    assert_eq!(errors(text), expected);
    let (_, result) = read("A=$B");
    let hint = "write `${B:-default}`, or `\\$B` if the pod is to expand it";
    assert_eq!(result.unwrap_err().0[0].hint.as_deref(), Some(hint));
}

#[test]
fn lost_values_are_noted() {
    let fill = |text: &str| format!("cat << E > $X\n{text}\nE\n");
    let make = "X=$(mktemp)\n";
    let lost =
        |at: usize, name: &str, first: usize| format!("{at}: `{name}` is set again; the value of line {first} is lost");
    let unmarked = "1: `b` has no effect here: `export` without `=` sets nothing";
    let cases = [
        ("A=1\n\nA=2\nA=3".to_owned(), vec![lost(3, "A", 1), lost(4, "A", 3)]),
        ("A=1\nA=\"1\"".to_owned(), vec![]),
        ("A=1\nA=$A,2".to_owned(), vec![]),
        ("A=1\nexport A".to_owned(), vec![]),
        ("export A=1 b".to_owned(), vec![unmarked.to_owned()]),
        ([make, &fill("a"), &fill("b")].concat(), vec![lost(5, "X", 2)]),
        ([make, &fill("a"), make, &fill("b")].concat(), vec![lost(5, "X", 1)]),
        ([make, &fill("a"), make, &fill("a")].concat(), vec![]),
    ];
    for (text, expected) in cases {
        let (sources, result) = read(&text);
        let line = |d: &Diagnostic| d.span.map_or(0, |s| sources.position(s).line);
        let notes = result.unwrap().notes;
        let shown: Vec<_> = notes.iter().map(|d| format!("{}: {}", line(d), d.problem)).collect();
        assert_eq!(shown, expected, "{text:?}");
    }
}

#[test]
fn sizes_are_limited() {
    let longest = LARGEST_SOURCE - 2;
    assert_eq!(value(&format!("X={}", "a".repeat(longest)), "X").len(), longest);
    let (_, result) = read(&"#".repeat(LARGEST_SOURCE + 1));
    assert!(matches!(result.unwrap_err().0[0].problem, Problem::TooLarge { .. }));

    let alias = "B=$A\n".repeat(10_000);
    let body = "a\n".repeat(50_000);
    let append = "cat $A >> $B\ncat $B >> $A\n".repeat(100);
    let texts = [
        format!("A=aaaaaaaa\n{}", "A=$A$A\n".repeat(100)),
        format!("A={}\n{alias}", "a".repeat(100_000)),
        format!("A=$(mktemp)\ncat << E > $A\n{body}E\n{alias}"),
        format!("A=$(mktemp) B=$(mktemp)\ncat << E > $A\na\nE\n{append}"),
    ];
    for text in texts {
        let found = errors(&text);
        assert_eq!(found.len(), 1, "{:?}", &text[..40]);
        assert!(found[0].ends_with("the expanded scenario is larger than 16777216 bytes"));
    }
    assert_eq!(errors(&"a\n".repeat(1000)).len(), MOST_ERRORS + 1);
}

/// Reading is linear: what is refused or never closed is not read again and again.
#[test]
fn hostile_texts_take_no_longer_than_others() {
    let pieces = [
        "X=$(",
        "X=${A:-",
        "X=\"",
        "X='\n",
        "X=`",
        "(",
        "{ ",
        "if ",
        "cat << E > $X\n",
        "cat <<A ",
        "X=\\\n",
        "\\\n",
        "X=1 ",
        "X=$(mktemp ",
        "X=${A#",
        "\"${A:-'",
        "\"${A:-\"",
        "X=a;",
        "'",
        "export {",
        "export X={,",
        "$A\\\n",
        "f()\n",
        ";",
        "a\n",
        "X=$Y\n",
        "X=1\nX=2\n",
        "X=\r\n",
        "cat $A >> $B\n",
        "\r",
        "export a ",
    ];
    for piece in pieces {
        let text = piece.repeat(LARGEST_SOURCE / 8 / piece.len());
        let started = Instant::now();
        let _ = read(&text);
        let _ = read(&format!("X=$(mktemp)\ncat << E > $X\n{text}\nE\n"));
        let took = started.elapsed();
        assert!(took < Duration::from_secs(10), "{piece:?} took {took:?}");
    }
}

/// Pieces that words are made of, so that random texts are often accepted.
const WORD_PIECES: &[&str] = &[
    "a", "b c", " ", "\t", "\n", "'", "'", "\"", "\"", "\\", "\\\n", "$", "$V", "${V}", "${W}", "${U:-", "${V:-",
    "${W:-", "${W-", "}", "}", "{", "#", "=", "\\$", "\\}", "\\\"", "\\'", "é", "!", "*", ",", "..", "[", "]", "%",
    "-", "\\a", "\r", ":", "/",
];

/// Pieces that statements are made of.
const SCRIPT_PIECES: &[&str] = &[
    "X=",
    "export ",
    "cat ",
    "<< ",
    "<<-",
    "EOF",
    "\n",
    "EOF\n",
    "> $X",
    "$(mktemp)",
    "$(",
    "${",
    ":-",
    "}",
    ")",
    "(",
    "'",
    "\"",
    "\\",
    "`",
    "if ",
    "fi",
    "case ",
    "esac",
    "{ ",
    ";",
    "&&",
    "|",
    "é",
    "\r\n",
    "\r",
    "\t",
    "#",
    "$",
    "[",
    "0",
    ">>",
    "$X",
    "f()",
    "\0",
];

fn random(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(pieces), 0..most).prop_map(|p| p.concat())
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn accepted_words_have_the_value_of_bash(word in random(WORD_PIECES, 12), export: bool) {
        let export = if export { "export " } else { "" };
        let text = format!("V='1  2' W=\n{export}X={word}\n");
        if !text.contains("\r\n") && let (_, Ok(evaluation)) = read(&text) {
            let last = evaluation.assignments.iter().rfind(|a| a.name == "X");
            let found = last.map(|a| a.value.as_str().to_owned());
            prop_assert_eq!(found, Some(bash(&text, "printf %s \"$X\"")), "{:?}", text);
        }
    }

    #[test]
    fn accepted_documents_have_the_text_of_bash(body in random(WORD_PIECES, 12), strip: bool) {
        let dash = if strip { "-" } else { "" };
        let text = format!("V='1  2' W= X=$(mktemp)\ncat <<{dash} E > $X\n{body}\nE\n");
        if !text.contains("\r\n") && let (_, Ok(evaluation)) = read(&text) {
            let last = evaluation.assignments.iter().rfind(|a| a.name == "X");
            let found = last.map(|a| a.value.as_str().to_owned());
            prop_assert_eq!(found, Some(bash(&text, "cat \"$X\"")), "{:?}", text);
        }
    }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn no_text_makes_it_panic(text: String) {
        let _ = read(&text);
    }

    #[test]
    fn errors_of_random_scripts_have_places(text in random(SCRIPT_PIECES, 40)) {
        let (sources, result) = read(&text);
        if let Err(errors) = result {
            prop_assert!(!errors.0.is_empty());
            for d in &errors.0 {
                let span = d.span.unwrap();
                prop_assert!(text.get(span.start..span.end).is_some(), "{:?} {:?}", text, d);
            }
            render(&sources, &errors.0);
        }
    }

    #[test]
    fn single_quotes_keep_every_text(text in "[^\0\r]*") {
        let quoted = format!("X='{}'", text.replace('\'', "'\\''"));
        prop_assert_eq!(value(&quoted, "X"), text);
    }
}
