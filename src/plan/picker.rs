//! The endpoint picker of a stack: its plugins, flags, ports, volumes, sidecar and monitoring, checked against the chart
//! that makes it.

use super::llmd::PoolChart;
use super::{Planner, StackScope};
use crate::charts::contract::{CURRENT_DEFAULT_PLUGINS, FlagForm, Modelservice};
use crate::charts::{catalogue, presets};
use crate::check::picker::{self, Api};
use crate::error::{Diagnostic, Problem};
use crate::settings::template::EnvSource;
use crate::settings::types::{ModelCommand, PoolApi, Preset};
use crate::tree::{Map, Value};

/// What the endpoint picker of one stack is.
#[derive(Debug, Clone)]
pub struct Picker {
    /// Name of the file with its plugins.
    pub file: String,
    /// The plugins; none for those of the chart.
    pub plugins: Option<Value>,
    /// Flags of its program.
    pub flags: Vec<(String, String)>,
    /// Further ports of its container.
    pub container_ports: Vec<Value>,
    /// Further ports of its Service.
    pub service_ports: Vec<Value>,
    /// Further volumes of its pod.
    pub volumes: Vec<Value>,
    /// Further mounts of its container.
    pub mounts: Vec<Value>,
    /// The container beside it.
    pub sidecar: Option<Sidecar>,
    /// Whether a ServiceMonitor exists.
    pub monitored: bool,
    /// Traffic to it.
    pub traffic: Traffic,
}

/// A container beside the endpoint picker.
#[derive(Debug, Clone)]
pub struct Sidecar {
    /// Its environment.
    pub env: Vec<Value>,
    /// Its mounts.
    pub mounts: Vec<Value>,
}

/// What Istio does with traffic to the picker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The host, where it is another than the picker's Service.
    pub host: Option<String>,
    /// `connectionPool` of the policy, which charts read.
    pub connections: Option<Value>,
    /// The whole DestinationRule as an object of the bundle, where the chart would drop a part.
    pub whole: Option<Map>,
}

/// The plugin configuration that every chart has of its own.
const CHARTS_OWN: &str = "default-plugins";

/// Another one that charts have of their own, where they do.
fn second_of_chart(chart: PoolChart) -> Option<(&'static str, &'static [&'static str])> {
    match chart {
        PoolChart::Gaie(pool) if pool.has_one_port() => Some((
            "plugins-v2",
            &["queue-scorer", "kv-cache-scorer", "prefix-cache-scorer", "max-score-picker", "single-profile-handler"],
        )),
        PoolChart::Gaie(_) => None,
        PoolChart::Router => {
            Some(("payload-agnostic", &["passthrough-parser", "active-request-scorer", "session-affinity-scorer"]))
        }
    }
}

/// The name that the first charts had for the scorers which are the default ones since.
const OLD_SCORERS: &str = "plugins-v2";

/// The presets that stand for the chart's own plugins where the picker is older than the chart: the first that it can run.
const IN_THEIR_PLACE: &[&str] = &["balanced", "default"];

/// The file of plugins that have no name of a file.
const FILE: &str = "plugins.yaml";

const PRESET: &str = "endpointPicker.preset";

/// The plugins of a picker.
enum Plugins {
    /// A configuration that the chart has: its name, the types in it.
    OfChart(&'static str, &'static [&'static str]),
    /// A file and its content.
    Given(String, Value),
}

/// The types of a configuration.
fn plugin_types(config: &Value) -> Vec<String> {
    let plugins = config.get("plugins").map_or(&[][..], Value::items).iter();
    plugins.filter_map(|p| Some(p.get("type")?.as_str()?.to_owned())).collect()
}

/// The name that a file of plugins has in the picker's pod: its own, unless the chart has one of that name.
fn file_name(own: &str, chart: PoolChart) -> String {
    let of_chart = |name: &str| name == CHARTS_OWN || second_of_chart(chart).is_some_and(|(second, _)| second == name);
    let is_key = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    match own.strip_suffix(".yaml") {
        Some(base) if is_key(base) && !of_chart(base) => own.to_owned(),
        _ => FILE.to_owned(),
    }
}

/// Flags that charts write themselves.
const TAKEN: &[&str] =
    &["pool-name", "pool-namespace", "pool-group", "config-file", "config-text", "ha-enable-leader-election"];

/// The plugins that the version of a published picker does not have; none of a picker that is not published.
fn unknown<'t>(
    types: &'t [impl AsRef<str>],
    image: &[String; 4],
) -> Vec<(&'t str, &'static picker::plugins::PluginType)> {
    let [_, repository, name, tag] = image;
    let router = matches!(name.as_str(), "llm-d-inference-scheduler" | "llm-d-router-endpoint-picker");
    let gaie = name == "epp" && repository.ends_with("gateway-api-inference-extension");
    let Some(tag) = catalogue::version(tag).filter(|_| router || gaie) else { return Vec::new() };
    let plugins = types.iter().map(AsRef::as_ref).filter_map(|t| Some((t, picker::plugins::find(t)?)));
    plugins.filter(|(_, plugin)| !plugin.is_in(router, tag)).collect()
}

impl Planner<'_> {
    /// Plans the picker of a stack; errors are collected.
    pub(super) fn picker(
        &mut self,
        chart: PoolChart,
        scope: &StackScope<'_>,
        service: &str,
        label: &str,
        image: &[String; 4],
    ) -> Option<Picker> {
        let before = self.errors.0.len();
        let (file, plugins) = self.plugins(chart, scope, image)?;
        let flags = self.flags(chart, scope);
        let s = &self.resolved.settings.endpoint_picker;
        let lists = [
            ("endpointPicker.containerPorts", &s.container_ports),
            ("endpointPicker.servicePorts", &s.service_ports),
            ("endpointPicker.volumes", &s.volumes),
            ("endpointPicker.volumeMounts", &s.volume_mounts),
        ];
        let [container_ports, service_ports, mut volumes, mounts] = lists.map(|(path, list)| {
            let expanded = list.expand(scope);
            self.at(path, expanded).unwrap_or_default()
        });
        if let PoolChart::Gaie(pool) = chart {
            let ports = !container_ports.is_empty() || !service_ports.is_empty();
            self.need("endpointPicker.servicePorts", ports, pool.extra_ports());
            self.need("endpointPicker.volumes", !volumes.is_empty() || !mounts.is_empty(), pool.volumes());
        }
        for (path, list, taken) in [
            ("endpointPicker.volumes", &volumes, &["plugins-config-volume"][..]),
            ("endpointPicker.containerPorts", &container_ports, &["grpc", "grpc-health", "metrics"]),
            ("endpointPicker.servicePorts", &service_ports, &["grpc-ext-proc", "http-metrics"]),
        ] {
            self.unique(path, list, taken);
        }
        let sidecar = self.sidecar(chart, scope);
        let mut mounts = mounts;
        if let Some(sidecar) = &sidecar {
            share_socket(&sidecar.mounts, &mut volumes, &mut mounts);
        }
        let monitored = self.monitored(chart);
        let traffic = self.traffic(chart, scope, service, label);
        (self.errors.0.len() == before).then_some(Picker {
            file,
            plugins,
            flags,
            container_ports,
            service_ports,
            volumes,
            mounts,
            sidecar,
            monitored,
            traffic: traffic.unwrap_or_default(),
        })
    }

    /// The value, or its error at the place of a setting.
    fn at<T>(&mut self, path: &str, result: Result<T, Problem>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problem) => {
                self.once(Diagnostic::error(problem, self.resolved.span(path)));
                None
            }
        }
    }

    /// What a version cannot express is an error where the scenario asks for it; a default is left out.
    pub(super) fn need(&mut self, path: &str, wanted: bool, able: Result<(), Problem>) -> bool {
        match able {
            Ok(()) => wanted,
            Err(_) if !wanted || !self.resolved.is_set(path) => false,
            Err(problem) => {
                let d = Diagnostic::error(problem, self.resolved.span(path));
                self.once(d);
                false
            }
        }
    }

    /// No name twice, and none of the chart's own.
    fn unique(&mut self, path: &str, list: &[Value], taken: &[&str]) {
        let mut seen: Vec<&str> = taken.to_vec();
        for name in list.iter().filter_map(|v| v.get("name").and_then(Value::as_str)) {
            if seen.contains(&name) {
                let message = format!("`{path}` has `{name}`, and there is one of that name");
                let d = Diagnostic::error(Problem::Conflict { message }, self.resolved.span(path));
                self.once(d);
            }
            seen.push(name);
        }
    }

    /// The file of plugins that the picker reads, and its content where that is not the chart's own.
    fn plugins(
        &mut self,
        chart: PoolChart,
        scope: &StackScope<'_>,
        image: &[String; 4],
    ) -> Option<(String, Option<Value>)> {
        let plugins = match self.plugins_asked_for(chart, scope)? {
            Plugins::OfChart(name, types) => self.or_in_their_place(name, types, image),
            given => given,
        };
        match plugins {
            Plugins::OfChart(name, types) => {
                self.known_to_image(types, image);
                Some((format!("{name}.yaml"), None))
            }
            Plugins::Given(file, config) => {
                self.known_to_image(&plugin_types(&config), image);
                let api = if matches!(chart, PoolChart::Router) { Api::Router } else { Api::Gaie };
                Some((file, Some(picker::with_api_version(config, api))))
            }
        }
    }

    fn plugins_asked_for(&mut self, chart: PoolChart, scope: &StackScope<'_>) -> Option<Plugins> {
        let s = &self.resolved.settings.endpoint_picker;
        let own = match chart {
            PoolChart::Gaie(pool) => pool.default_plugins(),
            PoolChart::Router => CURRENT_DEFAULT_PLUGINS,
        };
        let asked = match &s.preset {
            Preset::Inline(config) => config.expand(scope).map(|c| Plugins::Given(FILE.to_owned(), c)),
            Preset::Named(name) => match (s.custom_plugins.find(name), second_of_chart(chart)) {
                (Some((file, config)), _) => config.expand(scope).map(|c| Plugins::Given(file_name(file, chart), c)),
                (None, Some((second, types))) if second == name => Ok(Plugins::OfChart(second, types)),
                (None, _) if name == CHARTS_OWN => Ok(Plugins::OfChart(CHARTS_OWN, own)),
                (None, _) if name == OLD_SCORERS => {
                    let used = format!("the scorers that it had are in `{CHARTS_OWN}` of this chart");
                    let problem = Problem::Fallback { setting: PRESET.into(), word: OLD_SCORERS.into(), used };
                    self.note(Diagnostic::note(problem, self.resolved.span(PRESET)));
                    Ok(Plugins::OfChart(CHARTS_OWN, own))
                }
                (None, _) => presets::find(name).map(|c| Plugins::Given(FILE.to_owned(), c)),
            },
        };
        let problem = match asked {
            Ok(plugins) => return Some(plugins),
            Err(problem) => problem,
        };
        let place = self.resolved.span(PRESET);
        self.once(match problem {
            Problem::UnknownWord { what, name, nearest } => {
                let own: Vec<&str> = s.custom_plugins.0.iter().map(|p| p.key.as_str()).collect();
                let nearest = nearest.or_else(|| crate::error::nearest(&name, own.iter().copied()));
                let known =
                    presets::names().into_iter().chain([CHARTS_OWN]).chain(own).collect::<Vec<_>>().join("`, `");
                Diagnostic::error(Problem::UnknownWord { what, name, nearest }, place)
                    .with_hint(format!("there are `{known}`"))
            }
            problem => Diagnostic::error(problem, place),
        });
        None
    }

    /// The chart's own plugins, or where the picker is older than the chart a preset that it can run.
    fn or_in_their_place(
        &mut self,
        name: &'static str,
        types: &'static [&'static str],
        image: &[String; 4],
    ) -> Plugins {
        let Some((lacking, _)) = unknown(types, image).first().copied() else { return Plugins::OfChart(name, types) };
        for instead in IN_THEIR_PLACE {
            let Ok(config) = presets::find(instead) else { continue };
            if unknown(&plugin_types(&config), image).is_empty() {
                let message = format!(
                    "`{PRESET}`: the picker `{}:{}` has no plugin `{lacking}` of the chart's own configuration; preset `{instead}` is in its place",
                    image[2], image[3]
                );
                self.note(Diagnostic::note(Problem::Noted { message }, self.resolved.span(PRESET)));
                return Plugins::Given(FILE.to_owned(), config);
            }
        }
        Plugins::OfChart(name, types)
    }

    /// Plugins that the version of a published picker does not have stop it at its start.
    fn known_to_image(&mut self, types: &[impl AsRef<str>], image: &[String; 4]) {
        for (kind, plugin) in unknown(types, image) {
            let what = format!("the endpoint picker `{}:{}` has no plugin `{kind}`", image[2], image[3]);
            let at = self.resolved.span(PRESET).or(self.resolved.span("images.endpointPicker.tag"));
            self.once(Diagnostic::error(Problem::Unsupported { what }, at).with_hint(plugin.history()));
        }
    }

    fn flags(&mut self, chart: PoolChart, scope: &StackScope<'_>) -> Vec<(String, String)> {
        const PATH: &str = "endpointPicker.flags";
        let s = &self.resolved.settings.endpoint_picker;
        let mut flags = Vec::new();
        for (name, template) in &s.flags.0 {
            let value = template.expand(scope);
            let Some(value) = self.at(PATH, value) else { continue };
            if TAKEN.contains(&name.as_str()) {
                let message = format!("the chart writes the flag `--{name}` itself");
                self.once(Diagnostic::error(Problem::Conflict { message }, self.resolved.span(PATH)));
            } else if value.contains(['"', '\\', '\n']) {
                let what = format!("the chart breaks on `\"`, `\\` or a line break in the value of `--{name}`");
                self.once(Diagnostic::error(Problem::Unsupported { what }, self.resolved.span(PATH)));
            }
            flags.push((name.clone(), value));
        }
        let able = match chart {
            PoolChart::Gaie(pool) => pool.flags().map(|_| ()),
            PoolChart::Router => Ok(()),
        };
        if !self.need(PATH, !flags.is_empty(), able.clone()) {
            flags.clear();
        }
        if let Some(level) = s.verbosity {
            let able = match chart {
                PoolChart::Gaie(pool) => pool.has_log_verbosity().map(|_| ()),
                PoolChart::Router => Ok(()),
            };
            let wanted = self.need("endpointPicker.verbosity", true, able);
            if wanted && !flags.iter().any(|(n, _)| n == "v") {
                flags.push(("v".to_owned(), level.to_string()));
            }
        }
        // A list takes the place of the chart's own, which has the verbosity only.
        if let PoolChart::Gaie(pool) = chart
            && pool.flags().is_ok_and(|f| f == FlagForm::List)
            && !flags.is_empty()
            && !flags.iter().any(|(n, _)| n == "v")
        {
            flags.push(("v".to_owned(), "1".to_owned()));
        }
        flags
    }

    fn sidecar(&mut self, chart: PoolChart, scope: &StackScope<'_>) -> Option<Sidecar> {
        const PATH: &str = "endpointPicker.sidecar.enabled";
        let s = &self.resolved.settings;
        let sidecar = &s.endpoint_picker.sidecar;
        let able = match chart {
            PoolChart::Gaie(pool) => pool.sidecar(),
            PoolChart::Router => Err(Problem::Unsupported {
                what: "`llm-d-router-gateway` has no sidecar of the endpoint picker; `inferencepool` has one".into(),
            }),
        };
        if !self.need(PATH, sidecar.enabled.0, able) {
            return None;
        }
        let env = sidecar.env.0.iter().map(|var| {
            let source = match &var.source {
                EnvSource::Value(template) => ("value", Value::from(template.expand(scope)?)),
                EnvSource::From(from) => ("valueFrom", from.clone()),
            };
            Ok(Value::from([("name", Value::from(var.name.as_str())), source]))
        });
        let env = env.collect::<Result<Vec<_>, Problem>>();
        let env = self.at("endpointPicker.sidecar.env", env)?;
        let mounts = sidecar.volume_mounts.expand(scope);
        let mounts = self.at("endpointPicker.sidecar.volumeMounts", mounts)?;
        Some(Sidecar { env, mounts })
    }

    fn monitored(&mut self, chart: PoolChart) -> bool {
        let s = &self.resolved.settings.endpoint_picker.monitoring;
        let (monitoring, auth) = match chart {
            PoolChart::Gaie(pool) => (pool.monitoring(), pool.monitoring_auth()),
            PoolChart::Router => (Ok(()), Ok(())),
        };
        self.need("endpointPicker.monitoring.auth", !s.auth.0, auth);
        self.need("endpointPicker.monitoring.prometheus", s.prometheus.0, monitoring)
    }

    /// What `pool.providerConfig` says about traffic to the picker.
    fn traffic(&mut self, chart: PoolChart, scope: &StackScope<'_>, service: &str, label: &str) -> Option<Traffic> {
        const PATH: &str = "pool.providerConfig";
        let s = &self.resolved.settings;
        let config = s.pool.provider_config.expand(scope);
        let mut config = self.at(PATH, config)?;
        if config.is_empty() {
            return None;
        }
        let class = s.gateway.class_name.0.as_str();
        if !matches!(class, "istio" | "data-science-gateway-class") {
            let problem = Problem::Unused {
                setting: PATH.into(),
                used_by: format!("gateways of class `{class}` read no DestinationRule"),
            };
            self.note(Diagnostic::note(problem, self.resolved.span(PATH)));
            return None;
        }
        let rule = config.shift_remove("destinationRule");
        if let Some((key, _)) = config.first() {
            let problem = Problem::UnknownWord {
                what: "key of `pool.providerConfig`",
                name: key.clone(),
                nearest: crate::error::nearest(key, ["destinationRule"]),
            };
            self.once(Diagnostic::error(problem, self.resolved.span(PATH)));
            return None;
        }
        let Some(Value::Map(mut rule)) = rule else {
            let problem = Problem::WrongValue {
                setting: "destinationRule".into(),
                expected: "a mapping with `host` and `trafficPolicy`".into(),
                found: "something else".into(),
            };
            self.once(Diagnostic::error(problem, self.resolved.span(PATH)));
            return None;
        };
        // The original's name of the picker's Service stands for ours.
        let ours = format!("{label}-gaie-epp");
        let domain = format!("{service}.{}{}", s.namespace, s.cluster.domain);
        let host = rule
            .get("host")
            .and_then(Value::as_str)
            .filter(|h| !h.is_empty())
            .map(|given| if given.split('.').next() == Some(&ours) { domain.clone() } else { given.to_owned() });
        let policy = rule.get("trafficPolicy").cloned();
        let keys = |v: &Option<Value>| match v {
            Some(Value::Map(m)) => m.keys().cloned().collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        let simple = rule.keys().all(|k| matches!(k.as_str(), "host" | "trafficPolicy"))
            && keys(&policy).iter().all(|k| k == "connectionPool");
        let by_chart = class == "istio"
            && match chart {
                PoolChart::Gaie(pool) => pool.destination_rule_in_provider().is_ok(),
                PoolChart::Router => true,
            };
        if simple && by_chart {
            let connections = policy.as_ref().and_then(|p| p.get("connectionPool")).cloned();
            return Some(Traffic { host, connections, whole: None });
        }
        rule.insert("host".into(), Value::from(host.unwrap_or(domain)));
        let mut policy = policy.unwrap_or(Value::Null);
        if policy.get("tls").is_none() {
            // The picker serves TLS with a certificate of its own.
            let tls = Value::from([("mode", Value::from("SIMPLE")), ("insecureSkipVerify", Value::Bool(true))]);
            policy.map_mut().shift_insert(0, "tls".into(), tls);
        }
        rule.insert("trafficPolicy".into(), policy);
        Some(Traffic { host: None, connections: None, whole: Some(rule) })
    }

    /// Whether pools are objects of the experimental API.
    pub(super) fn experimental_pool(&mut self, chart: PoolChart) -> bool {
        let default = matches!(chart, PoolChart::Gaie(pool) if pool.has_one_port());
        let Some(api) = self.resolved.settings.pool.api else { return default };
        let wanted = api == PoolApi::V1Alpha2;
        let able = match chart {
            PoolChart::Gaie(pool) => pool.experimental_pool(wanted),
            PoolChart::Router if !wanted => Ok(()),
            PoolChart::Router => {
                Err(Problem::Unsupported { what: "`llm-d-router-gateway` makes pools of the stable API only".into() })
            }
        };
        match self.at("pool.api", able) {
            Some(()) => wanted,
            None => default,
        }
    }

    /// The routing sidecar of decode servers.
    pub(super) fn check_routing_sidecar(&mut self, chart: Modelservice) {
        let s = &self.resolved.settings;
        if s.routing_sidecar.enabled.0 {
            return;
        }
        let able = chart.no_sidecar();
        self.at("routingSidecar.enabled", able);
        let by_chart = s.decode.model_command != ModelCommand::Custom;
        if let Some(port) = s.decode.port.filter(|p| by_chart && p.0 != s.vllm.port.0) {
            let message = format!(
                "without a routing sidecar decode answers on `vllm.port`, {}; `decode.port` is {port}",
                s.vllm.port
            );
            let d = Diagnostic::error(Problem::Conflict { message }, self.resolved.span("decode.port"));
            self.errors.push(d.with_hint("leave `decode.port` out"));
        }
    }
}

/// The volumes that the sidecar mounts and nothing declares are scratch space; one for a socket is the picker's too.
fn share_socket(of_sidecar: &[Value], volumes: &mut Vec<Value>, mounts: &mut Vec<Value>) {
    let name = |v: &Value| v.get("name").and_then(Value::as_str).map(str::to_owned);
    for mount in of_sidecar {
        let Some(volume) = name(mount) else { continue };
        if !volumes.iter().any(|v| name(v).as_deref() == Some(&volume)) {
            let scratch = Value::Map(Map::new());
            volumes.push(Value::from([("name", Value::from(volume.as_str())), ("emptyDir", scratch)]));
        }
        if volume.ends_with("-uds") && !mounts.iter().any(|m| name(m).as_deref() == Some(&volume)) {
            mounts.push(mount.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::picker::plugins;

    #[test]
    fn a_plugin_is_in_the_versions_of_its_range() {
        let scorer = plugins::find("kv-cache-scorer").unwrap();
        assert!(scorer.is_in(true, (0, 2, 1)) && !scorer.is_in(true, (0, 3, 0)));
        assert!(scorer.is_in(false, (0, 5, 1)) && !scorer.is_in(false, (1, 0, 0)));
        let filter = plugins::find("decode-filter").unwrap();
        assert!(filter.is_in(true, (0, 10, 0)) && !filter.is_in(false, (1, 5, 0)));
    }
}
