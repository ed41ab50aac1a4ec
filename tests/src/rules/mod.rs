//! The written list of rules that every document and segment of the server must obey, each with
//! its clause, and the checks that find what breaks them.
//!
//! A rule is a value; a check adds a [`Finding`] for each place that breaks one. Every rule has an
//! example that breaks it among the tests of its module ([`hls::RULES`], [`dash::RULES`],
//! [`cmaf::RULES`], [`prometheus::RULES`] are checked for completeness).

pub mod cmaf;
pub mod codec;
pub mod dash;
pub mod hls;
pub mod prometheus;

use std::fmt;

/// One requirement and where it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Short name, unique in its list.
    pub name: &'static str,
    /// Document and clause, or "contract" for what only this server promises.
    pub clause: &'static str,
}

impl Rule {
    /// A rule `name` that is written in `clause`.
    pub const fn new(name: &'static str, clause: &'static str) -> Self {
        Self { name, clause }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.clause)
    }
}

/// A place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is broken.
    pub rule: Rule,
    /// Where and how: the line, the number that was found and the one that was due.
    pub what: String,
}

/// The places found so far, in the order in which they were met.
#[derive(Clone, Debug, Default)]
#[must_use = "findings are there to be asserted on"]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Adds a finding unless `holds`.
    pub fn check(&mut self, holds: bool, rule: Rule, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Finding { rule, what: what() });
        }
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether `rule` is broken somewhere.
    pub fn breaks(&self, rule: Rule) -> bool {
        self.0.iter().any(|finding| finding.rule == rule)
    }

    /// Everything found.
    pub fn all(&self) -> &[Finding] {
        &self.0
    }

    /// Panics with the whole list, up to 20 lines, if anything was found in `document`.
    #[track_caller]
    pub fn assert_none(&self, document: &str) {
        assert!(
            self.0.is_empty(),
            "{document} breaks {} rules:\n{self}",
            self.0.len()
        );
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { rule, what } in self.0.iter().take(20) {
            writeln!(f, "  {rule}: {what}")?;
        }
        if self.0.len() > 20 {
            writeln!(f, "  … and {} more", self.0.len() - 20)?;
        }
        Ok(())
    }
}

/// Checks for tests of rules: a list of broken examples must name every rule, and each example
/// must break the rule it is about.
#[cfg(test)]
pub(crate) fn assert_each_is_caught(rules: &[Rule], examples: &[(Rule, Findings)]) {
    for (rule, findings) in examples {
        assert!(
            findings.breaks(*rule),
            "the example for {rule} was not caught; found instead:\n{findings}"
        );
    }
    for rule in rules {
        assert!(
            examples.iter().any(|(example, _)| example == rule),
            "no broken example for {rule}"
        );
    }
    let mut names: Vec<_> = rules.iter().map(|rule| rule.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), rules.len(), "two rules share a name");
}
