//! Code blocks of pages.

/// A fenced code block.
#[derive(Debug)]
pub struct Block {
    /// The page and the line of the block's beginning.
    pub place: String,
    pub language: String,
    pub text: String,
}

/// All code blocks of a page. One that is not fenced is an error: it has no language.
pub fn blocks(page: &str, text: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut open: Option<Open> = None;
    let mut before = "";
    let mut is_in_list = false;
    for (index, line) in text.lines().enumerate() {
        let place = format!("{page}:{}", index + 1);
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        match &mut open {
            Some(inner) if inner.ends_at(trimmed) => {
                blocks.extend(open.take().map(|open| open.block));
            }
            Some(inner) => inner.add(line),
            None => {
                let is_code = indent >= 4 && !trimmed.is_empty() && before.trim().is_empty();
                if is_code && !is_in_list {
                    return Err(format!("{place}: code that is not in a fenced block"));
                }
                open = Open::at(place, indent, trimmed);
                if !trimmed.is_empty() && indent == 0 {
                    is_in_list = is_item(trimmed);
                }
            }
        }
        before = line;
    }
    match open {
        Some(open) => Err(format!("{}: a block without an end", open.block.place)),
        None => Ok(blocks),
    }
}

/// The commands of a `console` block, each with the output that is shown.
pub fn session(text: &str) -> Vec<(&str, String)> {
    let mut commands: Vec<(&str, String)> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => commands.push((command, String::new())),
            None => {
                let (_, shown) = commands.last_mut().expect("output before a command");
                *shown += &format!("{line}\n");
            }
        }
    }
    commands
}

/// Returns true for the first line of an item of a list.
fn is_item(line: &str) -> bool {
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    line.starts_with("- ") || (number != line && number.starts_with(". "))
}

/// A block whose end is not read yet.
struct Open {
    block: Block,
    fence: String,
    indent: usize,
}

impl Open {
    /// The block that this line opens.
    fn at(place: String, indent: usize, trimmed: &str) -> Option<Self> {
        let mark = trimmed.chars().next().filter(|c| "`~".contains(*c))?;
        let language = trimmed.trim_start_matches(mark);
        let fence = trimmed[..trimmed.len() - language.len()].to_owned();
        let (language, text) = (language.trim().to_owned(), String::new());
        // What else has a backtick there is code within a line.
        (fence.len() >= 3 && !language.contains('`')).then_some(Open {
            block: Block {
                place,
                language,
                text,
            },
            fence,
            indent,
        })
    }

    fn ends_at(&self, trimmed: &str) -> bool {
        trimmed.trim_end() == self.fence
    }

    fn add(&mut self, line: &str) {
        let indent = line.len() - line.trim_start().len();
        let line = &line[indent.min(self.indent)..];
        self.block.text.push_str(line);
        self.block.text.push('\n');
    }
}
