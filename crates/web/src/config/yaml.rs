//! A YAML document as a tree whose nodes know their location. It is small beside a deserializer for any type.

use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, StrInput, Tag};

use super::error::{Placed, Problem};

/// A line and a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodePlace {
    pub line: usize,
    pub column: usize,
}

impl From<&Marker> for NodePlace {
    fn from(marker: &Marker) -> Self {
        NodePlace {
            line: marker.line(),
            column: marker.col() + 1,
        }
    }
}

/// A value and its location in the file.
#[derive(Clone)]
pub struct Located<T> {
    pub value: T,
    pub place: NodePlace,
}

impl<T> Located<T> {
    pub fn is_wrong(&self, problem: Problem) -> Placed {
        (problem, Some(self.place))
    }
}

/// A text and its location in the file.
pub type Text = Located<String>;

/// A value of a document. Aliases share what they refer to, so that a small file remains small.
pub type Node = Located<Rc<NodeContent>>;

/// Contents of a node.
pub enum NodeContent {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Mapping(Vec<(Text, Node)>),
}

impl Node {
    fn is_null(&self) -> bool {
        matches!(*self.value, NodeContent::Null)
    }

    fn expected(&self, wanted: &str) -> Placed {
        let found = match *self.value {
            NodeContent::Null => "nothing",
            NodeContent::Scalar(_) => "a single value",
            NodeContent::List(_) => "a list",
            NodeContent::Mapping(_) => "a mapping",
        };
        self.is_wrong(Problem::Yaml(format!("expected {wanted}, not {found}")))
    }

    /// Returns the scalar's text, which is empty for null, as in YAML's `key:`.
    pub fn text(&self) -> Result<Text, Placed> {
        let value = match &*self.value {
            NodeContent::Null => String::new(),
            NodeContent::Scalar(text) => text.clone(),
            _ => return Err(self.expected("a text")),
        };
        let place = self.place;
        Ok(Located { value, place })
    }

    fn texts(&self) -> Result<Located<Vec<Text>>, Placed> {
        let NodeContent::List(items) = &*self.value else {
            return Err(self.expected("a list"));
        };
        let place = self.place;
        let value = items.iter().map(Node::text).collect::<Result<_, _>>()?;
        Ok(Located { value, place })
    }

    /// Returns the keys of a mapping with their values; null is the same as an empty one.
    pub fn entries(&self) -> Result<Vec<(Text, Node)>, Placed> {
        match &*self.value {
            NodeContent::Null => Ok(Vec::new()),
            NodeContent::Mapping(entries) => Ok(entries.clone()),
            _ => Err(self.expected("a mapping (key: value)")),
        }
    }
}

/// Keys of a mapping that are taken one by one, until none may be left. Null is the same as no such key.
pub struct Keys {
    entries: Vec<(Text, Node)>,
    known: Vec<&'static str>,
}

impl Keys {
    pub fn of(node: &Node) -> Result<Self, Placed> {
        Ok(Keys {
            entries: node.entries()?,
            known: Vec::new(),
        })
    }

    pub fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let index = self
            .entries
            .iter()
            .position(|(name, _)| name.value == key)?;
        let (_, node) = self.entries.remove(index);
        (!node.is_null()).then_some(node)
    }

    pub fn text(&mut self, key: &'static str) -> Result<Option<Text>, Placed> {
        self.take(key).map(|node| node.text()).transpose()
    }

    pub fn texts(&mut self, key: &'static str) -> Result<Option<Located<Vec<Text>>>, Placed> {
        self.take(key).map(|node| node.texts()).transpose()
    }

    /// Reads a boolean in any of the spellings of YAML 1.1, all of which Go's parser takes.
    pub fn boolean(&mut self, key: &'static str) -> Result<Option<bool>, Placed> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        match text.value.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Ok(Some(true)),
            "false" | "no" | "off" | "n" => Ok(Some(false)),
            _ => Err(text.is_wrong(Problem::Yaml("expected true or false".into()))),
        }
    }

    pub fn number(&mut self, key: &'static str) -> Result<Option<Located<u32>>, Placed> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        let wanted = format!("expected a whole number from 0 to {}", u32::MAX);
        match text.value.parse() {
            Ok(value) => Ok(Some(Located {
                value,
                place: text.place,
            })),
            Err(_) => Err(text.is_wrong(Problem::Yaml(wanted))),
        }
    }

    /// Refuses the keys that were not taken.
    pub fn finish(self) -> Result<(), Placed> {
        match self.entries.first() {
            None => Ok(()),
            Some((key, _)) => Err(key.is_wrong(Problem::Yaml(format!(
                "unknown field `{}`, expected one of {}",
                key.value,
                self.known.join(", ")
            )))),
        }
    }
}

/// Parses a file of at most one document. Without one, the root is null.
pub fn parse(text: &str) -> Result<Node, Placed> {
    let mut reading = Reading {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
    };
    let mut root = None;
    while let Some((event, place)) = reading.next()? {
        match event {
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd => {}
            event if root.is_none() => root = Some(reading.node(event, place)?),
            _ => return Err(wrong(place, "expected a single document, not several")),
        }
    }
    Ok(root.unwrap_or(Located {
        value: Rc::new(NodeContent::Null),
        place: NodePlace { line: 1, column: 1 },
    }))
}

fn wrong(place: NodePlace, problem: impl Into<String>) -> Placed {
    (Problem::Yaml(problem.into()), Some(place))
}

/// A parser with the nodes that had an anchor so far.
struct Reading<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Rc<NodeContent>>,
}

impl<'a> Reading<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, NodePlace)>, Placed> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok(Some((event, NodePlace::from(&span.start)))),
            // Its message has nothing of a value, which could be a password.
            Some(Err(error)) => Err(wrong(error.marker().into(), error.info())),
            None => Ok(None),
        }
    }

    /// Returns the next node of a list or mapping, or `None` at its end.
    fn inner(&mut self) -> Result<Option<Node>, Placed> {
        match self.next()? {
            None | Some((Event::SequenceEnd | Event::MappingEnd, _)) => Ok(None),
            Some((event, place)) => self.node(event, place).map(Some),
        }
    }

    /// Reads the node that begins with `event`. The parser bounds how deep they are nested.
    fn node(&mut self, event: Event<'a>, place: NodePlace) -> Result<Node, Placed> {
        let (anchor, content) = match event {
            Event::Alias(id) => {
                let Some(content) = self.anchors.get(&id) else {
                    return Err(wrong(place, "the alias is within what it refers to"));
                };
                let value = Rc::clone(content);
                return Ok(Located { value, place });
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && !has_tag(tag.as_deref(), place)?;
                let content = match &*text {
                    "" | "~" | "null" | "Null" | "NULL" if is_plain => NodeContent::Null,
                    _ => NodeContent::Scalar(text.into_owned()),
                };
                (anchor, content)
            }
            Event::SequenceStart(_, anchor, tag) => {
                has_tag(tag.as_deref(), place)?;
                let mut items = Vec::new();
                while let Some(item) = self.inner()? {
                    items.push(item);
                }
                (anchor, NodeContent::List(items))
            }
            Event::MappingStart(_, anchor, tag) => {
                has_tag(tag.as_deref(), place)?;
                (anchor, NodeContent::Mapping(self.mapping()?))
            }
            _ => return Err(wrong(place, "expected a value")),
        };
        let value = Rc::new(content);
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&value));
        }
        Ok(Located { value, place })
    }

    /// Reads keys and values up to the end of the mapping. Those of `<<` are added unless they are given.
    fn mapping(&mut self) -> Result<Vec<(Text, Node)>, Placed> {
        let mut entries: Vec<(Text, Node)> = Vec::new();
        let mut merged = Vec::new();
        while let Some(key) = self.inner()? {
            let key = key.text()?;
            let Some(value) = self.inner()? else {
                return Err(key.is_wrong(Problem::Yaml("expected a value".into())));
            };
            if key.value == "<<" {
                match &*value.value {
                    NodeContent::List(all) => merged.extend_from_slice(all),
                    _ => merged.push(value),
                }
            } else if has(&entries, &key) {
                return Err(key.is_wrong(Problem::Yaml(format!(
                    "duplicate mapping key `{}` is not allowed here",
                    key.value
                ))));
            } else {
                entries.push((key, value));
            }
        }
        for node in merged {
            for (key, value) in node.entries()? {
                if !has(&entries, &key) {
                    entries.push((key, value));
                }
            }
        }
        Ok(entries)
    }
}

fn has(entries: &[(Text, Node)], key: &Text) -> bool {
    entries.iter().any(|(name, _)| name.value == key.value)
}

/// Returns true for one of YAML's own tags; others would change the meaning of the value.
fn has_tag(tag: Option<&Tag>, place: NodePlace) -> Result<bool, Placed> {
    match tag.map(Tag::core_suffix) {
        None => Ok(false),
        Some(Some("str" | "int" | "bool" | "seq" | "map")) => Ok(true),
        Some(_) => Err(wrong(
            place,
            "a tag like this has no meaning here: remove it",
        )),
    }
}
