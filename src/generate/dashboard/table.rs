//! Tables: panels whose queries become columns.

use serde_json::{Value as Json, json};

use super::panel::{Evaluation, JOB_DASHBOARD, Meaning, Panel, mappings, ref_id, steps};

impl Panel {
    /// A table that gets its columns by [`Panel::column`] and [`Panel::labels`].
    pub fn table(title: &str) -> Self {
        let mut panel = Panel::new("table", title, "none", Evaluation::Table);
        panel.json["options"] = json!({"showHeader": true, "cellHeight": "sm"});
        *panel.default("custom") = json!({"align": "auto", "filterable": true});
        *panel.default("mappings") = json!([{
            "type": "special", "options": {"match": "null+nan", "result": {"text": "–", "index": 0}},
        }]);
        panel.json["transformations"] = json!([
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {
                "excludeByName": {"Time": true, "__name__": true}, "indexByName": {}, "renameByName": {},
            }},
        ]);
        panel.size(24, 10)
    }

    /// Adds a query to a table whose values are a column. Rows of all queries that have the same labels become one.
    pub fn column(mut self, name: &str, unit: &str, expression: &str) -> Self {
        let fields = self.value_fields();
        let place = self.next_place();
        for field in fields {
            self.organize("renameByName", &field, json!(name));
            self.organize("indexByName", &field, place.clone());
        }
        self.query(expression, "")
            .property(name, "unit", json!(unit))
    }

    /// Adds a query to a table of which these labels are columns, and the value is none.
    pub fn labels(mut self, expression: &str, labels: &[(&str, &str)]) -> Self {
        for field in self.value_fields() {
            self.organize("excludeByName", &field, json!(true));
        }
        for (label, name) in labels {
            self.organize("renameByName", label, json!(name));
            self = self.label(label);
        }
        self.query(expression, "")
    }

    /// Places a label's column after those that there are. Labels without a place come last.
    pub fn label(mut self, label: &str) -> Self {
        let place = self.next_place();
        self.organize("indexByName", label, place);
        self
    }

    /// Sorts the rows by a column, the lowest values first.
    pub fn sorted_by(mut self, name: &str) -> Self {
        self.json["options"]["sortBy"] = json!([{"displayName": name, "desc": false}]);
        self
    }

    /// Grafana's names for the values of the next query: without a letter if no other query follows.
    fn value_fields(&self) -> Vec<String> {
        let count = self.json["targets"].as_array().map_or(0, Vec::len);
        let mut fields = vec![format!("Value #{}", ref_id(count))];
        if count == 0 {
            fields.push("Value".into());
        }
        fields
    }

    fn organize(&mut self, option: &str, field: &str, value: Json) {
        self.json["transformations"][1]["options"][option][field] = value;
    }

    fn next_place(&self) -> Json {
        let places = &self.json["transformations"][1]["options"]["indexByName"];
        json!(places.as_object().map_or(0, |places| places.len()))
    }

    /// Colours the cells of a column by what their values mean.
    pub fn cell_meanings(self, name: &str, values: &[Meaning]) -> Self {
        self.property(name, "mappings", mappings(values)).property(
            name,
            "custom.cellOptions",
            json!({"type": "color-background"}),
        )
    }

    /// Colours the text of a column by the steps that its values have reached.
    pub fn cell_steps(self, name: &str, base: &str, all: &[(f64, &str)]) -> Self {
        self.property(name, "thresholds", steps(base, all))
            .property(name, "custom.cellOptions", json!({"type": "color-text"}))
    }

    /// Links the cells of the column with the label `job` to the dashboard of that job.
    pub fn link_jobs(self) -> Self {
        let url = format!("{JOB_DASHBOARD}${{__value.raw:percentencode}}");
        self.property(
            "job",
            "links",
            json!([{"title": "Runs of this job", "url": url}]),
        )
    }
}
