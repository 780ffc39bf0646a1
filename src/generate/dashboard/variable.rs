//! Variables of a dashboard: lists at its top from which a reader chooses.

use serde_json::{Value as Json, json};

/// Reference to the data source that a reader has chosen.
pub fn chosen_source() -> Json {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// Chooses the data source, among those for Prometheus.
pub fn datasource() -> Json {
    json!({
        "type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "refresh": 1,
    })
}

/// Filters that Grafana adds to every query.
pub fn filters() -> Json {
    json!({"type": "adhoc", "name": "filters", "label": "Labels", "datasource": chosen_source()})
}

/// A variable with the values of a label.
pub struct DashboardVariable {
    json: Json,
}

impl DashboardVariable {
    /// Makes a choice of one among the values of `label` in the series that `selector` selects.
    pub fn new(name: &str, caption: &str, selector: &str, label: &str) -> Self {
        let query = format!("label_values({selector}, {label})");
        DashboardVariable {
            json: json!({
                "type": "query",
                "name": name,
                "label": caption,
                "datasource": chosen_source(),
                // 5: as it was typed. Grafana's form for variables has no room for two matchers of one label.
                "query": {"qryType": 5, "query": query, "classicQuery": query, "refId": "values"},
                // 2: when the time range changes.
                "refresh": 2,
                // 1: by the alphabet.
                "sort": 1,
            }),
        }
    }

    /// Makes a choice of one among gateways that have the same groups. There is none where Prometheus does not tell
    /// gateways apart.
    pub fn replica() -> Self {
        DashboardVariable::new("replica", "Gateway", "push_time_seconds", "gateway_replica")
    }

    /// Lets a reader choose several values; all of them at first.
    pub fn several(mut self) -> Self {
        self.json["multi"] = json!(true);
        self.json["includeAll"] = json!(true);
        self.json["current"] = json!({"text": ["All"], "value": ["$__all"]});
        self
    }

    /// Sets the regular expression that stands for all values, in place of a list of them. `.*` also matches
    /// series without the label.
    pub fn all(mut self, pattern: &str) -> Self {
        self.json["allValue"] = json!(pattern);
        self
    }

    /// Takes from each value what the group of a regular expression matches.
    pub fn extract(mut self, pattern: &str) -> Self {
        self.json["regex"] = json!(format!("/{pattern}/"));
        self
    }

    /// Hides it: other variables and queries need it, and no reader.
    pub fn hidden(mut self) -> Self {
        self.json["hide"] = json!(2);
        self
    }

    pub fn into_json(self) -> Json {
        self.json
    }
}
