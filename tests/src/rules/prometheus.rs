//! What `/metrics` must obey: the [text format] 0.0.4 and the [naming practices] of Prometheus.
//!
//! [text format]: https://prometheus.io/docs/instrumenting/exposition_formats/
//! [naming practices]: https://prometheus.io/docs/practices/naming/

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Rule};

const LINE: Rule = Rule::new("a line is a sample or a comment", "text format");
const DESCRIBED: Rule = Rule::new("HELP and TYPE come once, before the samples", "text format");
const GROUPED: Rule = Rule::new("the lines of a metric stand together", "text format");
const UNIQUE: Rule = Rule::new("no two samples have the same labels", "text format");
const HISTOGRAM: Rule = Rule::new("buckets are cumulative up to +Inf", "text format");
const NAME: Rule = Rule::new("names have a prefix and no capitals", "naming practices");
const UNIT: Rule = Rule::new("units are seconds and bytes", "naming practices");
const TOTAL: Rule = Rule::new("counters, and only they, end in _total", "naming practices");

/// All of them.
pub const RULES: &[Rule] = &[
    LINE, DESCRIBED, GROUPED, UNIQUE, HISTOGRAM, NAME, UNIT, TOTAL,
];

/// Ends of names in units that are no base units.
const OTHER_UNITS: [&str; 8] = [
    "_ms",
    "_us",
    "_milliseconds",
    "_minutes",
    "_hours",
    "_kb",
    "_mb",
    "_bits",
];

/// A name and its labels.
pub type Series = (String, BTreeMap<String, String>);

/// What a scrape has got.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// Every sample.
    pub samples: BTreeMap<Series, f64>,
    /// The type of every metric.
    pub kinds: BTreeMap<String, String>,
}

impl Scrape {
    /// The sample of that name and those labels.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let series = (name.to_owned(), labels.iter().map(owned).collect());
        self.samples.get(&series).copied()
    }

    /// All samples of that name which have at least those labels.
    pub fn all(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let samples = self.samples.iter().filter(|((found, has), _)| {
            let is_there =
                |(label, value): &(&str, &str)| has.get(*label).is_some_and(|v| v == value);
            found == name && labels.iter().all(is_there)
        });
        samples.map(|(_, value)| *value).collect()
    }
}

/// Reads what `/metrics` has answered.
pub fn read(text: &str) -> (Scrape, Findings) {
    let mut reader = Reader::default();
    for line in text.lines() {
        reader.line(line);
    }
    let mut findings = reader.findings;
    findings.check(text.ends_with('\n'), LINE, || {
        "the last line has no end".to_owned()
    });
    names(&reader.scrape, &mut findings);
    histograms(&reader.scrape, &mut findings);
    (reader.scrape, findings)
}

#[derive(Default)]
struct Reader {
    scrape: Scrape,
    findings: Findings,
    helped: BTreeSet<String>,
    /// The metric that the last lines were about, and those before it.
    current: String,
    done: BTreeSet<String>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(help)) => {
                let is_new = self.helped.insert(name.to_owned()) && !help.is_empty();
                self.findings.check(is_new, DESCRIBED, || line.to_owned());
                self.enter(name, line);
            }
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let known = ["counter", "gauge", "histogram"].contains(&kind);
                let before = self.scrape.kinds.insert(name.to_owned(), kind.to_owned());
                let is_good = known && before.is_none() && self.helped.contains(name);
                self.findings.check(is_good, DESCRIBED, || line.to_owned());
                self.enter(name, line);
            }
            _ => match sample(line) {
                Some((series, value)) => self.sample(series, value, line),
                None => self.findings.check(false, LINE, || line.to_owned()),
            },
        }
    }

    fn sample(&mut self, series: Series, value: f64, line: &str) {
        let metric = metric_of(&series.0, &self.scrape.kinds);
        let is_described = self.scrape.kinds.contains_key(&metric);
        self.findings
            .check(is_described, DESCRIBED, || line.to_owned());
        self.enter(&metric, line);
        let before = self.scrape.samples.insert(series, value);
        self.findings
            .check(before.is_none(), UNIQUE, || line.to_owned());
    }

    fn enter(&mut self, metric: &str, line: &str) {
        if self.current == metric {
            return;
        }
        let last = std::mem::replace(&mut self.current, metric.to_owned());
        self.done.insert(last);
        let is_new = !self.done.contains(metric);
        self.findings.check(is_new, GROUPED, || line.to_owned());
    }
}

/// The metric that a sample belongs to: a histogram has three names.
fn metric_of(name: &str, kinds: &BTreeMap<String, String>) -> String {
    let ends = ["_bucket", "_sum", "_count"];
    let bases = ends.iter().filter_map(|end| name.strip_suffix(end));
    let is_histogram = |base: &&str| kinds.get(*base).is_some_and(|kind| kind == "histogram");
    bases
        .into_iter()
        .find(is_histogram)
        .unwrap_or(name)
        .to_owned()
}

/// `name{label="value",…} value`
fn sample(line: &str) -> Option<(Series, f64)> {
    let (head, value) = line.rsplit_once(' ')?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().ok()?,
    };
    let (name, labels) = match head.split_once('{') {
        Some((name, labels)) => (name, pairs(labels.strip_suffix('}')?)?),
        None => (head, BTreeMap::new()),
    };
    is_name(name).then(|| ((name.to_owned(), labels), value))
}

/// `label="value",…`, values with `\\`, `\"` and `\n`.
fn pairs(mut text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut rest = rest.chars();
        loop {
            match rest.next()? {
                '"' => break,
                '\\' => value.push(match rest.next()? {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    _ => return None,
                }),
                c => value.push(c),
            }
        }
        let is_new = labels.insert(name.to_owned(), value).is_none();
        (is_name(name) && is_new).then_some(())?;
        text = rest.as_str();
        if !text.is_empty() {
            text = text.strip_prefix(',')?;
        }
    }
    Some(labels)
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`
fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

fn names(scrape: &Scrape, findings: &mut Findings) {
    for (name, kind) in &scrape.kinds {
        let has_prefix = name.starts_with("dayreel_") || name.starts_with("process_");
        let is_small = !name.contains(|c: char| c.is_ascii_uppercase());
        findings.check(has_prefix && is_small, NAME, || name.clone());
        let base = name.trim_end_matches("_total");
        let is_base = !OTHER_UNITS.iter().any(|unit| base.ends_with(unit));
        findings.check(is_base, UNIT, || name.clone());
        let is_counter = kind == "counter";
        findings.check(is_counter == name.ends_with("_total"), TOTAL, || {
            name.clone()
        });
    }
}

fn histograms(scrape: &Scrape, findings: &mut Findings) {
    for (name, _) in scrape.kinds.iter().filter(|(_, kind)| *kind == "histogram") {
        let mut buckets: BTreeMap<_, Vec<(f64, f64)>> = BTreeMap::new();
        for ((_, labels), count) in samples(scrape, &format!("{name}_bucket")) {
            let mut labels = labels.clone();
            let end = labels.remove("le").unwrap_or_default();
            let end = if end == "+Inf" {
                f64::INFINITY
            } else {
                end.parse().unwrap_or(f64::NAN)
            };
            buckets.entry(labels).or_default().push((end, *count));
        }
        for ((_, labels), count) in samples(scrape, &format!("{name}_count")) {
            let mut found = buckets.remove(labels).unwrap_or_default();
            found.sort_by(|a, b| a.0.total_cmp(&b.0));
            let grows = found.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
            let is_whole = found.last() == Some(&(f64::INFINITY, *count));
            let has_sum = scrape
                .samples
                .contains_key(&(format!("{name}_sum"), labels.clone()));
            findings.check(grows && is_whole && has_sum, HISTOGRAM, || {
                format!("{name} {labels:?}: {found:?}, {count}")
            });
        }
        findings.check(buckets.is_empty(), HISTOGRAM, || {
            format!("{name} has no count")
        });
    }
}

fn samples<'a>(scrape: &'a Scrape, name: &str) -> impl Iterator<Item = (&'a Series, &'a f64)> {
    let name = name.to_owned();
    scrape
        .samples
        .iter()
        .filter(move |((found, _), _)| *found == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::assert_each_is_caught;

    const GOOD: &str = "# HELP dayreel_a_total Some \\\\ help\n\
        # TYPE dayreel_a_total counter\n\
        dayreel_a_total{route=\"/{cam}/ \\\"x\\\"\",b=\"\"} 1\n\
        dayreel_a_total 2\n\
        # HELP dayreel_b_seconds Help\n\
        # TYPE dayreel_b_seconds histogram\n\
        dayreel_b_seconds_bucket{le=\"0.5\"} 1\n\
        dayreel_b_seconds_bucket{le=\"+Inf\"} 3\n\
        dayreel_b_seconds_sum 4.5\n\
        dayreel_b_seconds_count 3\n";

    #[test]
    fn a_good_page_is_read() {
        let (scrape, findings) = read(GOOD);
        findings.assert_none("the page");
        assert_eq!(scrape.get("dayreel_a_total", &[]), Some(2.0));
        let labels = [("route", "/{cam}/ \"x\""), ("b", "")];
        assert_eq!(scrape.get("dayreel_a_total", &labels), Some(1.0));
        assert_eq!(scrape.all("dayreel_b_seconds_bucket", &[]), [3.0, 1.0]);
    }

    #[test]
    fn each_rule_is_broken_by_an_example() {
        let broken = |from: &str, to: &str| {
            assert!(GOOD.contains(from), "{from}");
            read(&GOOD.replacen(from, to, 1)).1
        };
        assert_each_is_caught(
            RULES,
            &[
                (LINE, broken("dayreel_a_total 2", "dayreel_a_total two")),
                (LINE, read(GOOD.trim_end()).1),
                (LINE, broken("\\\"x", "\\x")),
                (DESCRIBED, broken("# HELP dayreel_b_seconds Help\n", "")),
                (DESCRIBED, broken("b_seconds histogram", "b_seconds graph")),
                (
                    GROUPED,
                    read(&format!("{GOOD}dayreel_a_total{{c=\"\"}} 1\n")).1,
                ),
                (
                    UNIQUE,
                    broken("dayreel_a_total 2", "dayreel_a_total 2\ndayreel_a_total 2"),
                ),
                (HISTOGRAM, broken("le=\"0.5\"} 1", "le=\"0.5\"} 4")),
                (HISTOGRAM, broken("seconds_count 3", "seconds_count 4")),
                (NAME, read(&GOOD.replace("dayreel_a", "a")).1),
                (UNIT, read(&GOOD.replace("b_seconds", "b_ms")).1),
                (TOTAL, read(&GOOD.replace("a_total", "a")).1),
            ],
        );
    }
}
