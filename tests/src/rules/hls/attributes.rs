//! Attribute lists (RFC 8216 §4.2).

/// The attributes of one tag, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Vec<(String, Value)>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    text: String,
    quoted: bool,
}

impl Attributes {
    /// The value of `name` without its quotation marks.
    pub fn get(&self, name: &str) -> Option<&str> {
        Some(&self.find(name)?.text)
    }

    /// The value of `name` if it is a quoted string.
    pub fn quoted(&self, name: &str) -> Option<&str> {
        let value = self.find(name)?;
        value.quoted.then_some(&value.text)
    }

    /// The value of `name` if it stands without quotation marks.
    pub fn unquoted(&self, name: &str) -> Option<&str> {
        let value = self.find(name)?;
        (!value.quoted).then_some(&value.text)
    }

    fn find(&self, name: &str) -> Option<&Value> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        Some(value)
    }
}

/// Reads `NAME=value,NAME="value"`. Names are of `A-Z0-9-` and stand once; no spaces around.
pub fn attributes(text: &str) -> Option<Attributes> {
    let mut list = Attributes::default();
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once('=')?;
        let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(allowed) || list.find(name).is_some() {
            return None;
        }
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (text, after) = quoted.split_once('"')?;
                (text, after)
            }
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        let quoted = rest[name.len() + 1..].starts_with('"');
        if !quoted && (value.is_empty() || value.contains([' ', '"'])) {
            return None;
        }
        let value = Value {
            text: value.to_owned(),
            quoted,
        };
        list.0.push((name.to_owned(), value));
        if after.is_empty() {
            return Some(list);
        }
        rest = after.strip_prefix(',')?;
    }
}

#[cfg(test)]
mod tests {
    use super::attributes;

    #[test]
    fn reads_quoted_values_with_commas() {
        let list = attributes(r#"BANDWIDTH=1,CODECS="avc1.64001f,mp4a.40.2",A-B=YES"#).unwrap();
        assert_eq!(list.quoted("CODECS"), Some("avc1.64001f,mp4a.40.2"));
        assert_eq!(list.unquoted("CODECS"), None);
        assert_eq!(list.unquoted("A-B"), Some("YES"));
        assert_eq!(list.get("C"), None);
    }

    #[test]
    fn refuses_what_is_no_list() {
        for bad in ["", "A", "a=1", "A=", "A=1,", "A=1,A=2", "A=\"1", "A=1, B=2"] {
            assert_eq!(attributes(bad), None, "{bad:?}");
        }
    }
}
