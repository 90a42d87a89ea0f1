//! What holds for every value, whatever is in it.

use llmdbench::check::names::{dns_label, dns_subdomain};
use llmdbench::plan::names::{fit, label};
use llmdbench::plan::script::quote;
use llmdbench::source::Sources;
use llmdbench::tree::{Map, Value};
use llmdbench::yaml;
use proptest::collection::{hash_set, vec};
use proptest::prelude::*;
use std::process::Command;

/// Pieces that mean something to YAML 1.1, YAML 1.2, JSON, a shell or a template.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "", " ", "  ", "\n", "\n\n", "\t", "\r", "\r\n", "#", " # x", ":", ": ", "- ", "-", "? ", "?", "{", "}", "[", "]", ",", "&", "&x", "*", "*x", "!", "!!str ", "%",
    "@", "`", "|", "|-\n", ">", "'", "\"", "\\", "\\n", "\\\n", "{{ x }}", "{% x %}", "{# x #}", "$", "$$", "$(id)", "${HOME}", "~", "---", "...", "\n---\n", "\n...\n", "<<",
    "=", "on", "no", "y", "null", "true", "0x1f", "012", "0o17", "1_000", "1e3", ".5", ".inf", ".nan", "1:30", "2024-01-01", "\0", "\u{1}", "\u{7f}", "\u{85}", "\u{9b}",
    "\u{a0}", "\u{2028}", "\u{2029}", "\u{feff}", "\u{fffd}", "\u{fffe}", "\u{ffff}", "\u{202e}", "é", "日本", "😀", "\u{10ffff}", "a", "b ", " c", "EOF",
];

/// Any text: of the pieces above, of any characters, or long.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => vec(prop::sample::select(PIECES), 0..6).prop_map(|p| p.concat()),
        3 => vec(any::<char>(), 0..12).prop_map(String::from_iter),
        1 => (prop::sample::select(PIECES), 1..3000usize).prop_map(|(p, n)| p.repeat(n)),
    ]
}

/// A key. YAML takes none of more than 1024 characters, escapes included, and no setting has one.
fn key() -> impl Strategy<Value = String> {
    text().prop_map(|t| t.chars().take(160).collect())
}

/// Any tree of mappings, lists and texts.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![8 => text().prop_map(Value::from), 1 => any::<bool>().prop_map(Value::from), 1 => any::<u32>().prop_map(Value::from), 1 => Just(Value::Null)];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::List),
            vec((key(), inner), 0..5).prop_map(|entries| Value::Map(entries.into_iter().collect::<Map>())),
        ]
    })
}

fn read_back(text: &str) -> Value {
    let mut sources = Sources::default();
    let id = sources.add("test", text);
    match yaml::parse(&sources, id) {
        Ok(node) => Value::from_node(&node),
        Err(d) => panic!("{}\nin {text:?}", d.render(&sources, false)),
    }
}

/// The same value for another library.
fn theirs(value: &Value) -> serde_yaml::Value {
    match value {
        Value::Null => serde_yaml::Value::Null,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => n.parse::<u64>().expect("a whole number").into(),
        Value::String(s) => s.as_str().into(),
        Value::List(l) => serde_yaml::Value::Sequence(l.iter().map(theirs).collect()),
        Value::Map(m) => serde_yaml::Value::Mapping(m.iter().map(|(k, v)| (k.as_str().into(), theirs(v))).collect()),
    }
}

/// A reader takes an empty document for an empty mapping, so values are read inside one.
fn in_a_mapping(value: Value) -> Value {
    Value::from([("value", value)])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_as_yaml_is_read_back(value in tree()) {
        let value = in_a_mapping(value);
        let text = value.to_yaml();
        prop_assert_eq!(read_back(&text), value);
    }

    #[test]
    fn another_library_reads_the_same(value in tree()) {
        let value = in_a_mapping(value);
        let text = value.to_yaml();
        let read = serde_yaml::from_str::<serde_yaml::Value>(&text);
        prop_assert!(read.is_ok(), "{:?} of {text:?}", read);
        prop_assert_eq!(read.unwrap(), theirs(&value));
    }

    #[test]
    fn json_is_read_back_as_json_and_as_yaml(value in tree()) {
        let value = in_a_mapping(value);
        let text = value.to_json();
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), serde_json::to_value(theirs(&value)).unwrap());
        if !text.contains(['\u{7f}', '\u{fffe}', '\u{ffff}']) && !text.chars().any(|c| ('\u{80}'..='\u{9f}').contains(&c)) {
            prop_assert_eq!(read_back(&text), value);
        }
    }

    #[test]
    fn json_in_one_line_is_read_back_by_every_reader(value in tree()) {
        let value = in_a_mapping(value);
        let text = value.to_json_line();
        prop_assert!(!text.contains('\n'));
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), serde_json::to_value(theirs(&value)).unwrap());
        prop_assert_eq!(read_back(&text), value);
    }

    #[test]
    fn a_list_of_texts_keeps_each(values in vec(text(), 0..20)) {
        let value = Value::from(values);
        prop_assert_eq!(read_back(&in_a_mapping(value.clone()).to_yaml()), in_a_mapping(value));
    }

    #[test]
    fn labels_are_valid_names(model in model()) {
        let label = label(&model);
        prop_assert!(dns_label(&label).is_ok(), "{label}");
        prop_assert!(label.starts_with(|c: char| c.is_ascii_lowercase()), "{label}");
        // Room for what names put before and after it.
        prop_assert!(label.len() <= 52, "{label}");
    }

    #[test]
    fn labels_of_different_models_differ(models in hash_set(model(), 2..12)) {
        let labels: std::collections::HashSet<_> = models.iter().map(|m| label(m)).collect();
        prop_assert_eq!(labels.len(), models.len());
    }

    #[test]
    fn a_cut_name_is_valid_and_tells_its_original(name in "[a-z]([a-z0-9]|[.-][a-z0-9]){0,100}", longest in 20..63usize) {
        let cut = fit(&name, longest);
        prop_assert!(cut.len() <= longest);
        prop_assert!(dns_subdomain(&cut).is_ok(), "{cut}");
        prop_assert_eq!(cut == name, name.len() <= longest);
        let other = format!("{name}x");
        prop_assert!(fit(&other, longest) != cut || other == name);
    }
}

/// Names as a hub has them, and names as nobody should have them; near ones among them.
fn model() -> impl Strategy<Value = String> {
    let part = "[A-Za-z0-9]([A-Za-z0-9._-]{0,95})?";
    prop_oneof![
        part.prop_map(String::from),
        (part, part).prop_map(|(a, b)| format!("{a}/{b}")),
        (part, part, part).prop_map(|(a, b, c)| format!("{a}/{b}:{c}")),
        ("[ab]", "[ab._-]{1,4}").prop_map(|(a, b)| format!("{a}/{b}")),
        text(),
    ]
}

proptest! {
    // Each case is one shell.
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_quoted_word_is_one_word_to_a_shell(words in vec(text().prop_map(|t| t.replace('\0', "")), 1..50)) {
        prop_assume!(words.iter().map(String::len).sum::<usize>() < 50_000);
        let script = format!("printf '%s\\0' {}", words.iter().map(|w| quote(w)).collect::<Vec<_>>().join(" "));
        let output = Command::new("bash").args(["-c", &script]).output().expect("bash runs");
        prop_assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let read = String::from_utf8(output.stdout).expect("the words are text");
        let read: Vec<&str> = read.split_terminator('\0').collect();
        prop_assert_eq!(read, words);
    }
}
