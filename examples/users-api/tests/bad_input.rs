//! Bad input of each endpoint.

use crate::{USERS, body, start};

#[test]
fn bodies_that_are_no_user() {
    let api = start();
    let refused = |status: u16, headers: &[(&str, &str)], bytes: &[u8]| {
        let response = api.request("POST", USERS, headers, bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        assert_eq!(response.status, status, "{shown}: {}", response.text());
        assert!(!body(&response)["error"].as_str().unwrap().is_empty());
    };
    let json = [("Content-Type", "application/json")];
    let long = format!(r#"{{"name": "{}", "email": "a@b"}}"#, "n".repeat(201));
    for text in [
        "{",
        "{}",
        "[]",
        "null",
        "\"a\"",
        r#"{"name": "a"}"#,
        r#"{"name": 1, "email": "a@b"}"#,
        r#"{"name": "", "email": "a@b"}"#,
        r#"{"name": " \t", "email": "a@b"}"#,
        r#"{"name": "a", "email": "ab"}"#,
        r#"{"name": "a", "email": "@b"}"#,
        r#"{"name": "a", "email": "a@b\n"}"#,
        r#"{"name": "a", "email": "a@b"} x"#,
        r#"{"name": "a", "email": "a@b", "email": "c@d"}"#,
        &long,
        &"[".repeat(10_000),
    ] {
        refused(400, &json, text.as_bytes());
    }
    refused(400, &json, b"");
    refused(400, &json, b"{\"name\": \"\xff\", \"email\": \"a@b\"}");
    let good = br#"{"name": "a", "email": "a@b"}"#;
    refused(415, &[], good);
    refused(415, &[("Content-Type", "text/plain")], good);
    refused(413, &json, &vec![b' '; 16 * 1024 + 1]);
    assert_eq!(api.value("user_registrations_total"), Some(0.0));
    let shown = api.value(r#"errors_total{service="user_service",type="validation_error"}"#);
    assert_eq!(shown, Some(21.0));
    api.terminate();
}

#[test]
fn ids_paths_and_methods() {
    let api = start();
    let too_large = "9".repeat(30);
    for (id, status) in [
        ("x", 400),
        ("-1", 400),
        ("+1", 400),
        ("1.0", 400),
        ("0x1", 400),
        ("%31x", 400),
        ("%C3%A9", 400),
        ("%ff", 400),
        ("18446744073709551616", 400),
        (&too_large, 400),
        ("18446744073709551615", 404),
        ("0", 404),
        ("1/x", 404),
        ("", 404),
    ] {
        let response = api.get(&format!("{USERS}/{id}"));
        assert_eq!(response.status, status, "{id}: {}", response.text());
    }
    for path in [
        "/",
        "/api/v1",
        "/api/v1/",
        "/api/v2/users",
        "/metrics/x",
        "/api/v1/users/1/2/3",
    ] {
        let response = api.get(path);
        assert_eq!(response.status, 404, "{path}");
        assert!(body(&response)["error"].is_string());
    }
    for (method, path, allowed) in [
        ("DELETE", USERS, "POST"),
        ("BREW", USERS, "GET"),
        ("PUT", "/api/v1/users/1", "GET"),
        ("POST", "/api/v1/health", "GET"),
        ("POST", "/metrics", "GET"),
    ] {
        let response = api.request(method, path, &[], b"");
        assert_eq!(response.status, 405, "{method} {path}");
        let allow = response.header("allow").unwrap_or_default();
        assert!(allow.contains(allowed), "{method} {path}: {allow}");
    }
    api.terminate();
}
