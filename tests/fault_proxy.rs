//! The proxy that the campaigns of `delivery_faults.rs` trust, and what `push` says of each fault.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use crate::common::{FakeServer, Fault, FaultProxy, Finished, Sandbox, eventually};

/// Pushes through `fault`, and returns that with how many requests have reached the gateway.
fn push(fault: Fault, options: &str) -> (Finished, usize) {
    let gateway = FakeServer::status("200 OK", "");
    let proxy = FaultProxy::fixed(&gateway.address(), fault);
    let push = push_to(&Sandbox::new(), &proxy, options);
    assert!(proxy.counts()[fault.kind()] > 0);
    eventually("the connection ends", || proxy.connections() == 0);
    let requests = gateway.requests().into_iter();
    let is_ours = |line: &str| line.starts_with("POST /metrics/job/j ");
    (
        push,
        requests.filter(|request| is_ours(&request.line)).count(),
    )
}

fn push_to(sandbox: &Sandbox, proxy: &FaultProxy, options: &str) -> Finished {
    let line = format!("push --job j --gateway {} {options}", proxy.url());
    sandbox.run_with_input(&line, "m 1\n")
}

/// Asserts that a push through `fault` says `message`, keeps the report, and does not get through.
#[track_caller]
fn is_held_back(fault: Fault, message: &str) {
    let (push, requests) = push(fault, "--push-timeout 300ms");
    push.code(69).err(message).err("kept as outbox entry 1");
    assert_eq!(requests, 0, "{fault:?}");
}

/// The same, but the gateway has got the push.
#[track_caller]
fn takes_effect(fault: Fault, message: &str) {
    let (push, requests) = push(fault, "");
    push.code(69).err(message).err("kept as outbox entry 1");
    assert!(requests > 0, "{fault:?}");
}

#[test]
fn none_and_slow_get_through() {
    for fault in [Fault::None, Fault::Slow(Duration::from_millis(1))] {
        let (push, requests) = push(fault, "");
        push.code(0);
        assert_eq!((push.stderr(), requests), (String::new(), 1));
    }
}

#[test]
fn refused_hanging_reset_and_cut_requests_do_not_get_through() {
    // The client may see a reset while it still connects, or behind that.
    for fault in [Fault::Refuse, Fault::Reset(0)] {
        is_held_back(fault, "warning: ");
    }
    is_held_back(Fault::Hang, "did not respond within 300ms");
    for after in [1, 50, 10_000] {
        is_held_back(Fault::Reset(after), " broke: ");
        is_held_back(Fault::CutRequest(after), " broke: ");
    }
    is_held_back(Fault::CutRequest(0), " broke: ");
}

#[test]
fn a_proxy_that_is_down_refuses_until_it_comes_back() {
    let time = Duration::from_secs(2);
    let (down, requests) = push(Fault::Down(time), "");
    down.code(69);
    assert_eq!(requests, 0);

    let gateway = FakeServer::status("200 OK", "");
    let proxy = FaultProxy::fixed(&gateway.address(), Fault::None);
    let sandbox = Sandbox::new();
    proxy.close();
    push_to(&sandbox, &proxy, "")
        .code(69)
        .err("connection refused");
    proxy.open();
    push_to(&sandbox, &proxy, "").code(0);
}

#[test]
fn answers_instead_of_the_gateways() {
    is_held_back(Fault::Status(429), "responded with 429 Too Many Requests");
    is_held_back(
        Fault::Status(500),
        "responded with 500 Internal Server Error",
    );
    is_held_back(Fault::Status(503), "responded with 503 Service Unavailable");
}

#[test]
fn cut_answers_and_late_statuses_come_after_the_effect() {
    takes_effect(Fault::LateStatus, "responded with 500");
    for after in [0, 10, 10_000] {
        takes_effect(Fault::CutAnswer(after), " broke: ");
    }
}

#[test]
fn nothing_is_completed_for_a_client_that_has_gone() {
    let slow = Fault::Slow(Duration::from_millis(100));
    let (push, requests) = push(slow, "--push-timeout 100ms");
    push.code(69);
    assert_eq!(requests, 0);
}

#[test]
fn a_hung_connection_ends_with_its_client() {
    let proxy = FaultProxy::fixed("127.0.0.1:1", Fault::Hang);
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    eventually("it hangs", || proxy.connections() == 1);
    drop(client);
    proxy.heal();
}

#[test]
fn each_request_of_a_connection_has_its_own_fault() {
    let gateway = FakeServer::status("200 OK", "fine");
    let mut faults = [Fault::None, Fault::Status(503), Fault::None, Fault::Refuse].into_iter();
    let proxy = FaultProxy::new(&gateway.address(), move || faults.next().unwrap());
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    let request = "PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    // The requests may come cut and joined in any way.
    for part in request.repeat(3).as_bytes().chunks(17) {
        client.write_all(part).unwrap();
    }
    let fine = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";
    let overloaded = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 12\r\n\r\nby the proxy";
    let wanted = [fine, overloaded, fine].concat();
    let mut answers = vec![0; wanted.len()];
    client.read_exact(&mut answers).unwrap();
    assert_eq!(String::from_utf8(answers).unwrap(), wanted);
    client.write_all(request.as_bytes()).unwrap();
    assert!(client.read_exact(&mut [0]).is_err());
    assert_eq!(gateway.requests().len(), 2);
    assert_eq!(gateway.requests()[1].body, "abc");
}

#[test]
fn a_target_that_keeps_its_connections_and_a_client_that_does_not() {
    let gateway = FakeServer::status("200 OK", "fine");
    let proxy = FaultProxy::fixed(&gateway.address(), Fault::None);
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("fine"), "{answer}");
}

/// The same seed is the same faults, and all kinds are among them.
#[test]
fn random_faults() {
    let faults = || {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        (0..300)
            .map(|_| Fault::random(&mut random))
            .collect::<Vec<_>>()
    };
    assert_eq!(faults(), faults());
    let kinds: BTreeSet<_> = faults().into_iter().map(Fault::kind).collect();
    assert_eq!(kinds, BTreeSet::from(Fault::KINDS));
}
