//! The API under real requests, one file for each aspect.

mod bad_input;
mod connections;
mod traffic;
mod users_api;

use examples_harness::{Program, Response};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_users-api");
const USERS: &str = "/api/v1/users";

fn start() -> Program {
    Program::start(PROGRAM, &[])
}

/// The body of a response, which must be JSON.
#[track_caller]
fn body(response: &Response) -> Value {
    assert_eq!(response.header("content-type"), Some("application/json"));
    serde_json::from_slice(&response.body).unwrap()
}
