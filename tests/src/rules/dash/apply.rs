//! MPD patches (DASH §5.15) applied as RFC 5261 says, to the text itself: what they do not select stays as it is, byte
//! for byte.

use std::ops::Range;

use roxmltree::{Document, Node, ParsingOptions};

/// The text of `mpd` after all operations of `patch`.
///
/// # Errors
/// One of the two is no XML, or an operation selects nothing, or several nodes (RFC 5261 §4.1), or is none that DASH
/// knows, as a text for people.
pub(crate) fn apply(mpd: &str, patch: &str) -> Result<String, String> {
    let patch_tree = parse(patch)?;
    let mut text = mpd.to_owned();
    for operation in patch_tree.root_element().children() {
        let select = operation
            .attribute("sel")
            .ok_or_else(|| format!("{operation:?} selects nothing"))?;
        let tree = parse(&text)?;
        let (range, with) = change(&tree, select, operation, patch)?;
        let with = with.to_owned();
        text.replace_range(range, &with);
    }
    Ok(text)
}

fn parse(text: &str) -> Result<Document<'_>, String> {
    let options = ParsingOptions::default();
    Document::parse_with_options(text, options).map_err(|error| error.to_string())
}

/// Which bytes of the text of `tree` are to be replaced, and what by.
fn change<'p>(
    tree: &Document<'_>,
    select: &str,
    operation: Node<'_, 'p>,
    patch: &'p str,
) -> Result<(Range<usize>, &'p str), String> {
    let content = content_of(operation, patch);
    let (path, attribute) = match select.rsplit_once("/@") {
        Some((path, attribute)) => (path, Some(attribute)),
        None => (select, None),
    };
    let node = select_one(tree, path)?;
    let name = operation.tag_name().name();
    match (name, attribute) {
        ("replace", Some(attribute)) => {
            let attribute = node.attribute_node(attribute);
            let attribute = attribute.ok_or_else(|| format!("{select} is not there"))?;
            Ok((attribute.range_value(), content))
        }
        ("replace", None) => Ok((node.range(), content)),
        ("remove", None) => Ok((node.range(), "")),
        ("add", None) if node.has_children() => {
            let end = node.last_child().map_or(0, |child| child.range().end);
            Ok((end..end, content))
        }
        _ => Err(format!("{name} of {select} is not known")),
    }
}

/// The text between the tags of `node`.
fn content_of<'t>(node: Node<'_, 't>, text: &'t str) -> &'t str {
    let ends = (node.first_child(), node.last_child());
    match ends {
        (Some(first), Some(last)) => &text[first.range().start..last.range().end],
        _ => "",
    }
}

/// The one element at `path`: names, each with `[@id='…']` or its number if it has any.
fn select_one<'a, 'i>(tree: &'a Document<'i>, path: &str) -> Result<Node<'a, 'i>, String> {
    let mut node = tree.root();
    for step in path.split('/').skip(1) {
        let (name, predicate) = match step.split_once('[') {
            Some((name, predicate)) => (name, predicate.strip_suffix(']')),
            None => (step, None),
        };
        let named = node
            .children()
            .filter(|child| child.tag_name().name() == name);
        let id = predicate.and_then(|text| text.strip_prefix("@id='")?.strip_suffix('\''));
        let number = predicate.and_then(|text| text.parse::<usize>().ok());
        let found: Vec<_> = match (predicate, id, number) {
            (None, ..) => named.collect(),
            (_, Some(id), _) => named
                .filter(|child| child.attribute("id") == Some(id))
                .collect(),
            (.., Some(number)) => named.skip(number - 1).take(1).collect(),
            _ => return Err(format!("{step} is not understood")),
        };
        let [only] = found[..] else {
            return Err(format!("{} nodes at {step} of {path}", found.len()));
        };
        node = only;
    }
    Ok(node)
}
