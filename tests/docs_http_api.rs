//! `docs/reference/http-api.md`: of `serve` what its OpenAPI description says, of `gateway` requests that it knows.

use serde_json::Value as Json;

use crate::common::own_gateway::OwnGateway;
use crate::common::own_server::DESCRIPTION;
use crate::common::page;

/// The value behind a `$ref`, or the value itself.
fn resolved<'a>(description: &'a Json, value: &'a Json) -> &'a Json {
    match value["$ref"].as_str() {
        Some(reference) => description.pointer(&reference[1..]).expect(reference),
        None => value,
    }
}

/// A type in words, with links to the objects of the page.
fn kind(schema: &Json) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return format!("[{name}](#{})", name.to_lowercase());
    }
    let several = ["anyOf", "oneOf"]
        .iter()
        .find_map(|key| schema[*key].as_array());
    if let Some(several) = several {
        let kinds: Vec<String> = several.iter().map(kind).collect();
        return kinds.join(" or ");
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
        return values.join(", ");
    }
    match &schema["type"] {
        Json::String(name) if name == "array" => format!("array of {}", kind(&schema["items"])),
        Json::String(name) if name == "object" && schema["additionalProperties"].is_object() => {
            format!(
                "object with values of {}",
                kind(&schema["additionalProperties"])
            )
        }
        Json::String(name) => match schema["pattern"].as_str() {
            Some(pattern) => format!("{name}, `{pattern}`"),
            None => name.clone(),
        },
        Json::Array(names) => {
            let names: Vec<&str> = names.iter().filter_map(Json::as_str).collect();
            names.join(" or ")
        }
        _ => "object".into(),
    }
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

/// The parameters of a request: those of its path, and its own.
fn parameters(description: &Json, path: &Json, operation: &Json) -> String {
    let mut rows = String::new();
    let of_both = [&path["parameters"], &operation["parameters"]];
    for parameter in of_both.into_iter().filter_map(Json::as_array).flatten() {
        let parameter = resolved(description, parameter);
        let schema = resolved(description, &parameter["schema"]);
        let default = match &schema["default"] {
            Json::Null => String::new(),
            default => format!(" Default: {default}."),
        };
        rows += &format!(
            "| `{}` | {} | {} | {}{default} |\n",
            text(&parameter["name"]),
            text(&parameter["in"]),
            kind(schema),
            text(&parameter["description"]),
        );
    }
    if rows.is_empty() {
        rows
    } else {
        format!("\n| parameter | in | type | meaning |\n| --- | --- | --- | --- |\n{rows}")
    }
}

/// Shape of a body, by its first content type.
fn body(of: &Json) -> String {
    let content = of["content"]
        .as_object()
        .and_then(|content| content.iter().next());
    match content {
        Some((media_type, content)) if media_type == "application/json" => kind(&content["schema"]),
        Some((media_type, _)) => format!("`{media_type}`"),
        None => String::new(),
    }
}

fn operation(description: &Json, path: &str, method: &str) -> String {
    let item = &description["paths"][path];
    let operation = &item[method];
    let mut found = format!(
        "### `{} {path}`\n\n{}.",
        method.to_uppercase(),
        text(&operation["summary"])
    );
    if let Some(more) = operation["description"].as_str() {
        found += &format!(" {more}");
    }
    found += "\n";
    let request = &operation["requestBody"];
    if request.is_object() {
        found += &format!(
            "\nThe body is {}. {}\n",
            body(request),
            text(&request["description"])
        );
    }
    found += &parameters(description, item, operation);
    found += "\n| status | body | when |\n| --- | --- | --- |\n";
    for (status, response) in operation["responses"].as_object().unwrap() {
        let response = resolved(description, response);
        let (body, when) = (body(response), text(&response["description"]));
        found += &format!("| {status} | {body} | {when} |\n");
    }
    found
}

fn object(name: &str, schema: &Json) -> String {
    let mut found = format!("### {name}\n");
    let Some(fields) = schema["properties"].as_object() else {
        let meaning = schema["description"].as_str().unwrap_or("A value.");
        return format!("{found}\n{meaning} Type: {}.\n", kind(schema));
    };
    if let Some(meaning) = schema["description"].as_str() {
        found += &format!("\n{meaning}\n");
    }
    found += "\n| field | type | meaning |\n| --- | --- | --- |\n";
    for (field, schema) in fields {
        let meaning = text(&schema["description"]);
        found += &format!("| `{field}` | {} | {meaning} |\n", kind(schema));
    }
    found
}

#[test]
fn the_page_has_the_description_of_serve() {
    let description: Json = serde_json::from_str(DESCRIPTION).unwrap();
    let mut sections = vec![format!("{}\n", text(&description["info"]["description"]))];
    for (path, item) in description["paths"].as_object().unwrap() {
        let methods = item
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| *key != "parameters");
        sections.extend(methods.map(|method| operation(&description, path, method)));
    }
    page::holds("http-api", "requests of serve", &sections.join("\n"));
    let schemas = description["components"]["schemas"].as_object().unwrap();
    let objects: Vec<String> = schemas
        .iter()
        .map(|(name, schema)| object(name, schema))
        .collect();
    page::holds("http-api", "objects of serve", &objects.join("\n"));
}

/// The gateway knows each request in the page's table, and allows what it says.
#[test]
fn the_gateway_knows_the_requests_of_the_page() {
    let page = include_str!("../docs/reference/http-api.md");
    let gateway = OwnGateway::alone(&["--web.enable-admin-api", "--web.enable-lifecycle"]);
    let mut count = 0;
    let (_, rest) = page.split_once("## gateway").unwrap();
    let (section, _) = rest.split_once("\n## ").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    for row in rows {
        let request = row.split('`').nth(1).unwrap();
        let (method, path) = request.split_once(' ').expect(row);
        let path = path.replace("JOB", "a").replace("LABEL/VALUE", "b/c");
        // Last, and with a selector.
        let path = path
            .replace("match[]=SELECTOR", "match[]={job=\"none\"}")
            .replace('"', "%22");
        let statuses: Vec<u16> = row
            .split('|')
            .nth(3)
            .unwrap()
            .split_whitespace()
            .flat_map(|word| word.trim_matches(',').parse())
            .collect();
        let body = if path.contains("/job/") { "m 1\n" } else { "" };
        let (status, text) = gateway.request(method, &path, &[], body);
        assert_eq!(status, statuses[0], "{row}: {text}");
        count += 1;
    }
    assert!(count > 10, "{count}");
}
