//! The gateway on a socket that systemd passes.

use std::process::Command;

use crate::common::curl::curl;
use crate::common::{Port, Process, US, eventually};

#[test]
fn a_socket_of_systemd() {
    let dir = tempfile::tempdir().unwrap();
    let port = Port::reserve();
    let mut command = Command::new("systemd-socket-activate");
    command
        .arg(format!("--listen={}", port.address()))
        .arg(US)
        .args(["gateway", "--web.systemd-socket", "--state-dir"])
        .arg(dir.path());
    let mut gateway = Process::spawn(&mut command);
    let url = format!("http://{}/metrics/job/a", port.address());
    // The first connection starts it, and waits for it.
    eventually("the socket is there", || {
        let pushed = curl(&["-f", "--data-binary", "m 1\n", &url]);
        pushed.stderr().is_empty()
    });
    let metrics = curl(&["-f", &format!("http://{}/metrics", port.address())]);
    let metrics = metrics.code(0).stdout();
    assert!(
        metrics.contains("m{instance=\"\",job=\"a\"} 1\n"),
        "{metrics}"
    );
    assert_eq!(gateway.terminate(), Some(0));
}
