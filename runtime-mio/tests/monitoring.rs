//! What is handed out for Prometheus and Grafana goes with what the server serves, and what an alert
//! refers to is in the manual. Whether the alerts fire is for `scripts/monitoring.sh`.

#![allow(clippy::expect_used, reason = "a test may panic: that is its verdict")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lvsp_mio::admin::metrics_table;
use serde_json::Value;

const ALERTS: &str = "deploy/prometheus/alerts.yml";
const GRAFANA: &str = "deploy/grafana/lvsp.json";

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    fs::read_to_string(path).expect("the file is in the tree")
}

/// The names of metrics in a text; those that a histogram is made of as the histogram's.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names = words.filter(|word| word.starts_with("lvsp_") || word.starts_with("process_"));
    names
        .map(|name| {
            let parts = ["_bucket", "_sum", "_count"].iter();
            parts.filter_map(|part| name.strip_suffix(part)).next().unwrap_or(name)
        })
        .collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&read(GRAFANA)).expect("JSON")
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = dashboard["panels"].as_array().expect("panels");
    panels.iter().filter(|panel| panel["type"] != "row")
}

#[test]
fn every_metric_that_is_asked_for_is_served() {
    let table = metrics_table();
    let served = names(&table);
    for file in [ALERTS, GRAFANA] {
        let text = read(file);
        let asked = names(&text);
        assert!(asked.len() > 5, "{file}: {asked:?}");
        let unknown: Vec<_> = asked.difference(&served).collect();
        assert!(unknown.is_empty(), "{file} asks for what /metrics does not have: {unknown:?}");
    }
}

#[test]
fn every_metric_is_on_the_grafana_dashboard() {
    let (table, text) = (metrics_table(), read(GRAFANA));
    let (served, asked) = (names(&table), names(&text));
    let left_out: Vec<_> = served.difference(&asked).collect();
    assert!(left_out.is_empty(), "{GRAFANA} leaves out {left_out:?}");
}

#[test]
fn every_counter_of_the_core_is_a_figure() {
    let (stats, figures) = (read("core/src/stats.rs"), read("runtime-mio/src/admin/metrics.rs"));
    let words: BTreeSet<_> =
        figures.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
    for structure in ["RelayStats", "ServerStats"] {
        let (_, body) = stats.split_once(&format!("pub struct {structure} {{")).expect("counters");
        let (body, _) = body.split_once("\n}").expect("their end");
        let fields = body.lines().filter_map(|line| line.trim().strip_prefix("pub "));
        let fields: Vec<_> = fields.filter_map(|field| field.split(':').next()).collect();
        assert!(fields.len() > 10, "{structure}: {fields:?}");
        let left_out: Vec<_> = fields.iter().filter(|field| !words.contains(*field)).collect();
        assert!(left_out.is_empty(), "{structure}: admin/metrics.rs leaves out {left_out:?}");
    }
}

#[test]
fn every_panel_has_a_unit_a_description_and_the_chosen_data_source() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    assert!(variables.iter().any(|v| v["name"] == "datasource" && v["type"] == "datasource"));
    let mut ids = BTreeSet::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64()), "{title}: another panel has its id");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}: no unit");
        assert!(panel["description"].as_str().is_some_and(|d| d.ends_with('.')), "{title}");
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{title}: nothing is asked for");
        for source in
            targets.iter().map(|target| &target["datasource"]).chain([&panel["datasource"]])
        {
            assert_eq!(source["uid"], "${datasource}", "{title}");
        }
        for target in targets {
            let asked = target["expr"].as_str().expect("a query");
            assert!(asked.contains("instance=~\"$instance\""), "{title}: of which server? {asked}");
        }
    }
    assert!(ids.len() > 20, "{} panels", ids.len());
}

#[test]
fn no_two_panels_lie_on_each_other() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    for panel in panels(&dashboard) {
        let [x, y, w, h] = ["x", "y", "w", "h"]
            .map(|side| panel["gridPos"][side].as_u64().expect("a place on the grid"));
        assert!(x + w <= 24, "{}: beyond the grid", panel["title"]);
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{}: another panel is there", panel["title"]);
        }
    }
}

#[test]
fn every_alert_has_its_section_in_the_manual() {
    let (alerts, manual) = (read(ALERTS), read("docs/operating.md"));
    let alerts: Vec<_> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let text = read(ALERTS);
    assert!(alerts.len() > 8, "{alerts:?}");
    for alert in alerts {
        assert!(manual.contains(&format!("\n#### {alert}\n\n")), "{alert} has no section");
        let runbook = format!("runbook: docs/operating.md#{}\n", alert.to_lowercase());
        assert!(text.contains(&runbook), "{alert} does not name its section");
    }
}
