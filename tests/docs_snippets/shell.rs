//! Shell scripts, read as far as it takes to find the commands in them, wherever they are: in pipes, in subshells, in
//! what is substituted into a word or a string.

use std::collections::HashMap;

/// A value in place of one that only the shell knows: a number, which most options accept.
const UNKNOWN: &str = "1";

/// The commands of a script, each with its words, without redirections.
pub fn commands(script: &str) -> Vec<Vec<String>> {
    let mut reader = Reader {
        chars: script.chars().collect(),
        next: 0,
        found: Vec::new(),
        here_documents: Vec::new(),
        variables: HashMap::new(),
    };
    reader.read_list(None);
    reader.found
}

struct Reader {
    chars: Vec<char>,
    next: usize,
    found: Vec<Vec<String>>,
    /// Ends of the documents that begin in the next line.
    here_documents: Vec<String>,
    /// Variables of loops, with the first of their values.
    variables: HashMap<String, String>,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.next).copied()
    }

    fn take(&mut self) -> Option<char> {
        let taken = self.peek();
        self.next += 1;
        taken
    }

    /// Skips these characters if they are next.
    fn skip(&mut self, text: &str) -> bool {
        let rest = self.chars[self.next.min(self.chars.len())..].iter();
        let is_next = rest.take(text.chars().count()).copied().eq(text.chars());
        if is_next {
            self.next += text.chars().count();
        }
        is_next
    }

    /// Reads commands up to `end`, or to the end of the script.
    fn read_list(&mut self, end: Option<char>) {
        let mut words: Vec<String> = Vec::new();
        let mut depth = 0;
        loop {
            if self.skip("\\\n") {
                continue;
            }
            match self.peek() {
                None => break,
                Some(c) if depth == 0 && Some(c) == end => break,
                Some(' ' | '\t') => self.next += 1,
                Some('#') => self.skip_line(),
                Some('\n') => {
                    self.next += 1;
                    self.finish(&mut words);
                    self.skip_here_documents();
                }
                Some(c @ ('(' | ')' | ';' | '|')) => {
                    self.next += 1;
                    depth += i32::from(c == '(') - i32::from(c == ')' && depth > 0);
                    self.finish(&mut words);
                }
                Some('&') if !self.is_redirection() => {
                    self.next += 1;
                    self.finish(&mut words);
                }
                Some('<' | '>' | '&') => self.read_redirection(&mut words),
                Some(_) => {
                    let word = self.read_word();
                    let is_descriptor = word.chars().all(|c| c.is_ascii_digit());
                    if !(is_descriptor && matches!(self.peek(), Some('<' | '>'))) {
                        words.push(word);
                    }
                }
            }
        }
        self.finish(&mut words);
    }

    fn finish(&mut self, words: &mut Vec<String>) {
        if let [keyword, variable, within, value, ..] = &**words
            && keyword == "for"
            && within == "in"
        {
            self.variables.insert(variable.clone(), value.clone());
        }
        if !words.is_empty() {
            self.found.push(std::mem::take(words));
        }
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.next += 1;
        }
    }

    fn is_redirection(&self) -> bool {
        self.chars.get(self.next + 1) == Some(&'>')
    }

    /// Reads `<`, `>`, `<<`, `<<<` and so on with the word behind it, or a process in place of a file.
    fn read_redirection(&mut self, words: &mut Vec<String>) {
        if self.skip("<(") || self.skip(">(") {
            self.read_nested(')');
            words.push(UNKNOWN.into());
            return;
        }
        let is_document = !self.skip("<<<") && self.skip("<<");
        if is_document {
            self.skip("-");
        }
        while let Some('<' | '>' | '&' | '|') = self.peek() {
            self.next += 1;
        }
        while let Some(' ' | '\t') = self.peek() {
            self.next += 1;
        }
        let target = self.read_word();
        if is_document {
            self.here_documents.push(target);
        }
    }

    fn skip_here_documents(&mut self) {
        for end in std::mem::take(&mut self.here_documents) {
            loop {
                let start = self.next.min(self.chars.len());
                self.skip_line();
                let line: String = self.chars[start..self.next].iter().collect();
                self.next += 1;
                if line.trim_start_matches('\t') == end || self.next > self.chars.len() {
                    break;
                }
            }
        }
    }

    /// Reads the commands that a word has inside.
    fn read_nested(&mut self, end: char) {
        self.read_list(Some(end));
        self.next += 1;
    }

    fn read_word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\n' | ';' | '|' | '&' | '(' | ')' | '<' | '>' => break,
                '\'' => {
                    self.next += 1;
                    word.extend(std::iter::from_fn(|| self.take().filter(|c| *c != '\'')));
                }
                '"' => {
                    self.next += 1;
                    self.read_quoted(&mut word);
                }
                '\\' => {
                    self.next += 1;
                    word.extend(self.take().filter(|c| *c != '\n'));
                }
                '$' | '`' => self.read_expansion(&mut word),
                _ => word.extend(self.take()),
            }
        }
        word
    }

    fn read_quoted(&mut self, word: &mut String) {
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    self.next += 1;
                    return;
                }
                '\\' => {
                    self.next += 1;
                    match self.take() {
                        Some('\n') | None => {}
                        Some(c @ ('$' | '`' | '"' | '\\')) => word.push(c),
                        Some(c) => word.extend(['\\', c]),
                    }
                }
                '$' | '`' => self.read_expansion(word),
                _ => word.extend(self.take()),
            }
        }
    }

    /// Reads `$NAME`, `${…}`, `$(…)` and the like.
    fn read_expansion(&mut self, word: &mut String) {
        if self.skip("`") {
            self.read_nested('`');
        } else if self.skip("$((") {
            while self.peek().is_some() && !self.skip("))") {
                self.next += 1;
            }
        } else if self.skip("$(") {
            self.read_nested(')');
        } else if self.skip("${") {
            let mut depth = 1;
            while depth > 0
                && let Some(c) = self.take()
            {
                depth += i32::from(c == '{') - i32::from(c == '}');
            }
        } else {
            self.next += 1;
            let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
            match self.peek() {
                Some(c) if is_name(c) => {
                    let start = self.next;
                    while self.peek().is_some_and(is_name) {
                        self.next += 1;
                    }
                    let name: String = self.chars[start..self.next].iter().collect();
                    if let Some(value) = self.variables.get(&name) {
                        word.push_str(value);
                        return;
                    }
                }
                Some('@' | '*' | '#' | '?' | '!' | '$' | '-') => self.next += 1,
                _ => {
                    word.push('$');
                    return;
                }
            }
        }
        word.push_str(UNKNOWN);
    }
}
