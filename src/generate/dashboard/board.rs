//! A dashboard: variables, and rows of panels that get their places and ids here.

use serde_json::{Value as Json, json};

use super::panel::Panel;
use super::variable::{self, DashboardVariable};

/// Version of Grafana's dashboard schema: the one of Grafana 12 and 13. Newer ones migrate it.
const SCHEMA_VERSION: u32 = 42;

/// Columns of Grafana's grid.
const COLUMNS: u32 = 24;

/// Tag of all dashboards, by which each links to the others.
const TAG: &str = "metricsjob";

pub struct Dashboard {
    uid: &'static str,
    title: &'static str,
    description: &'static str,
    /// Matchers that `@` stands for in queries.
    scope: &'static str,
    /// Beginning of the time range, such as `now-7d`.
    from: &'static str,
    variables: Vec<Json>,
    panels: Vec<Json>,
    /// Next free line of the grid.
    y: u32,
}

impl Dashboard {
    /// `scope` is a list of label matchers, see [the module](super).
    pub fn new(uid: &'static str, title: &'static str, scope: &'static str) -> Self {
        Dashboard {
            uid,
            title,
            description: "",
            scope,
            from: "now-6h",
            variables: vec![variable::datasource()],
            panels: Vec::new(),
            y: 0,
        }
    }

    pub fn about(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    pub fn from(mut self, from: &'static str) -> Self {
        self.from = from;
        self
    }

    pub fn variable(mut self, variable: DashboardVariable) -> Self {
        self.variables.push(variable.into_json());
        self
    }

    /// Filters that a reader adds, by any label.
    pub fn filters(mut self) -> Self {
        self.variables.push(variable::filters());
        self
    }

    /// Adds a row under a heading. Its panels stand side by side as far as they fit, then below each other.
    pub fn row(self, title: &str, panels: impl IntoIterator<Item = Panel>) -> Self {
        let heading = json!({"type": "row", "title": title, "collapsed": false, "panels": []});
        self.add_row(heading, panels.into_iter().collect())
    }

    /// Adds a row that is repeated for each value of a variable.
    pub fn row_for_each(
        self,
        variable: &str,
        title: &str,
        panels: impl IntoIterator<Item = Panel>,
    ) -> Self {
        let heading = json!({
            "type": "row", "title": title, "collapsed": false, "panels": [], "repeat": variable,
        });
        self.add_row(heading, panels.into_iter().collect())
    }

    fn add_row(mut self, heading: Json, panels: Vec<Panel>) -> Self {
        self.place(heading, 0, COLUMNS, 1);
        self.y += 1;
        let (mut x, mut height) = (0, 0);
        for panel in panels {
            if x + panel.width > COLUMNS {
                self.y += height;
                (x, height) = (0, 0);
            }
            let (width, panel_height) = (panel.width, panel.height);
            let json = panel.into_json(self.scope);
            self.place(json, x, width, panel_height);
            x += width;
            height = height.max(panel_height);
        }
        self.y += height;
        self
    }

    fn place(&mut self, mut panel: Json, x: u32, width: u32, height: u32) {
        panel["id"] = json!(self.panels.len() + 1);
        panel["gridPos"] = json!({"x": x, "y": self.y, "w": width, "h": height});
        self.panels.push(panel);
    }

    pub fn into_json(self) -> Json {
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "schemaVersion": SCHEMA_VERSION,
            "editable": true,
            "timezone": "browser",
            "time": {"from": self.from, "to": "now"},
            "refresh": "1m",
            // The crosshair of one panel shows in all.
            "graphTooltip": 1,
            "links": [{
                "type": "dashboards", "title": TAG, "tags": [TAG], "icon": "external link", "tooltip": "", "url": "",
                "asDropdown": false, "targetBlank": false, "includeVars": false, "keepTime": true,
            }],
            "annotations": {"list": []},
            "templating": {"list": self.variables},
            "panels": self.panels,
        })
    }
}
