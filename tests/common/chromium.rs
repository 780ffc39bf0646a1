//! A browser, driven over the DevTools protocol.
//!
//! <https://chromedevtools.github.io/devtools-protocol/>; over pipes, a message is JSON and a NUL.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::process::PATIENCE;

/// Chromium without a window, with one page. It ends with the test.
pub struct Chromium {
    child: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    last_id: u64,
    session: String,
    problems: Vec<String>,
    _home: tempfile::TempDir,
}

impl Chromium {
    /// With an empty page of 1280 by 900 pixels.
    pub fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        // Chromium talks over the file descriptors 3 and 4; the shell makes them of the pipes.
        let mut child = Command::new("sh")
            .arg("-c")
            .arg("exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null")
            .arg("chromium")
            .args(["--headless=new", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-dev-shm-usage", "--disable-extensions"])
            .args(["--disable-background-networking", "--no-first-run"])
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", home.path().display()))
            .env("HOME", home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            for message in output.split(0).map_while(Result::ok) {
                let _ = sender.send(serde_json::from_slice(&message).unwrap());
            }
        });
        let mut browser = Chromium {
            input: child.stdin.take(),
            child,
            messages,
            last_id: 0,
            session: String::new(),
            problems: Vec::new(),
            _home: home,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({}));
        }
        browser.resize(1280, 900);
        browser
    }

    /// Opens the page at `url` and waits until it has loaded.
    pub fn open(&mut self, url: &str) {
        let answer = self.call("Page.navigate", json!({ "url": url }));
        assert_eq!(answer.get("errorText"), None, "{url}: {answer}");
        while self.event()["method"] != "Page.loadEventFired" {}
    }

    /// The value of a JavaScript expression, a promise's once it is there.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let value = self.try_evaluate(expression);
        value.unwrap_or_else(|problem| panic!("{expression}: {problem}"))
    }

    /// Evaluates `condition` until it is true. That it fails, as it may while a page loads, is not yet.
    pub fn wait_for(&mut self, condition: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.try_evaluate(condition) != Ok(json!(true)) {
            if Instant::now() > deadline {
                let name = format!("chromium-{}.png", self.child.id());
                let image = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
                self.screenshot(&image);
                panic!(
                    "it did not become true: {condition}; see {}",
                    image.display()
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn try_evaluate(&mut self, expression: &str) -> Result<Value, Value> {
        let parameters = json!({
            "expression": expression,
            "returnByValue": true,
            "awaitPromise": true,
            "userGesture": true,
        });
        let mut answer = self.try_call("Runtime.evaluate", parameters)?;
        match answer.get_mut("exceptionDetails") {
            Some(exception) => Err(exception.take()),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// Presses a key: `Tab`, `Enter`, `Escape`, or a letter.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            _ => (0, key),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({
                "type": kind, "key": key, "code": key, "text": text, "windowsVirtualKeyCode": code,
            });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Makes the page this many CSS pixels wide and high.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// What the page is told of a media feature, such as `prefers-color-scheme`, `dark`.
    pub fn prefer(&mut self, feature: &str, value: &str) {
        let features = json!({ "features": [{ "name": feature, "value": value }] });
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// Writes what the page shows to a PNG file.
    pub fn screenshot(&mut self, path: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({}));
        let image = STANDARD.decode(answer["data"].as_str().unwrap()).unwrap();
        std::fs::write(path, image).unwrap();
    }

    /// What stood in the console as an error since the last call: exceptions, what the content
    /// security policy forbade, and what could not be loaded.
    pub fn problems(&mut self) -> Vec<String> {
        // What happened before is told before the answer.
        self.evaluate("0");
        std::mem::take(&mut self.problems)
    }

    /// Calls a method of the protocol and returns its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        let result = self.try_call(method, parameters);
        result.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn try_call(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        self.input.as_ref().unwrap().write_all(&bytes).unwrap();
        loop {
            let mut answer = self.event();
            if answer["id"] == self.last_id {
                return match answer.get_mut("error") {
                    Some(error) => Err(error.take()),
                    None => Ok(answer["result"].take()),
                };
            }
        }
    }

    /// The next message.
    fn event(&mut self) -> Value {
        let message = self
            .messages
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| panic!("chromium: {error} (scripts/test installs it)"));
        let parameters = &message["params"];
        let problem = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => Some(&parameters["exceptionDetails"]),
            Some("Log.entryAdded") if parameters["entry"]["level"] == "error" => {
                Some(&parameters["entry"])
            }
            _ => None,
        };
        self.problems.extend(problem.map(Value::to_string));
        message
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It ends with the pipe and takes its children along, which a signal would leave behind.
        drop(self.input.take());
        let deadline = Instant::now() + PATIENCE;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
