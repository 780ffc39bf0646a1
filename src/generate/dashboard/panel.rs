//! Panels of a dashboard: queries, and how their results are drawn.

use serde_json::{Value as Json, json};

use super::variable::chosen_source;

/// Address of the dashboard of one job, to which its name is appended.
pub(super) const JOB_DASHBOARD: &str =
    "/d/metricsjob-job?${__url_time_range}&var-datasource=${datasource}&var-job=";

/// How a panel's queries are evaluated.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Evaluation {
    /// Over the time range.
    Range,
    /// Now.
    Instant,
    /// Now, as rows of a table.
    Table,
    /// Over the time range, the buckets of a histogram together.
    Heatmap,
}

/// A value and how a reader sees it: its text and colour.
pub type Meaning = (i32, &'static str, &'static str);

/// States of `batch_job_success`.
pub const OUTCOMES: [Meaning; 2] = [(0, "Failed", "red"), (1, "Success", "green")];

/// A panel that has no place yet.
pub struct Panel {
    pub(super) json: Json,
    evaluation: Evaluation,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Panel {
    pub(super) fn new(kind: &str, title: &str, unit: &str, evaluation: Evaluation) -> Self {
        let (width, height) = match evaluation {
            Evaluation::Instant => (4, 4),
            _ => (12, 8),
        };
        Panel {
            json: json!({
                "type": kind,
                "title": title,
                "datasource": chosen_source(),
                "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
                "options": {},
                "targets": [],
            }),
            evaluation,
            width,
            height,
        }
    }

    /// Lines over time.
    pub fn graph(title: &str, unit: &str) -> Self {
        let mut panel = Panel::new("timeseries", title, unit, Evaluation::Range);
        panel.json["options"] = json!({
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        });
        *panel.default("custom") = json!({
            "drawStyle": "line", "lineInterpolation": "stepAfter", "lineWidth": 1, "fillOpacity": 5,
            "showPoints": "auto",
        });
        panel
    }

    /// Bars over time, on top of each other.
    pub fn bars(title: &str, unit: &str) -> Self {
        let mut panel = Panel::graph(title, unit);
        *panel.default("custom") = json!({
            "drawStyle": "bars", "lineWidth": 0, "fillOpacity": 80,
            "stacking": {"mode": "normal", "group": "A"},
        });
        panel
    }

    /// The current value, in large letters.
    pub fn stat(title: &str, unit: &str) -> Self {
        let mut panel = Panel::new("stat", title, unit, Evaluation::Instant);
        panel.json["options"] =
            json!({"reduceOptions": latest(), "graphMode": "none", "colorMode": "value"});
        panel.steps("text", &[])
    }

    /// The current values as horizontal bars.
    pub fn ranking(title: &str, unit: &str) -> Self {
        let mut panel = Panel::new("bargauge", title, unit, Evaluation::Instant);
        panel.json["options"] = json!({
            "reduceOptions": latest(), "orientation": "horizontal", "displayMode": "basic", "showUnfilled": true,
        });
        panel.size(12, 8)
    }

    /// States over time, a line for each series.
    pub fn states(title: &str, meanings: &[Meaning]) -> Self {
        let mut panel = Panel::new("state-timeline", title, "none", Evaluation::Range);
        panel.json["options"] = json!({
            "mergeValues": true, "showValue": "never", "rowHeight": 0.9,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": []},
            "tooltip": {"mode": "single", "sort": "none"},
        });
        *panel.default("custom") = json!({"lineWidth": 0, "fillOpacity": 70});
        panel.meanings(meanings)
    }

    /// The buckets of a histogram over time.
    pub fn heatmap(title: &str, unit: &str) -> Self {
        let mut panel = Panel::new("heatmap", title, "none", Evaluation::Heatmap);
        panel.json["options"] = json!({
            "calculate": false,
            "color": {"mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "scale": "exponential",
                "exponent": 0.5, "steps": 64, "reverse": false},
            "filterValues": {"le": 1e-9},
            "yAxis": {"unit": unit, "axisPlacement": "left"},
            "tooltip": {"mode": "single", "yHistogram": true, "showColorScale": false},
            "legend": {"show": true},
        });
        panel
    }

    pub(super) fn default(&mut self, key: &str) -> &mut Json {
        &mut self.json["fieldConfig"]["defaults"][key]
    }

    pub fn size(mut self, width: u32, height: u32) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    pub fn about(mut self, description: &str) -> Self {
        self.json["description"] = json!(description);
        self
    }

    /// Adds a query. In `legend`, `{{label}}` is a label's value; without a legend Grafana shows those labels in
    /// which the series differ.
    pub fn query(mut self, expression: &str, legend: &str) -> Self {
        let legend = if legend.is_empty() { "__auto" } else { legend };
        let is_range = matches!(self.evaluation, Evaluation::Range | Evaluation::Heatmap);
        let format = match self.evaluation {
            Evaluation::Range | Evaluation::Instant => "time_series",
            Evaluation::Table => "table",
            Evaluation::Heatmap => "heatmap",
        };
        let targets = self.json["targets"].as_array_mut();
        let targets = targets.expect("a panel has targets");
        targets.push(json!({
            "refId": ref_id(targets.len()),
            "datasource": chosen_source(),
            "editorMode": "code",
            "expr": expression,
            "legendFormat": legend,
            "format": format,
            "range": is_range,
            "instant": !is_range,
        }));
        self
    }

    /// Sets a property of one column, or of the series with this legend.
    pub fn property(mut self, name: &str, id: &str, value: Json) -> Self {
        let overrides = self.json["fieldConfig"]["overrides"].as_array_mut();
        let overrides = overrides.expect("a panel has overrides");
        let property = json!({"id": id, "value": value});
        let known = overrides
            .iter_mut()
            .find(|known| known["matcher"]["options"] == name);
        match known.and_then(|known| known["properties"].as_array_mut()) {
            Some(properties) => properties.push(property),
            None => overrides.push(json!({
                "matcher": {"id": "byName", "options": name}, "properties": [property],
            })),
        }
        self
    }

    /// Links series with the label `job` to the dashboard of that job.
    pub fn link_series(mut self) -> Self {
        let url = format!("{JOB_DASHBOARD}${{__field.labels.job:percentencode}}");
        *self.default("links") = json!([{"title": "Runs of this job", "url": url}]);
        self
    }

    /// Shows values as what they mean.
    pub fn meanings(mut self, all: &[Meaning]) -> Self {
        *self.default("mappings") = mappings(all);
        self.steps("text", &[])
    }

    /// Colours values by the steps that they have reached.
    pub fn steps(mut self, base: &str, all: &[(f64, &str)]) -> Self {
        *self.default("thresholds") = steps(base, all);
        *self.default("color") = json!({"mode": "thresholds"});
        self
    }

    /// Draws a line at a value that is too much.
    pub fn limit(mut self, value: f64) -> Self {
        *self.default("thresholds") = steps("transparent", &[(value, "red")]);
        self.default("custom")["thresholdsStyle"] = json!({"mode": "dashed"});
        self
    }

    /// Draws the series with this legend as a dashed line without an area.
    pub fn dashed(self, legend: &str, color: &str) -> Self {
        let style = json!({"fill": "dash", "dash": [8, 8]});
        self.property(legend, "custom.lineStyle", style)
            .property(legend, "custom.fillOpacity", json!(0))
            .property(
                legend,
                "color",
                json!({"mode": "fixed", "fixedColor": color}),
            )
    }

    /// Shows this where a query finds nothing.
    pub fn or_else(mut self, text: &str) -> Self {
        *self.default("noValue") = json!(text);
        self
    }

    /// Sets the shortest time between two points.
    pub fn every(mut self, interval: &str) -> Self {
        self.json["interval"] = json!(interval);
        self
    }

    /// Repeats the panel for each value of a variable, `per_row` side by side.
    pub fn for_each(mut self, variable: &str, per_row: u32) -> Self {
        self.json["repeat"] = json!(variable);
        self.json["repeatDirection"] = json!("h");
        self.json["maxPerRow"] = json!(per_row);
        self
    }

    /// Returns its JSON, with `scope` in place of each `@` that is first or last between braces.
    pub fn into_json(mut self, scope: &str) -> Json {
        for target in self.json["targets"].as_array_mut().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap_or_default();
            let expression = expression.replace("{@", &format!("{{{scope}"));
            target["expr"] = json!(expression.replace(",@}", &format!(",{scope}}}")));
        }
        self.json
    }
}

/// The letter of a query.
pub(super) fn ref_id(index: usize) -> char {
    char::from_u32('A' as u32 + index as u32).unwrap_or('Z')
}

/// The last value of each series.
fn latest() -> Json {
    json!({"calcs": ["lastNotNull"], "fields": "", "values": false})
}

pub(super) fn mappings(all: &[Meaning]) -> Json {
    let meaning = |(index, (value, text, color)): (usize, &Meaning)| {
        json!({
            "type": "value",
            "options": {value.to_string(): {"text": text, "color": color, "index": index}},
        })
    };
    all.iter().enumerate().map(meaning).collect()
}

pub(super) fn steps(base: &str, all: &[(f64, &str)]) -> Json {
    let mut steps = vec![json!({"color": base, "value": null})];
    steps.extend(
        all.iter()
            .map(|(value, color)| json!({"color": color, "value": value})),
    );
    json!({"mode": "absolute", "steps": steps})
}
