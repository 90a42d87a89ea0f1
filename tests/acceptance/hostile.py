"""Values that break generators of YAML, shell and templates."""

# Refused everywhere: no string that reaches a process can hold NUL, and kustomize cannot read the others.
UNREADABLE = ["\x7f", "\x80", "\x85", "\x9b", "\x9f", "\ufffe", "\uffff"]
NUL = ["\0", "a\0", "\0a", "a\0b"]

_QUOTES = ["'", '"', "''", '""', "'''", "it's", 'say "x"', "'x'", '"x"', "\"'\"", "'\"'\"'", "a'b\"c", "\\'", '\\"', "'; id; '", '"; id; "']
_LINES = [
    "\n", "\n\n", "a\n", "a\n\n", "a\n\n\n", "\na", "\n\na", "a\nb", "a\nb\n", "a\n\nb", " a\nb", "a\n b", "  a\n b\n", "a \nb", "a\n ",
    "a\n\tb", "\n a", "a\nb\n ", "a\n---\nb", "---", "--- a", "...", "a\n...\nb", "a\nEOF\nb", "# a\nb", "- a\n- b", "k: v\nl: w\n",
]
_BLANKS = [" ", "  ", " a", "a ", "  a  ", "\t", "\ta", "a\t", "a\tb", " \t ", "a  b", "a\t\tb"]
_CR = ["\r", "a\r", "\ra", "a\rb", "\r\n", "a\r\n", "a\r\nb", "a\r\nb\r\n", "\r\na", "a\n\rb"]
_YAML = [
    "#", "# x", "x # y", "x #", " # x", "x#y", ":", ": ", "a: b", "a:", "a :b", "::", "-", "- ", "- x", "- - x", "?", "? x", "a ? b",
    "&", "&x", "& x", "a & b", "*", "*x", "**", "a *b", "!", "!x", "!!str x", "!!binary x", "%", "%YAML 1.1", "%x", "@", "@x", "`", "`x`", "|", "| ", "|-\n x",
    ">", ">-", "[", "]", "[]", "[a, b]", "{", "}", "{}", "{a: b}", "{a", ",", "a, b", "<<: *x", "k: &a v",
]
_TEMPLATES = [
    "{{ }}", "{{ x }}", "{{x}}", "{{ s.namespace }}", "{{", "}}", "{% %}", "{% if x %}", "{% raw %}", "{%", "%}", "{# #}", "{# x #}", "{#", "#}",
    "{{ \"x\" }}", "{{- x -}}", "{{ 7*7 }}", "<% x %>", "${{ x }}",
]
_SHELL = [
    "$", "$x", "$HOME", "${HOME}", "${HOME:-x}", "$(id)", "$(id -un)", "a$(id)b", "$((1+1))", "`id`", "a`id`b", "$$", "a$$b", "$$(id)", "$1", "$@", "$'x'",
    "~", "~root", "&&", "a && b", "||", "a | b", ";", "a; b", "(", ")", "(id)", "<", "> x", "a > /dev/null", "<<EOF", "!!", "{a,b}", "[a-z]", "a=b", "if", "exit 3",
    "\\", "\\\\", "a\\", "\\n", "\\x41", "\\u0041", "a\\\nb", "%s", "%d%n", "^", "a^b", "-n", "--", "--port", "a____b", "REPLACE", "++++default=", "____",
]
_TRAPS = [
    "on", "off", "yes", "no", "y", "n", "Y", "N", "true", "false", "True", "FALSE", "012", "0o17", "1e3", "1E3", "+1", "-1", "0", "00", "1_000", "0x1f", "0b1",
    "1:30", "190:20:30", "2024-01-01", "2024-01-01T00:00:00Z", "null", "Null", "NULL", ".5", "5.", ".inf", "-.inf", ".nan", ".NaN", "=", "<<", "1.10", "1.0", "12e03", "auto", "NA", "latest",
]
_UNICODE = [
    "ä", "日本語", "😀", "a😀b", "\U0010fffd", "\u05d0\u05d1", "\u202eabc\u202c", "\u200b", "\u200d", "\ufeff", "\ufeffa", "a\ufeff", "\u2028", "a\u2028b", "a\u2028", "\u2029", "a\u2029b", "\u00a0", "a\u00a0", "\u00a0a", "\u3000a\u3000", "e\u0301", "\ufffd", "\ue000", "\x1b[31m", "\x01", "\x07\x08", "\x0b", "\x0c", "a\x1f",
]
_LONG = ["x" * 65536, "a b " * 16384, "'\"" * 32768, "x\n" * 32768, "ä" * 32768, "y" * 5000 + "\n" + "z" * 5000]

# 64 KiB as an argument is within the limits of an operating system; more is not.
VALUES = [""] + _QUOTES + _LINES + _BLANKS + _CR + _YAML + _TEMPLATES + _SHELL + _TRAPS + _UNICODE + _LONG
assert len(VALUES) == len(set(VALUES)) >= 200, len(VALUES)


def shown(value):
    """A value for a message."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:50]}… ({len(value)} characters)"
