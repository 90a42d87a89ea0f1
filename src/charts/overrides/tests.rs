use super::*;

fn yaml(text: &str) -> Map {
    let mut sources = crate::source::Sources::default();
    let id = sources.add("test", text);
    match Value::from_node(&crate::yaml::parse(&sources, id).unwrap()) {
        Value::Map(map) => map,
        _ => panic!("no mapping"),
    }
}

const OLD: Version = Version(0, 2, 7);
const NEW: Version = Version(0, 4, 12);

fn messages(version: Version, text: &str) -> Vec<String> {
    let overrides = Overrides { values: yaml(text), sets: Vec::new() };
    overrides.refused(version, false).into_iter().map(|(p, problem, hint)| format!("{p}: {problem} {hint:?}")).collect()
}

#[test]
fn mappings_are_merged_lists_replaced_and_null_removes() {
    let base = yaml("a: {b: 1, c: 2}\nl: [1, 2]\nd: x");
    let sets = vec![(Path(vec![Step::Key("l".into()), Step::Index(1)]), Value::from("z"))];
    let overrides = Overrides { values: yaml("a: {b: 3}\nl: [4]\nd: null"), sets };
    assert_eq!(overrides.apply(Value::Map(base)).unwrap(), Value::Map(yaml("a: {b: 3, c: 2}\nl: [4, z]")));
}

#[test]
fn a_path_through_a_text_is_refused() {
    let sets = vec![(Path(vec![Step::Key("a".into()), Step::Key("b".into())]), Value::from("z"))];
    assert!(Overrides { values: Map::new(), sets }.apply(Value::Map(yaml("a: text"))).is_err());
}

#[test]
fn keys_follow_the_version_of_the_chart() {
    assert!(
        messages(
            NEW,
            "decode: {priorityClassName: high, containers: [{workingDir: /x, extraConfig: {any: {thing: 1}}}]}"
        )
        .is_empty()
    );
    let old = messages(OLD, "decode: {priorityClassName: high}");
    assert!(old.len() == 1 && old[0].contains("decode.priorityClassName") && old[0].contains("v0.4.8"), "{old:?}");
    let typo = messages(NEW, "prefill: {tolerationz: []}");
    assert!(typo.len() == 1 && typo[0].contains("prefill.tolerations"), "{typo:?}");
    assert!(messages(NEW, "decode: {subGroupPolicy: {}}")[0].contains("multinode"));
    assert!(messages(NEW, "decode: text")[0].contains("mapping"));
}

#[test]
fn what_the_bundle_depends_on_is_not_overridden() {
    let all = messages(NEW, "modelArtifacts: {labels: {a: b}}\nrouting: {servicePort: 1}");
    assert!(all.len() == 2 && all[1].contains("vllm.port"), "{all:?}");
}

#[test]
fn images_have_a_version() {
    let image = |image: &str| messages(NEW, &format!("requester: {{image: '{image}'}}")).len();
    assert_eq!([image("a/b:latest"), image("a/b"), image("a:5000/b:v1"), image("a/b@sha256:00")], [1, 1, 0, 0]);
}
