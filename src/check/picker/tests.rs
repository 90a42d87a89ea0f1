use super::*;
use crate::source::Sources;
use crate::yaml;

const GOOD: &str = r#"
apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
  - type: queue-scorer
  - type: low-queue-filter
  - type: decision-tree-filter
    name: tree
    parameters:
      current: {pluginRef: low-queue-filter}
      nextOnSuccess:
        decisionTree:
          current: {pluginRef: low-queue-filter}
  - type: max-score-picker
schedulingProfiles:
  - name: default
    plugins:
      - pluginRef: tree
      - {pluginRef: queue-scorer, weight: 1.5}
      - pluginRef: max-score-picker
"#;

/// The errors of a configuration, each with the text that it points at.
fn errors(text: &str) -> Vec<(Problem, String)> {
    let mut sources = Sources::default();
    let id = sources.add("picker.yaml", text);
    let node = yaml::parse(&sources, id).unwrap();
    let Err(errors) = check(&node) else { return Vec::new() };
    for d in &errors.0 {
        assert!(d.render(&sources, false).contains("picker.yaml"), "{d:?}");
    }
    errors.0.into_iter().map(|d| (d.problem, d.span.map_or("", |s| &text[s.start..s.end]).to_owned())).collect()
}

/// The one error of the good configuration after a replacement.
fn error(from: &str, to: &str) -> (Problem, String) {
    assert!(GOOD.contains(from), "{from}");
    let mut all = errors(&GOOD.replacen(from, to, 1));
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn unknown(what: &'static str, name: &str, nearest: Option<&str>) -> (Problem, String) {
    (Problem::UnknownWord { what, name: name.into(), nearest: nearest.map(Into::into) }, name.into())
}

fn wrong(setting: &str, expected: &str, found: &str, span: &str) -> (Problem, String) {
    let problem = Problem::WrongValue { setting: setting.into(), expected: expected.into(), found: found.into() };
    (problem, span.into())
}

#[test]
fn every_shipped_preset_passes() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/presets");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# "), "{} does not say what it does", path.display());
        assert_eq!(errors(&text), [], "{}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 13);
}

#[test]
fn a_good_configuration_passes() {
    assert_eq!(errors(GOOD), []);
}

#[test]
fn a_misspelt_type_is_one_error_with_the_nearest() {
    // Once, although a profile refers to it by the right name.
    assert_eq!(
        error("type: queue-scorer", "type: queu-scorer"),
        unknown("plugin type", "queu-scorer", Some("queue-scorer"))
    );
    let far = GOOD.replace("queue-scorer", "carbon-scorer");
    assert_eq!(errors(&far), [unknown("plugin type", "carbon-scorer", None)]);
}

#[test]
fn a_reference_resolves_to_a_declared_plugin() {
    assert_eq!(error("pluginRef: tree", "pluginRef: tre"), unknown("plugin", "tre", Some("tree")));
    // A plugin with a name does not answer to its type.
    assert_eq!(
        error("pluginRef: tree", "pluginRef: decision-tree-filter"),
        unknown("plugin", "decision-tree-filter", None)
    );
    assert_eq!(
        error("          current: {pluginRef: low-queue-filter}", "          current: {pluginRef: least-filter}"),
        unknown("plugin", "least-filter", None)
    );
    assert_eq!(error("pluginRef: tree", "pluginRef: 1").1, "1");
    assert_eq!(
        error("type: queue-scorer\n", "type: queue-scorer\n    parameters: {deciderPluginName: x}\n"),
        unknown("plugin", "x", None)
    );
}

#[test]
fn a_decision_tree_is_well_formed() {
    let (problem, span) = error("current: {pluginRef: low-queue-filter}", "current: {pluginRef: max-score-picker}");
    assert!(matches!(problem, Problem::Conflict { .. }), "{problem:?}");
    assert_eq!(span, "max-score-picker");
    assert_eq!(error("nextOnSuccess:", "nextOnSucess:"), unknown("key", "nextOnSucess", Some("nextOnSuccess")));
    assert_eq!(
        error("current: {pluginRef: low-queue-filter}", "current: {}"),
        wrong("plugins[2].parameters.current", "either `pluginRef` or `decisionTree`", "none of them", "{}")
    );
}

#[test]
fn a_name_is_given_once() {
    let (problem, span) = error("- type: max-score-picker", "- type: max-score-picker\n  - type: queue-scorer");
    assert_eq!(problem, Problem::Conflict { message: "the plugin name `queue-scorer` is taken by one before".into() });
    assert_eq!(span, "queue-scorer");
    let twice = GOOD
        .replace("schedulingProfiles:\n", "schedulingProfiles:\n  - {name: default, plugins: [{pluginRef: tree}]}\n");
    let all = errors(&twice);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0].1, "default");
}

#[test]
fn the_api_version_is_one_of_two() {
    let expected = "`inference.networking.x-k8s.io/v1alpha1` or `llm-d.ai/v1alpha1`";
    assert_eq!(
        error("inference.networking.x-k8s.io/v1alpha1", "llm-d.ai/v1alpha2"),
        wrong("apiVersion", expected, "`llm-d.ai/v1alpha2`", "llm-d.ai/v1alpha2")
    );
    assert_eq!(
        error("apiVersion: inference.networking.x-k8s.io/v1alpha1\n", ""),
        wrong("apiVersion", expected, "nothing", "kind")
    );
    assert_eq!(errors(&GOOD.replace("inference.networking.x-k8s.io/v1alpha1", "llm-d.ai/v1alpha1")), []);
}

#[test]
fn keys_and_their_types_are_known() {
    assert_eq!(error("weight:", "wieght:"), unknown("key", "wieght", Some("weight")));
    assert_eq!(
        error("schedulingProfiles:", "metadata: {name: x}\nschedulingProfiles:"),
        unknown("key", "metadata", None)
    );
    assert_eq!(
        error("weight: 1.5", "weight: \"1.5\""),
        wrong("schedulingProfiles[0].plugins[1].weight", "a number", "`1.5`", "\"1.5\"")
    );
    assert_eq!(error("type: max-score-picker", "name: max-score-picker").1, "name");
}

#[test]
fn sections_of_later_versions_pass() {
    let later = "
featureGates: [flowControl, haPopulateNonLeaderDatastore=false]
saturationDetector: {queueDepthThreshold: 5, kvCacheUtilThreshold: 0.8, metricsStalenessThreshold: 200ms}
dataLayer:
  injectDefaults: true
  sources:
    - pluginRef: queue-scorer
      extractors: [{pluginRef: queue-scorer}]
flowControl:
  maxBytes: 1Gi
  defaultRequestTTL: 1m30s
  priorityBands: [{priority: -1, maxRequests: 100, orderingPolicyRef: fcfs-ordering-policy}]
  saturationDetector: {pluginRef: utilization-detector}
requestHandler:
  parsers: [{pluginRef: openai-parser}]
";
    assert_eq!(errors(&format!("{GOOD}{later}")), []);
    let text = format!("{GOOD}featureGates: [flowcontrol]\nflowControl: {{maxBytes: 1GB, defaultRequestTTL: 90}}\n");
    let spans: Vec<String> = errors(&text).into_iter().map(|(_, span)| span).collect();
    assert_eq!(spans, ["flowcontrol", "1GB", "90"]);
}

#[test]
fn all_errors_are_reported_in_the_order_of_the_text() {
    let text = "kind: Picker\nplugins:\n  - type: x\n    nam: y\n  - {}\nprofiles: []\n";
    let spans: Vec<String> = errors(text).into_iter().map(|(_, span)| span).collect();
    assert_eq!(spans, ["kind", "Picker", "x", "nam", "{}", "profiles"]);
    assert_eq!(errors("[a]").len(), 1);
    assert_eq!(errors("").len(), 3);
}

#[test]
fn the_api_version_is_rewritten_for_its_reader() {
    let old = Value::from([("kind", "EndpointPickerConfig"), ("apiVersion", Api::Gaie.version())]);
    let new = with_api_version(old.clone(), Api::Router);
    assert_eq!(new.to_yaml(), "kind: EndpointPickerConfig\napiVersion: llm-d.ai/v1alpha1\n");
    assert_eq!(with_api_version(new, Api::Gaie), old);
    let bare = with_api_version(Value::from([("kind", "EndpointPickerConfig")]), Api::Gaie);
    assert!(bare.to_yaml().starts_with("apiVersion: inference.networking.x-k8s.io/v1alpha1\n"));
}
