//! Properties that hold for every input, not only for the ones somebody thought of.

use llmdbench::plan::names;
use llmdbench::plan::script;
use llmdbench::source::Sources;
use llmdbench::tree::{Map, Value};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

/// Texts that YAML and shells have trouble with, and any other.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        "[ \\t\\n\"'#:{}\\[\\]&*!|>%@`$\\\\,?~=<-]{0,20}",
        "(y|n|yes|no|on|off|null|true|0x1f|1_000|012|1e3|1:30|2024-01-01|\\.5|\\.inf|~|=|<<|---|- a|a: b|a #b)",
        "([ a-z#]{0,8}\n){0,6}[ a-z]{0,4}",
    ]
    .prop_filter("characters that kustomize loses are refused before this", |s| {
        !s.chars().any(|c| matches!(c, '\0' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}'))
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::vec((text(), inner), 0..5)
                .prop_map(|pairs| Value::Map(pairs.into_iter().collect::<Map>())),
        ]
    })
}

fn read_back(text: &str) -> Value {
    let mut sources = Sources::default();
    let id = sources.add("t.yaml", text);
    let node = llmdbench::yaml::parse(&sources, id).unwrap_or_else(|d| panic!("{}", d.render(&sources, false)));
    Value::from_node(&node)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_written_as_yaml_is_read_back(value in value()) {
        let map = Value::from([("key", value)]);
        let text = map.to_yaml();
        prop_assert_eq!(read_back(&text), map.clone());
        // A reader of another family agrees.
        let theirs: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        let ours: serde_yaml::Value = serde_yaml::to_value(&map).unwrap();
        prop_assert_eq!(theirs, ours);
    }

    #[test]
    fn json_is_yaml(value in value()) {
        let map = Value::from([("key", value)]);
        prop_assert_eq!(read_back(&map.to_json_line()), map);
    }

    #[test]
    fn labels_are_names_and_differ(a in "[A-Za-z0-9._/-]{1,80}", b in "[A-Za-z0-9._/-]{1,80}") {
        let (x, y) = (names::label(&a), names::label(&b));
        prop_assert!(x.len() <= 49 && llmdbench::check::names::dns_label(&x).is_ok(), "{}", x);
        prop_assert_eq!(a == b, x == y);
    }

    #[test]
    fn what_does_not_fit_keeps_its_length_and_stays_itself(name in "[a-z0-9]([a-z0-9-]{0,100}[a-z0-9])?", longest in 20usize..63) {
        let fitted = names::fit(&name, longest);
        prop_assert!(fitted.len() <= longest && llmdbench::check::names::dns_label(&fitted).is_ok(), "{}", fitted);
        prop_assert_eq!(name.len() <= longest, fitted == name);
    }
}

#[test]
fn a_quoted_word_is_one_word_to_bash() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let words: Vec<String> = (0..300).map(|_| text().new_tree(&mut runner).unwrap().current()).collect();
    let script = words.iter().map(|w| script::quote(w)).collect::<Vec<_>>().join(" ");
    let out = std::process::Command::new("bash")
        .args(["-c", &format!("printf '%s\\0' {script}")])
        .output()
        .expect("bash runs");
    let got: Vec<&str> = std::str::from_utf8(&out.stdout).unwrap().split_terminator('\0').collect();
    assert_eq!(got, words);
}
