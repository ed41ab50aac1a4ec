//! The tree of a TOML file, read key by key so that everything wrong with it is found at once and
//! every problem knows its line.
//!
//! Not through serde: it stops at the first problem, and its messages repeat the value, which may
//! be a password under the wrong key.

use std::collections::BTreeMap;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    problem::{Place, Problem, Refusal, closest},
    variables::Variables,
};

/// A key that a table may have.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// Other spellings.
    pub(crate) aliases: &'static [&'static str],
    /// Whether its value is a string.
    pub(crate) is_text: bool,
}

impl Key {
    /// A key of a number or a truth value.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            is_text: false,
        }
    }

    /// A key of a string.
    pub(crate) const fn text(name: &'static str) -> Self {
        Self {
            is_text: true,
            ..Self::new(name)
        }
    }

    /// The key with another spelling.
    pub(crate) const fn or(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }
}

/// Collects the problems of one text.
pub(crate) struct Report<'t> {
    text: &'t str,
    /// Of variables: [`Variables::groups`]. Empty for a file.
    groups: &'t [(usize, String)],
    problems: Vec<Problem>,
}

impl<'t> Report<'t> {
    /// Of the text of a file.
    pub(crate) const fn of_file(text: &'t str) -> Self {
        Self {
            text,
            groups: &[],
            problems: Vec::new(),
        }
    }

    /// Of variables; `problems` are those of their names.
    pub(crate) fn of_variables(variables: &'t Variables, problems: Vec<Problem>) -> Self {
        Self {
            text: &variables.text,
            groups: &variables.groups,
            problems,
        }
    }

    /// Whether nothing is wrong so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The tree of the text; syntax errors are reported, one a line.
    pub(crate) fn parse(&mut self) -> Option<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        let mut last_line = 0;
        // Only message and place: the `Display` of this error quotes the line, password and all.
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            let line = self.line(at);
            if line != last_line {
                let reason = error.message().to_owned();
                self.add(at, "", Refusal::Syntax { reason });
                last_line = line;
            }
        }
        errors.is_empty().then(|| table.into_inner())
    }

    /// Reports `refusal` of `key` at byte `at`.
    pub(crate) fn add(&mut self, at: usize, key: &str, refusal: Refusal) {
        let place = self.place(at, key);
        self.problems.push(Problem { place, refusal });
    }

    /// Where `key` at byte `at` is.
    pub(crate) fn place(&self, at: usize, key: &str) -> Place {
        let group = self.groups.iter().rfind(|(begin, _)| *begin <= at);
        if let Some((_, prefix)) = group {
            let key = key.rsplit('.').next().unwrap_or(key);
            return Place::Variable(format!("{prefix}{}", key.to_uppercase()));
        }
        let before = self.text.get(..at).unwrap_or(self.text);
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Place::File {
            line: self.line(at),
            column,
            key: key.to_owned(),
        }
    }

    /// The line, counted from 1, of byte `at`.
    pub(crate) fn line(&self, at: usize) -> usize {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// What was found, in the order of the file, or of the names.
    pub(crate) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by(|a, b| a.place.cmp(&b.place));
        self.problems
    }
}

/// A table whose keys are known.
pub(crate) struct Table<'d> {
    /// `server`, `camera.front-door`.
    path: String,
    values: BTreeMap<&'static str, &'d Spanned<DeValue<'d>>>,
}

impl<'d> Table<'d> {
    /// Reads `table`, reporting keys that are not in `keys` or come in two spellings.
    pub(crate) fn open(
        path: &str,
        table: &'d DeTable<'d>,
        keys: &'static [Key],
        report: &mut Report<'_>,
    ) -> Self {
        let mut values = BTreeMap::new();
        let mut lines = BTreeMap::new();
        let mut written: Vec<_> = table.iter().collect();
        written.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in written {
            let (at, spelling) = (key.span().start, key.get_ref().as_ref());
            let full = join(path, &shown_key(spelling));
            let known = keys
                .iter()
                .find(|known| known.name == spelling || known.aliases.contains(&spelling));
            let Some(Key { name, .. }) = known else {
                let allowed: Vec<&str> = keys.iter().map(|key| key.name).collect();
                let meant = closest(spelling, allowed.iter().copied());
                report.add(at, &full, Refusal::UnknownKey { allowed, meant });
                continue;
            };
            if let Some(line) = lines.insert(*name, report.line(at)) {
                report.add(at, &full, Refusal::GivenTwice { name, line });
            } else {
                values.insert(*name, value);
            }
        }
        let path = path.to_owned();
        Self { path, values }
    }

    /// `key` with this table's path.
    pub(crate) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Whatever is under `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.values.get(key).copied()
    }

    /// The text under `key` and its place.
    pub(crate) fn text(&self, key: &str, report: &mut Report<'_>) -> Option<(&'d str, usize)> {
        self.read(key, "a string", report, DeValue::as_str)
    }

    /// The truth value under `key`.
    pub(crate) fn boolean(&self, key: &str, report: &mut Report<'_>) -> Option<bool> {
        self.read(key, "true or false", report, DeValue::as_bool)
            .map(|(value, _)| value)
    }

    /// The integer under `key`, if it is in its range of `unit`.
    pub(crate) fn integer<N: Copy + Into<u64> + TryFrom<u64>>(
        &self,
        key: &str,
        (min, max): (N, N),
        unit: &'static str,
        report: &mut Report<'_>,
    ) -> Option<N> {
        let (min, max) = (min.into(), max.into());
        let (integer, at) = self.read(key, "an integer", report, DeValue::as_integer)?;
        let value = u64::from_str_radix(integer.as_str(), integer.radix());
        match value {
            Ok(value) if (min..=max).contains(&value) => N::try_from(value).ok(),
            _ => {
                let given = integer.to_string();
                let refusal = Refusal::OutOfRange {
                    given,
                    min,
                    max,
                    unit,
                };
                report.add(at, &self.path_of(key), refusal);
                None
            }
        }
    }

    fn read<T>(
        &self,
        key: &str,
        expected: &'static str,
        report: &mut Report<'_>,
        read: impl FnOnce(&'d DeValue<'d>) -> Option<T>,
    ) -> Option<(T, usize)> {
        let value = self.get(key)?;
        let at = value.span().start;
        let read = read(value.get_ref());
        if read.is_none() {
            let found = article(value.get_ref());
            let refusal = Refusal::WrongType { expected, found };
            report.add(at, &self.path_of(key), refusal);
        }
        read.map(|read| (read, at))
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// A key as it may be repeated: a line without its `key =` could make a password a key.
fn shown_key(spelling: &str) -> String {
    let is_bare = spelling
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare && !spelling.is_empty() && spelling.len() <= 40 {
        spelling.to_owned()
    } else {
        "(key)".to_owned()
    }
}

/// What `value` is, with its article.
pub(crate) const fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
