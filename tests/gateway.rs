//! What stands before the model servers: presets, routes, names, what is asked for and cannot be had.

use camino::Utf8Path;
use llmdbench::compile::{Compilation, Options, compile};
use llmdbench::scenario::World;
use llmdbench::settings::resolve::Inputs;
use llmdbench::source::Sources;
use llmdbench::tree::Value;

struct NoFiles;
impl World for NoFiles {
    fn read(&self, _: &Utf8Path) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

fn result(edition: &str, sets: &[&str]) -> Result<Compilation, String> {
    let sets = ["methods=modelservice", "images.modelServer.tag=v1.0.0"].iter().chain(sets);
    let sets = sets.map(|s| (*s).to_owned()).collect();
    let inputs = Inputs { edition: Some(edition.into()), sets, ..Inputs::default() };
    let mut sources = Sources::default();
    let text = |e: llmdbench::error::Errors, s: &Sources| e.0.iter().map(|d| d.render(s, false)).collect();
    compile(&inputs, Options::default(), &NoFiles, &mut sources).map_err(|e| text(e, &sources))
}

fn compiled(edition: &str, sets: &[&str]) -> Compilation {
    result(edition, sets).unwrap_or_else(|e| panic!("{sets:?}: {e}"))
}

fn refused(edition: &str, sets: &[&str]) -> String {
    result(edition, sets).err().unwrap_or_else(|| panic!("{sets:?} is accepted"))
}

fn values<'c>(c: &'c Compilation, ending: &str) -> &'c Value {
    &c.bundle.releases.iter().find(|r| r.name.ends_with(ending)).unwrap().values
}

fn notes(c: &Compilation) -> String {
    c.notes.iter().map(|n| n.problem.to_string() + "\n").collect()
}

const MINE: &str = "endpointPicker.customPlugins={balanced.yaml: {apiVersion: llm-d.ai/v1alpha1, kind: EndpointPickerConfig, plugins: [{type: precise-prefix-cache-scorer, parameters: {indexerConfig: {tokenizersPoolConfig: {modelName: '${model.name}'}}, tokenProcessorConfig: {blockSize: '${vllm.blockSize}'}}}]}}";

#[test]
fn a_configuration_of_the_scenario_goes_before_a_preset_of_its_name() {
    let c = compiled("2026-11", &["endpointPicker.preset=balanced", MINE, "models=[org/a]"]);
    let extension = values(&c, "-gaie").get("inferenceExtension").unwrap();
    assert_eq!(extension.get("pluginsConfigFile"), Some(&"balanced.yaml".into()), "a file keeps its name");
    let config = extension.at(&["pluginsCustomConfig", "balanced.yaml"]).and_then(Value::as_str).unwrap();
    assert!(config.contains("precise-prefix-cache-scorer") && config.contains("modelName: org/a"), "{config}");
    assert!(config.contains("blockSize: 64"), "a reference to a number is a number: {config}");
}

#[test]
fn a_file_with_the_name_of_the_charts_own_gets_another() {
    let theirs = MINE.replace("balanced.yaml", "default-plugins.yaml");
    let c = compiled("2026-11", &["endpointPicker.preset=default-plugins", &theirs]);
    let extension = values(&c, "-gaie").get("inferenceExtension").unwrap();
    assert_eq!(extension.get("pluginsConfigFile"), Some(&"plugins.yaml".into()));
    assert!(extension.at(&["pluginsCustomConfig", "plugins.yaml"]).is_some());
}

#[test]
fn the_charts_own_plugins_are_no_file_of_ours() {
    let c = compiled("2026-03", &[]);
    let extension = values(&c, "-gaie").get("inferenceExtension").unwrap();
    assert_eq!(extension.get("pluginsConfigFile"), Some(&"default-plugins.yaml".into()));
    assert_eq!(extension.get("pluginsCustomConfig"), None);
}

#[test]
fn plugins_that_the_picker_lacks_name_the_versions_that_have_them() {
    let error = refused("2026-03", &["endpointPicker.preset=default"]);
    assert!(error.contains("v0.6.0` has no plugin `low-queue-filter`") && error.contains("v0.2.1"), "{error}");
    let unknown = refused("2026-03", &["endpointPicker.preset=balancd"]);
    assert!(unknown.contains("did you mean `balanced`?") && unknown.contains("pd-config"), "{unknown}");
}

#[test]
fn a_preset_stands_for_the_charts_own_plugins_where_the_picker_is_older() {
    let c = compiled("2026-03", &["charts.inferencePool.version=v1.5.0"]);
    let told = notes(&c);
    assert!(told.contains("no plugin `core-metrics-extractor`") && told.contains("preset `balanced`"), "{told}");
    let extension = values(&c, "-gaie").get("inferenceExtension").unwrap();
    let config = extension.at(&["pluginsCustomConfig", "plugins.yaml"]).and_then(Value::as_str).unwrap();
    assert!(!config.contains("core-metrics-extractor") && config.contains("scorer"), "{config}");
    let oldest = notes(&compiled("2026-03", &["images.endpointPicker.tag=v0.2.1"]));
    assert!(oldest.contains("v0.2.1` has no plugin") && oldest.contains("preset `default`"), "{oldest}");
}

#[test]
fn flags_that_the_chart_writes_or_breaks_on_are_refused() {
    let taken = refused("2026-03", &["endpointPicker.flags={pool-name: x}"]);
    assert!(taken.contains("writes the flag `--pool-name` itself"), "{taken}");
    let quote = refused("2026-03", &["endpointPicker.flags={a: 'x\"y'}"]);
    assert!(quote.contains("breaks on"), "{quote}");
    let c = compiled("2026-03", &["endpointPicker.flags={v: 4}"]);
    let flags = values(&c, "-gaie").at(&["inferenceExtension", "flags"]).unwrap();
    assert_eq!(flags, &Value::from([("v", "4")]), "a flag goes before the verbosity");
}

#[test]
fn autoscaling_is_refused_when_it_is_on_and_noted_when_it_is_off() {
    let on = refused("2026-03", &["LLMDBENCH_WVA_ENABLED=true"]);
    assert!(on.contains("`LLMDBENCH_WVA_ENABLED` is on") && on.contains("not supported"), "{on}");
    assert!(notes(&compiled("2026-03", &["LLMDBENCH_WVA_ENABLED=0"])).contains("LLMDBENCH_WVA_ENABLED"));
    assert!(notes(&compiled("2026-03", &["LLMDBENCH_WVA_HPA_MAX_REPLICAS=3"])).contains("WVA_HPA_MAX_REPLICAS"));
}

#[test]
fn names_of_the_deployer_work_in_the_edition_that_had_them() {
    let c = compiled("2025-08", &["LLMDBENCH_VLLM_DEPLOYER_DECODE_REPLICAS=3"]);
    assert_eq!(values(&c, "-ms").at(&["decode", "replicas"]), Some(&Value::from(3u32)));
    let later = refused("2026-03", &["LLMDBENCH_VLLM_DEPLOYER_DECODE_REPLICAS=3"]);
    assert!(later.contains("2025-08"), "{later}");
}

#[test]
fn routes_of_several_models_do_not_collide() {
    let c = compiled("2026-11", &["models=[org/a, 'org/b:Tiny']"]);
    let routes: Vec<&Value> = c
        .bundle
        .manifests
        .iter()
        .map(|m| &m.object.value)
        .filter(|v| v.get("kind") == Some(&"HTTPRoute".into()))
        .collect();
    assert_eq!(routes.len(), 2);
    let matches: Vec<String> = routes
        .iter()
        .flat_map(|r| r.at(&["spec", "rules"]).unwrap().items())
        .map(|rule| rule.get("matches").unwrap().to_yaml())
        .collect();
    let distinct: std::collections::HashSet<&String> = matches.iter().collect();
    assert_eq!((matches.len(), distinct.len()), (4, 4), "{matches:?}");
    let names: std::collections::HashSet<&str> = c.bundle.releases.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names.len(), c.bundle.releases.len());
    let same = refused("2026-11", &["models=[org/A, org/a]"]);
    assert!(same.contains("two models would be behind the path `/org/a/`"), "{same}");
}

#[test]
fn long_names_stay_names_of_releases_and_services() {
    let release = format!("release={}", "r".repeat(40));
    let c = compiled("2026-11", &[&release, "gateway.className=istio"]);
    assert!(c.bundle.releases.iter().all(|r| r.name.len() <= 53));
    let gateway = &c.plan.llmd.as_ref().unwrap().gateway;
    assert!(gateway.len() + "-istio".len() <= 63);
    let infra = values(&c, &"r".repeat(40));
    assert_eq!(infra.at(&["gateway", "fullnameOverride"]).and_then(Value::as_str), Some(gateway.as_str()));
    let error = refused("2026-11", &[&format!("release={}", "r".repeat(54))]);
    assert!(error.contains("it has 54 characters"), "{error}");
}

#[test]
fn what_a_cluster_must_have_is_named_with_its_version() {
    let c =
        compiled("2026-03", &["LLMDBENCH_GATEWAY_PROVIDER_ISTIO_CHART_VERSION=1.28.0", "modelservice.multinode=true"]);
    let all = &c.plan.llmd.as_ref().unwrap().prerequisites;
    let version = |what: &str| all.iter().find(|p| p.what.contains(what)).map(|p| p.version.as_str());
    assert_eq!(version("Istio"), Some("1.28.0"));
    assert_eq!(version("inference extension"), Some("v1.3.1"), "that of the chart");
    assert_eq!(version("LeaderWorkerSet"), Some("0.8.0"));
    assert_eq!(version("kgateway"), None);
    assert!(all.iter().flat_map(|p| &p.install).all(|line| !line.contains("latest")));
    let unused = compiled("2026-03", &["LLMDBENCH_GATEWAY_PROVIDER_KGATEWAY_CHART_VERSION=v2.0.0"]);
    assert!(notes(&unused).contains("another class"), "{}", notes(&unused));
}

#[test]
fn servers_wait_for_their_model_where_the_chart_can() {
    let waits = |version: &str, more: &[&str]| {
        let version = format!("charts.modelservice.version={version}");
        let c = compiled("2026-11", &[more, &[version.as_str(), "prefill.replicas=1"]].concat());
        ["decode", "prefill"].map(|role| {
            let init = values(&c, "-ms").at(&[role, "initContainers"]).map_or(&[][..], Value::items);
            init.first().and_then(|i| i.get("name")).and_then(Value::as_str) == Some("wait-for-model")
        })
    };
    assert_eq!(waits("v0.4.12", &[]), [true, true]);
    assert_eq!(waits("v0.3.5", &[]), [false, false]);
    assert_eq!(waits("v0.4.12", &["modelservice.uriProtocol=hf"]), [false, false]);
    assert_eq!(waits("v0.4.5", &["modelservice.multinode=true"]), [false, true], "v0.4.5 breaks beside the sidecar");
}

#[test]
fn a_route_of_openshift_leads_to_the_service_of_the_class() {
    for (class, service) in [("istio", "infra-x-inference-gateway-istio"), ("kgateway", "infra-x-inference-gateway")] {
        let class = format!("gateway.className={class}");
        let c = compiled("2026-11", &["platform=openshift", "release=x", "modelservice.route=true", &class]);
        let routes = c.bundle.manifests.iter().filter(|m| m.object.kind() == "Route");
        let [route] = routes.collect::<Vec<_>>()[..] else { panic!("one Route") };
        assert_eq!(route.object.value.at(&["spec", "to", "name"]), Some(&service.into()));
    }
}

#[test]
fn ports_that_no_request_reaches_are_told() {
    let custom = ["prefill.modelCommand=custom", "prefill.args=[--port, '8200']", "prefill.replicas=1"];
    assert!(notes(&compiled("2026-11", &custom)).contains("prefill answers on port 8200, and the pool"));
    let decode = ["decode.modelCommand=custom", "decode.port=8000", "decode.args=[--port, '8000']"];
    assert!(notes(&compiled("2026-11", &decode)).contains("both listen on port 8000"));
    let off = [&decode[..], &["routingSidecar.enabled=false"]].concat();
    assert!(!notes(&compiled("2026-11", &off)).contains("both listen"));
}
