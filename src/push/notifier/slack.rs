//! Messages for Slack's incoming webhooks, and for chats that take their form.

use serde_json::{Value, json};

/// Longest text of a tail, in characters: Slack cuts a message at 40,000, and nobody reads that much in a chat.
const MAX_TAIL: usize = 3000;

/// The message about `event`, as the body of the request.
pub fn message(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let mut message = format!("*{}*", escaped(text("summary")));
    let failure = text("failure");
    if !failure.is_empty() {
        message += &format!("\n{}", escaped(failure));
    }
    for unmet in event["unmet"].as_array().into_iter().flatten() {
        message += &format!("\n{}", escaped(unmet["text"].as_str().unwrap_or_default()));
    }
    let lines = event["tail"].as_array().into_iter().flatten();
    let tail: Vec<&str> = lines.filter_map(Value::as_str).collect();
    let tail = last(&tail.join("\n"), MAX_TAIL).replace("```", "'''");
    if !tail.is_empty() {
        message += &format!("\n```{}```", escaped(&tail));
    }
    let runbook = text("runbook");
    if !runbook.is_empty() {
        message += &format!("\nRunbook: {}", escaped(runbook));
    }
    json!({ "text": message }).to_string()
}

/// Escapes the characters that control Slack's markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn last(text: &str, characters: usize) -> &str {
    let start = text.char_indices().rev().nth(characters.saturating_sub(1));
    &text[start.map_or(0, |(at, _)| at)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message() {
        let event = json!({
            "summary": "db_backup failed", "failure": "<!channel> & co", "runbook": "https://wiki/backup",
            "tail": ["```", "no space left"],
        });
        let message: Value = serde_json::from_str(&message(&event)).unwrap();
        assert_eq!(
            message["text"],
            "*db_backup failed*\n&lt;!channel&gt; &amp; co\n```'''\nno space left```\nRunbook: https://wiki/backup"
        );
    }

    #[test]
    fn long_tails_keep_their_end() {
        assert_eq!(last("äöü", 2), "öü");
        assert_eq!(last("äöü", 9), "äöü");
        assert_eq!(last("", 9), "");
    }
}
